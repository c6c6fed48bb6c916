//! Drivers that take part in the PnP of their device.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ndis_host::pnp;
use ndis_sys::{
    NDIS_HANDLE, NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_PNP_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES,
    NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_SUCCESS, Zeroed,
};

use crate::native::hardware::{self, Plan, calls};
use crate::native::{breaks, holds, linked};

static ADDED: AtomicUsize = AtomicUsize::new(0);
/// Calls of add, filter, start and remove.
static SEEN: [AtomicU32; 4] = [const { AtomicU32::new(0) }; 4];
static ADD_CONTEXT: u64 = 7;

fn added_context() -> NDIS_HANDLE {
    (&raw const ADD_CONTEXT).cast_mut().cast()
}

fn saw(index: usize) {
    SEEN[index].fetch_add(1, Ordering::Relaxed);
}

unsafe extern "efiapi" fn add_device(adapter: NDIS_HANDLE, _driver: NDIS_HANDLE) -> NDIS_STATUS {
    saw(0);
    ADDED.store(adapter.addr(), Ordering::Relaxed);
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    // SAFETY: the union is all zero, so each member is valid.
    let given = unsafe { &mut all.AddDeviceRegistrationAttributes };
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1;
    given.MiniportAddDeviceContext = added_context();
    calls::set_attributes(adapter, &mut all)
}

unsafe extern "efiapi" fn add_device_silently(
    _adapter: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
) -> NDIS_STATUS {
    NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn remove_device_silently(_context: NDIS_HANDLE) {}

unsafe extern "efiapi" fn remove_device(context: NDIS_HANDLE) {
    assert_eq!(context, added_context());
    saw(3);
}

unsafe extern "efiapi" fn start_device(
    context: NDIS_HANDLE,
    irp: *mut std::ffi::c_void,
) -> NDIS_STATUS {
    assert_eq!(context, added_context());
    assert_eq!(calls::minor_function(irp), 0);
    saw(2);
    NDIS_STATUS_SUCCESS
}

/// Asks for two messages, both on the last CPU.
unsafe extern "efiapi" fn filter(context: NDIS_HANDLE, irp: *mut std::ffi::c_void) -> NDIS_STATUS {
    assert_eq!(context, added_context());
    assert_eq!(calls::minor_function(irp), 0x0d);
    calls::ask_for_two_messages(irp, ndis_host::sched::cpu_count() - 1);
    saw(1);
    NDIS_STATUS_SUCCESS
}

fn with_add_device() -> Plan {
    Plan {
        set_options: Some(|driver| {
            let mut handlers = NDIS_MINIPORT_PNP_CHARACTERISTICS::zeroed();
            handlers.MiniportAddDeviceHandler = Some(add_device);
            handlers.MiniportRemoveDeviceHandler = Some(remove_device);
            handlers.MiniportStartDeviceHandler = Some(start_device);
            handlers.MiniportFilterResourceRequirementsHandler = Some(filter);
            linked::set_pnp_handlers(driver, handlers);
        }),
        ..Plan::default()
    }
}

#[test]
fn r051_holds_when_a_driver_follows_its_device_from_add_to_remove() {
    holds!(|| {
        let (driver, device) = hardware::plug(with_add_device());
        for _ in 0..2 {
            pnp::start_device(device).expect("it starts");
            pnp::settle();
            let adapter = hardware::hardware().adapter;
            assert_eq!(adapter, ADDED.load(Ordering::Relaxed));
            pnp::disable_device(device);
        }
        pnp::remove_device(device);
        pnp::unload_driver(driver);
        let seen = SEEN.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(seen, [1, 2, 2, 1]);
    });
}

#[test]
fn r051_breaks_when_add_device_gives_no_context() {
    breaks!(51, || hardware::attempt(Plan {
        set_options: Some(|driver| {
            let mut handlers = NDIS_MINIPORT_PNP_CHARACTERISTICS::zeroed();
            handlers.MiniportAddDeviceHandler = Some(add_device_silently);
            handlers.MiniportRemoveDeviceHandler = Some(remove_device_silently);
            linked::set_pnp_handlers(driver, handlers);
        }),
        ..Plan::default()
    }));
}

#[test]
fn r203_holds_when_a_requirements_filter_chooses_messages_and_cpus() {
    holds!(|| hardware::live(with_add_device(), |_| {
        let hardware = hardware::hardware();
        assert_eq!(hardware::bounds_of_message_table(&hardware), Some(2));
        let last = 1 << (ndis_host::sched::cpu_count() - 1);
        assert_eq!(calls::targets_of_messages(&hardware), [last, last]);
    }));
}

#[test]
fn r025_breaks_when_the_context_is_that_of_add_device() {
    breaks!(25, || hardware::attempt(Plan {
        registration: |given| given.MiniportAdapterContext = added_context(),
        ..with_add_device()
    }));
}
