//! The memory of an image: filled, relocated, bound, protected.

use std::collections::HashMap;
use std::io;
use std::ptr;

use object::LittleEndian as LE;
use object::pe::{self, ImageImportDescriptor, ImageNtHeaders64};
use object::read::pe::{Import as TableImport, ImportTable, Relocation, RelocationBlockIterator};

use super::headers::{CheckedSection, Headers};
use super::{Access, Import, LoadError};

/// Memory of one image; gone when dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: usize,
    len: usize,
}

impl Mapping {
    /// Maps zeroed, writable memory wherever the system likes.
    pub(super) fn reserve(len: usize) -> Result<Self, LoadError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // All of it is about to be written.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // SAFETY: a new private mapping at an address of the system's choice.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(LoadError::Map(io::Error::last_os_error()));
        }
        Ok(Self {
            base: base as usize,
            len,
        })
    }

    pub(super) fn base(&self) -> usize {
        self.base
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The whole image, while it is still writable.
    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping has `len` bytes, is writable until `protect`, and nobody else knows
        // its address before then.
        unsafe { std::slice::from_raw_parts_mut(self.base as *mut u8, self.len) }
    }

    /// Copies headers and sections to their places.
    pub(super) fn copy_sections(
        &mut self,
        file: &[u8],
        headers: &Headers<'_>,
        sections: &[CheckedSection],
    ) -> Result<(), LoadError> {
        let headers_len = headers.headers_len(file)?;
        let image = self.bytes();
        image[..headers_len].copy_from_slice(&file[..headers_len]);
        for CheckedSection {
            section,
            file_offset,
            file_size,
        } in sections
        {
            let data = &file[*file_offset..][..*file_size];
            image[section.address..][..*file_size].copy_from_slice(data);
        }
        Ok(())
    }

    /// Adds the distance from the preferred base to every address in the image.
    pub(super) fn relocate(&mut self, headers: &Headers<'_>) -> Result<(), LoadError> {
        let delta = (self.base as u64).wrapping_sub(headers.preferred_base());
        for relocation in self.relocations(headers)? {
            match relocation.typ {
                pe::IMAGE_REL_BASED_ABSOLUTE => {}
                pe::IMAGE_REL_BASED_DIR64 => self.relocate_one(relocation, delta)?,
                kind => return Err(relocation_error(format!("kind {kind} is not for x64"))),
            }
        }
        Ok(())
    }

    fn relocations(&mut self, headers: &Headers<'_>) -> Result<Vec<Relocation>, LoadError> {
        let directory = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC);
        let Some((address, size)) = directory else {
            return Ok(Vec::new());
        };
        let data = self
            .bytes()
            .get(address as usize..)
            .and_then(|rest| rest.get(..size as usize))
            .ok_or_else(|| relocation_error("it lies outside of the image"))?;
        let mut blocks = RelocationBlockIterator::new(data);
        let mut all = Vec::new();
        while let Some(block) = blocks.next().map_err(relocation_error)? {
            all.extend(block);
        }
        Ok(all)
    }

    fn relocate_one(&mut self, relocation: Relocation, delta: u64) -> Result<(), LoadError> {
        let address = relocation.virtual_address;
        let place = self
            .bytes()
            .get_mut(address as usize..)
            .and_then(<[u8]>::first_chunk_mut::<8>)
            .ok_or_else(|| relocation_error(format!("{address:#x} is outside of the image")))?;
        *place = u64::from_le_bytes(*place).wrapping_add(delta).to_le_bytes();
        Ok(())
    }

    /// Writes the addresses of the imported functions into the import address tables.
    pub(super) fn bind_imports(
        &mut self,
        headers: &Headers<'_>,
        imports: &[Import],
    ) -> Result<(), LoadError> {
        let Some((address, _)) = headers.directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) else {
            return Ok(());
        };
        let wanted = wanted_imports(self.bytes(), address)?;
        let offered: HashMap<(&str, &str), *const ()> = imports
            .iter()
            .map(|import| ((import.dll, import.name), import.address))
            .collect();

        let mut unknown = Vec::new();
        for Wanted { dll, name, place } in wanted {
            match offered.get(&(dll.to_ascii_lowercase().as_str(), name.as_str())) {
                Some(function) => self.bind_one(place, *function)?,
                None => unknown.push(format!("{dll}!{name}")),
            }
        }
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(LoadError::UnknownImports(unknown))
        }
    }

    fn bind_one(&mut self, place: usize, function: *const ()) -> Result<(), LoadError> {
        let slot = self
            .bytes()
            .get_mut(place..)
            .and_then(<[u8]>::first_chunk_mut::<8>);
        let slot = slot.ok_or_else(|| {
            LoadError::Imports(format!(
                "address table entry {place:#x} is outside of the image"
            ))
        })?;
        *slot = (function as usize as u64).to_le_bytes();
        Ok(())
    }

    /// Gives headers and sections the access that they are to have; what lies between, none.
    pub(super) fn protect(
        &mut self,
        headers: &Headers<'_>,
        sections: &[CheckedSection],
    ) -> Result<(), LoadError> {
        self.set_access(0, self.len, libc::PROT_NONE)?;
        let headers_len = headers
            .table()
            .iter()
            .map(|header| header.virtual_address.get(LE))
            .min();
        self.set_access(0, headers_len.unwrap_or(0) as usize, libc::PROT_READ)?;
        for CheckedSection { section, .. } in sections {
            self.set_access(section.address, section.size, protection(section.access))?;
        }
        Ok(())
    }

    fn set_access(&self, offset: usize, len: usize, access: i32) -> Result<(), LoadError> {
        // SAFETY: the range is inside of this mapping; sections are page-aligned, were checked
        // against its length, and the system rounds the length up to a page.
        let result = unsafe { libc::mprotect((self.base + offset) as *mut _, len, access) };
        if result == 0 {
            Ok(())
        } else {
            Err(LoadError::Map(io::Error::last_os_error()))
        }
    }
}

impl Drop for Mapping {
    /// Frees the memory and keeps the addresses: nothing else may come to lie where a forgotten
    /// pointer into the image still points.
    fn drop(&mut self) {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let base = self.base as *mut libc::c_void;
        // SAFETY: the range is the mapping that `reserve` made, and this replaces just that.
        unsafe { libc::mmap(base, self.len, libc::PROT_NONE, flags, -1, 0) };
    }
}

/// The system's form of an access.
pub(super) fn protection(access: Access) -> i32 {
    let bit = |wanted: bool, bit: i32| if wanted { bit } else { 0 };
    bit(access.read, libc::PROT_READ)
        | bit(access.write, libc::PROT_WRITE)
        | bit(access.execute, libc::PROT_EXEC)
}

/// An import of an image.
struct Wanted {
    dll: String,
    name: String,
    /// Offset of its entry in the import address table.
    place: usize,
}

/// Reads the import directory at `address` of an image that lies in memory.
fn wanted_imports(image: &[u8], address: u32) -> Result<Vec<Wanted>, LoadError> {
    // The whole image stands in for "the section", so tables may be anywhere.
    let table = ImportTable::new(image, 0, address);
    let mut wanted = Vec::new();
    let mut descriptors = table.descriptors().map_err(import_error)?;
    while let Some(descriptor) = descriptors.next().map_err(import_error)? {
        add_imports_of(&table, descriptor, &mut wanted)?;
    }
    Ok(wanted)
}

fn add_imports_of(
    table: &ImportTable<'_>,
    descriptor: &ImageImportDescriptor,
    wanted: &mut Vec<Wanted>,
) -> Result<(), LoadError> {
    let dll = text(table.name(descriptor.name.get(LE)).map_err(import_error)?);
    let addresses = descriptor.first_thunk.get(LE);
    let names = match descriptor.original_first_thunk.get(LE) {
        0 => addresses,
        names => names,
    };
    let mut thunks = table.thunks(names).map_err(import_error)?;
    let mut place = addresses as usize;
    while let Some(thunk) = thunks.next::<ImageNtHeaders64>().map_err(import_error)? {
        match table
            .import::<ImageNtHeaders64>(thunk)
            .map_err(import_error)?
        {
            TableImport::Ordinal(ordinal) => {
                return Err(LoadError::ImportByOrdinal { dll, ordinal });
            }
            TableImport::Name(_, name) => {
                wanted.push(Wanted {
                    dll: dll.clone(),
                    name: text(name),
                    place,
                });
            }
        }
        place += size_of::<u64>();
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn import_error(error: object::Error) -> LoadError {
    LoadError::Imports(error.to_string())
}

fn relocation_error(error: impl ToString) -> LoadError {
    LoadError::Relocations(error.to_string())
}
