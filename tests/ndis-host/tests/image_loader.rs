//! The loader: good images run, each kind of bad one is refused by name.

mod common;

use common::pe::{self, Image};
use ndis_host::image::{self, Import, LoadError};

/// What the test image imports: reads the word that it is given the address of.
unsafe extern "efiapi" fn report(word: *const u64) -> u64 {
    // SAFETY: the image passes the address of a word in its data section.
    unsafe { word.read() }
}

fn imports() -> [Import; 1] {
    [Import {
        dll: "ntoskrnl.exe",
        name: "Report",
        address: report as *const (),
    }]
}

fn load(image: &Image) -> Result<image::Image, LoadError> {
    image::load("test.sys", &image.0, &imports())
}

fn refusal(change: impl FnOnce(&mut Image)) -> LoadError {
    let mut image = Image::reporting();
    change(&mut image);
    load(&image).unwrap_err()
}

#[test]
fn a_loaded_image_is_relocated_bound_and_runs() {
    let image = load(&Image::reporting()).unwrap();
    assert_ne!(image.base() as u64, pe::PREFERRED);
    // SAFETY: the entry point of the test image takes no arguments and returns a word.
    let entry: unsafe extern "efiapi" fn() -> u64 = unsafe { std::mem::transmute(image.entry()) };
    // SAFETY: the image is loaded.
    assert_eq!(unsafe { entry() }, pe::MAGIC);
}

#[test]
fn an_image_without_addresses_needs_no_relocations() {
    let mut image = Image::with_code(&[0xB8, 7, 0, 0, 0, 0xC3]); // mov eax, 7; ret
    image.directory(5, 0, 0);
    let image = load(&image).unwrap();
    // SAFETY: the entry point of the test image takes no arguments and returns a number.
    let entry: unsafe extern "efiapi" fn() -> u32 = unsafe { std::mem::transmute(image.entry()) };
    // SAFETY: the image is loaded.
    assert_eq!(unsafe { entry() }, 7);
}

#[test]
fn addresses_in_an_image_are_named() {
    let image = load(&Image::reporting()).unwrap();
    let inside = image.base() + 0x1234;
    assert!(image.contains(inside));
    assert_eq!(image::owner_of(inside), Some(("test.sys", 0x1234)));
    assert_eq!(image::describe(inside), "test.sys+0x1234 (.text)");
    assert_eq!(image::driver_frame([0, inside]), Some(inside));
    assert_eq!(
        image::driver_frame([image.base() + pe::DATA as usize]),
        None
    );

    assert!(!image.contains(image.base() + image.size()));
}

#[test]
fn sections_have_the_access_that_their_headers_name() {
    let image = load(&Image::reporting()).unwrap();
    let access = |offset: u32| protection(image.base() + offset as usize);
    assert_eq!(access(0), "r--p");
    assert_eq!(access(pe::TEXT), "r-xp");
    assert_eq!(access(pe::RDATA), "r--p");
    assert_eq!(access(pe::DATA), "rw-p");
    assert_eq!(access(pe::RELOC), "r--p");
}

/// The access that the system states for the mapping that an address is in.
fn protection(address: usize) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| usize::from_str_radix(text, 16).unwrap();
        (number(start)..number(end)).contains(&address)
    });
    line.expect("the address is mapped")
        .split(' ')
        .nth(1)
        .unwrap()
        .to_owned()
}

#[test]
fn every_truncation_is_refused() {
    let whole = Image::reporting().0;
    for len in (0..0x400).chain((0x400..whole.len()).step_by(0x100)) {
        let error = image::load("test.sys", &whole[..len], &imports()).unwrap_err();
        let is_named = matches!(
            error,
            LoadError::NotPe(_)
                | LoadError::TruncatedHeaders(_)
                | LoadError::SectionOutsideFile { .. }
        );
        assert!(is_named, "{len} bytes: {error}");
    }
    let cut = image::load("test.sys", &whole[..0x4FFF], &imports()).unwrap_err();
    let text = "section .reloc lies outside of the file: its data ends at 0x5000 of 0x4fff";
    assert_eq!(cut.to_string(), text);
}

#[test]
fn images_for_something_else_are_refused() {
    assert!(matches!(
        refusal(|image| image.0.fill(0)),
        LoadError::NotPe(_)
    ));
    assert!(matches!(
        refusal(|image| image.set_machine(0xAA64)),
        LoadError::WrongMachine(0xAA64)
    ));
    let i386 = refusal(|image| {
        image.set_machine(0x14C);
        image.set_magic(0x10B);
    });
    assert!(matches!(i386, LoadError::WrongMachine(0x14C)));
    assert!(matches!(
        refusal(|image| image.set_subsystem(3)),
        LoadError::WrongSubsystem(3)
    ));
}

#[test]
fn images_that_cannot_be_moved_or_protected_are_refused() {
    assert!(matches!(
        refusal(|image| image.set_characteristics(0x23)), // relocations stripped
        LoadError::NoRelocations
    ));
    assert!(matches!(
        refusal(|image| image.relocations(&[(3, 0)])),
        LoadError::Relocations(_)
    ));
    assert!(matches!(
        refusal(|image| image.directory(5, 0x9000, 12)),
        LoadError::Relocations(_)
    ));
    let writable_code = refusal(|image| image.set_access(0, 0xE000_0020));
    assert!(matches!(writable_code, LoadError::SectionAccess(name) if name == ".text"));
    let alignment = refusal(|image| image.set_section_alignment(0x200));
    assert!(matches!(alignment, LoadError::SectionAlignment(0x200)));
    let overlap = refusal(|image| image.set_section_address(2, pe::RDATA));
    assert!(matches!(overlap, LoadError::SectionPlace(name) if name == ".data"));
    let beyond = refusal(|image| image.set_section_address(3, pe::SIZE));
    assert!(matches!(beyond, LoadError::SectionPlace(name) if name == ".reloc"));
    assert!(matches!(
        refusal(|image| image.set_entry(pe::DATA)),
        LoadError::WrongEntry(pe::DATA)
    ));
    assert!(matches!(
        refusal(|image| image.directory(9, 0x2000, 40)),
        LoadError::Unsupported(_)
    ));
}

#[test]
fn all_unknown_imports_are_listed() {
    let names = refusal(|image| image.imports("ndis.sys", &["NdisA", "NdisB"]));
    assert_eq!(
        names.to_string(),
        "unknown imports: ndis.sys!NdisA, ndis.sys!NdisB"
    );
    let ordinal = refusal(|image| image.import_by_ordinal(7));
    assert!(matches!(
        ordinal,
        LoadError::ImportByOrdinal { ordinal: 7, .. }
    ));
    assert!(matches!(
        refusal(|image| image.directory(1, 0x4FF8, 40)),
        LoadError::Imports(_)
    ));
}

#[test]
fn an_inspection_tells_the_checksum_that_the_file_should_have() {
    let mut image = Image::reporting();
    let before = image::inspect(&image.0).unwrap();
    assert_eq!(
        (before.machine, before.subsystem, before.stored_checksum),
        (0x8664, 1, 0)
    );
    assert_eq!(before.imports, ["ntoskrnl.exe!Report"]);
    assert_eq!(before.sections.len(), 4);
    assert!(!before.has_version_resource);

    image.set_checksum(before.computed_checksum);
    let after = image::inspect(&image.0).unwrap();
    assert_eq!(after.stored_checksum, before.computed_checksum);
    assert_eq!(
        after.computed_checksum, before.computed_checksum,
        "the field itself does not count"
    );
    assert!(image::inspect(b"MZ").is_err());
}
