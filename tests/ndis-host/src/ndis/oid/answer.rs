//! Queries that NDIS answers itself from what the miniport declared and indicated.
//!
//! The pages of these OIDs say "not requested" for NDIS 6 miniports, with "NDIS handles this".

use ndis_sys::{
    MediaConnectStateConnected, NDIS_LINK_STATE, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_LINK_STATE_REVISION_1, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT,
    NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
    NdisMediaStateConnected, NdisMediaStateDisconnected, NdisRequestQueryInformation,
    NdisRequestQueryStatistics, OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_DRIVER_VERSION, OID_GEN_LINK_SPEED, OID_GEN_LINK_STATE,
    OID_GEN_MAC_OPTIONS, OID_GEN_MAX_LINK_SPEED, OID_GEN_MAXIMUM_FRAME_SIZE,
    OID_GEN_MAXIMUM_LOOKAHEAD, OID_GEN_MEDIA_CONNECT_STATUS, OID_GEN_MEDIA_IN_USE,
    OID_GEN_MEDIA_SENSE_COUNTS, OID_GEN_MEDIA_SUPPORTED, OID_GEN_PHYSICAL_MEDIUM,
    OID_GEN_PHYSICAL_MEDIUM_EX, OID_GEN_RECEIVE_SCALE_CAPABILITIES, OID_GEN_SUPPORTED_LIST,
    OID_PM_CURRENT_CAPABILITIES, OID_PM_HARDWARE_CAPABILITIES, OID_TCP_OFFLOAD_CURRENT_CONFIG,
    OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, Zeroed,
};

use super::request_ref::OidRequestRef;
use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::Binding;
use crate::ndis::{filter, header};
use crate::{ntoskrnl, sched};

/// Link speeds of OID_GEN_LINK_SPEED are in units of 100 bit/s.
const OLD_SPEED_UNIT: u64 = 100;

/// Answers a query that NDIS handles; `None`: it goes to the miniport.
///
/// `binding` is whose request it is; user mode has none.
pub(crate) fn of_ndis(
    adapter: &'static Adapter,
    binding: Option<&'static Binding>,
    request: OidRequestRef,
) -> Option<NDIS_STATUS> {
    let queries = [NdisRequestQueryInformation, NdisRequestQueryStatistics];
    if !queries.contains(&request.request_type()) {
        return None;
    }
    let answer = answer(adapter, binding, request.oid())?;
    let Some(bytes) = answer else {
        return Some(NDIS_STATUS_NOT_SUPPORTED);
    };
    if request.write(&bytes) {
        return Some(NDIS_STATUS_SUCCESS);
    }
    // Both are documented; a driver must know both.
    Some(if sched::chance(2) {
        NDIS_STATUS_INVALID_LENGTH
    } else {
        NDIS_STATUS_BUFFER_TOO_SHORT
    })
}

/// The answer to an OID of NDIS's own; `Some(None)`: there is none.
fn answer(
    adapter: &'static Adapter,
    binding: Option<&'static Binding>,
    oid: u32,
) -> Option<Option<Vec<u8>>> {
    if let Some(word) = answer_word(adapter, binding, oid) {
        return Some(Some(word.to_le_bytes().to_vec()));
    }
    let declared = adapter.state.with(|state| {
        let declared = &state.declared;
        match oid {
            OID_GEN_SUPPORTED_LIST => Some(Some(
                declared
                    .oids
                    .iter()
                    .flat_map(|oid| oid.to_le_bytes())
                    .collect(),
            )),
            OID_GEN_RECEIVE_SCALE_CAPABILITIES => Some(declared.rss.clone()),
            OID_PM_HARDWARE_CAPABILITIES | OID_PM_CURRENT_CAPABILITIES => {
                Some(declared.power.clone())
            }
            OID_TCP_OFFLOAD_CURRENT_CONFIG => Some(declared.offload_default.clone()),
            OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES => Some(declared.offload_hardware.clone()),
            OID_GEN_MAX_LINK_SPEED => {
                let speeds = declared
                    .general
                    .map(|g| [g.MaxXmitLinkSpeed, g.MaxRcvLinkSpeed]);
                Some(speeds.map(|speeds| speeds.map(u64::to_le_bytes).as_flattened().to_vec()))
            }
            _ => None,
        }
    });
    if declared.is_some() {
        return declared;
    }
    match oid {
        OID_GEN_LINK_STATE => Some(Some(link_state(adapter))),
        OID_802_3_MULTICAST_LIST => {
            let list = match binding {
                Some(binding) => binding.state.with(|state| state.multicast.clone()),
                None => filter::union(adapter).multicast,
            };
            Some(Some(list.as_flattened().to_vec()))
        }
        OID_GEN_DRIVER_VERSION => {
            let os = ntoskrnl::os();
            Some(Some(vec![os.ndis_minor, os.ndis_major]))
        }
        _ => None,
    }
}

/// Answers of four bytes.
fn answer_word(
    adapter: &'static Adapter,
    binding: Option<&'static Binding>,
    oid: u32,
) -> Option<u32> {
    let (general, link) = adapter
        .state
        .with(|state| (state.declared.general, state.link.clone()));
    let general = general?;
    let (filter, lookahead) = match binding {
        Some(binding) => binding.state.with(|state| (state.filter, state.lookahead)),
        None => {
            let has = adapter.state.with(|state| state.filter.lookahead);
            (filter::union(adapter).filter, has)
        }
    };
    let word = match oid {
        OID_GEN_CURRENT_PACKET_FILTER => filter,
        OID_GEN_CURRENT_LOOKAHEAD if lookahead > 0 => lookahead,
        OID_GEN_CURRENT_LOOKAHEAD | OID_GEN_MAXIMUM_LOOKAHEAD => general.LookaheadSize,
        OID_GEN_MAXIMUM_FRAME_SIZE => general.MtuSize,
        OID_GEN_MEDIA_SUPPORTED | OID_GEN_MEDIA_IN_USE => general.MediaType as u32,
        OID_GEN_PHYSICAL_MEDIUM | OID_GEN_PHYSICAL_MEDIUM_EX => general.PhysicalMediumType as u32,
        OID_GEN_MAC_OPTIONS => general.MacOptions,
        OID_GEN_LINK_SPEED => u32::try_from(link.xmit_speed / OLD_SPEED_UNIT).unwrap_or(u32::MAX),
        OID_GEN_MEDIA_SENSE_COUNTS => link.history.len() as u32,
        OID_GEN_MEDIA_CONNECT_STATUS => {
            let connected = link.connect_state == MediaConnectStateConnected;
            let state = if connected {
                NdisMediaStateConnected
            } else {
                NdisMediaStateDisconnected
            };
            state as u32
        }
        _ => return None,
    };
    Some(word)
}

/// NDIS_LINK_STATE of an adapter.
pub(crate) fn link_state(adapter: &'static Adapter) -> Vec<u8> {
    let link = adapter.state.with(|state| state.link.clone());
    let mut state = NDIS_LINK_STATE::zeroed();
    state.Header = header::make(
        NDIS_OBJECT_TYPE_DEFAULT,
        1,
        NDIS_SIZEOF_LINK_STATE_REVISION_1,
    );
    state.MediaConnectState = link.connect_state;
    state.MediaDuplexState = link.duplex;
    state.XmitLinkSpeed = link.xmit_speed;
    state.RcvLinkSpeed = link.rcv_speed;
    bytes_of(&state)
}

/// The bytes of a C record without padding.
fn bytes_of<T>(value: &T) -> Vec<u8> {
    // SAFETY: the record has no padding, so every byte is initialized.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()).to_vec() }
}
