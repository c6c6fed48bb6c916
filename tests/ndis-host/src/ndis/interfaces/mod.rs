//! NdisIf*: LUIDs, interface indexes, interface providers and the interface stack.
//!
//! Microsoft Learn, "NDIS Network Interfaces". Adapters have interfaces without a provider of
//! their own (NDIS provides for miniports); providers register others.

pub(crate) mod exports;
pub(crate) mod luids;
pub(crate) mod providers;

use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_INTERFACE_NOT_FOUND, NDIS_STATUS_SUCCESS, NET_IFINDEX,
    NET_LUID,
};

use crate::ndis::adapter;
use crate::ndis::bindings::Binding;
use crate::ndis::call::{Level, import};
use crate::ndis::handles;

/// Microsoft Learn, NdisIfGetInterfaceIndexFromNetLuid function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `index` points to an interface index.
pub(crate) unsafe extern "efiapi" fn index_from_luid(
    luid: NET_LUID,
    index: *mut NET_IFINDEX,
) -> NDIS_STATUS {
    import("NdisIfGetInterfaceIndexFromNetLuid", Level::UpToDispatch);
    match index_of(luid) {
        Some(found) => {
            // SAFETY: the caller's contract.
            unsafe { *index = found };
            NDIS_STATUS_SUCCESS
        }
        None => NDIS_STATUS_INTERFACE_NOT_FOUND,
    }
}

/// Microsoft Learn, NdisIfGetNetLuidFromInterfaceIndex function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `luid` points to a LUID.
pub(crate) unsafe extern "efiapi" fn luid_from_index(
    index: NET_IFINDEX,
    luid: *mut NET_LUID,
) -> NDIS_STATUS {
    import("NdisIfGetNetLuidFromInterfaceIndex", Level::UpToDispatch);
    match luid_of(index) {
        Some(found) => {
            // SAFETY: the caller's contract.
            unsafe { *luid = found };
            NDIS_STATUS_SUCCESS
        }
        None => NDIS_STATUS_INTERFACE_NOT_FOUND,
    }
}

/// Microsoft Learn, NdisIfQueryBindingIfIndex function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The pointers are null or valid.
pub(crate) unsafe extern "efiapi" fn of_binding(
    binding_handle: NDIS_HANDLE,
    bound_index: *mut NET_IFINDEX,
    bound_luid: *mut NET_LUID,
    lowest_index: *mut NET_IFINDEX,
    lowest_luid: *mut NET_LUID,
) -> NDIS_STATUS {
    const CALL: &str = "NdisIfQueryBindingIfIndex";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let (index, luid) = (binding.adapter.if_index, binding.adapter.luid());
    // Without filters, the interface that is bound is the lowest one.
    for place in [bound_index, lowest_index] {
        if !place.is_null() {
            // SAFETY: the caller's contract.
            unsafe { *place = index };
        }
    }
    for place in [bound_luid, lowest_luid] {
        if !place.is_null() {
            // SAFETY: the caller's contract.
            unsafe { *place = luid };
        }
    }
    NDIS_STATUS_SUCCESS
}

/// The index of an interface, of an adapter's or of a provider's.
fn index_of(luid: NET_LUID) -> Option<NET_IFINDEX> {
    let of_adapter = adapter::all().into_iter().find(|a| a.luid() == luid);
    of_adapter
        .map(|adapter| adapter.if_index)
        .or_else(|| providers::index_of(luid))
}

fn luid_of(index: NET_IFINDEX) -> Option<NET_LUID> {
    let of_adapter = adapter::all().into_iter().find(|a| a.if_index == index);
    of_adapter
        .map(|adapter| adapter.luid())
        .or_else(|| providers::luid_of(index))
}
