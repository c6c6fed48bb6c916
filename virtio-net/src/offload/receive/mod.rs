//! Received frames: what the device says of them, as far as it can be true.
//!
//! A device says that it has checked a checksum, or that there is none yet; that a frame is made of
//! several; that the fields at the end of the header count something else. Each claim counts only
//! when it was negotiated, and only as far as the frame itself bears it out. What remains is what
//! offloading means: the word of the device for what it alone has seen, about its own traffic.
//!
//! Places in the result are those of the frame as it was received. A driver that takes a VLAN tag
//! off does so last.

mod coalesced;
mod judge;

use super::checksum::{Checksum, Pending};
use super::parse::{Ip, Layers, Transport};
use crate::features::Features;

pub use coalesced::{Coalesced, Kind};

/// What the device does with received frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReceiveOffloads {
    /// It leaves checksums away or checks them (`VIRTIO_NET_F_GUEST_CSUM`).
    pub checksum: bool,
    /// It puts TCP segments over IPv4 together (`VIRTIO_NET_F_GUEST_TSO4`).
    pub tcp_v4: bool,
    /// It puts TCP segments over IPv6 together (`VIRTIO_NET_F_GUEST_TSO6`).
    pub tcp_v6: bool,
    /// Also such as answer a congestion notification (`VIRTIO_NET_F_GUEST_ECN`).
    pub congestion: bool,
    /// It puts the fragments of a UDP datagram together (`VIRTIO_NET_F_GUEST_UFO`).
    pub udp_fragments: bool,
    /// It puts UDP datagrams over IPv4 together (`VIRTIO_NET_F_GUEST_USO4`).
    pub udp_v4: bool,
    /// It puts UDP datagrams over IPv6 together (`VIRTIO_NET_F_GUEST_USO6`).
    pub udp_v6: bool,
    /// It counts what it put together (`VIRTIO_NET_F_RSC_EXT`).
    pub counts: bool,
}

impl ReceiveOffloads {
    /// What `features`, as negotiated, allow.
    #[must_use]
    pub const fn of(features: Features) -> Self {
        let checksum = features.contains(Features::GUEST_CSUM);
        let tcp_v4 = checksum && features.contains(Features::GUEST_TSO4);
        let tcp_v6 = checksum && features.contains(Features::GUEST_TSO6);
        let tcp = tcp_v4 || tcp_v6;
        Self {
            checksum,
            tcp_v4,
            tcp_v6,
            congestion: tcp && features.contains(Features::GUEST_ECN),
            udp_fragments: checksum && features.contains(Features::GUEST_UFO),
            udp_v4: checksum && features.contains(Features::GUEST_USO4),
            udp_v6: checksum && features.contains(Features::GUEST_USO6),
            counts: tcp && features.contains(Features::RSC_EXT),
        }
    }
}

/// What is known of a checksum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Nothing: the receiver has to look.
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
    /// What it covers is right, but the field does not hold the checksum of it.
    Stale,
    /// UDP over IPv4 may come without, and this does.
    Absent,
}

/// What is known of a received frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Received {
    /// Its headers; `None` when they contradict each other or the length of the frame. Such a frame
    /// is no worse than one of an unknown protocol: it may be for somebody.
    pub layers: Option<Layers>,
    /// The checksum of the IPv4 header. Always by the driver itself: no device looks at it.
    pub ipv4_header: State,
    /// The checksum of the transport header.
    pub transport: State,
    /// How to complete a checksum. May be left when [`transport`](Self::transport) is
    /// [`State::Stale`] and the receiver is told so; otherwise it is of something inside, which
    /// nobody could tell that it is incomplete: then the driver completes it.
    pub pending: Option<Pending>,
    /// What the frame was put together from; `None` when it is one as it was sent.
    pub coalesced: Option<Coalesced>,
    /// The device set a bit that was not negotiated; it was ignored.
    pub ignored: bool,
}

/// Why a received frame is useless.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Useless {
    /// No fault: the headers go on behind the given bytes, and more are needed.
    Incomplete {
        /// How many bytes from the start of the frame; after that it may be still more.
        needed: usize,
    },
    /// It is shorter than an Ethernet header.
    Runt,
    /// It was put together in a way that was not negotiated.
    NotNegotiated {
        /// What the device wrote.
        gso_type: u8,
    },
    /// It cannot have been put together in the way that the device says.
    Contradiction {
        /// What the device wrote.
        gso_type: u8,
    },
    /// It is said to be put together of parts without a length.
    NoSegmentSize,
    /// Its missing checksum would be outside of it.
    ChecksumPlace {
        /// Where the sum starts.
        start: u16,
        /// Where the checksum goes, in bytes from there.
        offset: u16,
    },
}

/// Checks the checksum of TCP or UDP by summing it up, given the pieces of the frame in order.
///
/// For frames of which the device said nothing, when the system wants to be told nonetheless.
/// [`State::Unknown`] for other protocols, fragments, hidden addresses and UDP over IPv6 without
/// a checksum, which is for the receiver to judge (RFC 6935).
#[must_use]
pub fn check<'a>(ip: &Ip, pieces: impl IntoIterator<Item = &'a [u8]>) -> State {
    if let Some(state) = without_checksum(ip) {
        return state;
    }
    let place = ip.transport.checksum_place();
    let (Some(place), Some(end), Some(mut sum)) = (place, ip.transport_end(), ip.pseudo_header())
    else {
        return State::Unknown;
    };
    if !sum.add_range(pieces, place.start, end) {
        return State::Unknown;
    }
    match sum.finish() {
        0 => State::Good,
        _ => State::Bad,
    }
}

/// The state of a UDP datagram that has no checksum.
fn without_checksum(ip: &Ip) -> Option<State> {
    match ip.transport {
        Transport::Udp(udp) if udp.checksum == 0 && ip.is_v4() => Some(State::Absent),
        Transport::Udp(udp) if udp.checksum == 0 => Some(State::Unknown),
        _ => None,
    }
}

/// The state of the IPv4 header in `head`.
fn ipv4_header(ip: &Ip, head: &[u8]) -> State {
    let Some(header) = ip.v4_header(head) else {
        return State::Unknown;
    };
    let mut sum = Checksum::ZERO;
    sum.add(header);
    match sum.finish() {
        0 => State::Good,
        _ => State::Bad,
    }
}
