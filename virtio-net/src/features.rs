//! Feature bits: what the driver wants, in one table, and what comes of it.
//!
//! A row of [`TABLE`] is the only place that lets the driver accept a bit, and the caller's mask says
//! which of those it can use. What the rest of the driver may rely on is the result of
//! [`negotiate`], handed out by [`Negotiated::features`](crate::bring_up::Negotiated::features).
//! [`Change`] tells what a device that was reset, resumed or moved offers no more.

mod change;
mod negotiation;
mod table;

use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

use virtio_spec::net::F;

pub use self::change::Change;
pub use self::negotiation::{Lacking, negotiate, negotiate_for};
pub use self::table::{DEFAULT, Feature, Interface, Part, TABLE, Wish};

/// A set of feature bits, 0 to 127 (virtio 1.2, 2.2; virtio 1.4 defines bits beyond 63).
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Features(u128);

impl Features {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// Every bit; as a mask it drops nothing, and asks for what is accepted on request only.
    pub const ALL: Self = Self(u128::MAX);

    /// Checksums of sent frames may be left to the device (`VIRTIO_NET_F_CSUM`).
    pub const CSUM: Self = Self::of(F::CSUM);
    /// Received frames may come without a full checksum (`VIRTIO_NET_F_GUEST_CSUM`).
    pub const GUEST_CSUM: Self = Self::of(F::GUEST_CSUM);
    /// Receive offloads can be switched while the device runs (`VIRTIO_NET_F_CTRL_GUEST_OFFLOADS`).
    pub const CTRL_GUEST_OFFLOADS: Self = Self::of(F::CTRL_GUEST_OFFLOADS);
    /// The device names a maximum MTU (`VIRTIO_NET_F_MTU`).
    pub const MTU: Self = Self::of(F::MTU);
    /// The device has a MAC address (`VIRTIO_NET_F_MAC`).
    pub const MAC: Self = Self::of(F::MAC);
    /// The device segments everything that it may be given: of the legacy interface only
    /// (`VIRTIO_NET_F_GSO`).
    pub const GSO: Self = Self(1 << 6);
    /// Received TCP/IPv4 segments may come as one (`VIRTIO_NET_F_GUEST_TSO4`).
    pub const GUEST_TSO4: Self = Self::of(F::GUEST_TSO4);
    /// Received TCP/IPv6 segments may come as one (`VIRTIO_NET_F_GUEST_TSO6`).
    pub const GUEST_TSO6: Self = Self::of(F::GUEST_TSO6);
    /// Such TCP segments may have ECN (`VIRTIO_NET_F_GUEST_ECN`).
    pub const GUEST_ECN: Self = Self::of(F::GUEST_ECN);
    /// Received UDP fragments may come as one (`VIRTIO_NET_F_GUEST_UFO`).
    pub const GUEST_UFO: Self = Self::of(F::GUEST_UFO);
    /// The device segments TCP/IPv4 (`VIRTIO_NET_F_HOST_TSO4`).
    pub const HOST_TSO4: Self = Self::of(F::HOST_TSO4);
    /// The device segments TCP/IPv6 (`VIRTIO_NET_F_HOST_TSO6`).
    pub const HOST_TSO6: Self = Self::of(F::HOST_TSO6);
    /// The TCP that it segments may have ECN (`VIRTIO_NET_F_HOST_ECN`).
    pub const HOST_ECN: Self = Self::of(F::HOST_ECN);
    /// The device fragments UDP (`VIRTIO_NET_F_HOST_UFO`).
    pub const HOST_UFO: Self = Self::of(F::HOST_UFO);
    /// A received frame may span several buffers (`VIRTIO_NET_F_MRG_RXBUF`).
    pub const MRG_RXBUF: Self = Self::of(F::MRG_RXBUF);
    /// The device tells its link state (`VIRTIO_NET_F_STATUS`).
    pub const STATUS: Self = Self::of(F::STATUS);
    /// The device has a control queue (`VIRTIO_NET_F_CTRL_VQ`).
    pub const CTRL_VQ: Self = Self::of(F::CTRL_VQ);
    /// Receive modes can be set (`VIRTIO_NET_F_CTRL_RX`).
    pub const CTRL_RX: Self = Self::of(F::CTRL_RX);
    /// The device filters VLANs, from the moment the bit is accepted (`VIRTIO_NET_F_CTRL_VLAN`).
    pub const CTRL_VLAN: Self = Self::of(F::CTRL_VLAN);
    /// Further receive modes can be set (`VIRTIO_NET_F_CTRL_RX_EXTRA`).
    pub const CTRL_RX_EXTRA: Self = Self::of(F::CTRL_RX_EXTRA);
    /// The device asks the driver to announce its addresses (`VIRTIO_NET_F_GUEST_ANNOUNCE`).
    pub const GUEST_ANNOUNCE: Self = Self::of(F::GUEST_ANNOUNCE);
    /// There are several queue pairs (`VIRTIO_NET_F_MQ`).
    pub const MQ: Self = Self::of(F::MQ);
    /// The MAC address can be set by a command (`VIRTIO_NET_F_CTRL_MAC_ADDR`).
    pub const CTRL_MAC_ADDR: Self = Self::of(F::CTRL_MAC_ADDR);
    /// The device interrupts when a queue runs empty: of the legacy interface only
    /// (`VIRTIO_F_NOTIFY_ON_EMPTY`).
    pub const NOTIFY_ON_EMPTY: Self = Self(1 << 24);
    /// Header and frame may share a descriptor: of the legacy interface only
    /// (`VIRTIO_F_ANY_LAYOUT`).
    pub const ANY_LAYOUT: Self = Self(1 << 27);
    /// A trap for drivers that accept what they do not know: of the legacy interface only.
    pub const UNUSED: Self = Self(1 << 30);
    /// The device coalesces TCP/IPv6 in a way of its own: of old devices only
    /// (`VIRTIO_NET_F_GUEST_RSC6`; its sister for IPv4 is now [`ADMIN_VQ`](Self::ADMIN_VQ)).
    pub const GUEST_RSC6: Self = Self(1 << 42);
    /// The device tells its statistics (`VIRTIO_NET_F_DEVICE_STATS`).
    pub const DEVICE_STATS: Self = Self::of(F::DEVICE_STATS);
    /// The device hashes what is inside of tunnels (`VIRTIO_NET_F_HASH_TUNNEL`).
    pub const HASH_TUNNEL: Self = Self::of(F::HASH_TUNNEL);
    /// Notifications are coalesced per queue (`VIRTIO_NET_F_VQ_NOTF_COAL`).
    pub const VQ_NOTF_COAL: Self = Self::of(F::VQ_NOTF_COAL);
    /// Notifications are coalesced (`VIRTIO_NET_F_NOTF_COAL`).
    pub const NOTF_COAL: Self = Self::of(F::NOTF_COAL);
    /// Received UDP/IPv4 datagrams may come as one (`VIRTIO_NET_F_GUEST_USO4`).
    pub const GUEST_USO4: Self = Self::of(F::GUEST_USO4);
    /// Received UDP/IPv6 datagrams may come as one (`VIRTIO_NET_F_GUEST_USO6`).
    pub const GUEST_USO6: Self = Self::of(F::GUEST_USO6);
    /// The device segments UDP (`VIRTIO_NET_F_HOST_USO`).
    pub const HOST_USO: Self = Self::of(F::HOST_USO);
    /// The device reports the hash of each received frame (`VIRTIO_NET_F_HASH_REPORT`).
    pub const HASH_REPORT: Self = Self::of(F::HASH_REPORT);
    /// `hdr_len` of sent frames is exact (`VIRTIO_NET_F_GUEST_HDRLEN`).
    pub const GUEST_HDRLEN: Self = Self::of(F::GUEST_HDRLEN);
    /// The device distributes received frames by their hash (`VIRTIO_NET_F_RSS`).
    pub const RSS: Self = Self::of(F::RSS);
    /// The device tells how many segments it put together (`VIRTIO_NET_F_RSC_EXT`).
    pub const RSC_EXT: Self = Self::of(F::RSC_EXT);
    /// The device stands by for a primary with the same MAC address (`VIRTIO_NET_F_STANDBY`).
    pub const STANDBY: Self = Self::of(F::STANDBY);
    /// The device tells its speed and duplex mode (`VIRTIO_NET_F_SPEED_DUPLEX`).
    pub const SPEED_DUPLEX: Self = Self::of(F::SPEED_DUPLEX);
    /// Several RSS configurations (`VIRTIO_NET_F_RSS_CONTEXT`).
    pub const RSS_CONTEXT: Self = Self::of(F::RSS_CONTEXT);
    /// Received segments inside of UDP tunnels may come as one
    /// (`VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO`).
    pub const GUEST_UDP_TUNNEL_GSO: Self = Self::of(F::GUEST_UDP_TUNNEL_GSO);
    /// They may come without the outer checksum (`VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO_CSUM`).
    pub const GUEST_UDP_TUNNEL_GSO_CSUM: Self = Self::of(F::GUEST_UDP_TUNNEL_GSO_CSUM);
    /// The device segments inside of UDP tunnels (`VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO`).
    pub const HOST_UDP_TUNNEL_GSO: Self = Self::of(F::HOST_UDP_TUNNEL_GSO);
    /// It makes the outer checksums, too (`VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO_CSUM`).
    pub const HOST_UDP_TUNNEL_GSO_CSUM: Self = Self::of(F::HOST_UDP_TUNNEL_GSO_CSUM);
    /// The header may lie apart from the frame (`VIRTIO_NET_F_OUT_NET_HEADER`).
    pub const OUT_NET_HEADER: Self = Self::of(F::OUT_NET_HEADER);
    /// The device handles IPsec (`VIRTIO_NET_F_IPSEC`).
    pub const IPSEC: Self = Self::of(F::IPSEC);
    /// A descriptor may refer to a table of descriptors (`VIRTIO_F_INDIRECT_DESC`).
    pub const RING_INDIRECT_DESC: Self = Self::of(F::INDIRECT_DESC);
    /// Notifications are asked for by index (`VIRTIO_F_EVENT_IDX`).
    pub const RING_EVENT_IDX: Self = Self::of(F::EVENT_IDX);
    /// The device follows virtio 1.0 or later (`VIRTIO_F_VERSION_1`).
    pub const VERSION_1: Self = Self::of(F::VERSION_1);
    /// The device uses the addresses that the platform's DMA interface yields
    /// (`VIRTIO_F_ACCESS_PLATFORM`).
    pub const ACCESS_PLATFORM: Self = Self::of(F::ACCESS_PLATFORM);
    /// The packed queue format (`VIRTIO_F_RING_PACKED`).
    pub const RING_PACKED: Self = Self::of(F::RING_PACKED);
    /// Buffers are used in the order in which they were made available (`VIRTIO_F_IN_ORDER`).
    pub const IN_ORDER: Self = Self::of(F::IN_ORDER);
    /// Memory accesses are ordered as the platform orders those of hardware
    /// (`VIRTIO_F_ORDER_PLATFORM`).
    pub const ORDER_PLATFORM: Self = Self::of(F::ORDER_PLATFORM);
    /// The device has virtual functions (`VIRTIO_F_SR_IOV`).
    pub const SR_IOV: Self = Self::of(F::SR_IOV);
    /// Doorbells carry how far a queue was filled (`VIRTIO_F_NOTIFICATION_DATA`).
    pub const NOTIFICATION_DATA: Self = Self::of(F::NOTIFICATION_DATA);
    /// Doorbells name a queue by a number of the device's (`VIRTIO_F_NOTIF_CONFIG_DATA`).
    pub const NOTIF_CONFIG_DATA: Self = Self::of(F::NOTIF_CONFIG_DATA);
    /// A queue can be reset by itself (`VIRTIO_F_RING_RESET`).
    pub const RING_RESET: Self = Self::of(F::RING_RESET);
    /// The device has administration queues (`VIRTIO_F_ADMIN_VQ`).
    pub const ADMIN_VQ: Self = Self::of(F::ADMIN_VQ);
    /// The device can be suspended (`VIRTIO_F_SUSPEND`).
    pub const SUSPEND: Self = Self::of(F::SUSPEND);

    /// The set with exactly `bits`.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The set as a number; bit `n` is feature `n`.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The 32 bits from `32 * index` on, as the feature registers show them; `index` is `0..=3`.
    #[must_use]
    pub const fn word(self, index: u8) -> u32 {
        (self.0 >> Self::shift(index)) as u32
    }

    /// The set with 32 bits from `32 * index` on; the inverse of [`word`](Self::word).
    #[must_use]
    pub const fn from_word(index: u8, word: u32) -> Self {
        Self((word as u128) << Self::shift(index))
    }

    /// The bits of all `sets`, where a constant is built from several.
    #[must_use]
    pub const fn union_of(mut sets: &[Self]) -> Self {
        let mut bits = 0;
        while let [first, rest @ ..] = sets {
            bits |= first.0;
            sets = rest;
        }
        Self(bits)
    }

    /// The set without the bits of `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether a bit of `others` is in the set.
    #[must_use]
    pub const fn intersects(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether every bit of `others` is in the set.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether the set has no bit.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn of(flag: F) -> Self {
        Self(flag.bits().to_ne())
    }

    const fn shift(index: u8) -> u32 {
        ((index & 3) as u32) << 5
    }
}

impl BitAnd for Features {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for Features {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Not for Features {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Features({:#x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_put_together_are_the_set() {
        let set = Features::from_bits(0x0123_4567_89ab_cdef_1122_3344_5566_7788);
        let words = (0..4).map(|index| Features::from_word(index, set.word(index)));
        assert_eq!(words.fold(Features::NONE, |all, word| all | word), set);
        assert_eq!(set.word(3), 0x0123_4567);
        assert_eq!(set.word(0), 0x5566_7788);
    }

    #[test]
    fn sets_are_put_together_and_taken_apart() {
        let both = Features::union_of(&[Features::MAC, Features::IPSEC]);
        assert_eq!(both.bits(), 1 << 5 | 1 << 70);
        assert_eq!(both.without(Features::MAC), Features::IPSEC);
        assert!(both.intersects(Features::IPSEC | Features::MTU));
        assert!(!both.intersects(Features::MTU));
        assert_eq!(Features::union_of(&[]), Features::NONE);
    }
}
