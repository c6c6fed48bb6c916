//! NetPnP events: rules 241 and 248 to 253.

use ndis_host::ndis::api;
use ndis_host::ndis::native::BindingHandle;
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING,
    NDIS_STATUS_SUCCESS, NET_PNP_EVENT_NOTIFICATION, NetEventCancelRemoveDevice, NetEventPause,
    NetEventQueryRemoveDevice, NetEventRestart,
};

use crate::desk::{Desk, Hooks};
use crate::native::linked::import;
use crate::native::{breaks, holds};

/// Completes a pause as often as `times` says, in a thread; answers all else at once.
fn answer_later(
    desk: &'static Desk,
    event: &NET_PNP_EVENT_NOTIFICATION,
    status: i32,
    times: u32,
) -> i32 {
    if event.NetPnPEvent.NetEvent != NetEventPause {
        return NDIS_STATUS_SUCCESS;
    }
    let binding = desk.binding();
    let address = std::ptr::from_ref(event).expose_provenance();
    sched::spawn("who answers the event", move || {
        sched::sleep(1000);
        for _ in 0..times {
            complete(binding, address, status);
        }
    });
    NDIS_STATUS_PENDING
}

fn complete(binding: BindingHandle, address: usize, status: i32) {
    let complete = import!(NdisCompleteNetPnPEvent: fn(
        NDIS_HANDLE, *mut NET_PNP_EVENT_NOTIFICATION, i32));
    let handle = std::ptr::without_provenance_mut(binding.0 as usize);
    let event = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: NDIS compares the address; it does not look behind it.
    unsafe { complete(handle, event, status) }
}

/// Pauses and restarts a binding that answers as `event` does.
fn pause_with(
    event: fn(&'static Desk, Option<usize>, &NET_PNP_EVENT_NOTIFICATION) -> i32,
) -> &'static Desk {
    let started = Desk::start(Hooks {
        event,
        ..Hooks::GOOD
    });
    for _ in 0..60 {
        pnp::pause_stack(started.device);
        pnp::restart_stack(started.device);
    }
    started.desk
}

#[test]
fn r248_breaks_when_a_pause_is_refused() {
    breaks!(248, || {
        pause_with(|_, _, event| match event.NetPnPEvent.NetEvent {
            NetEventPause => NDIS_STATUS_FAILURE,
            _ => NDIS_STATUS_SUCCESS,
        });
    });
}

#[test]
fn r248_breaks_when_an_unknown_event_is_not_supported() {
    breaks!(248, || {
        pause_with(|_, _, event| match event.NetPnPEvent.NetEvent {
            0..0x100 => NDIS_STATUS_SUCCESS,
            _ => NDIS_STATUS_NOT_SUPPORTED,
        });
    });
}

#[test]
fn r249_breaks_when_an_event_is_completed_twice() {
    breaks!(249, || {
        pause_with(|desk, _, event| answer_later(desk, event, NDIS_STATUS_SUCCESS, 2));
        sched::sleep(crate::bench::ONE_SECOND);
    });
}

#[test]
fn r249_breaks_when_an_event_is_completed_with_pending() {
    breaks!(249, || {
        pause_with(|desk, _, event| answer_later(desk, event, NDIS_STATUS_PENDING, 1));
    });
}

#[test]
fn r249_breaks_when_an_event_is_completed_and_returned() {
    breaks!(249, || {
        pause_with(|desk, binding, event| {
            if binding.is_some() && event.NetPnPEvent.NetEvent == NetEventPause {
                let address = std::ptr::from_ref(event).expose_provenance();
                complete(desk.binding(), address, NDIS_STATUS_SUCCESS);
            }
            NDIS_STATUS_SUCCESS
        });
    });
}

/// Keeps 248 to 251.
#[test]
fn r249_holds_when_an_event_is_completed_later() {
    holds!(|| {
        let desk = pause_with(|desk, _, event| answer_later(desk, event, NDIS_STATUS_SUCCESS, 1));
        let events = desk.with(|log| log.events.clone());
        let count = |code| events.iter().filter(|event| **event == code).count();
        assert!(count(NetEventPause) >= 60);
        assert!(count(NetEventRestart) >= 61);
    });
}

/// NdisReEnumerateProtocolBindings, once the handle is known.
fn re_enumerate(desk: &Desk) {
    let Some(handle) = desk.protocol() else {
        return;
    };
    let re_enumerate = import!(NdisReEnumerateProtocolBindings: fn(NDIS_HANDLE));
    // SAFETY: the handle is that of the protocol.
    unsafe { re_enumerate(std::ptr::without_provenance_mut(handle.0 as usize)) }
}

#[test]
fn r241_breaks_when_bindings_are_enumerated_in_an_event_of_one() {
    breaks!(241, || {
        pause_with(|desk, binding, _| {
            if binding.is_some() {
                re_enumerate(desk);
            }
            NDIS_STATUS_SUCCESS
        });
    });
}

#[test]
fn r241_holds_when_bindings_are_enumerated_by_a_thread() {
    holds!(|| {
        let desk = pause_with(|_, _, _| NDIS_STATUS_SUCCESS);
        re_enumerate(desk);
        pnp::settle();
        assert!(api::oid_query(desk.binding(), ndis_sys::OID_GEN_VENDOR_ID, &mut [0; 4]).is_ok());
    });
}

#[test]
fn r253_holds_when_a_removal_is_refused_or_called_off() {
    holds!(|| {
        let started = Desk::start(Hooks {
            event: |_, _, event| match event.NetPnPEvent.NetEvent {
                NetEventQueryRemoveDevice => NDIS_STATUS_FAILURE,
                _ => NDIS_STATUS_SUCCESS,
            },
            ..Hooks::GOOD
        });
        pnp::query_and_cancel_removal(started.device);
        let events = started.desk.with(|log| log.events.clone());
        let last = [NetEventQueryRemoveDevice, NetEventCancelRemoveDevice];
        assert!(events.ends_with(&last), "{events:?}");
        pnp::remove_device(started.device);
    });
}

#[test]
fn r248_breaks_when_a_removal_may_not_be_called_off() {
    breaks!(248, || {
        let started = Desk::start(Hooks {
            event: |_, _, event| match event.NetPnPEvent.NetEvent {
                NetEventCancelRemoveDevice => NDIS_STATUS_FAILURE,
                _ => NDIS_STATUS_SUCCESS,
            },
            ..Hooks::GOOD
        });
        pnp::query_and_cancel_removal(started.device);
    });
}
