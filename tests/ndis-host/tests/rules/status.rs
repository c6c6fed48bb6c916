//! 1.K: status indications.

use ndis_host::ndis::api::{self, AdapterAttributes, OffloadAttributes};
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    MediaConnectStateConnected, MediaConnectStateDisconnected, MediaDuplexStateFull,
    MediaDuplexStateUnknown, NDIS_LINK_SPEED_UNKNOWN, NDIS_LINK_STATE, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_OFFLOAD, NDIS_OFFLOAD, NDIS_SIZEOF_LINK_STATE_REVISION_1,
    NDIS_STATUS_INDICATION, NDIS_STATUS_INDICATION_REQUIRED, NDIS_STATUS_LINK_STATE,
    NDIS_STATUS_MEDIA_CONNECT, NDIS_STATUS_NETWORK_CHANGE, NDIS_STATUS_OPER_STATUS,
    NDIS_STATUS_SUCCESS, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG, Zeroed,
};

use crate::desk::{Desk, Hooks, bytes_of, serve};
use crate::native::nic::MAC;
use crate::native::{breaks, holds};

const TEN_GIGABIT: u64 = 10_000_000_000;

/// The state of a link that is up.
fn up(speed: u64) -> NDIS_LINK_STATE {
    let mut state = NDIS_LINK_STATE::zeroed();
    state.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    state.Header.Revision = 1;
    state.Header.Size = NDIS_SIZEOF_LINK_STATE_REVISION_1;
    state.MediaConnectState = MediaConnectStateConnected;
    state.MediaDuplexState = MediaDuplexStateFull;
    (state.XmitLinkSpeed, state.RcvLinkSpeed) = (speed, speed);
    state
}

/// The state of a link that is down.
fn down() -> NDIS_LINK_STATE {
    let mut state = up(NDIS_LINK_SPEED_UNKNOWN);
    state.MediaConnectState = MediaConnectStateDisconnected;
    state.MediaDuplexState = MediaDuplexStateUnknown;
    state
}

fn indicate_link(state: &NDIS_LINK_STATE) -> &'static Desk {
    let desk = Desk::start(Hooks::GOOD).desk;
    api::indicate_status(desk.adapter(), NDIS_STATUS_LINK_STATE, &bytes_of(state));
    desk
}

fn indicate_raw(change: fn(&mut NDIS_STATUS_INDICATION)) {
    let desk = Desk::start(Hooks::GOOD).desk;
    let code = NDIS_STATUS_NETWORK_CHANGE;
    api::indicate_raw_status(desk.adapter(), code, &[1, 0, 0, 0], change);
}

#[test]
fn r184_breaks_when_the_source_is_another() {
    breaks!(184, || indicate_raw(|indication| {
        indication.SourceHandle = std::ptr::null_mut();
    }));
}

#[test]
fn r184_breaks_when_the_port_is_unknown() {
    breaks!(184, || indicate_raw(|indication| indication.PortNumber = 3));
}

/// Keeps 184, 185, 186 and 191.
#[test]
fn r184_holds_when_an_indication_is_as_it_should() {
    holds!(|| indicate_raw(|_| {}));
}

#[test]
fn r185_breaks_when_the_buffer_is_too_short() {
    breaks!(185, || indicate_raw(
        |indication| indication.StatusBufferSize = 3
    ));
}

#[test]
fn r185_breaks_when_the_buffer_is_not_there() {
    breaks!(185, || indicate_raw(|indication| {
        indication.StatusBuffer = std::ptr::null_mut();
    }));
}

#[test]
fn r186_breaks_when_a_destination_is_made_up() {
    breaks!(186, || indicate_raw(|indication| {
        indication.DestinationHandle = std::ptr::without_provenance_mut(0x1230);
    }));
}

#[test]
fn r186_breaks_when_an_unsolicited_status_has_a_request() {
    breaks!(186, || indicate_raw(|indication| {
        indication.RequestId = std::ptr::without_provenance_mut(0x1230);
    }));
}

/// A vendor's OID that is answered by an indication with this RequestId.
fn answer_by_indication(spoil: usize) {
    const VENDORS: u32 = 0xff00_0001;
    let desk = Desk::start(Hooks {
        oid: |desk, request| match request.oid() {
            VENDORS => {
                desk.with(|log| log.kept.push(request));
                // SAFETY: the request is ours until its completion.
                let handle = unsafe { (*request.0).RequestHandle };
                desk.with(|log| log.requests.push(handle.addr() as u32));
                request.set_written(0);
                NDIS_STATUS_INDICATION_REQUIRED
            }
            _ => serve(request),
        },
        ..Hooks::GOOD
    })
    .desk;
    let mut request = api::OidRequest::query(VENDORS, 4);
    let id = request.as_ref().request_id();
    request.run(desk.binding());
    let handle = desk.with(|log| log.kept[0].0);
    let code = NDIS_STATUS_NETWORK_CHANGE;
    api::indicate_raw_status(desk.adapter(), code, &[1, 0, 0, 0], |indication| {
        indication.DestinationHandle = handle.cast();
        indication.RequestId = std::ptr::without_provenance_mut(id + spoil);
    });
}

#[test]
fn r186_breaks_when_the_answer_is_to_another_request() {
    breaks!(186, || answer_by_indication(8));
}

/// Keeps 165 and 186.
#[test]
fn r165_holds_when_an_indication_answers() {
    holds!(|| answer_by_indication(0));
}

#[test]
fn r188_breaks_when_a_link_is_up_without_speed() {
    breaks!(188, || {
        indicate_link(&up(0));
    });
}

#[test]
fn r188_breaks_when_a_link_is_faster_than_it_can_be() {
    breaks!(188, || {
        indicate_link(&up(2 * TEN_GIGABIT));
    });
}

#[test]
fn r188_breaks_when_a_link_is_down_at_full_duplex() {
    breaks!(188, || {
        let mut state = down();
        state.MediaDuplexState = MediaDuplexStateFull;
        indicate_link(&state);
    });
}

/// Keeps 187 and 188.
#[test]
fn r187_holds_when_changes_of_the_link_are_told() {
    holds!(|| {
        let desk = indicate_link(&down());
        let again = bytes_of(&up(TEN_GIGABIT));
        api::indicate_status(desk.adapter(), NDIS_STATUS_LINK_STATE, &again);
        let told = desk.with(|log| log.statuses.clone());
        let links = told.iter().filter(|code| **code == NDIS_STATUS_LINK_STATE);
        assert_eq!(links.count(), 2);
        assert!(ndis_host::verifier::report().advice.is_empty());
    });
}

#[test]
fn r187_advises_when_a_link_state_is_repeated() {
    holds!(|| {
        let desk = indicate_link(&down());
        let again = bytes_of(&down());
        api::indicate_status(desk.adapter(), NDIS_STATUS_LINK_STATE, &again);
        let advice = ndis_host::verifier::report().advice;
        assert!(advice.iter().any(|advice| advice.rule == 187));
    });
}

/// A NIC that can do IPv4 checksums of what it sends.
pub(crate) fn with_offload() -> AdapterAttributes {
    let mut hardware = NDIS_OFFLOAD::zeroed();
    hardware.Header.Type = NDIS_OBJECT_TYPE_OFFLOAD;
    hardware.Header.Revision = 1;
    hardware.Header.Size = size_of::<NDIS_OFFLOAD>() as u16;
    hardware.Checksum.IPv4Transmit.Encapsulation = 2;
    AdapterAttributes {
        offload: Some(OffloadAttributes {
            current: hardware,
            hardware,
        }),
        ..AdapterAttributes::ethernet(MAC)
    }
}

fn indicate_offload(change: fn(&mut NDIS_OFFLOAD)) {
    let desk = Desk::start(Hooks {
        attributes: with_offload,
        ..Hooks::GOOD
    })
    .desk;
    let mut config = with_offload().offload.expect("it has").hardware;
    change(&mut config);
    let code = NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG;
    api::indicate_status(desk.adapter(), code, &bytes_of(&config));
}

#[test]
fn r189_breaks_when_offloads_are_more_than_there_are() {
    breaks!(189, || indicate_offload(|config| {
        config.Checksum.IPv4Transmit.Encapsulation |= 1;
    }));
}

#[test]
fn r189_breaks_when_a_configuration_is_something_else() {
    breaks!(189, || indicate_offload(|config| {
        config.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    }));
}

#[test]
fn r189_holds_when_offloads_are_fewer() {
    holds!(|| indicate_offload(|config| {
        config.Checksum.IPv4Transmit.Encapsulation = 0;
    }));
}

fn indicate_oper(kind: u8) {
    let desk = Desk::start(Hooks::GOOD).desk;
    let bytes = [kind, 1, 12, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    api::indicate_status(desk.adapter(), NDIS_STATUS_OPER_STATUS, &bytes);
}

#[test]
fn r190_breaks_when_a_buffer_begins_otherwise() {
    breaks!(190, || indicate_oper(0));
}

#[test]
fn r190_holds_when_a_buffer_begins_with_its_header() {
    holds!(|| indicate_oper(NDIS_OBJECT_TYPE_DEFAULT));
}

#[test]
fn r191_breaks_when_a_status_is_of_ndis_5() {
    breaks!(191, || {
        let desk = Desk::start(Hooks::GOOD).desk;
        api::indicate_status(desk.adapter(), NDIS_STATUS_MEDIA_CONNECT, &[]);
    });
}

#[test]
fn r068_breaks_when_a_status_comes_after_halt() {
    breaks!(68, || {
        let started = Desk::start(Hooks::GOOD);
        let adapter = started.desk.adapter();
        pnp::remove_device(started.device);
        api::indicate_status(adapter, NDIS_STATUS_NETWORK_CHANGE, &[1, 0, 0, 0]);
    });
}

#[test]
fn r192_breaks_when_a_status_comes_after_shutdown() {
    breaks!(192, || {
        let desk = Desk::start(Hooks::GOOD).desk;
        pnp::shut_down_all();
        api::indicate_status(desk.adapter(), NDIS_STATUS_NETWORK_CHANGE, &[1, 0, 0, 0]);
    });
}

#[test]
fn r192_holds_when_a_status_comes_while_paused() {
    holds!(|| {
        let started = Desk::start(Hooks::GOOD);
        pnp::pause_stack(started.device);
        let adapter = started.desk.adapter();
        api::indicate_status(adapter, NDIS_STATUS_NETWORK_CHANGE, &[1, 0, 0, 0]);
        pnp::restart_stack(started.device);
    });
}

/// What NDIS does to protocols: codes that nobody knows, at either level.
#[test]
fn r193_holds_since_unknown_statuses_come_to_protocols() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        for number in 0..100u32 {
            let code = NDIS_STATUS_NETWORK_CHANGE;
            let old = sched::raise(sched::DISPATCH_LEVEL);
            api::indicate_status(desk.adapter(), code, &number.to_le_bytes());
            sched::lower(old);
        }
        let told = desk.with(|log| log.statuses.clone());
        assert!(told.len() > 100, "some were unknown");
        assert!(!told.contains(&NDIS_STATUS_SUCCESS));
    });
}
