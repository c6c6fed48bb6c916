//! The shadow table: what NDIS knows of every NBL, out of the drivers' reach.

use std::collections::{BTreeMap, BTreeSet};

use ndis_sys::NET_BUFFER_LIST;

use super::custody::Custody;
use crate::sched::BatonCell;
use crate::verifier;

/// What NDIS knows of one NBL.
pub(crate) struct Record {
    /// Handle of the pool it was allocated from.
    pub(crate) pool: u64,
    /// Hand-overs that have not been undone, the latest last; empty: the allocator has the NBL.
    pub(crate) custody: Vec<Custody>,
    /// Context space taken with NdisAllocateNetBufferListContext, the latest last.
    pub(crate) contexts: Vec<super::contexts::Grant>,
    /// Memory that is freed with the NBL.
    pub(crate) pieces: Vec<super::pool::Piece>,
    /// Value that its `NdisReserved` words were given.
    pub(crate) canary: usize,
}

static RECORDS: BatonCell<BTreeMap<usize, Record>> = BatonCell::new(BTreeMap::new());

/// Adds the record of a new NBL.
pub(crate) fn insert(nbl: *mut NET_BUFFER_LIST, record: Record) {
    RECORDS.with(|records| records.insert(nbl.addr(), record));
}

/// Takes out the record of an NBL that is freed.
pub(crate) fn remove(nbl: *mut NET_BUFFER_LIST) -> Option<Record> {
    RECORDS.with(|records| records.remove(&nbl.addr()))
}

/// Opens the record of an NBL that a driver named; an unknown address ends the run.
pub(crate) fn with<R>(
    nbl: *mut NET_BUFFER_LIST,
    call: &str,
    body: impl FnOnce(&mut Record) -> R,
) -> R {
    let result = RECORDS.with(|records| records.get_mut(&nbl.addr()).map(body));
    result.unwrap_or_else(|| {
        let text = format!("{call}: {nbl:p} is no NBL that is allocated (freed before?)");
        verifier::fatal(87, text)
    })
}

/// Opens the record of an NBL, if it is one.
pub(crate) fn try_with<R>(
    nbl: *mut NET_BUFFER_LIST,
    body: impl FnOnce(&mut Record) -> R,
) -> Option<R> {
    RECORDS.with(|records| records.get_mut(&nbl.addr()).map(body))
}

/// Lists the NBLs of a driver's chain; each is one that NDIS knows, and none comes twice.
///
/// Breaches: `unknown` for what is not an NBL that is allocated, 95 for a cycle or an empty list.
pub(crate) fn walk(
    first: *mut NET_BUFFER_LIST,
    call: &str,
    unknown: u16,
) -> Vec<*mut NET_BUFFER_LIST> {
    let mut found = Vec::with_capacity(8);
    let mut seen = BTreeSet::new();
    let mut next = first;
    while !next.is_null() {
        if try_with(next, |_| ()).is_none() {
            let text = format!("{call}: {next:p} is no NBL that is allocated; given back before?");
            verifier::fatal(unknown, text);
        }
        // Light checks let a list end only when it is longer than there are NBLs.
        let twice = if verifier::is_thorough() {
            !seen.insert(next.addr())
        } else {
            found.len() > RECORDS.with(|records| records.len())
        };
        if twice {
            verifier::fatal(95, format!("{call}: NBL {next:p} is in the list twice"));
        }
        found.push(next);
        // SAFETY: the shadow table knows `next`, so it is an NBL that is allocated.
        next = unsafe { (*next).Next };
    }
    verifier::insist(95, !found.is_empty(), || {
        format!("{call}: the list is empty")
    });
    found
}

/// The NBLs of a pool that are allocated, with the hands they are in.
pub(crate) fn of_pool(pool: u64) -> Vec<(usize, String)> {
    RECORDS.with(|records| {
        let of_pool = records.iter().filter(|(_, record)| record.pool == pool);
        of_pool
            .map(|(address, record)| (*address, describe(record)))
            .collect()
    })
}

/// In whose hands an NBL is, in words.
pub(crate) fn describe(record: &Record) -> String {
    match record.custody.last() {
        None => "with its allocator".to_owned(),
        Some(custody) => custody.to_string(),
    }
}
