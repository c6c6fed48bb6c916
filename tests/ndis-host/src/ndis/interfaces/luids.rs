//! NET_LUID indexes: numbers per interface type that interface providers make LUIDs of.

use std::collections::BTreeSet;

use ndis_sys::{
    NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
    NET_IFTYPE,
};

use crate::ndis::call::{Level, import};
use crate::ndis::faults;
use crate::sched::BatonCell;

/// Indexes have 24 bits. The adapters' own begin far below this number.
const FIRST: u32 = 0x8000;
const LAST: u32 = 0x00ff_ffff;

static ALLOCATED: BatonCell<BTreeSet<(NET_IFTYPE, u32)>> = BatonCell::new(BTreeSet::new());

/// Microsoft Learn, NdisIfAllocateNetLuidIndex function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `index` points to a number.
pub(crate) unsafe extern "efiapi" fn allocate(kind: NET_IFTYPE, index: *mut u32) -> NDIS_STATUS {
    const CALL: &str = "NdisIfAllocateNetLuidIndex";
    import(CALL, Level::Passive);
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let free = ALLOCATED.with(|allocated| {
        let free = (FIRST..=LAST).find(|index| !allocated.contains(&(kind, *index)))?;
        allocated.insert((kind, free));
        Some(free)
    });
    let Some(free) = free else {
        return NDIS_STATUS_RESOURCES;
    };
    // SAFETY: the caller's contract.
    unsafe { *index = free };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisIfFreeNetLuidIndex function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(kind: NET_IFTYPE, index: u32) -> NDIS_STATUS {
    import("NdisIfFreeNetLuidIndex", Level::Passive);
    if ALLOCATED.with(|allocated| allocated.remove(&(kind, index))) {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_INVALID_PARAMETER
    }
}
