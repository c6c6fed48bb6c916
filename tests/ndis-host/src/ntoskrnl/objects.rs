//! Objects of the kernel that are in use and lie in a driver's memory.
//!
//! Freeing, or unmapping, memory with such an object in it is a fatal breach of rule 215: the
//! kernel would go on to use it.

use std::collections::BTreeMap;

use crate::sched::BatonCell;
use crate::verifier;

struct Object {
    len: usize,
    what: &'static str,
    uses: u32,
}

static OBJECTS: BatonCell<BTreeMap<usize, Object>> = BatonCell::new(BTreeMap::new());

/// Notes that the object at an address is in use, once more.
pub(super) fn hold(address: usize, len: usize, what: &'static str) {
    OBJECTS.with(|objects| {
        let object = objects
            .entry(address)
            .or_insert(Object { len, what, uses: 0 });
        object.uses += 1;
    });
}

/// Takes one [`hold`] back.
pub(super) fn let_go(address: usize) {
    OBJECTS.with(|objects| {
        let Some(object) = objects.get_mut(&address) else {
            return;
        };
        object.uses -= 1;
        if object.uses == 0 {
            objects.remove(&address);
        }
    });
}

/// Fatal breach of rule 215 when an object in the `len` bytes from `start` on is in use. `event`
/// says what happens to the memory.
pub(crate) fn require_none(start: usize, len: usize, event: impl FnOnce() -> String) {
    let found = OBJECTS.with(|objects| {
        let inside = |(address, object): &(&usize, &Object)| {
            **address < start.saturating_add(len) && **address + object.len > start
        };
        let found = objects.iter().find(inside);
        found.map(|(address, object)| (*address, object.what))
    });
    if let Some((address, what)) = found {
        let offset = address.wrapping_sub(start);
        let event = event();
        verifier::fatal(215, format!("{event} with {what} at +{offset:#x} in it"));
    }
}

/// Whether the object at an address is in use.
pub(super) fn is_held(address: usize) -> bool {
    OBJECTS.with(|objects| objects.contains_key(&address))
}
