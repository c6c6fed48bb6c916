//! How a miniport ends a request: rules 156 to 169.

use std::ptr;

use ndis_host::ndis::api;
use ndis_host::ndis::native::OidRequestRef;
use ndis_host::sched;
use ndis_sys::{
    NDIS_STATUS_FAILURE, NDIS_STATUS_INDICATION_REQUIRED, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_PENDING, NDIS_STATUS_REQUEST_ABORTED,
    NDIS_STATUS_SUCCESS, OID_802_3_DELETE_MULTICAST_ADDRESS, OID_GEN_LINK_PARAMETERS,
    OID_GEN_MAXIMUM_TOTAL_SIZE, OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES, OID_GEN_VENDOR_ID,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA,
};

use super::{query, set};
use crate::bench::{ONE_SECOND, bench};
use crate::desk::{Desk, Hooks, serve};
use crate::native::{breaks, holds, nic, stack};

/// Answers the vendor's number by `how`, and all else as it should.
macro_rules! answers {
    ($how:expr) => {
        Desk::start(Hooks {
            oid: |desk, request| {
                if request.oid() == OID_GEN_VENDOR_ID {
                    let how: fn(&'static Desk, OidRequestRef) -> i32 = $how;
                    how(desk, request)
                } else {
                    serve(request)
                }
            },
            ..Hooks::GOOD
        })
    };
}

#[test]
fn r156_breaks_when_an_oid_request_is_completed_twice() {
    breaks!(156, || {
        bench(nic::Fault::CompleteOidTwice, stack::Fault::None);
    });
}

#[test]
fn r156_breaks_when_a_request_is_completed_and_returned() {
    breaks!(156, || {
        let started = answers!(|desk, request| {
            let status = serve(request);
            api::oid_complete(desk.adapter(), request, status);
            status
        });
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
    });
}

#[test]
fn r156_breaks_when_a_request_is_completed_with_pending() {
    breaks!(156, || {
        let started = answers!(|desk, request| {
            api::oid_complete(desk.adapter(), request, NDIS_STATUS_PENDING);
            NDIS_STATUS_PENDING
        });
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
    });
}

#[test]
fn r156_holds_when_a_request_ends_inside_or_later() {
    holds!(|| {
        let started = answers!(|desk, request| {
            let status = serve(request);
            match sched::random_below(3) {
                0 => status,
                1 => {
                    api::oid_complete(desk.adapter(), request, status);
                    NDIS_STATUS_PENDING
                }
                _ => {
                    desk.complete_later(request, status);
                    NDIS_STATUS_PENDING
                }
            }
        });
        for _ in 0..10 {
            let status = query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
            assert_eq!(status, NDIS_STATUS_SUCCESS);
        }
    });
}

#[test]
fn r160_breaks_when_an_undo_request_fails() {
    breaks!(160, || {
        let started = Desk::start(Hooks {
            oid: |_, request| match request.oid() {
                OID_802_3_DELETE_MULTICAST_ADDRESS => NDIS_STATUS_FAILURE,
                _ => serve(request),
            },
            ..Hooks::GOOD
        });
        let binding = started.desk.binding();
        set(binding, OID_802_3_DELETE_MULTICAST_ADDRESS, &[1; 6]);
    });
}

#[test]
fn r160_holds_when_an_undo_request_is_not_accepted() {
    holds!(|| {
        let started = Desk::start(Hooks {
            oid: |_, request| match request.oid() {
                OID_802_3_DELETE_MULTICAST_ADDRESS => NDIS_STATUS_NOT_ACCEPTED,
                _ => serve(request),
            },
            ..Hooks::GOOD
        });
        let binding = started.desk.binding();
        set(binding, OID_802_3_DELETE_MULTICAST_ADDRESS, &[1; 6]);
    });
}

#[test]
fn r161_breaks_when_more_is_written_than_there_is_room() {
    breaks!(161, || {
        let started = answers!(|_, request| {
            request.set_written(8);
            NDIS_STATUS_SUCCESS
        });
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
    });
}

#[test]
fn r161_breaks_when_a_short_buffer_is_written_behind() {
    breaks!(161, || {
        let started = answers!(|_, request| {
            let buffer = request.information_buffer();
            // SAFETY: the host guards the buffers, so these bytes exist.
            unsafe { ptr::write_bytes(buffer, 0, 8) };
            request.set_written(4);
            NDIS_STATUS_SUCCESS
        });
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
    });
}

#[test]
fn r161_breaks_when_nothing_says_how_much_is_needed() {
    breaks!(161, || {
        let started = answers!(|_, _| NDIS_STATUS_INVALID_LENGTH);
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 2);
    });
}

#[test]
fn r161_holds_when_a_short_buffer_is_refused() {
    holds!(|| {
        let started = answers!(|_, request| serve(request));
        assert_ne!(
            query(started.desk.binding(), OID_GEN_VENDOR_ID, 2),
            NDIS_STATUS_SUCCESS
        );
    });
}

#[test]
fn r162_breaks_when_a_set_reads_nothing() {
    breaks!(162, || {
        let started = Desk::start(Hooks {
            oid: |_, request| match request.oid() {
                OID_GEN_LINK_PARAMETERS => NDIS_STATUS_SUCCESS,
                _ => serve(request),
            },
            ..Hooks::GOOD
        });
        set(started.desk.binding(), OID_GEN_LINK_PARAMETERS, &[0; 40]);
    });
}

#[test]
fn r162_holds_when_a_set_says_what_it_read() {
    holds!(|| {
        let started = Desk::start(Hooks {
            oid: |_, request| match request.oid() {
                OID_GEN_LINK_PARAMETERS => {
                    request.set_read(40);
                    NDIS_STATUS_SUCCESS
                }
                _ => serve(request),
            },
            ..Hooks::GOOD
        });
        set(started.desk.binding(), OID_GEN_LINK_PARAMETERS, &[0; 40]);
    });
}

/// A method request of which the NIC says that it has read `read` bytes.
fn method(hook: fn(&'static Desk, OidRequestRef) -> i32) {
    let started = Desk::start(Hooks {
        oid: hook,
        ..Hooks::GOOD
    });
    let mut buffer = [0; 16];
    let binding = started.desk.binding();
    let _ = api::oid_method(binding, OID_GEN_LINK_PARAMETERS, &mut buffer, 8);
}

#[test]
fn r163_breaks_when_a_method_reads_more_than_came() {
    breaks!(163, || method(|_, request| {
        request.set_read(9);
        NDIS_STATUS_SUCCESS
    }));
}

#[test]
fn r163_holds_when_a_method_reads_what_came() {
    holds!(|| method(|_, request| {
        request.set_read(8);
        NDIS_STATUS_SUCCESS
    }));
}

#[test]
fn r165_breaks_when_an_ethernet_request_waits_for_an_indication() {
    breaks!(165, || {
        let started = answers!(|_, _| NDIS_STATUS_INDICATION_REQUIRED);
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
    });
}

/// A request that is cancelled while the NIC has it; the NIC ends it with `status` then.
fn cancel(cancel_oid: fn(&'static Desk, usize)) -> i32 {
    let started = Desk::start(Hooks {
        oid: |desk, request| match request.oid() {
            OID_GEN_VENDOR_ID => desk.keep(request),
            _ => serve(request),
        },
        cancel_oid,
        ..Hooks::GOOD
    });
    let desk = started.desk;
    sched::spawn("who cancels", move || {
        sched::wait(
            "the request",
            || desk.with(|log| !log.kept.is_empty()),
            None,
        );
        let id = desk.with(|log| log.kept.last().map_or(0, |request| request.request_id()));
        api::cancel_oid(desk.binding(), id);
    });
    query(desk.binding(), OID_GEN_VENDOR_ID, 4)
}

#[test]
fn r166_breaks_when_a_cancelled_request_fails_otherwise() {
    breaks!(166, || {
        cancel(|desk, _| desk.complete_kept(NDIS_STATUS_FAILURE));
    });
}

#[test]
fn r166_breaks_when_a_cancel_is_not_obeyed() {
    breaks!(166, || {
        cancel(|_, _| {});
    });
}

#[test]
fn r166_holds_when_a_cancelled_request_is_aborted() {
    holds!(|| {
        let status = cancel(|desk, id| {
            let is_it = desk.with(|log| {
                let last = log.kept.last();
                last.is_some_and(|request| request.request_id() == id)
            });
            if is_it {
                desk.complete_kept(NDIS_STATUS_REQUEST_ABORTED);
            }
        });
        assert_eq!(status, NDIS_STATUS_REQUEST_ABORTED);
    });
}

/// Direct requests, several at a time, from DISPATCH_LEVEL.
fn direct(oid: u32, hook: fn(&'static Desk, OidRequestRef) -> i32) {
    let started = Desk::start(Hooks {
        direct: Some(hook),
        ..Hooks::GOOD
    });
    let desk = started.desk;
    let mut requests: Vec<_> = (0..4).map(|_| api::OidRequest::set(oid, &[1; 8])).collect();
    let mut pending = 0;
    for request in &mut requests {
        let old = sched::raise(sched::DISPATCH_LEVEL);
        let status = api::direct_oid_request(desk.binding(), request.as_ref());
        sched::lower(old);
        pending += usize::from(status == NDIS_STATUS_PENDING);
    }
    let done = || desk.with(|log| log.completions.len() == pending);
    sched::wait("the direct requests", done, Some(ONE_SECOND));
    assert!(done(), "{pending} are pending");
}

fn direct_by_chance(desk: &'static Desk, request: OidRequestRef) -> i32 {
    request.set_read(8);
    if sched::chance(2) {
        return NDIS_STATUS_SUCCESS;
    }
    sched::spawn("direct requests of the NIC", move || {
        api::direct_oid_complete(desk.adapter(), request, NDIS_STATUS_SUCCESS);
    });
    NDIS_STATUS_PENDING
}

#[test]
fn r167_breaks_when_a_direct_request_is_completed_and_returned() {
    breaks!(167, || direct(
        OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA,
        |desk, request| {
            request.set_read(8);
            api::direct_oid_complete(desk.adapter(), request, NDIS_STATUS_SUCCESS);
            NDIS_STATUS_SUCCESS
        }
    ));
}

#[test]
fn r167_breaks_when_a_regular_oid_goes_the_direct_way() {
    breaks!(167, || direct(OID_GEN_LINK_PARAMETERS, direct_by_chance));
}

#[test]
fn r167_holds_when_direct_requests_end_inside_or_later() {
    holds!(|| direct(OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA, direct_by_chance));
}

/// A synchronous request.
fn synchronous(hook: fn(&'static Desk, OidRequestRef) -> i32) {
    let started = Desk::start(Hooks {
        synchronous: Some(hook),
        ..Hooks::GOOD
    });
    let mut buffer = [0; 16];
    let binding = started.desk.binding();
    let oid = OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES;
    let _ = api::synchronous_oid(binding, oid, &mut buffer, 16);
}

#[test]
fn r168_breaks_when_a_synchronous_request_pends() {
    breaks!(168, || synchronous(|_, _| NDIS_STATUS_PENDING));
}

#[test]
fn r168_breaks_when_a_synchronous_request_is_aborted() {
    breaks!(168, || synchronous(|_, _| NDIS_STATUS_REQUEST_ABORTED));
}

#[test]
fn r168_holds_when_a_synchronous_request_ends() {
    holds!(|| synchronous(|_, request| {
        request.set_read(16);
        NDIS_STATUS_SUCCESS
    }));
}

#[test]
fn r169_breaks_when_a_buffer_is_written_after_the_completion() {
    breaks!(169, || {
        let started = answers!(|_, request| {
            let late = request.information_buffer().expose_provenance();
            sched::spawn("a late writer", move || {
                sched::sleep(ONE_SECOND);
                let buffer: *mut u8 = ptr::with_exposed_provenance_mut(late);
                // SAFETY: the host keeps the memory of requests for a while.
                unsafe { buffer.write(1) };
            });
            serve(request)
        });
        let binding = started.desk.binding();
        query(binding, OID_GEN_VENDOR_ID, 4);
        sched::sleep(2 * ONE_SECOND);
        query(binding, OID_GEN_MAXIMUM_TOTAL_SIZE, 4);
    });
}

#[test]
fn r169_breaks_when_the_originators_bytes_are_written() {
    breaks!(169, || {
        let started = answers!(|_, request| {
            // SAFETY: the request is ours until its completion, these bytes apart.
            unsafe { (*request.0).SourceReserved = [1; 16] };
            serve(request)
        });
        query(started.desk.binding(), OID_GEN_VENDOR_ID, 4);
    });
}

#[test]
fn r169_holds_when_only_the_miniports_bytes_are_written() {
    holds!(|| {
        let started = answers!(|_, request| {
            // SAFETY: the request is ours until its completion.
            unsafe { (*request.0).MiniportReserved = [1; 16] };
            serve(request)
        });
        let binding = started.desk.binding();
        query(binding, OID_GEN_VENDOR_ID, 4);
        query(binding, OID_GEN_MAXIMUM_TOTAL_SIZE, 4);
    });
}
