//! What NDIS asks and sets.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use ndis::oid::{Kind, Request};
use ndis_sys as sys;
use sys::NDIS_STATUS;
use vioprot::announce::Address;
use vioprot::{Filters, MAX_MULTICAST};

use crate::adapter::Adapter;

/// The packet filters that the adapter has.
pub(crate) const PACKET_FILTERS: u32 = sys::NDIS_PACKET_TYPE_DIRECTED
    | sys::NDIS_PACKET_TYPE_MULTICAST
    | sys::NDIS_PACKET_TYPE_ALL_MULTICAST
    | sys::NDIS_PACKET_TYPE_BROADCAST
    | sys::NDIS_PACKET_TYPE_PROMISCUOUS;

/// Our version, for OID_GEN_VENDOR_DRIVER_VERSION: major and minor, 16 bits each.
const DRIVER_VERSION: u32 = 0x0001_0000;
/// No IEEE vendor code (Microsoft Learn, "OID_GEN_VENDOR_ID").
const VENDOR_ID: u32 = 0x00ff_ffff;
const VENDOR: &[u8] = b"NetKVM virtio-net failover adapter\0";

type Query = fn(&Adapter, &mut Request<'_>) -> NDIS_STATUS;
type Set = fn(&Adapter, &mut Request<'_>) -> Result<(), NDIS_STATUS>;

/// How one OID is served.
struct Entry {
    oid: u32,
    query: Option<Query>,
    set: Option<Set>,
    /// The VF has to follow a set.
    forward: bool,
}

const fn query(oid: u32, query: Query) -> Entry {
    Entry {
        oid,
        query: Some(query),
        set: None,
        forward: false,
    }
}

const fn set(oid: u32, set: Set, forward: bool) -> Entry {
    Entry {
        oid,
        query: None,
        set: Some(set),
        forward,
    }
}

/// Every OID that the miniport serves. The list that NDIS gets is made of it.
const TABLE: [Entry; 25] = [
    set(sys::OID_GEN_CURRENT_PACKET_FILTER, set_packet_filter, true),
    set(sys::OID_802_3_MULTICAST_LIST, set_multicast_list, true),
    set(sys::OID_GEN_CURRENT_LOOKAHEAD, set_lookahead, true),
    set(sys::OID_GEN_NETWORK_LAYER_ADDRESSES, set_addresses, false),
    set(sys::OID_GEN_LINK_PARAMETERS, refuse_link_parameters, false),
    Entry {
        oid: sys::OID_GEN_INTERRUPT_MODERATION,
        query: Some(interrupt_moderation),
        set: Some(refuse_interrupt_moderation),
        forward: false,
    },
    query(sys::OID_GEN_MAXIMUM_TOTAL_SIZE, |adapter, it| {
        number(it, adapter.max_frame())
    }),
    query(sys::OID_GEN_RECEIVE_BLOCK_SIZE, |adapter, it| {
        number(it, adapter.max_frame())
    }),
    query(sys::OID_GEN_TRANSMIT_BLOCK_SIZE, |adapter, it| {
        number(it, adapter.max_frame())
    }),
    query(sys::OID_GEN_RECEIVE_BUFFER_SPACE, |adapter, it| {
        number(
            it,
            adapter
                .max_frame()
                .saturating_mul(adapter.settings.receive_buffers),
        )
    }),
    query(sys::OID_GEN_TRANSMIT_BUFFER_SPACE, |adapter, it| {
        number(
            it,
            adapter
                .max_frame()
                .saturating_mul(adapter.settings.transmit_buffers),
        )
    }),
    query(sys::OID_GEN_VENDOR_ID, |_, it| number(it, VENDOR_ID)),
    query(sys::OID_GEN_VENDOR_DESCRIPTION, |_, it| it.reply(VENDOR)),
    query(sys::OID_GEN_VENDOR_DRIVER_VERSION, |_, it| {
        number(it, DRIVER_VERSION)
    }),
    query(sys::OID_802_3_PERMANENT_ADDRESS, |adapter, it| {
        it.reply(&adapter.permanent_mac)
    }),
    query(sys::OID_802_3_CURRENT_ADDRESS, |adapter, it| {
        it.reply(&adapter.mac)
    }),
    query(sys::OID_802_3_MAXIMUM_LIST_SIZE, |_, it| {
        number(it, MAX_MULTICAST as u32)
    }),
    query(sys::OID_GEN_STATISTICS, statistics),
    query(sys::OID_GEN_XMIT_OK, |adapter, it| {
        it.reply_counter(adapter.statistics().frames_sent())
    }),
    query(sys::OID_GEN_RCV_OK, |adapter, it| {
        it.reply_counter(adapter.statistics().frames_received())
    }),
    query(sys::OID_GEN_XMIT_ERROR, |adapter, it| {
        it.reply_counter(adapter.statistics().send_errors())
    }),
    query(sys::OID_GEN_RCV_ERROR, |adapter, it| {
        it.reply_counter(adapter.statistics().receive_errors())
    }),
    query(sys::OID_GEN_RCV_NO_BUFFER, |adapter, it| {
        it.reply_counter(adapter.statistics().receive_discards())
    }),
    query(sys::OID_802_3_XMIT_ONE_COLLISION, |_, it| number(it, 0)),
    query(sys::OID_802_3_XMIT_MORE_COLLISIONS, |_, it| number(it, 0)),
];

/// The list of OIDs for the general attributes.
pub(crate) static SUPPORTED: [u32; TABLE.len()] = {
    let mut oids = [0; TABLE.len()];
    let mut at = 0;
    while at < TABLE.len() {
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated at compile time, where a mistake does not build"
        )]
        {
            oids[at] = TABLE[at].oid;
            at += 1;
        }
    }
    oids
};

/// Serves MiniportOidRequest, at PASSIVE_LEVEL.
///
/// # Safety
///
/// The arguments are those of the handler.
pub(crate) unsafe fn serve(
    adapter: &Adapter,
    request: NonNull<sys::NDIS_OID_REQUEST>,
) -> NDIS_STATUS {
    if adapter.gone.load(Ordering::Acquire) {
        return sys::NDIS_STATUS_NOT_ACCEPTED;
    }
    // SAFETY: the request lives until we complete it, by contract.
    let Some(mut request) = (unsafe { Request::from_raw(request) }) else {
        return sys::NDIS_STATUS_NOT_SUPPORTED;
    };
    let Some(entry) = TABLE.iter().find(|entry| entry.oid == request.oid()) else {
        return sys::NDIS_STATUS_NOT_SUPPORTED;
    };
    match (request.kind(), entry.query, entry.set) {
        (Kind::Query, Some(query), _) => query(adapter, &mut request),
        (Kind::Set, _, Some(set)) => {
            if let Err(status) = set(adapter, &mut request) {
                return status;
            }
            let used = request.input().len();
            request.consumed(used);
            let original = request.as_ptr();
            if entry.forward && adapter.pair().forward(entry.oid, request.input(), original) {
                return sys::NDIS_STATUS_PENDING;
            }
            sys::NDIS_STATUS_SUCCESS
        }
        _ => sys::NDIS_STATUS_NOT_SUPPORTED,
    }
}

fn number(request: &mut Request<'_>, value: u32) -> NDIS_STATUS {
    request.reply(&value.to_ne_bytes())
}

fn statistics(adapter: &Adapter, request: &mut Request<'_>) -> NDIS_STATUS {
    let info = adapter.statistics().info();
    // SAFETY: a plain C record without padding: its fields fill it.
    let bytes =
        unsafe { core::slice::from_raw_parts((&raw const info).cast::<u8>(), size_of_val(&info)) };
    request.reply(bytes)
}

fn interrupt_moderation(_: &Adapter, request: &mut Request<'_>) -> NDIS_STATUS {
    let mut moderation: sys::NDIS_INTERRUPT_MODERATION_PARAMETERS = sys::zeroed();
    moderation.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_DEFAULT,
        sys::NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
        sys::NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1,
    );
    moderation.InterruptModeration = sys::NdisInterruptModerationNotSupported;
    // SAFETY: a plain C record without padding: four bytes three times.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            (&raw const moderation).cast::<u8>(),
            size_of_val(&moderation),
        )
    };
    request.reply(bytes)
}

/// Microsoft Learn, "OID_GEN_INTERRUPT_MODERATION": what is not supported can't be set.
fn refuse_interrupt_moderation(_: &Adapter, _: &mut Request<'_>) -> Result<(), NDIS_STATUS> {
    Err(sys::NDIS_STATUS_INVALID_DATA)
}

/// The link is the host's: its speed, duplex and flow control can't be chosen here.
fn refuse_link_parameters(_: &Adapter, _: &mut Request<'_>) -> Result<(), NDIS_STATUS> {
    Err(sys::NDIS_STATUS_NOT_SUPPORTED)
}

fn set_packet_filter(adapter: &Adapter, request: &mut Request<'_>) -> Result<(), NDIS_STATUS> {
    let filter = u32::from_ne_bytes(request.read()?);
    if filter & !PACKET_FILTERS != 0 {
        return Err(sys::NDIS_STATUS_NOT_SUPPORTED);
    }
    change(adapter, |filters| filters.packet_filter = filter);
    adapter.tell_filters();
    Ok(())
}

fn set_lookahead(adapter: &Adapter, request: &mut Request<'_>) -> Result<(), NDIS_STATUS> {
    let lookahead = u32::from_ne_bytes(request.read()?);
    change(adapter, |filters| filters.lookahead = lookahead);
    Ok(())
}

fn set_multicast_list(adapter: &Adapter, request: &mut Request<'_>) -> Result<(), NDIS_STATUS> {
    let (addresses, rest) = request.input().as_chunks::<6>();
    if !rest.is_empty() {
        let whole = request.input().len().next_multiple_of(6);
        return Err(request.wrong_length(whole));
    }
    if addresses.len() > MAX_MULTICAST {
        return Err(sys::NDIS_STATUS_MULTICAST_FULL);
    }
    change(adapter, |filters| {
        for (slot, address) in filters.multicast.iter_mut().zip(addresses) {
            *slot = *address;
        }
        filters.multicast_len = addresses.len();
    });
    adapter.tell_filters();
    Ok(())
}

fn change(adapter: &Adapter, change: impl FnOnce(&mut Filters)) {
    // SAFETY: requests come at PASSIVE_LEVEL; a leaf lock.
    let mut filters = unsafe { adapter.filters.lock() };
    change(&mut filters);
    filters.generation = filters.generation.wrapping_add(1);
}

/// OID_GEN_NETWORK_LAYER_ADDRESSES: a NETWORK_ADDRESS_LIST. Its addresses replace those of the same
/// type; a list of no addresses and no type clears all.
fn set_addresses(adapter: &Adapter, request: &mut Request<'_>) -> Result<(), NDIS_STATUS> {
    /// AddressCount and AddressType of the list.
    const LIST_HEADER: usize = 6;
    /// AddressLength and AddressType of an address.
    const ADDRESS_HEADER: usize = 4;
    const IPV4: u16 = sys::NDIS_PROTOCOL_ID_TCP_IP as u16;
    const IPV6: u16 = sys::NDIS_PROTOCOL_ID_IP6 as u16;
    let input = request.input();
    let (Some(count), Some(kind)) = (read_u32(input, 0), read_u16(input, 4)) else {
        return Err(request.wrong_length(LIST_HEADER));
    };
    let mut found = [Address::V4([0; 4]); crate::adapter::MAX_ADDRESSES];
    let mut len = 0usize;
    let mut at = LIST_HEADER;
    for _ in 0..count {
        let (Some(bytes), Some(kind)) =
            (read_u16(input, at), read_u16(input, at.saturating_add(2)))
        else {
            return Err(request.wrong_length(at.saturating_add(ADDRESS_HEADER)));
        };
        let start = at.saturating_add(ADDRESS_HEADER);
        let end = start.saturating_add(usize::from(bytes));
        let Some(address) = input.get(start..end) else {
            return Err(request.wrong_length(end));
        };
        // NETWORK_ADDRESS_IP: port, IPv4 address, eight bytes of zero. NETWORK_ADDRESS_IP6: port,
        // flow, address, scope.
        let address = match kind {
            IPV4 => address
                .get(4..)
                .and_then(|rest| rest.first_chunk())
                .map(|ip| Address::V4(*ip)),
            IPV6 => address
                .get(8..)
                .and_then(|rest| rest.first_chunk())
                .map(|ip| Address::V6(*ip)),
            _ => None,
        };
        if let (Some(address), Some(slot)) = (address, found.get_mut(len)) {
            *slot = address;
            len = len.saturating_add(1);
        }
        at = end;
    }
    let replaced = |address: &Address| match address {
        Address::V4(_) => kind == IPV4 || count == 0 && kind == 0,
        Address::V6(_) => kind == IPV6 || count == 0 && kind == 0,
    };
    // SAFETY: requests come at PASSIVE_LEVEL; a leaf lock.
    let mut addresses = unsafe { adapter.addresses.lock() };
    let kept = addresses.known;
    let kept = kept
        .iter()
        .take(addresses.len)
        .filter(|address| !replaced(address));
    for address in kept {
        if let Some(slot) = found.get_mut(len) {
            *slot = *address;
            len = len.saturating_add(1);
        }
    }
    (addresses.known, addresses.len) = (found, len);
    Ok(())
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_ne_bytes(*bytes))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_ne_bytes(*bytes))
}
