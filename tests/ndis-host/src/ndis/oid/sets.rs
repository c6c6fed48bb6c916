//! Settings that several bindings share: packet filter, multicast list, lookahead.
//!
//! Each binding has its own; the miniport is given the union, and only when that changes.

use ndis_sys::{
    NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_2,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_MULTICAST_FULL, NDIS_STATUS_SUCCESS, NdisRequestSetInformation,
    OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER,
};

use super::miniport;
use super::queue::Turn;
use super::request_ref::{OidKind, OidRequestRef};
use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::Binding;
use crate::ndis::filter::{self, Mac, Wanted};
use crate::ndis::header;
use crate::verifier;

/// Does a set request that is merged; `None`: the request is none, and goes to the miniport.
pub(crate) fn merge(
    binding: &'static Binding,
    turn: &Turn,
    request: OidRequestRef,
) -> Option<NDIS_STATUS> {
    if request.kind() != OidKind::Set {
        return None;
    }
    match request.oid() {
        OID_GEN_CURRENT_PACKET_FILTER => Some(set_filter(binding, turn, request)),
        OID_802_3_MULTICAST_LIST => Some(set_multicast(binding, turn, request)),
        OID_GEN_CURRENT_LOOKAHEAD => Some(set_lookahead(binding, turn, request)),
        _ => None,
    }
}

fn set_filter(binding: &'static Binding, turn: &Turn, request: OidRequestRef) -> NDIS_STATUS {
    let Some(filter) = read_word(request) else {
        return NDIS_STATUS_INVALID_LENGTH;
    };
    let old = binding
        .state
        .with(|state| std::mem::replace(&mut state.filter, filter));
    let status = apply(binding.adapter, turn);
    if status == NDIS_STATUS_SUCCESS {
        request.set_read(4);
    } else {
        binding.state.with(|state| state.filter = old);
    }
    status
}

fn set_multicast(binding: &'static Binding, turn: &Turn, request: OidRequestRef) -> NDIS_STATUS {
    let input = request.input();
    let (addresses, rest) = input.as_chunks::<6>();
    if !rest.is_empty() {
        request.set_needed((input.len() - rest.len()) as u32);
        return NDIS_STATUS_INVALID_LENGTH;
    }
    let list: Vec<Mac> = addresses.to_vec();
    let old = binding
        .state
        .with(|state| std::mem::replace(&mut state.multicast, list));
    let adapter = binding.adapter;
    let slots = adapter
        .state
        .with(|s| s.declared.general.map_or(0, |g| g.MaxMulticastListSize));
    let fits = filter::union(adapter).multicast.len() <= slots as usize;
    let status = if fits {
        apply(adapter, turn)
    } else {
        NDIS_STATUS_MULTICAST_FULL
    };
    if status == NDIS_STATUS_SUCCESS {
        request.set_read(input.len() as u32);
    } else {
        binding.state.with(|state| state.multicast = old);
    }
    status
}

fn set_lookahead(binding: &'static Binding, turn: &Turn, request: OidRequestRef) -> NDIS_STATUS {
    let Some(lookahead) = read_word(request) else {
        return NDIS_STATUS_INVALID_LENGTH;
    };
    let adapter = binding.adapter;
    let old = binding
        .state
        .with(|state| std::mem::replace(&mut state.lookahead, lookahead));
    let most = adapter
        .bindings()
        .iter()
        .map(|b| b.state.with(|s| s.lookahead))
        .max();
    let most = most.unwrap_or(lookahead);
    if adapter.state.with(|state| state.filter.lookahead) == most {
        request.set_read(4);
        return NDIS_STATUS_SUCCESS;
    }
    let status = set(
        adapter,
        turn,
        OID_GEN_CURRENT_LOOKAHEAD,
        &most.to_le_bytes(),
    );
    if status == NDIS_STATUS_SUCCESS {
        adapter.state.with(|state| state.filter.lookahead = most);
        request.set_read(4);
    } else {
        binding.state.with(|state| state.lookahead = old);
    }
    status
}

fn read_word(request: OidRequestRef) -> Option<u32> {
    let word = request.input().first_chunk::<4>();
    if word.is_none() {
        request.set_needed(4);
    }
    word.map(|bytes| u32::from_le_bytes(*bytes))
}

/// Tells the miniport what the bindings want, if that has changed. IRQL = PASSIVE_LEVEL.
pub(crate) fn refresh(adapter: &'static Adapter) {
    let has = adapter.state.with(|state| state.filter.now.clone());
    let unreachable = adapter.is_surprise_removed() || adapter.is_asleep();
    if filter::union(adapter) == has || unreachable {
        return;
    }
    let turn = adapter.take_oid_turn();
    let status = apply(adapter, &turn);
    if status != NDIS_STATUS_SUCCESS {
        verifier::note(format!(
            "filter of {} could not be reduced: {status:#x}",
            adapter.name
        ));
    }
}

/// Gives the miniport the union: the multicast list before a wider filter.
fn apply(adapter: &'static Adapter, turn: &Turn) -> NDIS_STATUS {
    // A miniport in low power is told when it is back in D0.
    if adapter.is_asleep() {
        return NDIS_STATUS_SUCCESS;
    }
    let wanted = filter::union(adapter);
    let has = adapter.state.with(|state| state.filter.now.clone());
    if wanted.multicast != has.multicast {
        let status = set(
            adapter,
            turn,
            OID_802_3_MULTICAST_LIST,
            wanted.multicast.as_flattened(),
        );
        if status != NDIS_STATUS_SUCCESS {
            return status;
        }
        let filter = has.filter;
        let now = Wanted {
            filter,
            multicast: wanted.multicast.clone(),
        };
        adapter.state.with(|state| state.filter.change(now));
    }
    if wanted.filter != has.filter {
        let bytes = wanted.filter.to_le_bytes();
        // A frame may come as soon as the miniport has begun to obey.
        let during = Wanted {
            filter: wanted.filter | has.filter,
            ..wanted.clone()
        };
        adapter.state.with(|state| state.filter.change(during));
        let status = set(adapter, turn, OID_GEN_CURRENT_PACKET_FILTER, &bytes);
        let filter = if status == NDIS_STATUS_SUCCESS {
            wanted.filter
        } else {
            has.filter
        };
        let now = Wanted {
            filter,
            multicast: wanted.multicast,
        };
        adapter.state.with(|state| state.filter.change(now));
        return status;
    }
    NDIS_STATUS_SUCCESS
}

/// A set request of NDIS itself.
pub(crate) fn set(adapter: &'static Adapter, turn: &Turn, oid: u32, data: &[u8]) -> NDIS_STATUS {
    let mut data = data.to_vec();
    let mut request: NDIS_OID_REQUEST = ndis_sys::zeroed();
    request.Header = header::make(
        NDIS_OBJECT_TYPE_OID_REQUEST,
        NDIS_OID_REQUEST_REVISION_2,
        NDIS_SIZEOF_OID_REQUEST_REVISION_2,
    );
    request.RequestType = NdisRequestSetInformation;
    request.DATA.SET_INFORMATION.Oid = oid;
    request.DATA.SET_INFORMATION.InformationBuffer = data.as_mut_ptr().cast();
    request.DATA.SET_INFORMATION.InformationBufferLength = data.len() as u32;
    miniport::request(adapter, turn, OidRequestRef(&raw mut request))
}
