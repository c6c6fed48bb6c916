//! Judging an indication: rules 129 to 141, and 287 for one that is passed on.

use ndis_sys::{
    NDIS_DEFAULT_PORT_NUMBER, NDIS_MAC_OPTION_NO_LOOPBACK, NDIS_RECEIVE_FLAGS_PERFECT_FILTERED,
    NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE, NDIS_STATUS_SUCCESS,
    NET_BUFFER, NET_BUFFER_LIST,
};

use super::shape;
use crate::ndis::adapter::Adapter;
use crate::ndis::adapter::declared::ETHERNET_HEADER;
use crate::ndis::call::{self, Callback};
use crate::ndis::filter::{self, Mac};
use crate::ndis::modules;
use crate::ndis::nbl::custody::Custody;
use crate::ndis::nbl::{pool, raw, seal, shadow};
use crate::ndis::offload;
use crate::verifier;

/// Bits of ReceiveFlags that exist.
const KNOWN_FLAGS: u32 = 0x3f03;
/// NDIS_RECEIVE_FLAGS_SINGLE_VLAN.
const SINGLE_VLAN: u32 = 0x200;
/// EtherType of an 802.1Q tag.
const TAG: u16 = 0x8100;
/// Bytes of a frame that are looked at for its headers.
const HEADERS: usize = 14 + 60 + 60;

/// Checks what an indication says of its whole list.
pub(crate) fn check_list(
    name: &str,
    adapter: &'static Adapter,
    chain: &[*mut NET_BUFFER_LIST],
    port: u32,
    count: u32,
    flags: u32,
) {
    verifier::require(129, chain.len() == count as usize, || {
        format!(
            "{name}: NumberOfNetBufferLists {count}, the list has {}",
            chain.len()
        )
    });
    verifier::require(129, port == NDIS_DEFAULT_PORT_NUMBER, || {
        format!("{name}: port {port}")
    });
    verifier::require(135, flags & !KNOWN_FLAGS == 0, || {
        format!("{name}: ReceiveFlags {flags:#x}")
    });
    if let Some((indicated, limit)) = call::count_indicated(adapter.handle, chain.len() as u32) {
        verifier::require(138, indicated <= limit, || {
            format!(
                "{name} by {}: {indicated} NBLs in a DPC that may indicate {limit}",
                adapter.name
            )
        });
    }
    check_claims(name, chain, flags);
}

/// Rule 135: what is claimed of the list is true of each frame.
pub(crate) fn check_claims(name: &str, chain: &[*mut NET_BUFFER_LIST], flags: u32) {
    let all_alike = |values: Vec<u16>| values.windows(2).all(|pair| pair[0] == pair[1]);
    if flags & NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE != 0 {
        // SAFETY: `chain` comes from the shadow table.
        let types = chain.iter().map(|nbl| unsafe { ether_type(*nbl) });
        verifier::require(135, all_alike(types.collect()), || {
            format!("{name}: SINGLE_ETHER_TYPE, but the frames have several")
        });
    }
    if flags & SINGLE_VLAN != 0 {
        let slot = ndis_sys::Ieee8021QNetBufferListInfo as usize;
        // SAFETY: as above. The VLAN is in bits 4 to 15.
        let vlan = |nbl: &*mut NET_BUFFER_LIST| unsafe {
            ((**nbl).NetBufferListInfo[slot].addr() >> 4 & 0xfff) as u16
        };
        verifier::require(135, all_alike(chain.iter().map(vlan).collect()), || {
            format!("{name}: SINGLE_VLAN, but the frames have several")
        });
    }
}

/// Checks one NBL that a miniport indicates.
///
/// # Safety
///
/// `nbl` is in the shadow table.
pub(crate) unsafe fn check_nbl(
    name: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    check_owner(name, adapter, nbl, flags);
    // SAFETY: the caller's contract.
    unsafe {
        check_fields(name, adapter, nbl);
        seal::check_net_buffers(nbl, name);
        let nb = raw::net_buffers(nbl)[0];
        check_lengths(name, adapter, nbl, nb);
        check_frame(name, adapter, nbl, nb, flags);
        offload::receive::check(name, adapter, nbl);
        offload::rss::check(name, adapter, nbl);
    }
}

/// Rules 129 and 130, and 287 for an NBL that another adapter indicated before.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn check_fields(name: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the caller's contract.
    let (value, net_buffers) = unsafe { (*nbl, raw::net_buffers(nbl)) };
    verifier::insist(129, net_buffers.len() == 1, || {
        format!("{name}: NBL {nbl:p} has {} NET_BUFFERs", net_buffers.len())
    });
    let own = shadow::with(nbl, name, |record| record.custody.is_empty());
    let source = value.SourceHandle.addr() as u64;
    let rule = if own { 130 } else { 287 };
    verifier::require(rule, source == adapter.handle, || {
        format!(
            "{name}: SourceHandle of NBL {nbl:p} is {source:#x}, not {:#x}",
            adapter.handle
        )
    });
    verifier::require(130, value.Status == NDIS_STATUS_SUCCESS, || {
        format!("{name}: Status of NBL {nbl:p} is {:#x}", value.Status)
    });
    let derived = !value.ParentNetBufferList.is_null();
    verifier::require(130, derived || value.ChildRefCount == 0, || {
        format!(
            "{name}: NBL {nbl:p} is nobody's child and has ChildRefCount {}",
            value.ChildRefCount
        )
    });
}

/// Rule 131: how long a frame is, and how it is spread over MDLs.
///
/// # Safety
///
/// `nb` is the NET_BUFFER of `nbl`, which is in the shadow table.
unsafe fn check_lengths(
    name: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    nb: *mut NET_BUFFER,
) {
    // SAFETY: the caller's contract.
    let (length, slots) = unsafe { ((*nb).DataLength, (*nbl).NetBufferListInfo) };
    let general = adapter.state.with(|state| state.declared.general);
    let most = general.map_or(u32::MAX, |general| general.MtuSize + ETHERNET_HEADER);
    verifier::require(131, length >= ETHERNET_HEADER, || {
        format!("{name}: the frame of NBL {nbl:p} has {length} bytes")
    });
    let coalesced = slots[ndis_sys::TcpRecvSegCoalesceInfo as usize];
    verifier::require(131, length <= most || !coalesced.is_null(), || {
        format!("{name}: the frame of NBL {nbl:p} has {length} bytes, at most {most} are legal")
    });
    // SAFETY: as above.
    let cuts = unsafe { cuts(nb) };
    if cuts.is_empty() {
        return;
    }
    // SAFETY: as above.
    let frame = unsafe { raw::read(nb, HEADERS) };
    let lookahead = filter::lookahead(adapter);
    let illegal = shape::illegal_cut(&frame, &cuts, lookahead);
    verifier::require(131, illegal.is_none(), || {
        format!(
            "{name}: a header of NBL {nbl:p} is cut at {}, and its first MDL holds {} bytes, less \
             than the lookahead of {lookahead}",
            illegal.unwrap_or(0),
            cuts[0]
        )
    });
}

/// Where MDLs begin in the data of a NET_BUFFER, the first apart.
///
/// # Safety
///
/// `nb` satisfies rule 107.
unsafe fn cuts(nb: *mut NET_BUFFER) -> Vec<usize> {
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    let length = value.DataLength as usize;
    let mut at = 0usize;
    let mut cuts = Vec::new();
    // SAFETY: as above.
    for mdl in unsafe { raw::mdls(value.CurrentMdl) } {
        let skip = if at == 0 && cuts.is_empty() && mdl == value.CurrentMdl {
            value.CurrentMdlOffset as usize
        } else {
            cuts.push(at);
            0
        };
        // SAFETY: as above.
        at += unsafe { (*mdl).ByteCount as usize } - skip;
        if at >= length {
            break;
        }
    }
    cuts
}

/// Rules 139 to 141, which look into the frame.
///
/// # Safety
///
/// `nb` is the NET_BUFFER of `nbl`, which is in the shadow table.
unsafe fn check_frame(
    name: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    nb: *mut NET_BUFFER,
    flags: u32,
) {
    // SAFETY: the caller's contract.
    let header = unsafe { raw::read(nb, ETHERNET_HEADER as usize) };
    if header.len() < ETHERNET_HEADER as usize {
        return;
    }
    let tagged = u16::from_be_bytes([header[12], header[13]]) == TAG;
    verifier::require(141, !tagged, || {
        format!("{name}: the frame of NBL {nbl:p} still has its 802.1Q header")
    });
    let own = filter::own_address(adapter);
    let perfect = flags & NDIS_RECEIVE_FLAGS_PERFECT_FILTERED != 0;
    let mut destination = Mac::default();
    destination.copy_from_slice(&header[..6]);
    let (admitted, current) = adapter.state.with(|state| {
        (
            state.filter.admits(destination, own, perfect),
            state.filter.now.filter,
        )
    });
    verifier::require(139, admitted, || {
        format!(
            "{name} by {}: a frame to {destination:02x?} does not pass the filter {current:#x}",
            adapter.name
        )
    });
    if header[6..12] == own && call::is_inside(Callback::Send, adapter.handle) {
        // SAFETY: as above.
        let frame = unsafe { raw::read(nb, usize::MAX) };
        check_loopback(name, adapter, nbl, &frame);
    }
}

/// Rule 140: inside of its send handler, a driver that does no loopback indicates nothing of what
/// it is given to send.
fn check_loopback(name: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST, frame: &[u8]) {
    let general = adapter.state.with(|state| state.declared.general);
    if general.is_none_or(|general| general.MacOptions & NDIS_MAC_OPTION_NO_LOOPBACK == 0) {
        return;
    }
    let sent = adapter.sends.with(|sends| sends.addresses());
    let same = sent.into_iter().any(|address| {
        let sent: *mut NET_BUFFER_LIST = std::ptr::with_exposed_provenance_mut(address);
        // What was sent on may be hidden behind its stand-in.
        if shadow::try_with(sent, |record| record.hidden.is_some()) != Some(false) {
            return false;
        }
        // SAFETY: what has not been completed is allocated.
        let frames = unsafe { raw::net_buffers(sent) };
        // SAFETY: as above.
        frames
            .iter()
            .any(|nb| unsafe { raw::read(*nb, usize::MAX) } == frame)
    });
    verifier::require(140, !same, || {
        format!(
            "{name} by {}: NBL {nbl:p} is a frame that is being sent, and the adapter has \
             NO_LOOPBACK",
            adapter.name
        )
    });
}

/// Where the frame of an NBL goes.
///
/// # Safety
///
/// `nbl` is in the shadow table.
pub(super) unsafe fn destination(nbl: *mut NET_BUFFER_LIST) -> Mac {
    // SAFETY: the caller's contract.
    let first = unsafe { raw::net_buffers(nbl) }.into_iter().next();
    // SAFETY: as above.
    let bytes = first.map(|nb| unsafe { raw::read(nb, 6) });
    bytes
        .and_then(|bytes| bytes.first_chunk().copied())
        .unwrap_or_default()
}

/// The miniport owns the NBL: its driver allocated it, or has it from a binding of its own.
fn check_owner(name: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST, flags: u32) {
    enum Owner {
        Pool(u64),
        Holder(Option<u64>, bool),
        Sent,
    }
    let (owner, hands) = shadow::with(nbl, name, |record| {
        let owner = match record.custody.last() {
            None => Owner::Pool(record.pool),
            Some(Custody::Indicated {
                holder, resources, ..
            }) => Owner::Holder(*holder, *resources),
            Some(Custody::Sent { .. }) => Owner::Sent,
        };
        (owner, shadow::describe(record))
    });
    let driver = adapter.driver.module;
    let owned = match owner {
        Owner::Pool(pool) => modules::matches(pool::module_of(pool), driver),
        Owner::Holder(Some(binding), _) => modules::matches(modules::of_handle(binding), driver),
        // Shown with RESOURCES: whoever is being shown it may show it on.
        Owner::Holder(None, resources) => {
            let shown_on = flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0;
            verifier::insist(287, shown_on, || {
                format!(
                    "{name} by {}: NBL {nbl:p} was lent for the time of a call only, and is \
                     indicated without RESOURCES",
                    adapter.name
                )
            });
            resources || shown_on
        }
        Owner::Sent => false,
    };
    verifier::insist(94, owned, || {
        format!("{name} by {}: NBL {nbl:p} is {hands}", adapter.name)
    });
}

/// The EtherType of an NBL's frame.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn ether_type(nbl: *mut NET_BUFFER_LIST) -> u16 {
    // SAFETY: the caller's contract.
    unsafe {
        let net_buffers = raw::net_buffers(nbl);
        let header = net_buffers
            .first()
            .map(|nb| raw::read(*nb, ETHERNET_HEADER as usize));
        header
            .filter(|h| h.len() == ETHERNET_HEADER as usize)
            .map_or(0, |h| u16::from_be_bytes([h[12], h[13]]))
    }
}
