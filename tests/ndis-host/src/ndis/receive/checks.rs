//! Judging an indication: rules 129 to 141, and 287 for one that is passed on.

use ndis_sys::{
    NDIS_DEFAULT_PORT_NUMBER, NDIS_RECEIVE_FLAGS_PERFECT_FILTERED, NDIS_RECEIVE_FLAGS_RESOURCES,
    NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::adapter::declared::ETHERNET_HEADER;
use crate::ndis::call;
use crate::ndis::filter::{self, Mac};
use crate::ndis::modules;
use crate::ndis::nbl::custody::Custody;
use crate::ndis::nbl::{pool, raw, seal, shadow};
use crate::verifier;

/// Bits of ReceiveFlags that exist.
const KNOWN_FLAGS: u32 = 0x3f03;
/// EtherType of an 802.1Q tag.
const TAG: u16 = 0x8100;

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
    if let Some((indicated, limit)) = call::count_indicated(chain.len() as u32) {
        verifier::require(138, indicated <= limit, || {
            format!(
                "{name} by {}: {indicated} NBLs in a DPC that may indicate {limit}",
                adapter.name
            )
        });
    }
    if flags & NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE != 0 {
        // SAFETY: `chain` comes from the shadow table.
        let types: Vec<_> = chain
            .iter()
            .map(|nbl| unsafe { ether_type(*nbl) })
            .collect();
        verifier::require(135, types.windows(2).all(|pair| pair[0] == pair[1]), || {
            format!("{name}: SINGLE_ETHER_TYPE, but the frames have {types:04x?}")
        });
    }
}

/// Checks one NBL that a miniport indicates; the destination address of its frame.
///
/// # Safety
///
/// `nbl` is in the shadow table.
pub(crate) unsafe fn check_nbl(
    name: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    flags: u32,
) -> Mac {
    check_owner(name, adapter, nbl, flags);
    // SAFETY: the caller's contract.
    let (value, net_buffers) = unsafe { (*nbl, raw::net_buffers(nbl)) };
    verifier::insist(129, net_buffers.len() == 1, || {
        format!("{name}: NBL {nbl:p} has {} NET_BUFFERs", net_buffers.len())
    });
    let source = value.SourceHandle.addr() as u64;
    verifier::require(130, source == adapter.handle, || {
        format!(
            "{name}: SourceHandle of NBL {nbl:p} is {source:#x}, not {:#x}",
            adapter.handle
        )
    });
    verifier::require(130, value.Status == NDIS_STATUS_SUCCESS, || {
        format!("{name}: Status of NBL {nbl:p} is {:#x}", value.Status)
    });
    // SAFETY: as above.
    unsafe { seal::check_net_buffers(nbl, name) };
    // SAFETY: as above; there is a NET_BUFFER.
    let length = unsafe { (*net_buffers[0]).DataLength };
    let general = adapter.state.with(|state| state.declared.general);
    let most = general.map_or(u32::MAX, |general| general.MtuSize + ETHERNET_HEADER);
    verifier::require(131, length >= ETHERNET_HEADER, || {
        format!("{name}: the frame of NBL {nbl:p} has {length} bytes")
    });
    let coalesced = value.NetBufferListInfo[ndis_sys::TcpRecvSegCoalesceInfo as usize];
    verifier::require(131, length <= most || !coalesced.is_null(), || {
        format!("{name}: the frame of NBL {nbl:p} has {length} bytes, at most {most} are legal")
    });
    // SAFETY: as above.
    let header = unsafe { raw::read(net_buffers[0], ETHERNET_HEADER as usize) };
    check_frame(name, adapter, nbl, &header, flags)
}

fn check_frame(
    name: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    header: &[u8],
    flags: u32,
) -> Mac {
    let mut destination = Mac::default();
    if header.len() < ETHERNET_HEADER as usize {
        return destination;
    }
    destination.copy_from_slice(&header[..6]);
    let tagged = u16::from_be_bytes([header[12], header[13]]) == TAG;
    verifier::require(141, !tagged, || {
        format!("{name}: the frame of NBL {nbl:p} still has its 802.1Q header")
    });
    let own = filter::own_address(adapter);
    let perfect = flags & NDIS_RECEIVE_FLAGS_PERFECT_FILTERED != 0;
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
    destination
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
