//! Feature bits: what the driver wants, in one table, and what comes of it.
//!
//! A row of [`TABLE`] is the only place that makes the driver accept a bit. What the rest of the
//! driver may rely on is the result of [`negotiate`], handed out by
//! [`Negotiated::features`](crate::bring_up::Negotiated::features).

use core::fmt;
use core::ops::{BitAnd, BitOr, Not};

use virtio_spec::net::F;

/// A set of feature bits, 0 to 127 (virtio 1.2, 2.2; virtio 1.4 defines bits beyond 63).
#[derive(Clone, Copy, Default, Eq, Hash, PartialEq)]
pub struct Features(u128);

impl Features {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// Every bit; as a mask it drops nothing.
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

/// What the driver thinks of a feature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Does not work without it; a mask does not drop it.
    Required,
    /// Accepted when offered.
    Wanted,
    /// Known and refused; the row says why.
    Never,
}

/// A row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The one bit that the row is about.
    pub bit: Features,
    /// The name in the specification, without `VIRTIO_F_` or `VIRTIO_NET_F_`.
    pub name: &'static str,
    /// What the driver thinks of it.
    pub wish: Wish,
    /// Bits without which this one is not accepted either.
    pub needs: Features,
}

const fn row(name: &'static str, bit: Features, wish: Wish, needs: Features) -> Feature {
    Feature {
        bit,
        name,
        wish,
        needs,
    }
}

/// Every feature that the driver has an opinion on. A bit without a row is not accepted.
pub const TABLE: &[Feature] = &[
    row(
        "VERSION_1",
        Features::VERSION_1,
        Wish::Required,
        Features::NONE,
    ),
    // The driver passes only addresses that the system's DMA interface gave it.
    row(
        "ACCESS_PLATFORM",
        Features::ACCESS_PLATFORM,
        Wish::Wanted,
        Features::NONE,
    ),
    row(
        "RING_INDIRECT_DESC",
        Features::RING_INDIRECT_DESC,
        Wish::Wanted,
        Features::NONE,
    ),
    row(
        "RING_EVENT_IDX",
        Features::RING_EVENT_IDX,
        Wish::Wanted,
        Features::NONE,
    ),
    row("MTU", Features::MTU, Wish::Wanted, Features::NONE),
    row("MAC", Features::MAC, Wish::Wanted, Features::NONE),
    row(
        "MRG_RXBUF",
        Features::MRG_RXBUF,
        Wish::Wanted,
        Features::NONE,
    ),
    row("STATUS", Features::STATUS, Wish::Wanted, Features::NONE),
    // A primary is recognised by the MAC address of its standby: without one there is no pair.
    row("STANDBY", Features::STANDBY, Wish::Wanted, Features::MAC),
    // Once accepted, the device drops every VLAN that was not added by a command; not accepted, it
    // passes all, which is right for a driver without a control queue.
    row(
        "CTRL_VLAN",
        Features::CTRL_VLAN,
        Wish::Never,
        Features::NONE,
    ),
    row(
        "RING_PACKED",
        Features::RING_PACKED,
        Wish::Never,
        Features::NONE,
    ),
];

/// A required feature is not to be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lacking {
    /// Its name in [`TABLE`].
    pub name: &'static str,
}

/// Chooses from `offered` by [`TABLE`]; `mask` keeps of the wanted bits only those it has.
///
/// A bit whose needs are not met is left out, and so is what needs it in turn.
///
/// # Errors
///
/// Names the first required feature that is not offered or whose needs are not met.
pub fn negotiate(offered: Features, mask: Features) -> Result<Features, Lacking> {
    choose(TABLE, offered, mask)
}

fn choose(table: &[Feature], offered: Features, mask: Features) -> Result<Features, Lacking> {
    let mut accepted = wished(table, mask) & offered;
    // Each round but the last drops a row, so this ends after at most as many rounds as rows.
    for _ in table {
        let unmet = table
            .iter()
            .filter(|row| accepted.contains(row.bit) && !accepted.contains(row.needs))
            .fold(Features::NONE, |bits, row| bits | row.bit);
        if unmet.is_empty() {
            break;
        }
        accepted = accepted & !unmet;
    }

    let missing = table
        .iter()
        .find(|row| row.wish == Wish::Required && !accepted.contains(row.bit));
    match missing {
        Some(row) => Err(Lacking { name: row.name }),
        None => Ok(accepted),
    }
}

fn wished(table: &[Feature], mask: Features) -> Features {
    table
        .iter()
        .fold(Features::NONE, |bits, row| match row.wish {
            Wish::Required => bits | row.bit,
            Wish::Wanted => bits | (row.bit & mask),
            Wish::Never => bits,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Features = Features::from_bits(1);
    const B: Features = Features::from_bits(1 << 64);
    const C: Features = Features::from_bits(1 << 127);

    #[test]
    fn the_slice_is_what_a_device_that_offers_everything_gets() {
        let accepted = negotiate(Features::ALL, Features::ALL).unwrap();
        let bits = [3, 5, 15, 16, 28, 29, 32, 33, 62];
        let expected = bits.iter().fold(0_u128, |set, bit| set | 1 << bit);
        assert_eq!(accepted.bits(), expected);
    }

    #[test]
    fn a_mask_drops_wishes_but_not_requirements() {
        let accepted = negotiate(Features::ALL, Features::MAC).unwrap();
        assert_eq!(accepted, Features::MAC | Features::VERSION_1);
    }

    #[test]
    fn a_legacy_device_is_refused_by_name() {
        let offered = Features::ALL & !Features::VERSION_1;
        let refusal = negotiate(offered, Features::ALL);
        assert_eq!(refusal, Err(Lacking { name: "VERSION_1" }));
    }

    #[test]
    fn standby_without_an_address_is_left_out() {
        let offered = Features::VERSION_1 | Features::STANDBY;
        assert_eq!(negotiate(offered, Features::ALL), Ok(Features::VERSION_1));
    }

    #[test]
    fn dropping_a_bit_drops_what_needs_it_in_turn() {
        let table = [
            row("C", C, Wish::Wanted, B),
            row("B", B, Wish::Wanted, A),
            row("A", A, Wish::Wanted, Features::NONE),
        ];
        assert_eq!(choose(&table, B | C, Features::ALL), Ok(Features::NONE));
        assert_eq!(choose(&table, A | B | C, Features::ALL), Ok(A | B | C));
    }

    #[test]
    fn a_required_bit_with_unmet_needs_is_lacking() {
        let table = [
            row("B", B, Wish::Required, A),
            row("A", A, Wish::Wanted, Features::NONE),
        ];
        assert_eq!(
            choose(&table, A | B, Features::NONE),
            Err(Lacking { name: "B" })
        );
    }

    #[test]
    fn each_row_is_about_one_bit_of_its_own() {
        let all = TABLE
            .iter()
            .fold(Features::NONE, |bits, row| bits | row.bit);
        assert!(TABLE.iter().all(|row| row.bit.bits().is_power_of_two()));
        assert_eq!(all.bits().count_ones() as usize, TABLE.len());
    }

    #[test]
    fn words_put_together_are_the_set() {
        let set = Features::from_bits(0x0123_4567_89ab_cdef_1122_3344_5566_7788);
        let words = (0..4).map(|index| Features::from_word(index, set.word(index)));
        assert_eq!(words.fold(Features::NONE, |all, word| all | word), set);
        assert_eq!(set.word(3), 0x0123_4567);
        assert_eq!(set.word(0), 0x5566_7788);
    }
}
