//! Handles of registry keys and of threads.

use std::collections::BTreeMap;

use ndis_sys::HANDLE;

use crate::sched::BatonCell;

/// Kernel handles have the upper half set and count by four.
const FIRST: usize = 0xFFFF_FFFF_8000_0100;

/// What is behind a handle.
#[derive(Clone)]
pub(super) enum Target {
    /// The key at this path.
    Key(String),
    /// The thread whose object is at this address.
    Thread(usize),
}

#[derive(Default)]
struct Handles {
    open: BTreeMap<usize, Target>,
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
    open_target(Target::Key(path))
}

/// Opens a handle to the thread whose object is at an address.
pub(super) fn open_thread(object: usize) -> HANDLE {
    open_target(Target::Thread(object))
}

fn open_target(target: Target) -> HANDLE {
    HANDLES.with(|handles| {
        let handle = FIRST + 4 * handles.opened;
        handles.opened += 1;
        handles.open.insert(handle, target);
        handle as HANDLE
    })
}

fn target(handle: HANDLE) -> Option<Target> {
    HANDLES.with(|handles| handles.open.get(&handle.addr()).cloned())
}

/// The path of the key behind a handle.
pub(super) fn path(handle: HANDLE) -> Option<String> {
    match target(handle)? {
        Target::Key(path) => Some(path),
        Target::Thread(_) => None,
    }
}

/// The object of the thread behind a handle.
pub(super) fn thread(handle: HANDLE) -> Option<usize> {
    match target(handle)? {
        Target::Thread(object) => Some(object),
        Target::Key(_) => None,
    }
}

/// Closes a handle; `None` when it is not open.
pub(super) fn close(handle: HANDLE) -> Option<Target> {
    HANDLES.with(|handles| handles.open.remove(&handle.addr()))
}
