//! Exports to miniports that no rule is about: ports, logs, names, events, SR-IOV.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

#[path = "native/mod.rs"]
mod native;

use std::ffi::c_void;

use ndis_host::ndis::{miniport_log, native::AdapterHandle};
use ndis_host::pnp;
use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS,
    NDIS_PORT_CHARACTERISTICS, NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1,
    NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_INVALID_PORT, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS, NDIS_STRING, NET_PNP_EVENT_NOTIFICATION, Zeroed,
};

use native::hardware::{self, Plan};
use native::linked::import;
use native::{breaks, holds};

/// Runs `body` with the handle of an adapter that is up.
fn with_adapter(body: fn(NDIS_HANDLE)) {
    hardware::live(Plan::default(), |_| body(hardware::hardware().handle()));
}

fn allocate_port(adapter: NDIS_HANDLE) -> u32 {
    type Port = NDIS_PORT_CHARACTERISTICS;
    let call = import!(NdisMAllocatePort: fn(NDIS_HANDLE, *mut Port) -> NDIS_STATUS);
    let mut port = Port::zeroed();
    port.Header.Type = NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS;
    port.Header.Revision = 1;
    port.Header.Size = NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1;
    // SAFETY: the characteristics are what their header says.
    let status = unsafe { call(adapter, &raw mut port) };
    assert_eq!(status, NDIS_STATUS_SUCCESS);
    port.PortNumber
}

fn free_port(adapter: NDIS_HANDLE, port: u32) -> NDIS_STATUS {
    let call = import!(NdisMFreePort: fn(NDIS_HANDLE, u32) -> NDIS_STATUS);
    // SAFETY: the host checks both.
    unsafe { call(adapter, port) }
}

#[test]
fn ports_have_numbers_of_their_own_until_they_are_freed() {
    holds!(|| with_adapter(|adapter| {
        let (first, second) = (allocate_port(adapter), allocate_port(adapter));
        assert!(first != 0 && second != 0 && first != second);
        assert_eq!(free_port(adapter, first), NDIS_STATUS_SUCCESS);
        assert_eq!(free_port(adapter, first), NDIS_STATUS_INVALID_PORT);
        assert_eq!(allocate_port(adapter), first);
        assert_eq!(free_port(adapter, first), NDIS_STATUS_SUCCESS);
        assert_eq!(free_port(adapter, second), NDIS_STATUS_SUCCESS);
    }));
}

#[test]
fn a_port_that_is_left_at_the_halt_is_a_leak() {
    breaks!(63, || with_adapter(|adapter| {
        allocate_port(adapter);
    }));
}

fn create_log(adapter: NDIS_HANDLE, size: u32) -> Result<NDIS_HANDLE, NDIS_STATUS> {
    let call = import!(NdisMCreateLog: fn(NDIS_HANDLE, u32, *mut NDIS_HANDLE) -> NDIS_STATUS);
    let mut log = std::ptr::null_mut();
    // SAFETY: the place is a local.
    match unsafe { call(adapter, size, &raw mut log) } {
        NDIS_STATUS_SUCCESS => Ok(log),
        status => Err(status),
    }
}

#[test]
fn a_log_keeps_what_was_written_last() {
    holds!(|| with_adapter(|adapter| {
        let write = import!(NdisMWriteLogData: fn(NDIS_HANDLE, *mut c_void, u32) -> NDIS_STATUS);
        let flush = import!(NdisMFlushLog: fn(NDIS_HANDLE));
        let close = import!(NdisMCloseLog: fn(NDIS_HANDLE));
        assert_eq!(create_log(adapter, 0), Err(NDIS_STATUS_RESOURCES));
        let log = create_log(adapter, 6).expect("a log");
        assert_eq!(create_log(adapter, 6), Err(NDIS_STATUS_FAILURE));
        let mut text = *b"abcd";
        for _ in 0..2 {
            // SAFETY: the text is that long.
            let status = unsafe { write(log, text.as_mut_ptr().cast(), 4) };
            assert_eq!(status, NDIS_STATUS_SUCCESS);
        }
        let kept = || miniport_log(AdapterHandle(adapter.addr() as u64));
        assert_eq!(kept().as_deref(), Some(b"cdabcd".as_slice()));
        // SAFETY: the log is open.
        unsafe { flush(log) };
        assert_eq!(kept().as_deref(), Some([].as_slice()));
        // SAFETY: as above.
        unsafe { close(log) };
        assert_eq!(kept(), None);
    }));
}

#[test]
fn a_log_that_is_left_at_the_halt_is_a_leak() {
    breaks!(63, || with_adapter(|adapter| {
        create_log(adapter, 100).expect("a log");
    }));
}

#[test]
fn the_instance_name_is_the_devices_and_is_the_drivers_to_free() {
    holds!(|| with_adapter(|adapter| {
        type Name = *mut NDIS_STRING;
        let call = import!(NdisMQueryAdapterInstanceName: fn(Name, NDIS_HANDLE) -> NDIS_STATUS);
        let free = import!(NdisFreeMemory: fn(*mut c_void, u32, u32));
        let mut name = NDIS_STRING::zeroed();
        // SAFETY: the place is a local.
        let status = unsafe { call(&raw mut name, adapter) };
        assert_eq!(status, NDIS_STATUS_SUCCESS);
        // SAFETY: NDIS gave that many characters.
        let text = unsafe { std::slice::from_raw_parts(name.Buffer, usize::from(name.Length) / 2) };
        assert_eq!(String::from_utf16_lossy(text), "Card");
        // SAFETY: the buffer is the caller's.
        unsafe { free(name.Buffer.cast(), 0, 0) };
    }));
}

#[test]
fn a_name_that_is_not_freed_is_a_leak() {
    breaks!(14, || with_adapter(|adapter| {
        type Name = *mut NDIS_STRING;
        let call = import!(NdisMQueryAdapterInstanceName: fn(Name, NDIS_HANDLE) -> NDIS_STATUS);
        let mut name = NDIS_STRING::zeroed();
        // SAFETY: the place is a local.
        unsafe { call(&raw mut name, adapter) };
    }));
}

#[test]
fn an_event_of_a_miniport_without_bindings_succeeds() {
    holds!(|| with_adapter(|adapter| {
        type Event = NET_PNP_EVENT_NOTIFICATION;
        let call = import!(NdisMNetPnPEvent: fn(NDIS_HANDLE, *mut Event) -> NDIS_STATUS);
        let mut event = Event::zeroed();
        event.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
        event.Header.Revision = 1;
        event.Header.Size = NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1;
        event.NetPnPEvent.NetEvent = ndis_sys::NetEventPortActivation;
        // SAFETY: the notification is what its header says.
        assert_eq!(
            // SAFETY: a live adapter, and an event that lives for the call.
            unsafe { call(adapter, &raw mut event) },
            NDIS_STATUS_SUCCESS
        );
    }));
}

#[test]
fn a_function_without_sr_iov_says_so() {
    holds!(|| with_adapter(|adapter| {
        let enable =
            import!(NdisMEnableVirtualization: fn(NDIS_HANDLE, u16, u8, u8, u8) -> NDIS_STATUS);
        let probe = import!(NdisMQueryProbedBars: fn(NDIS_HANDLE, *mut u32) -> NDIS_STATUS);
        let read = import!(NdisMGetVirtualFunctionBusData: fn(NDIS_HANDLE, u16, *mut c_void, u32, u32) -> u32);
        let mut bars = [0; 6];
        // SAFETY: there is room for six words; the others take no memory.
        unsafe {
            assert_eq!(enable(adapter, 1, 0, 0, 1), NDIS_STATUS_NOT_SUPPORTED);
            assert_eq!(read(adapter, 0, std::ptr::null_mut(), 0, 4), 0);
            assert_eq!(probe(adapter, bars.as_mut_ptr()), NDIS_STATUS_SUCCESS);
        }
        // 4 KiB of 64-bit memory twice, and 32 ports.
        let memory = (!0xfff | 4, u32::MAX);
        assert_eq!((bars[0], bars[1]), memory);
        assert_eq!((bars[2], bars[3]), memory);
        assert_eq!(bars[4], !31 | 1);
        assert_eq!(hardware::hardware().read_word(hardware::card::STATUS), 0);
    }));
}

#[test]
fn a_removed_device_is_forgotten() {
    holds!(|| {
        let (driver, device) = hardware::plug(Plan::default());
        pnp::remove_device(device);
        pnp::unload_driver(driver);
    });
}
