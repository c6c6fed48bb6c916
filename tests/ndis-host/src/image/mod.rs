//! Kernel images: the PE file that ships, mapped into this process as Windows would map it.
//!
//! [`load`] checks the file, copies its sections to their places at an address that the system
//! picks, relocates it, binds its imports to the host's functions and then gives every section
//! just the access that its header names: code cannot be written, nothing is writable and
//! executable at once. [`inspect`] says what is in a file without loading it.
//!
//! Loaded ranges are kept in a list, so that reports can name an address: `netkvm.sys+0x1234`.

mod error;
mod headers;
mod inspect;
mod map;
mod ranges;

pub use error::LoadError;
pub use inspect::{Inspection, imports, inspect};
pub use ranges::{describe, driver_frame, owner_of, was_unloaded};

use crate::memory::{PAGE_SIZE, paging};
use crate::sched;
use headers::Headers;
use map::Mapping;

/// A function that images may import.
#[derive(Clone, Copy, Debug)]
pub struct Import {
    /// Name of the module in lower case, for example `ntoskrnl.exe`.
    pub dll: &'static str,
    /// Name of the function, in its case.
    pub name: &'static str,
    /// The function, `extern "efiapi"`.
    pub address: *const (),
}

/// A section of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Name, for example `.text`.
    pub name: String,
    /// Offset from the base.
    pub address: usize,
    /// Size in memory, bytes.
    pub size: usize,
    /// Access that the header names.
    pub access: Access,
    /// It is given up when the driver has been initialised.
    pub is_discardable: bool,
}

/// Access to a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// It may be read.
    pub read: bool,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

/// A loaded image; dropping it unmaps it.
#[derive(Debug)]
pub struct Image {
    name: &'static str,
    entry: usize,
    sections: Vec<Section>,
    mapping: Mapping,
}

/// Loads the x64 kernel image in `file` under `name`, for example `netkvm.sys`.
///
/// # Errors
///
/// Each reason for which the file cannot be loaded has its variant in [`LoadError`]; nothing stays
/// mapped.
pub fn load(name: &str, file: &[u8], imports: &[Import]) -> Result<Image, LoadError> {
    let headers = Headers::parse(file)?;
    headers.require_x64_driver()?;
    let sections = headers.loadable_sections(file)?;
    let entry = headers.entry(&sections)?;

    let mut mapping = Mapping::reserve(headers.image_size())?;
    mapping.copy_sections(file, &headers, &sections)?;
    mapping.relocate(&headers)?;
    mapping.bind_imports(&headers, imports)?;
    mapping.protect(&headers, &sections)?;

    // The name of a driver is wanted for as long as the process lives: blocks and locks carry it.
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let sections: Vec<Section> = sections
        .into_iter()
        .map(|section| section.section)
        .collect();
    ranges::add(name, mapping.base(), mapping.len(), &sections);
    Ok(Image {
        name,
        entry,
        sections,
        mapping,
    })
}

impl Image {
    /// The name under which it was loaded.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Address of its first byte.
    pub fn base(&self) -> usize {
        self.mapping.base()
    }

    /// Its size in memory, bytes.
    pub fn size(&self) -> usize {
        self.mapping.len()
    }

    /// Its entry point, `DriverEntry`.
    pub fn entry(&self) -> *const () {
        (self.base() + self.entry) as *const ()
    }

    /// Whether an address is inside of it.
    pub fn contains(&self, address: usize) -> bool {
        address
            .checked_sub(self.base())
            .is_some_and(|offset| offset < self.size())
    }

    /// Its sections, by address.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Makes its pageable sections leave while the level is high (rule 83).
    pub fn page(&self) {
        for section in self.sections.iter().filter(|section| section.is_pageable()) {
            let (start, len) = self.pages_of(section);
            let access = map::protection(section.access);
            paging::add(start, len, access, self.name_of(section));
        }
    }

    /// Takes the sections away that are for initialisation only.
    pub fn discard_initialization(&self) {
        for section in self
            .sections
            .iter()
            .filter(|section| section.is_discardable)
        {
            let (start, len) = self.pages_of(section);
            paging::discard(start, len, self.name_of(section));
        }
    }

    fn pages_of(&self, section: &Section) -> (usize, usize) {
        let len = section.size.next_multiple_of(PAGE_SIZE);
        (self.base() + section.address, len)
    }

    fn name_of(&self, section: &Section) -> String {
        format!("section {} of {}", section.name, self.name)
    }

    /// Unmaps it. None of its code may run, or be called, any more.
    pub fn unload(self) {}
}

impl Section {
    /// Whether the memory manager pages it out: the names of such sections begin with PAGE.
    fn is_pageable(&self) -> bool {
        self.name.starts_with("PAGE")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Outside of a run nothing is pageable.
        if sched::is_running() {
            paging::forget(self.base(), self.size());
        }
        ranges::remove(self.base());
    }
}
