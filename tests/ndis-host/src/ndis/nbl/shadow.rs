//! The shadow table: what NDIS knows of every NBL, out of the drivers' reach.

use std::collections::{BTreeMap, BTreeSet};

use ndis_sys::NET_BUFFER_LIST;

use super::custody::Custody;
use super::poison::Hidden;
use crate::sched::BatonCell;
use crate::verifier;

/// What NDIS knows of one NBL.
pub(crate) struct Record {
    /// Handle of the pool it was allocated from.
    pub(crate) pool: u64,
    /// How it was made.
    pub(crate) origin: Origin,
    /// Hand-overs that have not been undone, the latest last; empty: the allocator has the NBL.
    pub(crate) custody: Vec<Custody>,
    /// Context space taken with NdisAllocateNetBufferListContext, the latest last.
    pub(crate) contexts: Vec<super::contexts::Grant>,
    /// Memory that is freed with the NBL.
    pub(crate) pieces: Vec<super::piece::Piece>,
    /// NET_BUFFERs and MDLs in that memory: nobody frees them one by one (rule 90).
    pub(crate) parts: Vec<usize>,
    /// Value that its `NdisReserved` words were given.
    pub(crate) canary: usize,
    /// NBLs derived from it that are not freed (rule 105).
    pub(crate) children: usize,
    /// The MDLs that it had at each hand-over that has not been undone.
    pub(crate) mdls_out: Vec<Vec<usize>>,
    /// Its contents, while a stand-in is out in its place.
    pub(crate) hidden: Option<Hidden>,
}

/// How an NBL was made, which says how it is freed (rule 106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By NdisAllocateNetBufferList or NdisAllocateNetBufferAndNetBufferList.
    Pool,
    /// By NdisAllocateCloneNetBufferList with these flags.
    Clone { original: usize, flags: u32 },
    /// By NdisAllocateFragmentNetBufferList with this DataOffsetDelta.
    Fragment { original: usize, delta: u32 },
    /// By NdisAllocateReassembledNetBufferList with this DataOffsetDelta.
    Reassembled { original: usize, delta: u32 },
    /// By NDIS, to be seen in place of the original.
    StandIn { original: usize },
}

impl Origin {
    /// The NBL that it was derived from by a driver; 0: none.
    pub(crate) fn parent(self) -> usize {
        match self {
            Self::Clone { original, .. }
            | Self::Fragment { original, .. }
            | Self::Reassembled { original, .. } => original,
            Self::Pool | Self::StandIn { .. } => 0,
        }
    }
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

/// Ends the run unless the NBL that a driver named is one that it may touch: allocated, and not
/// given away (rules 87, 94).
pub(crate) fn insist_at_hand(nbl: *mut NET_BUFFER_LIST, call: &str) {
    let (hidden, hands) = with(nbl, call, |record| {
        (record.hidden.is_some(), describe(record))
    });
    verifier::insist(94, !hidden, || format!("{call}: NBL {nbl:p} is {hands}"));
}

/// Lists the NBLs of a driver's chain; each is one that NDIS knows, and none comes twice.
///
/// Breaches: `unknown` for what is not an NBL that is allocated, or is away (then 94 in place of
/// 87), 95 for a cycle or an empty list.
pub(crate) fn walk(
    first: *mut NET_BUFFER_LIST,
    call: &str,
    unknown: u16,
) -> Vec<*mut NET_BUFFER_LIST> {
    let mut found = Vec::with_capacity(8);
    let mut seen = BTreeSet::new();
    let mut next = first;
    while !next.is_null() {
        match try_with(next, |record| {
            record.hidden.as_ref().map(|_| describe(record))
        }) {
            None => {
                let text =
                    format!("{call}: {next:p} is no NBL that is allocated; given back before?");
                verifier::fatal(unknown, text);
            }
            Some(Some(hands)) => {
                let rule = if unknown == 87 { 94 } else { unknown };
                verifier::fatal(rule, format!("{call}: NBL {next:p} is {hands}"));
            }
            Some(None) => {}
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

/// Some of the NBLs that are in somebody's hands, and whose, in words.
pub(crate) fn some_out() -> String {
    const MOST: usize = 4;
    RECORDS.with(|records| {
        let out = records
            .iter()
            .filter(|(_, record)| !record.custody.is_empty());
        let out = out.map(|(address, record)| format!("NBL {address:#x} is {}", describe(record)));
        out.take(MOST).collect::<Vec<_>>().join(", ")
    })
}

/// The NBL that a NET_BUFFER or MDL was preallocated with.
pub(crate) fn owner_of_part(part: usize) -> Option<usize> {
    RECORDS.with(|records| {
        let owner = records
            .iter()
            .find(|(_, record)| record.parts.contains(&part));
        owner.map(|(address, _)| *address)
    })
}

/// In whose hands an NBL is, in words.
pub(crate) fn describe(record: &Record) -> String {
    match record.custody.last() {
        None => "with its allocator".to_owned(),
        Some(custody) => custody.to_string(),
    }
}
