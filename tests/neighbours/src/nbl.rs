//! NBLs as the neighbours handle them: by address, in groupings that the seed chooses.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ndis_host::sched::{self, DISPATCH_LEVEL};
use ndis_sys::NET_BUFFER_LIST;

/// Bit of every flags word of the data path: the caller is at DISPATCH_LEVEL.
const AT_DISPATCH: u32 = ndis_sys::NDIS_SEND_FLAGS_DISPATCH_LEVEL;

/// An NBL, by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nbl(pub(crate) *mut NET_BUFFER_LIST);

// SAFETY: the address may travel; the baton orders the uses of what is behind it.
unsafe impl Send for Nbl {}

impl Nbl {
    /// Where it is.
    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }
}

/// Links NBLs into a chain.
pub(crate) fn chain(nbls: &[Nbl]) -> *mut NET_BUFFER_LIST {
    let pointers: Vec<_> = nbls.iter().map(|nbl| nbl.0).collect();
    ndis_host::ndis::api::chain(&pointers)
}

/// Takes a chain apart.
pub(crate) fn unchain(first: *mut NET_BUFFER_LIST) -> Vec<Nbl> {
    let nbls = ndis_host::ndis::api::unchain(first);
    nbls.into_iter().map(Nbl).collect()
}

/// Cuts `items` into groups, in order: a cut at one in `one_in` places.
pub(crate) fn grouped<T>(items: Vec<T>, one_in: u64) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    for item in items {
        match groups.last_mut() {
            Some(group) if !sched::chance(one_in) => group.push(item),
            _ => groups.push(vec![item]),
        }
    }
    groups
}

/// Puts NBLs into any order.
pub(crate) fn shuffle(nbls: &mut [Nbl]) {
    for last in (1..nbls.len()).rev() {
        nbls.swap(last, sched::random_below(last as u64 + 1) as usize);
    }
}

/// Calls `body` at the current level or, by seed, at DISPATCH_LEVEL, and tells it the flag bit
/// that goes with it. The bit may be absent at DISPATCH_LEVEL, so sometimes it is.
pub(crate) fn at_some_level<R>(body: impl FnOnce(u32) -> R) -> R {
    if sched::irql() >= DISPATCH_LEVEL || sched::chance(2) {
        let old = sched::raise(DISPATCH_LEVEL);
        let flag = if sched::chance(4) { 0 } else { AT_DISPATCH };
        let result = body(flag);
        sched::lower(old);
        return result;
    }
    body(0)
}

/// A panic ends the process, so poison means nothing.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
