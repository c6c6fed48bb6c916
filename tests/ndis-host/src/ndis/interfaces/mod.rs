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
    let adapter = binding.adapter;
    let (index, luid) = adapter.bound_interface();
    for (place, index) in [(bound_index, index), (lowest_index, adapter.if_index)] {
        if !place.is_null() {
            // SAFETY: the caller's contract.
            unsafe { *place = index };
        }
    }
    for (place, luid) in [(bound_luid, luid), (lowest_luid, adapter.luid())] {
        if !place.is_null() {
            // SAFETY: the caller's contract.
            unsafe { *place = luid };
        }
    }
    NDIS_STATUS_SUCCESS
}

/// Index and LUID of the adapters' interfaces, and of those on top of them.
fn interfaces() -> impl Iterator<Item = (NET_IFINDEX, NET_LUID)> {
    let adapters = adapter::all().into_iter();
    adapters.flat_map(|adapter| {
        [
            (adapter.if_index, adapter.luid()),
            adapter.bound_interface(),
        ]
    })
}

/// The index of an interface, of an adapter's or of a provider's.
fn index_of(luid: NET_LUID) -> Option<NET_IFINDEX> {
    let found = interfaces().find(|(_, of_adapter)| *of_adapter == luid);
    found
        .map(|(index, _)| index)
        .or_else(|| providers::index_of(luid))
}

fn luid_of(index: NET_IFINDEX) -> Option<NET_LUID> {
    let found = interfaces().find(|(of_adapter, _)| *of_adapter == index);
    found
        .map(|(_, luid)| luid)
        .or_else(|| providers::luid_of(index))
}
