//! What particular OIDs answer: rules 159, 164, 170 to 177.

use std::sync::atomic::{AtomicU64, Ordering};

use ndis_host::ndis::api;
use ndis_host::ndis::native::OidRequestRef;
use ndis_host::ndis::sweeps::{self, OidSweep};
use ndis_sys::{
    NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_SOURCE_ROUTING, NDIS_STATUS_FAILURE,
    NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
    NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_INTERRUPT_MODERATION, OID_GEN_STATISTICS, OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_ID, OID_GEN_XMIT_OK, OID_OFFLOAD_ENCAPSULATION, OID_PNP_SET_POWER,
};

use super::{query, set};
use crate::desk::{Desk, Hooks, bytes_of, serve, statistics};
use crate::native::{breaks, holds};
use crate::status::with_offload;

/// A desk whose NIC serves requests by `hook`.
fn desk(hook: fn(&'static Desk, OidRequestRef) -> i32) -> &'static Desk {
    Desk::start(Hooks {
        oid: hook,
        ..Hooks::GOOD
    })
    .desk
}

fn set_power(status: fn() -> i32) {
    static STATUS: AtomicU64 = AtomicU64::new(0);
    STATUS.store(status() as u32 as u64, Ordering::Relaxed);
    let desk = desk(|_, request| match request.oid() {
        OID_PNP_SET_POWER => {
            request.set_read(4);
            STATUS.load(Ordering::Relaxed) as i32
        }
        _ => serve(request),
    });
    api::set_by_ndis(desk.adapter(), OID_PNP_SET_POWER, &4u32.to_le_bytes());
}

#[test]
fn r159_breaks_when_set_power_fails() {
    breaks!(159, || set_power(|| NDIS_STATUS_FAILURE));
}

#[test]
fn r159_holds_when_set_power_is_not_accepted() {
    holds!(|| set_power(|| NDIS_STATUS_NOT_ACCEPTED));
}

fn sweep(hook: fn(&'static Desk, OidRequestRef) -> i32) {
    let desk = desk(hook);
    let made = sweeps::oids(desk.adapter(), OidSweep { unlisted_one_in: 4 });
    assert!(made > 1000, "{made} requests");
}

#[test]
fn r164_breaks_when_an_unknown_oid_fails_otherwise() {
    breaks!(164, || sweep(|_, request| match serve(request) {
        NDIS_STATUS_NOT_SUPPORTED => NDIS_STATUS_FAILURE,
        status => status,
    }));
}

#[test]
fn r037_breaks_when_an_oid_is_served_that_is_not_listed() {
    breaks!(37, || sweep(|_, request| match request.oid() >> 16 {
        0xff00 => NDIS_STATUS_SUCCESS,
        _ => serve(request),
    }));
}

#[test]
fn r174_breaks_when_a_mandatory_oid_is_not_served() {
    breaks!(174, || sweep(|_, request| match request.oid() {
        OID_GEN_VENDOR_ID => NDIS_STATUS_NOT_SUPPORTED,
        _ => serve(request),
    }));
}

/// Keeps 37, 164, 170, 171, 174, 175 and 176.
#[test]
fn r164_holds_when_everything_is_asked() {
    holds!(|| sweep(|_, request| serve(request)));
}

#[test]
fn r170_breaks_when_a_counter_has_no_short_form() {
    breaks!(170, || {
        let desk = desk(|_, request| match request.oid() {
            OID_GEN_XMIT_OK => {
                if request.write(&7u64.to_le_bytes()) {
                    NDIS_STATUS_SUCCESS
                } else {
                    ndis_sys::NDIS_STATUS_INVALID_LENGTH
                }
            }
            _ => serve(request),
        });
        query(desk.binding(), OID_GEN_XMIT_OK, 4);
    });
}

#[test]
fn r170_breaks_when_a_fast_adapter_counts_with_32_bits() {
    breaks!(170, || {
        let desk = desk(|_, request| match request.oid() {
            OID_GEN_XMIT_OK => {
                request.write(&7u32.to_le_bytes());
                NDIS_STATUS_SUCCESS
            }
            _ => serve(request),
        });
        query(desk.binding(), OID_GEN_XMIT_OK, 8);
    });
}

#[test]
fn r170_holds_in_every_form() {
    holds!(|| {
        let desk = desk(|_, request| serve(request));
        for room in [0, 3, 4, 7, 8, 9] {
            query(desk.binding(), OID_GEN_XMIT_OK, room);
        }
    });
}

fn count(hook: fn(&'static Desk, OidRequestRef) -> i32) {
    let desk = desk(hook);
    for _ in 0..2 {
        query(desk.binding(), OID_GEN_STATISTICS, 256);
    }
}

#[test]
fn r171_breaks_when_a_counter_goes_back() {
    breaks!(171, || count(|_, request| match request.oid() {
        OID_GEN_STATISTICS => {
            static LEFT: AtomicU64 = AtomicU64::new(9);
            let info = statistics(LEFT.fetch_sub(1, Ordering::Relaxed));
            request.write(&bytes_of(&info));
            NDIS_STATUS_SUCCESS
        }
        _ => serve(request),
    }));
}

#[test]
fn r171_breaks_when_a_counter_is_not_valid() {
    breaks!(171, || count(|_, request| match request.oid() {
        OID_GEN_STATISTICS => {
            let mut info = statistics(9);
            info.SupportedStatistics &= !1;
            request.write(&bytes_of(&info));
            NDIS_STATUS_SUCCESS
        }
        _ => serve(request),
    }));
}

#[test]
fn r171_holds_when_counters_only_grow() {
    holds!(|| count(|_, request| match request.oid() {
        OID_GEN_STATISTICS => {
            static NEXT: AtomicU64 = AtomicU64::new(9);
            let info = statistics(NEXT.fetch_add(1, Ordering::Relaxed));
            request.write(&bytes_of(&info));
            NDIS_STATUS_SUCCESS
        }
        _ => serve(request),
    }));
}

/// Sets a filter that the NIC has not declared, and one that it has.
fn filter(hook: fn(&'static Desk, OidRequestRef) -> i32) {
    let desk = desk(hook);
    for filter in [NDIS_PACKET_TYPE_SOURCE_ROUTING, NDIS_PACKET_TYPE_DIRECTED] {
        set(
            desk.binding(),
            OID_GEN_CURRENT_PACKET_FILTER,
            &filter.to_le_bytes(),
        );
    }
}

#[test]
fn r172_breaks_when_an_unknown_filter_is_taken() {
    breaks!(172, || filter(|_, request| serve(request)));
}

#[test]
fn r172_holds_when_an_unknown_filter_is_refused() {
    holds!(|| filter(|_, request| {
        let unknown = request.input().first() == Some(&(NDIS_PACKET_TYPE_SOURCE_ROUTING as u8));
        match request.oid() {
            OID_GEN_CURRENT_PACKET_FILTER if unknown => NDIS_STATUS_NOT_SUPPORTED,
            _ => serve(request),
        }
    }));
}

#[test]
fn r175_breaks_when_moderation_is_set_that_is_not_there() {
    breaks!(175, || {
        let desk = desk(|_, request| match request.oid() {
            OID_GEN_INTERRUPT_MODERATION if !request.input().is_empty() => {
                request.set_read(4);
                NDIS_STATUS_SUCCESS
            }
            _ => serve(request),
        });
        query(desk.binding(), OID_GEN_INTERRUPT_MODERATION, 64);
        set(desk.binding(), OID_GEN_INTERRUPT_MODERATION, &[0; 12]);
    });
}

#[test]
fn r175_holds_when_moderation_is_refused() {
    holds!(|| {
        let desk = desk(|_, request| serve(request));
        query(desk.binding(), OID_GEN_INTERRUPT_MODERATION, 64);
        set(desk.binding(), OID_GEN_INTERRUPT_MODERATION, &[0; 12]);
    });
}

#[test]
fn r176_breaks_when_a_name_has_no_end() {
    breaks!(176, || {
        let desk = desk(|_, request| match request.oid() {
            OID_GEN_VENDOR_DESCRIPTION => {
                request.write(b"endless");
                NDIS_STATUS_SUCCESS
            }
            _ => serve(request),
        });
        query(desk.binding(), OID_GEN_VENDOR_DESCRIPTION, 64);
    });
}

#[test]
fn r177_breaks_when_new_offload_settings_are_not_told() {
    breaks!(177, || {
        let desk = desk(|_, request| match request.oid() {
            OID_OFFLOAD_ENCAPSULATION => {
                request.set_read(request.input().len() as u32);
                NDIS_STATUS_SUCCESS
            }
            _ => serve(request),
        });
        set(desk.binding(), OID_OFFLOAD_ENCAPSULATION, &[0; 28]);
    });
}

#[test]
fn r177_holds_when_new_offload_settings_are_told() {
    holds!(|| {
        let desk = Desk::start(Hooks {
            attributes: with_offload,
            oid: |desk, request| match request.oid() {
                OID_OFFLOAD_ENCAPSULATION => {
                    let config = with_offload().offload.expect("it has").current;
                    let code = NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG;
                    api::indicate_status(desk.adapter(), code, &bytes_of(&config));
                    request.set_read(request.input().len() as u32);
                    NDIS_STATUS_SUCCESS
                }
                _ => serve(request),
            },
            ..Hooks::GOOD
        })
        .desk;
        set(desk.binding(), OID_OFFLOAD_ENCAPSULATION, &[0; 28]);
    });
}
