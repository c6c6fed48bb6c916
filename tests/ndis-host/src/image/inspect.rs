//! What is in a PE file, without loading it: for checks of what ships.

use object::LittleEndian as LE;
use object::pe::{ImageNtHeaders64, RT_VERSION};
use object::read::pe::{Import, ResourceNameOrId};

use super::headers::{Headers, access_of, is_discardable};
use super::{LoadError, Section};

/// Contents of a PE file for any 64-bit machine.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Machine number: 0x8664 x64, 0xAA64 ARM64.
    pub machine: u16,
    /// Subsystem: 1 native.
    pub subsystem: u16,
    /// Checksum in the header; 0 when nobody filled it in.
    pub stored_checksum: u32,
    /// Checksum that the file should have.
    pub computed_checksum: u32,
    /// Imports as `dll!name`, in the order of the file.
    pub imports: Vec<String>,
    /// Names of exports.
    pub exports: Vec<String>,
    /// Sections, in the order of the file.
    pub sections: Vec<Section>,
    /// Whether there is a version resource.
    pub has_version_resource: bool,
}

/// Reads a PE file.
///
/// # Errors
///
/// When the file is no 64-bit PE file, or one of its tables is damaged.
pub fn inspect(file: &[u8]) -> Result<Inspection, LoadError> {
    let headers = Headers::parse(file)?;
    Ok(Inspection {
        machine: headers.machine(),
        subsystem: headers.subsystem(),
        stored_checksum: headers.checksum(),
        computed_checksum: checksum(file, checksum_offset(file)),
        imports: imported(file, &headers).map_err(damaged)?,
        exports: exports(file, &headers).map_err(damaged)?,
        sections: headers.table().iter().map(section).collect(),
        has_version_resource: has_version(file, &headers).map_err(damaged)?,
    })
}

fn section(header: &object::pe::ImageSectionHeader) -> Section {
    Section {
        name: text(header.raw_name()),
        address: header.virtual_address.get(LE) as usize,
        size: header.virtual_size.get(LE) as usize,
        access: access_of(header),
        is_discardable: is_discardable(header),
    }
}

/// What a PE file imports, as `dll!name`, in the order of the file.
///
/// # Errors
///
/// As [`inspect`].
pub fn imports(file: &[u8]) -> Result<Vec<String>, LoadError> {
    imported(file, &Headers::parse(file)?).map_err(damaged)
}

fn imported(file: &[u8], headers: &Headers<'_>) -> object::Result<Vec<String>> {
    let mut all = Vec::new();
    let Some(table) = headers.directories().import_table(file, headers.table())? else {
        return Ok(all);
    };
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let dll = text(table.name(descriptor.name.get(LE))?);
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            all.push(match table.import::<ImageNtHeaders64>(thunk)? {
                Import::Ordinal(ordinal) => format!("{dll}!#{ordinal}"),
                Import::Name(_, name) => format!("{dll}!{}", text(name)),
            });
        }
    }
    Ok(all)
}

fn exports(file: &[u8], headers: &Headers<'_>) -> object::Result<Vec<String>> {
    let Some(table) = headers.directories().export_table(file, headers.table())? else {
        return Ok(Vec::new());
    };
    let names = table
        .exports()?
        .into_iter()
        .filter_map(|export| export.name);
    Ok(names.map(text).collect())
}

fn has_version(file: &[u8], headers: &Headers<'_>) -> object::Result<bool> {
    let Some(resources) = headers
        .directories()
        .resource_directory(file, headers.table())?
    else {
        return Ok(false);
    };
    let is_version = |id| matches!(id, ResourceNameOrId::Id(id) if id == RT_VERSION);
    Ok(resources
        .root()?
        .entries
        .iter()
        .any(|entry| is_version(entry.name_or_id())))
}

/// Offset of the checksum field: 88 bytes into the headers that start where the file says.
fn checksum_offset(file: &[u8]) -> usize {
    const NEW_HEADER: usize = 0x3C;
    const CHECKSUM: usize = 88;
    let start = file
        .get(NEW_HEADER..)
        .and_then(<[u8]>::first_chunk)
        .copied();
    start.map_or(usize::MAX, |start| {
        u32::from_le_bytes(start) as usize + CHECKSUM
    })
}

/// The checksum of an image: 16-bit words added with end-around carry, the field itself left out,
/// plus the length of the file.
fn checksum(file: &[u8], field: usize) -> u32 {
    let word = |(index, pair): (usize, &[u8])| {
        let offset = index * 2;
        let in_field = (field..field.saturating_add(4)).contains(&offset);
        let value = pair
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
        if in_field { 0 } else { value }
    };
    let add = |sum: u32, word: u32| {
        let sum = sum + word;
        (sum & 0xFFFF) + (sum >> 16)
    };
    file.chunks(2).enumerate().map(word).fold(0, add) + file.len() as u32
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn damaged(error: object::Error) -> LoadError {
    LoadError::NotPe(error.to_string())
}
