//! Pageable memory: paged pool, and the pageable sections of images (rule 83).
//!
//! Raising the level to DISPATCH pages all of it out, as Driver Verifier's forced IRQL checking
//! does: it loses its access. A touch below DISPATCH pages it in again; one at or above DISPATCH is
//! what would stop Windows. Pages that are locked stay. Sections that are discarded never return.
//!
//! The cost falls on those who use pageable memory: without any of it in memory, raising the level
//! reads one flag.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use super::set_access;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL};

/// Why a range may be without access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is in memory.
    Present,
    /// It is paged out.
    Out,
    /// It is gone.
    Discarded,
}

struct Range {
    len: usize,
    /// Access while it is in memory.
    access: i32,
    what: String,
    state: State,
    locks: u32,
}

static RANGES: BatonCell<BTreeMap<usize, Range>> = BatonCell::new(BTreeMap::new());

/// Whether something is in memory that the next raise has to page out.
static MAY_LEAVE: AtomicBool = AtomicBool::new(false);

/// What a fault at an address comes to.
pub(crate) enum Fault {
    /// The memory is there now: the access can be repeated.
    PagedIn,
    /// It must not be touched; in words.
    Forbidden(String),
}

/// Makes whole pages pageable. They are in memory.
pub(crate) fn add(start: usize, len: usize, access: i32, what: String) {
    let range = Range {
        len,
        access,
        what,
        state: State::Present,
        locks: 0,
    };
    RANGES.with(|ranges| ranges.insert(start, range));
    MAY_LEAVE.store(true, Ordering::Relaxed);
}

/// Ends that, with the memory there.
pub(crate) fn remove(start: usize) {
    let range = RANGES.with(|ranges| ranges.remove(&start));
    if let Some(range) = range.filter(|range| range.state == State::Out) {
        set_access(start, range.len, range.access);
    }
}

/// Ends all ranges in the `len` bytes from `start` on, which are about to be unmapped.
pub(crate) fn forget(start: usize, len: usize) {
    RANGES.with(|ranges| ranges.retain(|at, _| *at < start || *at >= start + len));
}

/// Takes whole pages away for good.
pub(crate) fn discard(start: usize, len: usize, what: String) {
    let range = Range {
        len,
        access: libc::PROT_NONE,
        what,
        state: State::Discarded,
        locks: 0,
    };
    RANGES.with(|ranges| ranges.insert(start, range));
    set_access(start, len, libc::PROT_NONE);
}

/// The level has been raised to DISPATCH or above, or a processor at such a level goes on.
#[inline]
pub(crate) fn level_is_high() {
    if MAY_LEAVE.load(Ordering::Relaxed) {
        page_out();
    }
}

#[cold]
fn page_out() {
    MAY_LEAVE.store(false, Ordering::Relaxed);
    RANGES.with(|ranges| {
        let present = ranges
            .iter_mut()
            .filter(|(_, range)| range.state == State::Present && range.locks == 0);
        for (start, range) in present {
            range.state = State::Out;
            set_access(*start, range.len, libc::PROT_NONE);
        }
    });
}

/// Serves a fault at an address; `None` when that is not paged out.
pub(crate) fn fault(address: usize) -> Option<Fault> {
    let irql = sched::irql();
    RANGES.with(|ranges| {
        let (start, range) = containing(ranges, address)?;
        let at = address - start;
        match range.state {
            State::Present => None,
            State::Discarded => {
                let text = format!("{}, which is discarded (+{at:#x})", range.what);
                Some(Fault::Forbidden(text))
            }
            State::Out if irql >= DISPATCH_LEVEL => {
                let text = format!(
                    "{}, which is pageable (+{at:#x}), at level {irql}",
                    range.what
                );
                Some(Fault::Forbidden(text))
            }
            State::Out => {
                range.state = State::Present;
                set_access(start, range.len, range.access);
                MAY_LEAVE.store(true, Ordering::Relaxed);
                Some(Fault::PagedIn)
            }
        }
    })
}

/// Whether an address is in pageable memory.
pub(crate) fn is_pageable(address: usize) -> bool {
    RANGES.with(|ranges| containing(ranges, address).is_some())
}

/// Whether an address is in memory that is paged out, or gone.
pub(crate) fn is_out(address: usize) -> bool {
    RANGES.with(|ranges| {
        containing(ranges, address).is_some_and(|(_, range)| range.state != State::Present)
    })
}

/// Locks the range of an address in memory; false when it is not pageable.
pub(crate) fn lock(address: usize) -> bool {
    RANGES.with(|ranges| {
        let Some((start, range)) = containing(ranges, address) else {
            return false;
        };
        range.locks += 1;
        if range.state == State::Out {
            range.state = State::Present;
            set_access(start, range.len, range.access);
        }
        true
    })
}

/// Takes one [`lock`] back.
pub(crate) fn unlock(address: usize) {
    RANGES.with(|ranges| {
        if let Some((_, range)) = containing(ranges, address) {
            range.locks = range.locks.saturating_sub(1);
        }
    });
    MAY_LEAVE.store(true, Ordering::Relaxed);
}

fn containing(ranges: &mut BTreeMap<usize, Range>, address: usize) -> Option<(usize, &mut Range)> {
    let (start, range) = ranges.range_mut(..=address).next_back()?;
    (address - start < range.len).then_some((*start, range))
}
