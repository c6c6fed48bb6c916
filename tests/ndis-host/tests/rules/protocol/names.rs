//! What a protocol asks about an adapter: rule 242, interfaces, filters, cancel identifiers.

use std::collections::BTreeSet;

use ndis_host::ndis::native::AdapterHandle;
use ndis_sys::{
    NDIS_ENUM_FILTERS, NDIS_HANDLE, NDIS_IF_PROVIDER_CHARACTERISTICS, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_INTERFACE_NOT_FOUND,
    NDIS_STATUS_SUCCESS, NDIS_STRING, NET_IF_INFORMATION, Zeroed,
};

use crate::desk::{Desk, Hooks};
use crate::native::linked::import;
use crate::native::{breaks, holds};

fn handle(desk: &Desk) -> NDIS_HANDLE {
    std::ptr::without_provenance_mut(desk.binding().0 as usize)
}

fn adapter_name(desk: &Desk) -> NDIS_STRING {
    let query = import!(NdisQueryAdapterInstanceName: fn(
        *mut NDIS_STRING, NDIS_HANDLE) -> NDIS_STATUS);
    let mut name = NDIS_STRING::zeroed();
    // SAFETY: the pointer is to a string that may be overwritten.
    let status = unsafe { query(&raw mut name, handle(desk)) };
    assert_eq!(status, NDIS_STATUS_SUCCESS);
    name
}

fn free(name: &NDIS_STRING) {
    let free = import!(NdisFreeMemory: fn(*mut std::ffi::c_void, u32, u32));
    // SAFETY: the routine checks its arguments.
    unsafe { free(name.Buffer.cast(), 0, 0) }
}

#[test]
fn r242_holds_when_a_name_is_freed() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let name = adapter_name(desk);
        let length = usize::from(name.Length) / 2;
        // SAFETY: NDIS gave a string with that many units.
        let units = unsafe { std::slice::from_raw_parts(name.Buffer, length) };
        assert_eq!(String::from_utf16_lossy(units), "DESK NIC");
        free(&name);
    });
}

#[test]
fn r213_breaks_when_a_name_is_freed_twice() {
    breaks!(213, || {
        let desk = Desk::start(Hooks::GOOD).desk;
        let name = adapter_name(desk);
        free(&name);
        free(&name);
    });
}

#[test]
fn cancel_identifiers_differ() {
    holds!(|| {
        let generate = import!(NdisGeneratePartialCancelId: fn() -> u8);
        // SAFETY: the routine takes nothing.
        let ids: BTreeSet<u8> = (0..20).map(|_| unsafe { generate() }).collect();
        assert_eq!(ids.len(), 20);
    });
}

#[test]
fn there_are_no_filters() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let enumerate = import!(NdisEnumerateFilterModules: fn(
            NDIS_HANDLE, *mut NDIS_ENUM_FILTERS, u32, *mut u32, *mut u32) -> NDIS_STATUS);
        let mut list = NDIS_ENUM_FILTERS::zeroed();
        let (mut needed, mut written) = (0, 0);
        let mut ask = |length| {
            // SAFETY: all pointers are to locals, and the list is at least that long.
            unsafe {
                enumerate(
                    handle(desk),
                    &raw mut list,
                    length,
                    &raw mut needed,
                    &raw mut written,
                )
            }
        };
        assert_eq!(ask(8), NDIS_STATUS_BUFFER_TOO_SHORT);
        assert_eq!(ask(80), NDIS_STATUS_SUCCESS);
        assert_eq!((needed, written, list.NumberOfFilters), (80, 80, 0));
    });
}

fn luid_of(index: u32) -> Result<u64, NDIS_STATUS> {
    let convert = import!(NdisIfGetNetLuidFromInterfaceIndex: fn(u32, *mut u64) -> NDIS_STATUS);
    let mut luid = 0;
    // SAFETY: the pointer is to a LUID.
    match unsafe { convert(index, &raw mut luid) } {
        NDIS_STATUS_SUCCESS => Ok(luid),
        status => Err(status),
    }
}

#[test]
fn a_binding_has_an_interface() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let query = import!(NdisIfQueryBindingIfIndex: fn(
            NDIS_HANDLE, *mut u32, *mut u64, *mut u32, *mut u64) -> NDIS_STATUS);
        let (mut bound, mut luid, mut lowest) = (0, 0, 0);
        let none = std::ptr::null_mut();
        // SAFETY: the pointers are to locals, or null.
        unsafe {
            query(
                handle(desk),
                &raw mut bound,
                &raw mut luid,
                &raw mut lowest,
                none,
            )
        };
        // As with a filter on the adapter, which has an interface of its own.
        assert_ne!(bound, lowest);
        assert_eq!(luid_of(bound), Ok(luid));
        assert!(luid_of(lowest).is_ok_and(|lowest| lowest != luid));
        let _: AdapterHandle = desk.adapter();
    });
}

#[test]
fn a_provider_registers_its_interface() {
    holds!(|| {
        let register = import!(NdisIfRegisterProvider: fn(
            *mut NDIS_IF_PROVIDER_CHARACTERISTICS, NDIS_HANDLE, *mut NDIS_HANDLE) -> NDIS_STATUS);
        let add = import!(NdisIfRegisterInterface: fn(
            NDIS_HANDLE, u64, NDIS_HANDLE, *mut NET_IF_INFORMATION, *mut u32) -> NDIS_STATUS);
        let mut given = NDIS_IF_PROVIDER_CHARACTERISTICS::zeroed();
        given.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
        given.Header.Revision = 1;
        given.Header.Size = size_of::<NDIS_IF_PROVIDER_CHARACTERISTICS>() as u16;
        given.QueryObjectHandler = Some(answer);
        let mut information = NET_IF_INFORMATION::zeroed();
        information.Header = given.Header;
        information.Header.Size = size_of::<NET_IF_INFORMATION>() as u16;
        let (mut provider, mut index) = (std::ptr::null_mut(), 0);
        let none = std::ptr::null_mut();
        let luid = 0x0083_0080_0000_0000;
        // SAFETY: the pointers are to locals.
        unsafe {
            assert_eq!(register(&raw mut given, none, &raw mut provider), 0);
            let status = add(provider, luid, none, &raw mut information, &raw mut index);
            assert_eq!(status, NDIS_STATUS_SUCCESS);
            let again = add(provider, luid, none, &raw mut information, &raw mut index);
            assert_ne!(again, NDIS_STATUS_SUCCESS);
        }
        assert_eq!(luid_of(index), Ok(luid));
        let mut answer = [0; 4];
        let told = ndis_host::ndis::query_interface(index, 7, &mut answer);
        assert_eq!((told, answer), (Some((NDIS_STATUS_SUCCESS, 4)), [7; 4]));
        let remove = import!(NdisIfDeregisterInterface: fn(u32));
        let end = import!(NdisIfDeregisterProvider: fn(NDIS_HANDLE));
        // SAFETY: both are registered.
        unsafe {
            remove(index);
            end(provider);
        }
        assert_eq!(luid_of(index), Err(NDIS_STATUS_INTERFACE_NOT_FOUND));
    });
}

unsafe extern "efiapi" fn answer(
    _context: NDIS_HANDLE,
    oid: u32,
    length: *mut u32,
    buffer: *mut std::ffi::c_void,
) -> NDIS_STATUS {
    // SAFETY: NDIS gives a buffer of that length.
    unsafe { buffer.cast::<u8>().write_bytes(oid as u8, *length as usize) };
    NDIS_STATUS_SUCCESS
}
