//! Who asks: rules 158, 178 to 182.

use ndis_host::ndis::api::{self, OidRequest};
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, OID_GEN_VENDOR_DESCRIPTION, OID_GEN_VENDOR_ID,
    OID_PNP_SET_POWER,
};

use super::set;
use crate::bench::ONE_SECOND;
use crate::desk::{Desk, Hooks, serve};
use crate::native::{breaks, holds};

/// Hooks of a NIC that takes its time.
const SLOW: Hooks = Hooks {
    oid: |desk, request| {
        desk.complete_later(request, serve(request));
        NDIS_STATUS_PENDING
    },
    ..Hooks::GOOD
};

#[test]
fn r158_breaks_when_a_pending_request_is_sent_again() {
    breaks!(158, || {
        let desk = Desk::start(SLOW).desk;
        let mut request = OidRequest::query(OID_GEN_VENDOR_ID, 4);
        let request = request.as_ref();
        for _ in 0..64 {
            let _ = api::oid_request_async(desk.binding(), request);
        }
    });
}

/// Keeps 155, 158 and 180: many requests, each completed once, never two at the NIC.
#[test]
fn r155_holds_when_many_requests_are_pending() {
    holds!(|| {
        let desk = Desk::start(Hooks {
            oid: |desk, request| {
                let others = desk.with(|log| {
                    log.running += 1;
                    log.running
                });
                assert_eq!(others, 1, "NDIS sends one request at a time");
                let status = serve(request);
                sched::spawn("the NIC's OID thread", move || {
                    sched::sleep(1 + sched::random_below(1000));
                    desk.with(|log| log.running -= 1);
                    api::oid_complete(desk.adapter(), request, status);
                });
                NDIS_STATUS_PENDING
            },
            ..Hooks::GOOD
        })
        .desk;
        let mut requests: Vec<_> = (0..20)
            .map(|_| OidRequest::query(OID_GEN_VENDOR_ID, 4))
            .collect();
        let mut pending = Vec::new();
        for request in &mut requests {
            let request = request.as_ref();
            if api::oid_request_async(desk.binding(), request) == NDIS_STATUS_PENDING {
                pending.push((request.0.addr(), NDIS_STATUS_SUCCESS));
            }
        }
        let done = || desk.with(|log| log.completions.len() == pending.len());
        sched::wait("the requests", done, Some(ONE_SECOND));
        let mut told = desk.with(|log| log.completions.clone());
        told.sort_unstable();
        pending.sort_unstable();
        assert_eq!(told, pending, "each is completed once");
    });
}

fn pending_request(spoil: fn(&mut OidRequest)) {
    let desk = Desk::start(Hooks {
        oid: |desk, request| {
            let status = serve(request);
            sched::spawn("the NIC's OID thread", move || {
                sched::sleep(ONE_SECOND);
                api::oid_complete(desk.adapter(), request, status);
            });
            NDIS_STATUS_PENDING
        },
        ..Hooks::GOOD
    })
    .desk;
    let binding = desk.binding();
    // By seed a request ends inside of its call; one of these does not.
    let mut requests: Vec<_> = (0..16)
        .map(|_| OidRequest::query(OID_GEN_VENDOR_DESCRIPTION, 64))
        .collect();
    for request in &mut requests {
        if api::oid_request_async(binding, request.as_ref()) == NDIS_STATUS_PENDING {
            spoil(request);
        }
    }
    sched::sleep(30 * ONE_SECOND);
}

#[test]
fn r179_breaks_when_a_pending_request_is_changed() {
    breaks!(179, || pending_request(|request| {
        // SAFETY: the request is alive, though NDIS's now.
        unsafe {
            (*request.as_ref().0)
                .DATA
                .QUERY_INFORMATION
                .InformationBufferLength = 8;
        }
    }));
}

#[test]
fn r179_holds_when_a_pending_request_is_left_alone() {
    holds!(|| pending_request(|_| {}));
}

#[test]
fn r182_breaks_when_a_protocol_sets_the_power() {
    breaks!(182, || {
        let desk = Desk::start(Hooks {
            oid: |_, request| match request.oid() {
                OID_PNP_SET_POWER => {
                    request.set_read(4);
                    NDIS_STATUS_SUCCESS
                }
                _ => serve(request),
            },
            ..Hooks::GOOD
        })
        .desk;
        set(desk.binding(), OID_PNP_SET_POWER, &4u32.to_le_bytes());
    });
}

/// Keeps 178: requests in every state of a binding that has opened.
#[test]
fn r178_holds_in_every_state_of_an_open_binding() {
    holds!(|| {
        let started = Desk::start(Hooks {
            bind: |desk, bind, parameters| {
                let status = desk.open(bind, parameters);
                ask(desk);
                status
            },
            unbind: |desk, _| {
                ask(desk);
                desk.close()
            },
            event: |desk, binding, _| {
                if binding.is_some() {
                    ask(desk);
                }
                NDIS_STATUS_SUCCESS
            },
            ..Hooks::GOOD
        });
        pnp::pause_stack(started.device);
        ask(started.desk);
        pnp::restart_stack(started.device);
        pnp::remove_device(started.device);
    });
}

fn ask(desk: &Desk) {
    let mut word = [0; 4];
    api::oid_query(desk.binding(), OID_GEN_VENDOR_ID, &mut word).expect("it is answered");
}
