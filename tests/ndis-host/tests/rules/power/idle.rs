//! Selective suspend.

use std::sync::atomic::{AtomicBool, Ordering};

use ndis_host::ndis::api;
use ndis_host::pnp;
use ndis_sys::{
    BOOLEAN, DRIVER_OBJECT, NDIS_HANDLE, NDIS_MINIPORT_SS_CHARACTERISTICS,
    NDIS_MINIPORT_SS_CHARACTERISTICS_REVISION_1, NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS,
    NDIS_OID_REQUEST, NDIS_SIZEOF_MINIPORT_SS_CHARACTERISTICS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NTSTATUS, NdisDeviceStateD0, NdisDeviceStateD3,
    STATUS_SUCCESS, UNICODE_STRING, Zeroed,
};

use crate::bench::frame;
use crate::card::{Fault, Power, card};
use crate::native::linked::{import, miniport_characteristics, register_miniport};
use crate::native::nic::MAC;
use crate::native::{breaks, holds};

/// The card idles for a while, if it likes.
fn suspend(fault: Fault, force: bool) {
    let (_, _, device) = card(fault, Power::Running);
    if pnp::suspend_idle(device, force) {
        pnp::wake_idle(device);
    }
}

#[test]
fn r264_holds_when_an_idle_card_is_suspended_and_woken() {
    holds!(|| {
        let (card, stack, device) = card(Fault::None, Power::Running);
        assert!(pnp::suspend_idle(device, false));
        assert_eq!(card.log().powers, [NdisDeviceStateD3]);
        pnp::wake_idle(device);
        assert_eq!(card.log().powers, [NdisDeviceStateD3, NdisDeviceStateD0]);
        card.receive(&frame(MAC));
        stack.send(&[frame([0xff; 6])]);
    });
}

#[test]
fn r264_holds_when_a_suspended_card_is_woken_for_a_sleep() {
    holds!(|| {
        let (card, _, device) = card(Fault::None, Power::Paused);
        assert!(pnp::suspend_idle(device, true));
        pnp::sleep_device(device);
        pnp::resume_device(device).expect("it resumes");
        pnp::settle();
        let (low, on) = (NdisDeviceStateD3, NdisDeviceStateD0);
        assert_eq!(card.log().powers, [low, on, low, on]);
    });
}

#[test]
fn r264_holds_when_a_busy_card_refuses() {
    holds!(|| {
        let (card, stack, device) = card(Fault::None, Power::Running);
        card.keep_a_send_of(stack);
        assert!(!pnp::suspend_idle(device, false));
        assert!(card.log().powers.is_empty());
    });
}

#[test]
fn r264_breaks_when_an_idle_notification_succeeds() {
    breaks!(264, || suspend(Fault::IdleSucceeds, false));
}

#[test]
fn r264_breaks_when_a_forced_card_is_busy() {
    breaks!(264, || suspend(Fault::IdleBusyWhenForced, true));
}

#[test]
fn r264_breaks_when_idleness_is_confirmed_twice() {
    breaks!(264, || suspend(Fault::ConfirmsTwice, false));
}

#[test]
fn r264_breaks_when_full_power_is_confirmed() {
    breaks!(264, || suspend(Fault::ConfirmsD0, false));
}

#[test]
fn r264_breaks_when_an_idle_notification_is_completed_that_there_was_not() {
    breaks!(264, || {
        let (card, ..) = card(Fault::None, Power::Running);
        api::idle_complete(card.adapter());
    });
}

/// A driver that registers handlers for selective suspend: both, and no synchronous requests.
struct Registration {
    both: bool,
    synchronous: bool,
}

/// Loads a driver whose SetOptions registers them, and unloads it.
fn register(registration: Registration) {
    static BOTH: AtomicBool = AtomicBool::new(true);
    static SYNCHRONOUS: AtomicBool = AtomicBool::new(false);

    unsafe extern "efiapi" fn notify(_context: NDIS_HANDLE, _force: BOOLEAN) -> NDIS_STATUS {
        NDIS_STATUS_PENDING
    }
    unsafe extern "efiapi" fn cancel(_context: NDIS_HANDLE) {}
    unsafe extern "efiapi" fn serve(
        _context: NDIS_HANDLE,
        _request: *mut NDIS_OID_REQUEST,
    ) -> NDIS_STATUS {
        NDIS_STATUS_SUCCESS
    }
    unsafe extern "efiapi" fn set_options(
        driver: NDIS_HANDLE,
        _context: NDIS_HANDLE,
    ) -> NDIS_STATUS {
        type Handlers = NDIS_MINIPORT_SS_CHARACTERISTICS;
        let set = import!(NdisSetOptionalHandlers: fn(NDIS_HANDLE, *mut Handlers) -> NDIS_STATUS);
        let mut given = Handlers::zeroed();
        given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS;
        given.Header.Revision = NDIS_MINIPORT_SS_CHARACTERISTICS_REVISION_1;
        given.Header.Size = NDIS_SIZEOF_MINIPORT_SS_CHARACTERISTICS_REVISION_1;
        given.IdleNotificationHandler = Some(notify);
        if BOTH.load(Ordering::Relaxed) {
            given.CancelIdleNotificationHandler = Some(cancel);
        }
        // SAFETY: the handle is the driver's, the structure a local.
        unsafe { set(driver, &raw mut given) }
    }
    unsafe extern "efiapi" fn entry(
        object: *mut DRIVER_OBJECT,
        path: *mut UNICODE_STRING,
    ) -> NTSTATUS {
        let mut given = miniport_characteristics();
        given.SetOptionsHandler = Some(set_options);
        if SYNCHRONOUS.load(Ordering::Relaxed) {
            given.SynchronousOidRequestHandler = Some(serve);
        }
        // SAFETY: in DriverEntry, with its arguments.
        match unsafe { register_miniport(object, path, given) } {
            Ok(_) => STATUS_SUCCESS,
            Err(status) => status,
        }
    }

    BOTH.store(registration.both, Ordering::Relaxed);
    SYNCHRONOUS.store(registration.synchronous, Ordering::Relaxed);
    if let Ok(driver) = pnp::load_linked_driver("IDLER", entry) {
        pnp::unload_driver(driver);
    }
}

#[test]
fn r264_breaks_when_one_handler_is_missing() {
    breaks!(264, || register(Registration {
        both: false,
        synchronous: false
    }));
}

#[test]
fn r264_breaks_when_there_are_synchronous_requests_as_well() {
    breaks!(264, || register(Registration {
        both: true,
        synchronous: true
    }));
}

#[test]
fn r264_holds_when_both_handlers_are_registered() {
    holds!(|| register(Registration {
        both: true,
        synchronous: false
    }));
}
