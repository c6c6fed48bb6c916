//! Memory, generic objects and information: rules 213 and 218.

use std::ffi::c_void;
use std::ptr;

use ndis_host::ndis::event_log;
use ndis_host::pnp;
use ndis_sys::{
    DRIVER_OBJECT, NDIS_GENERIC_OBJECT, NDIS_HANDLE, NDIS_HYPERVISOR_INFO,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_SUCCESS,
    NDIS_STRING, Zeroed,
};

use super::adapter;
use crate::buffers::calls::{
    TAG, allocate_mdl, allocate_memory, free_mdl, free_memory, free_pool, new_pool, routines,
};
use crate::native::{breaks, holds};

routines! {
    /// NdisAllocateRWLock.
    allocate_lock = NdisAllocateRWLock(handle: NDIS_HANDLE) -> NDIS_HANDLE;
    /// NdisFreeRWLock.
    free_lock = NdisFreeRWLock(lock: NDIS_HANDLE);
    /// NdisFreeMemoryWithTagPriority.
    free_with_tag = NdisFreeMemoryWithTagPriority(handle: NDIS_HANDLE, start: *mut c_void, tag: u32);
    /// NdisAllocateGenericObject.
    allocate_object = NdisAllocateGenericObject(driver: *mut DRIVER_OBJECT, tag: u32, size: u16) -> *mut NDIS_GENERIC_OBJECT;
    /// NdisFreeGenericObject.
    free_object = NdisFreeGenericObject(object: *mut NDIS_GENERIC_OBJECT);
    /// NdisInitializeString.
    initialize_string = NdisInitializeString(string: *mut NDIS_STRING, source: *const u8);
    /// NdisGetHypervisorInfo.
    hypervisor = NdisGetHypervisorInfo(info: *mut NDIS_HYPERVISOR_INFO) -> NDIS_STATUS;
    /// NdisGetSharedDataAlignment.
    alignment = NdisGetSharedDataAlignment() -> u32;
    /// NdisWriteEventLogEntry.
    write_event = NdisWriteEventLogEntry(log: *mut c_void, code: NDIS_STATUS, unique: u32, count: u16, strings: *const *const u16, size: u32, data: *const u8) -> NDIS_STATUS;
}

#[test]
fn r213_breaks_when_memory_has_no_tag() {
    breaks!(213, || {
        allocate_memory(ptr::null_mut(), 16, 0, 0);
    });
}

#[test]
fn r213_breaks_when_no_memory_is_asked_for() {
    breaks!(213, || {
        allocate_memory(ptr::null_mut(), 0, TAG, 0);
    });
}

#[test]
fn r213_breaks_when_memory_is_freed_with_another_tag() {
    breaks!(213, || {
        let memory = allocate_memory(ptr::null_mut(), 16, TAG, 0);
        free_with_tag(ptr::null_mut(), memory, TAG + 1);
    });
}

#[test]
fn r213_breaks_when_memory_is_freed_twice() {
    breaks!(213, || {
        let memory = allocate_memory(ptr::null_mut(), 16, TAG, 0);
        free_memory(memory, 0, 0);
        free_memory(memory, 0, 0);
    });
}

#[test]
fn r213_breaks_when_freed_memory_is_written() {
    breaks!(213, || {
        let memory = allocate_memory(ptr::null_mut(), 16, TAG, 0);
        free_memory(memory, 0, 0);
        // SAFETY: the memory is there; that it is not ours is the fault.
        unsafe { memory.cast::<u8>().write_volatile(1) };
        let pool = new_pool();
        free_pool(pool);
    });
}

#[test]
fn r213_holds_when_memory_is_freed_as_it_was_allocated() {
    holds!(|| {
        free_memory(allocate_memory(ptr::null_mut(), 16, TAG, 0), 0, 0);
        let memory = allocate_memory(ptr::null_mut(), 16, TAG, 32);
        free_with_tag(ptr::null_mut(), memory, TAG);
    });
}

/// Removes a NIC for which an MDL was allocated, and perhaps freed.
fn mdl_of_an_adapter(frees: bool) {
    let (adapter, device) = adapter();
    let memory = allocate_memory(ptr::null_mut(), 64, TAG, 0);
    let mdl = allocate_mdl(adapter, memory, 64);
    if frees {
        free_mdl(mdl);
    }
    pnp::remove_device(device);
}

#[test]
fn r218_breaks_when_an_mdl_outlives_its_adapter() {
    breaks!(218, || mdl_of_an_adapter(false));
}

#[test]
fn r218_holds_when_an_mdl_is_freed_before_its_adapter() {
    holds!(|| mdl_of_an_adapter(true));
}

#[test]
fn r218_breaks_when_a_generic_object_is_freed_twice() {
    breaks!(218, || {
        let object = allocate_object(ptr::null_mut(), TAG, 0);
        free_object(object);
        free_object(object);
    });
}

#[test]
fn r218_holds_when_a_generic_object_stands_for_a_component() {
    holds!(|| {
        let object = allocate_object(ptr::null_mut(), TAG, 32);
        let lock = allocate_lock(object.cast());
        // SAFETY: 32 bytes behind the object are ours.
        unsafe { object.add(1).cast::<u8>().write_bytes(7, 32) };
        free_lock(lock);
        free_object(object);
    });
}

#[test]
fn r213_holds_when_a_string_is_made_and_freed() {
    holds!(|| {
        let mut string = NDIS_STRING::zeroed();
        initialize_string(&raw mut string, c"eth0".as_ptr().cast());
        assert_eq!((string.Length, string.MaximumLength), (8, 10));
        free_memory(string.Buffer.cast(), u32::from(string.MaximumLength), 0);
        assert!(alignment().is_power_of_two());
        let mut info = NDIS_HYPERVISOR_INFO::zeroed();
        info.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
        info.Header.Revision = 1;
        info.Header.Size = size_of::<NDIS_HYPERVISOR_INFO>() as u16;
        assert_eq!(hypervisor(&raw mut info), NDIS_STATUS_SUCCESS);
        assert_eq!(info.Flags, 1);
    });
}

#[test]
fn r046_holds_when_a_protocol_writes_to_the_event_log() {
    holds!(|| {
        let name: Vec<u16> = "vioprot\0".encode_utf16().collect();
        let strings = [name.as_ptr()];
        let data = [1u8, 2, 3];
        let write = |size| {
            let (null, list) = (ptr::null_mut(), strings.as_ptr());
            write_event(null, 0x1389, 9, 1, list, size, data.as_ptr())
        };
        assert_eq!(write(3), NDIS_STATUS_SUCCESS);
        let entries = event_log();
        assert_eq!(entries[0].strings, ["vioprot"]);
        assert_eq!(entries[0].data, data);
        let long = [0u8; 200];
        let (null, none) = (ptr::null_mut(), ptr::null());
        let status = write_event(null, 0x1389, 9, 0, none, 200, long.as_ptr());
        assert_eq!(status, NDIS_STATUS_BUFFER_TOO_SHORT);
    });
}
