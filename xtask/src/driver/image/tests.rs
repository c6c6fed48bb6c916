//! The smallest image that passes, and what happens when one thing about it is wrong.

use super::*;

const GUID: [u8; 16] = *b"0123456789abcdef";
const VERSION: Version = Version([1, 2, 3, 4]);

// Where things are in the file; each is also the place that a test spoils.
const FILE_HEADER: usize = 0x84;
const OPTIONAL_HEADER: usize = FILE_HEADER + 20;
const DIRECTORIES: usize = OPTIONAL_HEADER + 112;
const SECTIONS: usize = DIRECTORIES + 16 * 8;
const TEXT: usize = 0x400;
const DATA: usize = 0x600;
const FILE_SIZE: usize = 0xA00;

// Within the data section.
const IMPORTS: usize = 0;
const NTOSKRNL: usize = 0xA0;
const NDIS: usize = 0xB0;
const RELOCATIONS: usize = 0xC0;
const DEBUG: usize = 0xE0;
const CODE_VIEW: usize = 0x100;
const RESOURCES: usize = 0x140;
const VERSION_INFO: usize = 0x1A0;
const EXPORTS: usize = 0x3A0;
const EXPORT_NAME: usize = EXPORTS + 0x34;

/// Address of an offset in the data section.
fn rva(offset: usize) -> u32 {
    0x2000 + offset as u32
}

struct Image(Vec<u8>);

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_words(&mut self, at: usize, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(at, &bytes);
    }

    fn put_utf16(&mut self, at: usize, text: &str) {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.put(at, &bytes);
    }
}

fn image() -> Image {
    let mut image = Image(vec![0; FILE_SIZE]);
    put_headers(&mut image);
    put_sections(&mut image);
    put_imports(&mut image);
    put_version(&mut image);
    put_exports(&mut image);
    image.put_words(DATA + RELOCATIONS, &[0x1000, 12, 0]);
    image.put_words(
        DATA + DEBUG + 12,
        &[2, 35, rva(CODE_VIEW), (DATA + CODE_VIEW) as u32],
    );
    image.put(DATA + CODE_VIEW, b"RSDS");
    image.put(DATA + CODE_VIEW + 4, &GUID);
    image.put(DATA + CODE_VIEW + 24, b"netkvm.pdb");
    image
}

fn put_headers(image: &mut Image) {
    image.put(0, b"MZ");
    image.put_words(0x3C, &[0x80]);
    image.put(0x80, b"PE\0\0");
    image.put(FILE_HEADER, &[0x64, 0x86, 2, 0]); // AMD64, two sections
    image.put(FILE_HEADER + 16, &[240, 0, 0x22, 0x20]);
    image.put(OPTIONAL_HEADER, &[0x0B, 0x02]);
    image.put_words(OPTIONAL_HEADER + 16, &[0x1010]); // entry point
    image.put_words(OPTIONAL_HEADER + 32, &[0x1000, 0x200]); // alignments
    image.put(OPTIONAL_HEADER + 68, &[1, 0, 0x60, 0x01]); // subsystem, characteristics
    image.put_words(OPTIONAL_HEADER + 108, &[16]);
    let directories = [
        (0, EXPORTS, 0x40),
        (1, IMPORTS, 60),
        (2, RESOURCES, 0x60),
        (5, RELOCATIONS, 12),
        (6, DEBUG, 28),
    ];
    for (index, at, size) in directories {
        image.put_words(DIRECTORIES + 8 * index, &[rva(at), size]);
    }
}

fn put_sections(image: &mut Image) {
    image.put(SECTIONS, b".text");
    image.put_words(SECTIONS + 8, &[0x200, 0x1000, 0x200, TEXT as u32]);
    image.put_words(SECTIONS + 36, &[0x6000_0020]);
    image.put(SECTIONS + 40, b".rdata");
    image.put_words(SECTIONS + 48, &[0x400, 0x2000, 0x400, DATA as u32]);
    image.put_words(SECTIONS + 76, &[0x4000_0040]);
}

/// One routine from each module.
fn put_imports(image: &mut Image) {
    for (index, module, routine) in [(0, NTOSKRNL, "\0\0memcpy"), (1, NDIS, "\0\0NdisGetVersion")] {
        let thunks = 0x40 + 0x10 * index;
        let name = 0x60 + 0x20 * index;
        let descriptor = [rva(thunks), 0, 0, rva(module), rva(thunks)];
        image.put_words(DATA + IMPORTS + 20 * index, &descriptor);
        image.put_words(DATA + thunks, &[rva(name)]);
        image.put(DATA + name, routine.as_bytes());
    }
    image.put(DATA + NTOSKRNL, b"ntoskrnl.exe");
    image.put(DATA + NDIS, b"ndis.sys");
}

/// One name that leads to the entry point.
fn put_exports(image: &mut Image) {
    let lists = EXPORTS + 40;
    let addresses = [rva(lists), rva(lists + 4), rva(lists + 8)];
    image.put_words(DATA + EXPORTS + 16, &[1, 1, 1]); // first number, addresses, names
    image.put_words(DATA + EXPORTS + 28, &addresses);
    image.put_words(DATA + lists, &[0x1010, rva(EXPORT_NAME), 0]);
    image.put(DATA + EXPORT_NAME, b"DriverEntry");
}

/// Resource tree: type 16, name 1, language 0x409.
fn put_version(image: &mut Image) {
    const TABLE: u32 = 0x8000_0000;
    let entries = [
        (0x00, 16, TABLE | 0x18),
        (0x18, 1, TABLE | 0x30),
        (0x30, 0x409, 0x48),
    ];
    for (at, id, offset) in entries {
        image.put_words(DATA + RESOURCES + at + 12, &[1 << 16, id, offset]);
    }
    image.put_words(DATA + RESOURCES + 0x48, &[rva(VERSION_INFO), 0x200]);

    let info = DATA + VERSION_INFO;
    image.put_words(
        info + 40,
        &[0xFEEF_04BD, 0x0001_0000, 0x0001_0002, 0x0003_0004],
    );
    image.put_words(info + 40 + 4 * 9, &[3, 6]);
    image.put_utf16(info + 0x70, "OriginalFilename");
    image.put_utf16(info + 0x94, "netkvm.sys");
    image.put_utf16(info + 0xC0, "FileVersion");
    image.put_utf16(info + 0xD8, "1.2.3.4");
}

fn verdict(mut image: Image) -> Result<Facts, String> {
    checksum::set(&mut image.0);
    inspected(&image, Arch::X86_64, b"symbols of 0123456789abcdef")
}

fn inspected(image: &Image, arch: Arch, pdb: &[u8]) -> Result<Facts, String> {
    let foreign_paths = vec![PathBuf::from("/home/someone")];
    let expected = Expected {
        arch,
        version: VERSION,
        pdb,
        foreign_paths,
    };
    inspect(&image.0, &expected).map_err(|error| format!("{error:#}"))
}

/// The complaint about the image after `spoil`.
fn complaint(spoil: impl FnOnce(&mut Image)) -> String {
    let mut image = image();
    spoil(&mut image);
    verdict(image).unwrap_err()
}

#[test]
fn an_image_with_everything_passes() {
    let facts = verdict(image()).unwrap().to_string();
    let start =
        "x86_64, version 1.2.3.4, 3 KiB, 2 imports (ndis.sys 1, ntoskrnl.exe 1), checksum 0x";
    assert!(facts.starts_with(start), "{facts}");
}

#[test]
fn headers_of_another_kind_of_program_are_refused() {
    let console = complaint(|image| image.put(OPTIONAL_HEADER + 68, &[3]));
    assert_eq!(console, "subsystem 3, not native");
    let arm64 = complaint(|image| image.put(FILE_HEADER, &[0x64, 0xAA]));
    assert_eq!(arm64, "machine 0xaa64 in the header, not 0x8664");
    let no_entry = complaint(|image| image.put_words(OPTIONAL_HEADER + 16, &[0]));
    assert_eq!(no_entry, "the entry point 0x0 is not in executable memory");
    let in_data = complaint(|image| image.put_words(OPTIONAL_HEADER + 16, &[0x2010]));
    assert_eq!(
        in_data,
        "the entry point 0x2010 is not in executable memory"
    );
}

#[test]
fn an_image_that_cannot_move_or_lets_data_run_is_refused() {
    let fixed = complaint(|image| image.put(OPTIONAL_HEADER + 70, &[0x20]));
    assert_eq!(fixed, "the base address is fixed");
    let no_nx = complaint(|image| image.put(OPTIONAL_HEADER + 70, &[0x60, 0]));
    assert_eq!(no_nx, "not marked as NX compatible");
    let no_relocations = complaint(|image| image.put_words(DIRECTORIES + 5 * 8, &[0, 0]));
    assert_eq!(no_relocations, "there are no relocations");
    let writable_code = complaint(|image| image.put_words(SECTIONS + 36, &[0xE000_0020]));
    assert!(
        writable_code.ends_with("is writable and executable"),
        "{writable_code}"
    );
}

#[test]
fn imports_from_elsewhere_are_refused() {
    let user_mode = complaint(|image| image.put(DATA + NTOSKRNL, b"kernel32.dll"));
    assert_eq!(user_mode, "the image imports from kernel32.dll");
    let suffixed = complaint(|image| image.put(DATA + NDIS, b"ndis.sys.dll"));
    assert_eq!(suffixed, "the image imports from ndis.sys.dll");
    let no_ndis = complaint(|image| image.put(DATA + IMPORTS + 20, &[0; 20]));
    assert_eq!(no_ndis, "nothing is imported from ndis.sys");
    let by_number = complaint(|image| image.put_words(DATA + 0x40, &[7, 0x8000_0000]));
    assert_eq!(
        by_number,
        "ntoskrnl.exe is imported from by number 7, not by name"
    );
}

#[test]
fn nothing_but_the_entry_point_is_exported() {
    let stray = complaint(|image| image.put(DATA + EXPORT_NAME, b"strlen\0"));
    assert_eq!(
        stray,
        "the image exports strlen; only DriverEntry may be exported"
    );
}

#[test]
fn a_missing_or_different_version_is_refused() {
    let none = complaint(|image| image.put_words(DIRECTORIES + 2 * 8, &[0, 0]));
    assert_eq!(none, "there are no resources");
    let icon = complaint(|image| image.put_words(DATA + RESOURCES + 16, &[3]));
    assert_eq!(icon, "there is no version resource");
    let other = complaint(|image| image.put(DATA + VERSION_INFO + 48, &[9]));
    assert!(other.contains("1, 9, 3, 4"), "{other}");
    let name = complaint(|image| image.put_utf16(DATA + VERSION_INFO + 0x94, "x"));
    assert_eq!(
        name,
        "the version resource has no OriginalFilename \"netkvm.sys\""
    );
}

#[test]
fn symbols_have_to_be_found_and_to_fit() {
    let absolute = complaint(|image| {
        image.put_words(DATA + DEBUG + 16, &[40]);
        image.put(DATA + CODE_VIEW + 24, b"/abs/netkvm.pdb");
    });
    assert_eq!(
        absolute,
        "the image asks for the symbols /abs/netkvm.pdb, not netkvm.pdb"
    );
    let mut image = image();
    checksum::set(&mut image.0);
    let other = inspected(&image, Arch::X86_64, b"symbols of something else").unwrap_err();
    assert_eq!(other, "netkvm.pdb belongs to another image");
}

#[test]
fn traces_of_the_build_machine_are_refused() {
    let trace = complaint(|image| image.put(TEXT, b"/home/someone/src/lib.rs"));
    assert_eq!(
        trace,
        "the image mentions /home/someone/, a folder of this machine"
    );
}

#[test]
fn the_checksum_has_to_be_there_and_right() {
    let unset = inspected(&image(), Arch::X86_64, &GUID).unwrap_err();
    assert!(unset.starts_with("checksum 0x00000000, not 0x"), "{unset}");
    let mut changed = image();
    checksum::set(&mut changed.0);
    changed.put(TEXT, &[0xC3]);
    assert!(inspected(&changed, Arch::X86_64, &GUID).is_err());
}
