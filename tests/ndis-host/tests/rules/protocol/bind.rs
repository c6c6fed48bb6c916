//! Bind, open, close, unbind: rules 229 to 240.

use std::sync::atomic::{AtomicU64, Ordering};

use ndis_host::ndis::api;
use ndis_host::ndis::native::{BindContext, UnbindContext};
use ndis_host::ndis::{AdapterState, BindingState, adapter_report};
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    NDIS_HANDLE, NDIS_OPEN_PARAMETERS, NDIS_PACKET_TYPE_DIRECTED, NDIS_STATUS,
    NDIS_STATUS_NOT_RECOGNIZED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
};

use crate::bench::ONE_SECOND;
use crate::desk::{Desk, Hooks, serve};
use crate::native::linked::import;
use crate::native::{breaks, holds};

/// Opens, and completes the bind as often as `times` says, in a thread.
fn bind_later(desk: &'static Desk, bind: BindContext, status: NDIS_STATUS, times: u32) -> i32 {
    sched::spawn("who completes the bind", move || {
        sched::sleep(1000);
        for _ in 0..times {
            api::complete_bind(bind, status);
        }
        let _ = desk;
    });
    NDIS_STATUS_PENDING
}

#[test]
fn r229_breaks_when_an_adapter_is_opened_outside_of_bind() {
    breaks!(229, || {
        static BIND: AtomicU64 = AtomicU64::new(0);
        let started = Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                BIND.store(bind.0, Ordering::Relaxed);
                desk.open(bind, parameters)
            },
            ..Hooks::GOOD
        });
        let open = import!(NdisOpenAdapterEx: fn(
            NDIS_HANDLE, NDIS_HANDLE, *mut NDIS_OPEN_PARAMETERS, NDIS_HANDLE, *mut NDIS_HANDLE,
        ) -> NDIS_STATUS);
        let handle = started.desk.protocol().map_or(0, |handle| handle.0);
        let protocol = std::ptr::without_provenance_mut(handle as usize);
        let bind = std::ptr::without_provenance_mut(BIND.load(Ordering::Relaxed) as usize);
        let mut binding = std::ptr::null_mut();
        let none = std::ptr::null_mut();
        // SAFETY: NDIS looks at its handles first.
        let _ = unsafe { open(protocol, none, none.cast(), bind, &raw mut binding) };
    });
}

#[test]
fn r229_breaks_when_an_adapter_is_opened_twice() {
    breaks!(229, || {
        Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                desk.open(bind, parameters);
                desk.open(bind, parameters)
            },
            ..Hooks::GOOD
        });
    });
}

#[test]
fn r232_breaks_when_a_bind_is_completed_twice() {
    breaks!(232, || {
        Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                desk.open(bind, parameters);
                bind_later(desk, bind, NDIS_STATUS_SUCCESS, 2)
            },
            ..Hooks::GOOD
        });
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r232_breaks_when_a_bind_is_completed_and_returned() {
    breaks!(232, || {
        Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                let status = desk.open(bind, parameters);
                api::complete_bind(bind, status);
                status
            },
            ..Hooks::GOOD
        });
    });
}

/// Keeps 229 to 232 and 235.
#[test]
fn r232_holds_when_a_bind_is_completed_later() {
    holds!(|| {
        let started = Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                desk.open(bind, parameters);
                bind_later(desk, bind, NDIS_STATUS_SUCCESS, 1)
            },
            ..Hooks::GOOD
        });
        let report = adapter_report(started.desk.adapter()).expect("it is there");
        assert_eq!(report.state, AdapterState::Running);
        assert_eq!(report.bindings[0].state, BindingState::Running);
        pnp::remove_device(started.device);
        pnp::remove_native_protocol(started.protocol);
    });
}

#[test]
fn r233_holds_when_an_adapter_is_declined() {
    holds!(|| {
        let started = Desk::start(Hooks {
            bind: |_, _, _| NDIS_STATUS_NOT_RECOGNIZED,
            ..Hooks::GOOD
        });
        let report = adapter_report(started.desk.adapter()).expect("it is there");
        assert!(report.bindings.is_empty());
    });
}

#[test]
fn r234_breaks_when_a_failed_bind_leaves_the_adapter_open() {
    breaks!(234, || {
        Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                desk.open(bind, parameters);
                NDIS_STATUS_NOT_RECOGNIZED
            },
            ..Hooks::GOOD
        });
    });
}

#[test]
fn r234_holds_when_a_failed_bind_closes_the_adapter() {
    holds!(|| {
        Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                desk.open(bind, parameters);
                desk.close();
                NDIS_STATUS_NOT_RECOGNIZED
            },
            ..Hooks::GOOD
        });
    });
}

#[test]
fn r235_breaks_when_a_bind_succeeds_without_an_open() {
    breaks!(235, || {
        Desk::start(Hooks {
            bind: |_, _, _| NDIS_STATUS_SUCCESS,
            ..Hooks::GOOD
        });
    });
}

/// What NDIS does: a filter begins with 0, and ends with its binding.
#[test]
fn r236_holds_since_a_binding_begins_without_filter() {
    holds!(|| {
        let started = Desk::start(Hooks {
            unbind: |desk, _| {
                api::set_packet_filter(desk.binding(), 0).expect("a filter of 0 is accepted");
                desk.close()
            },
            ..Hooks::GOOD
        });
        for _ in 0..3 {
            let desk = started.desk;
            let filter = || adapter_report(desk.adapter()).map_or(1, |r| r.packet_filter);
            assert_eq!(filter(), 0);
            api::set_packet_filter(desk.binding(), NDIS_PACKET_TYPE_DIRECTED).expect("accepted");
            assert_eq!(filter(), NDIS_PACKET_TYPE_DIRECTED);
            pnp::set_binding(started.protocol, started.device, false);
            assert_eq!(filter(), 0);
            pnp::set_binding(started.protocol, started.device, true);
            pnp::settle();
        }
    });
}

#[test]
fn r237_breaks_when_an_adapter_is_closed_at_will() {
    breaks!(237, || {
        Desk::start(Hooks::GOOD).desk.close();
    });
}

/// Keeps 237: NdisUnbindAdapter lets NDIS unbind.
#[test]
fn r237_holds_when_ndis_is_asked_to_unbind() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let binding = desk.binding();
        let unbind = import!(NdisUnbindAdapter: fn(NDIS_HANDLE) -> NDIS_STATUS);
        // SAFETY: the handle is that of the binding.
        let status = unsafe { unbind(std::ptr::without_provenance_mut(binding.0 as usize)) };
        assert_eq!(status, NDIS_STATUS_SUCCESS);
        let gone = || adapter_report(desk.adapter()).is_some_and(|r| r.bindings.is_empty());
        assert!(sched::wait("the unbind", gone, Some(ONE_SECOND)));
    });
}

#[test]
fn r238_breaks_when_a_wake_pattern_is_left() {
    breaks!(238, || close_after(|desk| {
        let add = ndis_sys::OID_PM_ADD_WOL_PATTERN;
        api::oid_set(desk.binding(), add, &[1; 8]).expect("it is taken");
    }));
}

#[test]
fn r238_holds_when_a_wake_pattern_is_removed() {
    holds!(|| close_after(|desk| {
        let binding = desk.binding();
        api::oid_set(binding, ndis_sys::OID_PM_ADD_WOL_PATTERN, &[1; 8]).expect("it is taken");
        api::oid_set(binding, ndis_sys::OID_PM_REMOVE_WOL_PATTERN, &[1; 4]).expect("it is taken");
    }));
}

/// Does something with a binding before it is closed in order.
fn close_after(body: fn(&'static Desk)) {
    let started = Desk::start(Hooks {
        oid: |_, request| match request.oid() {
            ndis_sys::OID_PM_ADD_WOL_PATTERN | ndis_sys::OID_PM_REMOVE_WOL_PATTERN => {
                request.set_read(request.input().len() as u32);
                NDIS_STATUS_SUCCESS
            }
            _ => serve(request),
        },
        ..Hooks::GOOD
    });
    body(started.desk);
    pnp::remove_device(started.device);
}

fn unbind_later(unbind: UnbindContext, times: u32) -> i32 {
    sched::spawn("who completes the unbind", move || {
        sched::sleep(1000);
        for _ in 0..times {
            api::complete_unbind(unbind);
        }
    });
    NDIS_STATUS_PENDING
}

#[test]
fn r240_breaks_when_an_unbind_is_completed_twice() {
    breaks!(240, || {
        let started = Desk::start(Hooks {
            unbind: |desk, unbind| {
                desk.close();
                unbind_later(unbind, 2)
            },
            ..Hooks::GOOD
        });
        pnp::remove_device(started.device);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r240_holds_when_an_unbind_is_completed_later() {
    holds!(|| {
        let started = Desk::start(Hooks {
            unbind: |desk, unbind| {
                desk.close();
                unbind_later(unbind, 1)
            },
            ..Hooks::GOOD
        });
        pnp::remove_device(started.device);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r308_breaks_when_an_unbind_never_ends() {
    breaks!(308, || {
        let started = Desk::start(Hooks {
            unbind: |desk, _| {
                desk.close();
                NDIS_STATUS_PENDING
            },
            ..Hooks::GOOD
        });
        pnp::remove_device(started.device);
    });
}
