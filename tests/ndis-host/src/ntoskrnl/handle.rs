//! Handles of registry keys.

use std::collections::BTreeMap;

use ndis_sys::HANDLE;

use crate::sched::BatonCell;

/// Kernel handles have the upper half set and count by four.
const FIRST: usize = 0xFFFF_FFFF_8000_0100;

#[derive(Default)]
struct Handles {
    /// Path of the key behind each open handle.
    open: BTreeMap<usize, String>,
    opened: usize,
}

static HANDLES: BatonCell<Handles> = BatonCell::new(Handles {
    open: BTreeMap::new(),
    opened: 0,
});

/// How many handles are open.
pub fn open_handles() -> usize {
    HANDLES.with(|handles| handles.open.len())
}

/// Opens a handle to the key at `path`.
pub(super) fn open(path: String) -> HANDLE {
    HANDLES.with(|handles| {
        let handle = FIRST + 4 * handles.opened;
        handles.opened += 1;
        handles.open.insert(handle, path);
        handle as HANDLE
    })
}

/// The path of the key behind a handle.
pub(super) fn path(handle: HANDLE) -> Option<String> {
    HANDLES.with(|handles| handles.open.get(&handle.addr()).cloned())
}

/// Closes a handle; false when it is not open.
pub(super) fn close(handle: HANDLE) -> bool {
    HANDLES.with(|handles| handles.open.remove(&handle.addr()).is_some())
}
