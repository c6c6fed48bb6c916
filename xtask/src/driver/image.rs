//! Inspection of the finished image: everything that makes a PE file a kernel driver, and this
//! one ours. Reads the file alone, so that it also catches what the linker was not told.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{MAIN_SEPARATOR, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_BASERELOC, IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT,
    IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
    IMAGE_FILE_MACHINE_AMD64, IMAGE_FILE_MACHINE_ARM64, IMAGE_FILE_RELOCS_STRIPPED,
    IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE, ImageNtHeaders64,
};
use object::read::pe::{Import, PeFile64};
use object::{LittleEndian as LE, Object};

use super::version::{self, FixedInfo, Version};
use super::{Arch, checksum};

/// The modules that a miniport may import from.
const MODULES: [&str; 2] = ["ndis.sys", "ntoskrnl.exe"];

/// The image's one export. The linker needs it as the root of everything that is kept.
const ENTRY: &str = "DriverEntry";

const VFT_DRV: u32 = 3;
const VFT2_DRV_NETWORK: u32 = 6;

/// What the image has to agree with.
pub(super) struct Expected<'a> {
    pub(super) arch: Arch,
    pub(super) version: Version,
    /// Contents of netkvm.pdb.
    pub(super) pdb: &'a [u8],
    /// Folders of the build machine that the image must not mention.
    pub(super) foreign_paths: Vec<PathBuf>,
}

/// What was found, for the summary.
#[derive(Debug)]
pub(super) struct Facts {
    arch: Arch,
    version: Version,
    size: usize,
    imports: BTreeMap<String, usize>,
    checksum: u32,
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            arch,
            version,
            size,
            imports,
            checksum,
        } = self;
        let all: usize = imports.values().sum();
        let each: Vec<_> = imports
            .iter()
            .map(|(module, n)| format!("{module} {n}"))
            .collect();
        write!(
            f,
            "{}, version {version}, {} KiB, ",
            arch.name(),
            size.div_ceil(1024)
        )?;
        write!(
            f,
            "{all} imports ({}), checksum {checksum:#010x}",
            each.join(", ")
        )
    }
}

/// Checks the image.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub(super) fn inspect(image: &[u8], expected: &Expected<'_>) -> Result<Facts> {
    let pe = PeFile64::parse(image).context("netkvm.sys is no 64-bit PE image")?;
    headers(&pe, expected.arch)?;
    sections(&pe)?;
    relocations(&pe)?;
    exports(&pe)?;
    version_resource(&pe, expected.version)?;
    symbols(&pe, expected.pdb)?;
    paths(image, &expected.foreign_paths)?;
    Ok(Facts {
        arch: expected.arch,
        version: expected.version,
        size: image.len(),
        imports: imports(&pe)?,
        checksum: right_checksum(image)?,
    })
}

fn headers(pe: &PeFile64<'_>, arch: Arch) -> Result<()> {
    let header = pe.nt_headers();
    let machine = match arch {
        Arch::X86_64 => IMAGE_FILE_MACHINE_AMD64,
        Arch::Aarch64 => IMAGE_FILE_MACHINE_ARM64,
    };
    let found = header.file_header.machine.get(LE);
    ensure!(
        found == machine,
        "machine {found:#06x} in the header, not {machine:#06x}"
    );

    let optional = &header.optional_header;
    let subsystem = optional.subsystem.get(LE);
    ensure!(
        subsystem == IMAGE_SUBSYSTEM_NATIVE,
        "subsystem {subsystem}, not native"
    );

    let flags = optional.dll_characteristics.get(LE);
    ensure!(
        flags & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE != 0,
        "the base address is fixed"
    );
    ensure!(
        flags & IMAGE_DLLCHARACTERISTICS_NX_COMPAT != 0,
        "not marked as NX compatible"
    );

    let entry = optional.address_of_entry_point.get(LE);
    let code = pe.section_table().section_containing(entry);
    let runs = code.is_some_and(|s| s.characteristics.get(LE) & IMAGE_SCN_MEM_EXECUTE != 0);
    ensure!(
        entry != 0 && runs,
        "the entry point {entry:#x} is not in executable memory"
    );
    Ok(())
}

fn sections(pe: &PeFile64<'_>) -> Result<()> {
    const BOTH: u32 = IMAGE_SCN_MEM_WRITE | IMAGE_SCN_MEM_EXECUTE;
    for section in pe.section_table().iter() {
        let name = String::from_utf8_lossy(section.raw_name()).into_owned();
        let flags = section.characteristics.get(LE);
        ensure!(
            flags & BOTH != BOTH,
            "section {name} is writable and executable"
        );
    }
    Ok(())
}

fn relocations(pe: &PeFile64<'_>) -> Result<()> {
    let stripped = pe.nt_headers().file_header.characteristics.get(LE) & IMAGE_FILE_RELOCS_STRIPPED;
    let directory = pe.data_directory(IMAGE_DIRECTORY_ENTRY_BASERELOC);
    let size = directory.map_or(0, |directory| directory.size.get(LE));
    ensure!(stripped == 0 && size != 0, "there are no relocations");
    Ok(())
}

fn exports(pe: &PeFile64<'_>) -> Result<()> {
    for export in pe.exports().context("export table")? {
        let name = String::from_utf8_lossy(export.name());
        ensure!(
            name == ENTRY,
            "the image exports {name}; only {ENTRY} may be exported"
        );
    }
    Ok(())
}

/// Counts the imports by module.
fn imports(pe: &PeFile64<'_>) -> Result<BTreeMap<String, usize>> {
    let delayed = pe.data_directory(IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT);
    ensure!(
        delayed.is_none_or(|d| d.virtual_address.get(LE) == 0),
        "there are delayed imports"
    );

    let table = pe
        .import_table()
        .context("import table")?
        .context("there are no imports")?;
    let mut counts = BTreeMap::new();
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).into_owned();
        ensure!(
            MODULES.contains(&module.as_str()),
            "the image imports from {module}"
        );
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            if let Import::Ordinal(ordinal) = table.import::<ImageNtHeaders64>(thunk)? {
                bail!("{module} is imported from by number {ordinal}, not by name");
            }
            *counts.entry(module.clone()).or_default() += 1;
        }
    }
    for module in MODULES {
        ensure!(
            counts.contains_key(module),
            "nothing is imported from {module}"
        );
    }
    Ok(counts)
}

fn version_resource(pe: &PeFile64<'_>, version: Version) -> Result<()> {
    let resources = pe
        .data_directories()
        .resource_directory(pe.data(), &pe.section_table())
        .context("resource directory")?
        .context("there are no resources")?;
    let (rva, size) = version::locate(resources).context("there is no version resource")?;
    let data = pe.section_table().pe_data_at(pe.data(), rva);
    let data = data
        .and_then(|data| data.get(..size as usize))
        .context("version resource")?;

    let expected = FixedInfo {
        file_version: version,
        file_type: VFT_DRV,
        file_subtype: VFT2_DRV_NETWORK,
    };
    let found = version::fixed_info(data).context("VS_FIXEDFILEINFO is malformed")?;
    ensure!(
        found == expected,
        "the version resource says {found:?}, not {expected:?}"
    );

    let dotted = version.to_string();
    for (key, value) in [
        ("OriginalFilename", "netkvm.sys"),
        ("FileVersion", dotted.as_str()),
    ] {
        let found = version::has_string(data, key, value);
        ensure!(found, "the version resource has no {key} \"{value}\"");
    }
    Ok(())
}

/// The CodeView record names the symbol file, without a folder, and that file belongs to it.
fn symbols(pe: &PeFile64<'_>, pdb: &[u8]) -> Result<()> {
    let record = pe
        .pdb_info()
        .context("CodeView record")?
        .context("there is no CodeView record")?;
    let path = String::from_utf8_lossy(record.path());
    ensure!(
        path == "netkvm.pdb",
        "the image asks for the symbols {path}, not netkvm.pdb"
    );
    let guid = record.guid();
    let matches = pdb.windows(guid.len()).any(|window| window == guid);
    ensure!(matches, "netkvm.pdb belongs to another image");
    Ok(())
}

fn paths(image: &[u8], foreign: &[PathBuf]) -> Result<()> {
    for path in foreign {
        let path = format!("{}{MAIN_SEPARATOR}", path.display());
        let found = image
            .windows(path.len())
            .any(|window| window == path.as_bytes());
        ensure!(
            !found,
            "the image mentions {path}, a folder of this machine"
        );
    }
    Ok(())
}

fn right_checksum(image: &[u8]) -> Result<u32> {
    let (stored, right) = checksum::read(image).context("checksum")?;
    ensure!(
        stored != 0 && stored == right,
        "checksum {stored:#010x}, not {right:#010x}"
    );
    Ok(stored)
}

#[cfg(test)]
mod tests;
