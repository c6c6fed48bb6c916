//! The headers of a PE file, checked.

use object::LittleEndian as LE;
use object::pe::{self, ImageDosHeader, ImageNtHeaders64, ImageSectionHeader};
use object::read::pe::{DataDirectories, ImageNtHeaders, ImageOptionalHeader, SectionTable};

use super::{Access, LoadError, Section};
use crate::memory::PAGE_SIZE;

/// More than any driver needs; a larger size in a header is taken for damage.
const LARGEST_IMAGE: u32 = 256 << 20;

/// Headers of a 64-bit PE file.
pub(super) struct Headers<'file> {
    nt: &'file ImageNtHeaders64,
    directories: DataDirectories<'file>,
    table: SectionTable<'file>,
}

/// A section whose place in file and image has been checked.
pub(super) struct CheckedSection {
    pub(super) section: Section,
    /// Where its data starts in the file.
    pub(super) file_offset: usize,
    /// How much of it comes from the file; the rest is zero.
    pub(super) file_size: usize,
}

impl<'file> Headers<'file> {
    /// Reads the headers of a file for any 64-bit machine.
    pub(super) fn parse(file: &'file [u8]) -> Result<Self, LoadError> {
        let dos = ImageDosHeader::parse(file).map_err(|error| not_pe(file, error))?;
        let mut offset = u64::from(dos.nt_headers_offset());
        require_64_bit(file, offset)?;
        let (nt, directories) =
            ImageNtHeaders64::parse(file, &mut offset).map_err(|error| not_pe(file, error))?;
        let table = nt.sections(file, offset).map_err(truncated)?;
        Ok(Self {
            nt,
            directories,
            table,
        })
    }

    /// Checks that the image is a driver for this machine and of a form that can be loaded.
    pub(super) fn require_x64_driver(&self) -> Result<(), LoadError> {
        let machine = self.machine();
        if machine != pe::IMAGE_FILE_MACHINE_AMD64 {
            return Err(LoadError::WrongMachine(machine));
        }
        if self.subsystem() != pe::IMAGE_SUBSYSTEM_NATIVE {
            return Err(LoadError::WrongSubsystem(self.subsystem()));
        }
        let flags = self.nt.file_header().characteristics.get(LE);
        // Without the flag, an image without a table holds no address that would have to change.
        if flags & pe::IMAGE_FILE_RELOCS_STRIPPED != 0 {
            return Err(LoadError::NoRelocations);
        }
        let alignment = self.optional().section_alignment();
        if alignment == 0 || !alignment.is_multiple_of(PAGE_SIZE as u32) {
            return Err(LoadError::SectionAlignment(alignment));
        }
        for (index, what) in [
            (pe::IMAGE_DIRECTORY_ENTRY_TLS, "thread-local storage"),
            (pe::IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT, "delayed imports"),
        ] {
            if self.directory(index).is_some() {
                return Err(LoadError::Unsupported(what));
            }
        }
        Ok(())
    }

    /// The sections, by address, each inside of file and image and none over another.
    pub(super) fn loadable_sections(&self, file: &[u8]) -> Result<Vec<CheckedSection>, LoadError> {
        if self.optional().size_of_image() > LARGEST_IMAGE {
            return Err(LoadError::SectionPlace("(headers)".to_owned()));
        }
        let mut free_from = self.headers_len(file)?;
        let mut sections = Vec::new();
        for header in self.table.iter() {
            let checked = self.check_section(header, file)?;
            let Section { address, size, .. } = checked.section;
            let is_placed = address.is_multiple_of(PAGE_SIZE)
                && address >= free_from
                && address
                    .checked_add(size)
                    .is_some_and(|end| end <= self.image_size());
            if !is_placed {
                return Err(LoadError::SectionPlace(checked.section.name));
            }
            free_from = address + size;
            sections.push(checked);
        }
        Ok(sections)
    }

    fn check_section(
        &self,
        header: &ImageSectionHeader,
        file: &[u8],
    ) -> Result<CheckedSection, LoadError> {
        let name = String::from_utf8_lossy(header.raw_name()).into_owned();
        let access = access_of(header);
        if access.write && access.execute {
            return Err(LoadError::SectionAccess(name));
        }
        let size = header.virtual_size.get(LE) as usize;
        let (file_offset, raw_size) = header.pe_file_range();
        let end = u64::from(file_offset) + u64::from(raw_size);
        if end > file.len() as u64 {
            return Err(LoadError::SectionOutsideFile {
                name,
                end,
                len: file.len() as u64,
            });
        }
        let address = header.virtual_address.get(LE) as usize;
        let section = Section {
            name,
            address,
            size,
            access,
            is_discardable: is_discardable(header),
        };
        let file_size = (raw_size as usize).min(size);
        Ok(CheckedSection {
            section,
            file_offset: file_offset as usize,
            file_size,
        })
    }

    /// Offset of the entry point, which is in one of the sections, in code.
    pub(super) fn entry(&self, sections: &[CheckedSection]) -> Result<usize, LoadError> {
        let entry = self.optional().address_of_entry_point();
        let in_code = sections
            .iter()
            .map(|checked| &checked.section)
            .any(|section| {
                let offset = (entry as usize).checked_sub(section.address);
                section.access.execute && offset.is_some_and(|offset| offset < section.size)
            });
        if in_code {
            Ok(entry as usize)
        } else {
            Err(LoadError::WrongEntry(entry))
        }
    }

    /// How much of the file is headers, which are mapped too.
    pub(super) fn headers_len(&self, file: &[u8]) -> Result<usize, LoadError> {
        let len = self.optional().size_of_headers() as usize;
        if len > file.len() || len > self.image_size() {
            return Err(LoadError::TruncatedHeaders(format!(
                "{len:#x} bytes are declared"
            )));
        }
        Ok(len)
    }

    pub(super) fn image_size(&self) -> usize {
        (self.optional().size_of_image() as usize).next_multiple_of(PAGE_SIZE)
    }

    pub(super) fn preferred_base(&self) -> u64 {
        self.optional().image_base()
    }

    pub(super) fn machine(&self) -> u16 {
        self.nt.file_header().machine.get(LE)
    }

    pub(super) fn subsystem(&self) -> u16 {
        self.optional().subsystem()
    }

    pub(super) fn checksum(&self) -> u32 {
        self.optional().check_sum()
    }

    /// Address and size of a data directory that is there.
    pub(super) fn directory(&self, index: usize) -> Option<(u32, u32)> {
        let range = self.directories.get(index)?.address_range();
        (range.1 != 0).then_some(range)
    }

    pub(super) fn directories(&self) -> DataDirectories<'file> {
        self.directories
    }

    pub(super) fn table(&self) -> &SectionTable<'file> {
        &self.table
    }

    fn optional(&self) -> &'file pe::ImageOptionalHeader64 {
        self.nt.optional_header()
    }
}

/// Access that the header of a section names.
pub(super) fn access_of(header: &ImageSectionHeader) -> Access {
    let flags = header.characteristics.get(LE);
    Access {
        read: flags & pe::IMAGE_SCN_MEM_READ != 0,
        write: flags & pe::IMAGE_SCN_MEM_WRITE != 0,
        execute: flags & pe::IMAGE_SCN_MEM_EXECUTE != 0,
    }
}

/// Whether a section is for initialisation only: its header, or its name, says so.
pub(super) fn is_discardable(header: &ImageSectionHeader) -> bool {
    let flags = header.characteristics.get(LE);
    flags & pe::IMAGE_SCN_MEM_DISCARDABLE != 0 || header.raw_name().starts_with(b"INIT")
}

/// Refuses 32-bit images with their machine, which says more than "wrong magic".
fn require_64_bit(file: &[u8], nt_offset: u64) -> Result<(), LoadError> {
    let start = usize::try_from(nt_offset).unwrap_or(usize::MAX);
    let field = |from: usize| {
        let bytes = file.get(start.checked_add(from)?..)?.first_chunk()?;
        Some(u16::from_le_bytes(*bytes))
    };
    match (field(4), field(24)) {
        (Some(machine), Some(pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC)) => {
            Err(LoadError::WrongMachine(machine))
        }
        _ => Ok(()),
    }
}

fn not_pe(file: &[u8], error: object::Error) -> LoadError {
    if file.starts_with(b"MZ") {
        truncated(error)
    } else {
        LoadError::NotPe(error.to_string())
    }
}

fn truncated(error: object::Error) -> LoadError {
    LoadError::TruncatedHeaders(error.to_string())
}
