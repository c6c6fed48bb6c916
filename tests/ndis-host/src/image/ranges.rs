//! Where images are loaded, or were, and what an address in them is called.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use super::Section;

/// How many unloaded images are remembered.
const REMEMBERED: usize = 8;

struct Range {
    name: &'static str,
    base: usize,
    len: usize,
    sections: Vec<Section>,
}

static LOADED: RwLock<Vec<Range>> = RwLock::new(Vec::new());
static UNLOADED: RwLock<Vec<Range>> = RwLock::new(Vec::new());

pub(super) fn add(name: &'static str, base: usize, len: usize, sections: &[Section]) {
    let range = Range {
        name,
        base,
        len,
        sections: sections.to_vec(),
    };
    LOADED
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .push(range);
}

pub(super) fn remove(base: usize) {
    let mut loaded = LOADED.write().unwrap_or_else(PoisonError::into_inner);
    let Some(index) = loaded.iter().position(|range| range.base == base) else {
        return;
    };
    let mut unloaded = UNLOADED.write().unwrap_or_else(PoisonError::into_inner);
    if unloaded.len() == REMEMBERED {
        unloaded.remove(0);
    }
    unloaded.push(loaded.remove(index));
}

/// The image that an address is in, and the offset into it.
pub fn owner_of(address: usize) -> Option<(&'static str, usize)> {
    find(&read(&LOADED), address).map(|range| (range.name, address - range.base))
}

/// The image that was at an address before it was unloaded, and the offset into it.
pub fn was_unloaded(address: usize) -> Option<(&'static str, usize)> {
    if owner_of(address).is_some() {
        return None;
    }
    find(&read(&UNLOADED), address).map(|range| (range.name, address - range.base))
}

/// An address in words: `netkvm.sys+0x1234 (.text)`, or the bare number outside of all images.
pub fn describe(address: usize) -> String {
    let loaded = read(&LOADED);
    let Some(range) = find(&loaded, address) else {
        return match was_unloaded(address) {
            Some((name, offset)) => format!("{name}+{offset:#x} (unloaded)"),
            None => format!("{address:#x}"),
        };
    };
    let offset = address - range.base;
    let section = range
        .sections
        .iter()
        .find(|section| {
            offset
                .checked_sub(section.address)
                .is_some_and(|at| at < section.size)
        })
        .map_or("headers", |section| section.name.as_str());
    format!("{}+{offset:#x} ({section})", range.name)
}

/// The first of `words`, taken from a stack, that points into the code of an image: most likely
/// the return address into the driver that called the host.
pub fn driver_frame(words: impl IntoIterator<Item = usize>) -> Option<usize> {
    let loaded = read(&LOADED);
    words.into_iter().find(|&word| {
        find(&loaded, word).is_some_and(|range| {
            let offset = word - range.base;
            range.sections.iter().any(|section| {
                let inside = offset
                    .checked_sub(section.address)
                    .is_some_and(|at| at < section.size);
                inside && section.access.execute
            })
        })
    })
}

fn read(ranges: &RwLock<Vec<Range>>) -> RwLockReadGuard<'_, Vec<Range>> {
    ranges.read().unwrap_or_else(PoisonError::into_inner)
}

fn find(ranges: &[Range], address: usize) -> Option<&Range> {
    let holds = |range: &&Range| {
        address
            .checked_sub(range.base)
            .is_some_and(|at| at < range.len)
    };
    ranges.iter().rev().find(holds)
}
