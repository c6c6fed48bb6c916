//! The commands and their bytes (virtio 1.2, 5.1.6.5).

use virtio_spec::net::{Ctrl, ctrl};

use super::parameters::{
    Coalescing, GroupAddress, HashConfig, Invalid, Limits, Mode, RssConfig, VlanId,
};
use crate::config::MacAddress;
use crate::features::Features;

/// Bytes of `class` and `command`.
pub(super) const HEADER_LEN: usize = 2;
/// Bytes of the largest answer besides the acknowledgement: `virtio_net_ctrl_coal`.
pub(super) const ANSWER_LEN: usize = 8;

/// Class and commands of notification coalescing, which `virtio_spec` does not name.
mod notf_coal {
    pub(super) const CLASS: u8 = 6;
    pub(super) const TX_SET: u8 = 0;
    pub(super) const RX_SET: u8 = 1;
    pub(super) const VQ_SET: u8 = 2;
    pub(super) const VQ_GET: u8 = 3;
}

/// A command with its parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command<'a> {
    /// Tells that the driver has seen, and will heed, the wish for an announcement.
    #[doc(alias = "VIRTIO_NET_CTRL_ANNOUNCE_ACK")]
    AcknowledgeAnnouncement,
    /// Lets frames of a VLAN pass.
    #[doc(alias = "VIRTIO_NET_CTRL_VLAN_ADD")]
    AddVlan(VlanId),
    /// Sets the coalescing of one virtqueue, by its number.
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_VQ_SET")]
    CoalesceQueue(u16, Coalescing),
    /// Sets the coalescing of all receive queues.
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_RX_SET")]
    CoalesceReceive(Coalescing),
    /// Sets the coalescing of all transmit queues.
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_TX_SET")]
    CoalesceTransmit(Coalescing),
    /// Enables these receive offloads, each of which was negotiated, and disables the others.
    #[doc(alias = "VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET")]
    GuestOffloads(Features),
    /// Sets what is hashed, with automatic steering.
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_HASH_CONFIG")]
    Hash(HashConfig<'a>),
    /// Sets the device's own address.
    #[doc(alias = "VIRTIO_NET_CTRL_MAC_ADDR_SET")]
    Mac(MacAddress),
    /// Replaces the further addresses that pass the filter.
    #[doc(alias = "VIRTIO_NET_CTRL_MAC_TABLE_SET")]
    MacTable {
        /// Addresses of stations.
        unicast: &'a [MacAddress],
        /// Addresses of groups.
        multicast: &'a [GroupAddress],
    },
    /// Switches a mode of the filter on or off.
    #[doc(alias = "VIRTIO_NET_CTRL_RX")]
    Mode(Mode, bool),
    /// Sets how many queue pairs are in use, with automatic steering.
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET")]
    Pairs(u16),
    /// Asks for the coalescing of one virtqueue, by its number; answered by [`Answer::Coalescing`].
    ///
    /// [`Answer::Coalescing`]: super::Answer::Coalescing
    #[doc(alias = "VIRTIO_NET_CTRL_NOTF_COAL_VQ_GET")]
    QueryCoalescing(u16),
    /// Keeps frames of a VLAN out.
    #[doc(alias = "VIRTIO_NET_CTRL_VLAN_DEL")]
    RemoveVlan(VlanId),
    /// Sets how received frames are spread over the queues.
    #[doc(alias = "VIRTIO_NET_CTRL_MQ_RSS_CONFIG")]
    Rss(RssConfig<'a>),
}

/// What a command is about, without its larger parameters. Names are those of [`Command`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "documented at Command")]
pub enum Kind {
    AcknowledgeAnnouncement,
    AddVlan(VlanId),
    CoalesceQueue(u16),
    CoalesceReceive,
    CoalesceTransmit,
    GuestOffloads,
    Hash,
    Mac,
    MacTable,
    Mode(Mode),
    Pairs,
    QueryCoalescing(u16),
    RemoveVlan(VlanId),
    Rss,
}

impl Kind {
    /// Whether the device may decline, and the driver go on as if nothing had happened: filters and
    /// coalescing are best effort by the specification. Of the others the driver's own view of the
    /// device depends.
    #[must_use]
    pub const fn is_best_effort(self) -> bool {
        match self {
            Self::AcknowledgeAnnouncement
            | Self::AddVlan(_)
            | Self::CoalesceQueue(_)
            | Self::CoalesceReceive
            | Self::CoalesceTransmit
            | Self::MacTable
            | Self::Mode(_)
            | Self::QueryCoalescing(_)
            | Self::RemoveVlan(_) => true,
            Self::GuestOffloads | Self::Hash | Self::Mac | Self::Pairs | Self::Rss => false,
        }
    }

    /// Bytes of the answer, which lie before the acknowledgement.
    pub(super) const fn answer_len(self) -> usize {
        match self {
            Self::QueryCoalescing(_) => ANSWER_LEN,
            _ => 0,
        }
    }
}

impl Command<'_> {
    /// What the command is about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match *self {
            Self::AcknowledgeAnnouncement => Kind::AcknowledgeAnnouncement,
            Self::AddVlan(vlan) => Kind::AddVlan(vlan),
            Self::CoalesceQueue(queue, _) => Kind::CoalesceQueue(queue),
            Self::CoalesceReceive(_) => Kind::CoalesceReceive,
            Self::CoalesceTransmit(_) => Kind::CoalesceTransmit,
            Self::GuestOffloads(_) => Kind::GuestOffloads,
            Self::Hash(_) => Kind::Hash,
            Self::Mac(_) => Kind::Mac,
            Self::MacTable { .. } => Kind::MacTable,
            Self::Mode(mode, _) => Kind::Mode(mode),
            Self::Pairs(_) => Kind::Pairs,
            Self::QueryCoalescing(queue) => Kind::QueryCoalescing(queue),
            Self::RemoveVlan(vlan) => Kind::RemoveVlan(vlan),
            Self::Rss(_) => Kind::Rss,
        }
    }

    /// What has to be negotiated before the command may be sent.
    #[must_use]
    pub fn needs(&self) -> Features {
        let features = match *self {
            Self::AcknowledgeAnnouncement => Features::GUEST_ANNOUNCE,
            Self::AddVlan(_) | Self::RemoveVlan(_) => Features::CTRL_VLAN,
            Self::CoalesceReceive(_) | Self::CoalesceTransmit(_) => Features::NOTF_COAL,
            Self::CoalesceQueue(..) | Self::QueryCoalescing(_) => Features::VQ_NOTF_COAL,
            Self::GuestOffloads(offloads) => Features::CTRL_GUEST_OFFLOADS | offloads,
            Self::Hash(_) => Features::HASH_REPORT,
            // The whole class of the command needs CTRL_RX, "Setting MAC Address Filtering" says.
            Self::Mac(_) => Features::CTRL_RX | Features::CTRL_MAC_ADDR,
            Self::MacTable { .. } => Features::CTRL_RX,
            Self::Mode(mode, _) => mode.needs(),
            Self::Pairs(_) => Features::MQ,
            Self::Rss(_) => Features::RSS,
        };
        Features::CTRL_VQ | features
    }

    /// Checks the parameters that a type cannot.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Invalid> {
        match self {
            Self::GuestOffloads(offloads) => match *offloads & !switchable() {
                Features::NONE => Ok(()),
                others => Err(Invalid::NotOffloads(others)),
            },
            Self::CoalesceQueue(queue, _) | Self::QueryCoalescing(queue) => {
                limits.check_queue(*queue)
            }
            Self::Hash(hash) => limits.check_hash(hash),
            Self::MacTable { unicast, multicast } => limits.check_addresses(unicast, multicast),
            Self::Pairs(pairs) => limits.check_pairs(*pairs),
            Self::Rss(rss) => limits.check_rss(rss),
            Self::AcknowledgeAnnouncement
            | Self::AddVlan(_)
            | Self::CoalesceReceive(_)
            | Self::CoalesceTransmit(_)
            | Self::Mac(_)
            | Self::Mode(..)
            | Self::RemoveVlan(_) => Ok(()),
        }
    }

    /// `class` and `command`.
    pub(super) fn header(&self) -> [u8; HEADER_LEN] {
        let (class, command) = match *self {
            Self::Mode(mode, _) => (Ctrl::Rx, mode_command(mode).into()),
            Self::MacTable { .. } => (Ctrl::Mac, ctrl::Mac::TableSet.into()),
            Self::Mac(_) => (Ctrl::Mac, ctrl::Mac::AddrSet.into()),
            Self::AddVlan(_) => (Ctrl::Vlan, ctrl::Vlan::Add.into()),
            Self::RemoveVlan(_) => (Ctrl::Vlan, ctrl::Vlan::Del.into()),
            Self::AcknowledgeAnnouncement => (Ctrl::Announce, ctrl::Announce::Ack.into()),
            Self::Pairs(_) => (Ctrl::Mq, ctrl::Mq::VqPairsSet.into()),
            Self::Rss(_) => (Ctrl::Mq, ctrl::Mq::RssConfig.into()),
            Self::Hash(_) => (Ctrl::Mq, ctrl::Mq::HashConfig.into()),
            Self::GuestOffloads(_) => (Ctrl::GuestOffloads, ctrl::GuestOffloads::Set.into()),
            Self::CoalesceTransmit(_) => return [notf_coal::CLASS, notf_coal::TX_SET],
            Self::CoalesceReceive(_) => return [notf_coal::CLASS, notf_coal::RX_SET],
            Self::CoalesceQueue(..) => return [notf_coal::CLASS, notf_coal::VQ_SET],
            Self::QueryCoalescing(_) => return [notf_coal::CLASS, notf_coal::VQ_GET],
        };
        [class.into(), command]
    }

    /// Hands the command-specific data to `put`, piece by piece.
    pub(super) fn encode(&self, mut put: impl FnMut(&[u8])) {
        match *self {
            Self::AcknowledgeAnnouncement => {}
            Self::AddVlan(vlan) | Self::RemoveVlan(vlan) => put(&vlan.get().to_le_bytes()),
            Self::CoalesceQueue(queue, coalescing) => {
                put_queue(queue, &mut put);
                put_coalescing(coalescing, &mut put);
            }
            Self::CoalesceReceive(coalescing) | Self::CoalesceTransmit(coalescing) => {
                put_coalescing(coalescing, &mut put);
            }
            Self::GuestOffloads(offloads) => put(&offload_bits(offloads).to_le_bytes()),
            Self::Hash(hash) => {
                put(&hash.types.to_le_bytes());
                // Reserved, so that the key lies as in a configuration of RSS with an empty table.
                put(&[0; 8]);
                put_key(hash.key, &mut put);
            }
            Self::Mac(address) => put(&address.octets()),
            Self::MacTable { unicast, multicast } => {
                put(&count(unicast).to_le_bytes());
                for address in unicast {
                    put(&address.octets());
                }
                put(&count(multicast).to_le_bytes());
                for address in multicast {
                    put(&address.octets());
                }
            }
            Self::Mode(_, on) => put(&[u8::from(on)]),
            Self::Pairs(pairs) => put(&pairs.to_le_bytes()),
            Self::QueryCoalescing(queue) => put_queue(queue, &mut put),
            Self::Rss(rss) => {
                put(&rss.hash.types.to_le_bytes());
                // Both sides of the mask are of 16 bits, since the table is no longer than a limit
                // of 16 bits; a receive queue goes by its virtqueue's number halved.
                let mask = rss.table.len().wrapping_sub(1) as u16;
                put(&mask.to_le_bytes());
                put(&rss.unclassified.to_le_bytes());
                for queue in rss.table {
                    put(&queue.to_le_bytes());
                }
                put(&rss.transmit_queues.to_le_bytes());
                put_key(rss.hash.key, &mut put);
            }
        }
    }
}

/// The largest command-specific data within `limits`, in bytes.
pub(super) const fn max_data_len(limits: &Limits) -> usize {
    let key = limits.hash_key as usize;
    let addresses = (limits.unicast as usize).saturating_add(limits.multicast as usize);
    let indirection = (limits.rss_entries as usize).saturating_mul(2);

    let mac_table = addresses.saturating_mul(6).saturating_add(4 + 4);
    let rss = indirection
        .saturating_add(key)
        .saturating_add(4 + 2 + 2 + 2 + 1);
    let hash = key.saturating_add(4 + 8 + 1);
    // No other command has more than the coalescing of a queue.
    larger(larger(mac_table, rss), larger(hash, 4 + 8))
}

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

/// The offloads that can be switched, by the features that they come with.
pub(super) fn switchable() -> Features {
    Features::GUEST_CSUM
        | Features::GUEST_TSO4
        | Features::GUEST_TSO6
        | Features::GUEST_ECN
        | Features::GUEST_UFO
        | Features::GUEST_UDP_TUNNEL_GSO
        | Features::GUEST_UDP_TUNNEL_GSO_CSUM
        | Features::GUEST_USO4
        | Features::GUEST_USO6
        | Features::RSC_EXT
}

/// The bits of a word of offloads: the number of the feature, but for those of UDP tunnels, whose
/// features lie beyond 64 ("Setting Offloads State").
fn offload_bits(offloads: Features) -> u64 {
    const UDP_TUNNEL_GSO: u64 = 1 << 46;
    const UDP_TUNNEL_GSO_CSUM: u64 = 1 << 47;
    let mut bits = u64::from(offloads.word(0)) | u64::from(offloads.word(1)) << 32;
    if offloads.contains(Features::GUEST_UDP_TUNNEL_GSO) {
        bits |= UDP_TUNNEL_GSO;
    }
    if offloads.contains(Features::GUEST_UDP_TUNNEL_GSO_CSUM) {
        bits |= UDP_TUNNEL_GSO_CSUM;
    }
    bits
}

const fn mode_command(mode: Mode) -> ctrl::Rx {
    match mode {
        Mode::Promiscuous => ctrl::Rx::Promisc,
        Mode::AllMulticast => ctrl::Rx::Allmulti,
        Mode::AllUnicast => ctrl::Rx::Alluni,
        Mode::NoMulticast => ctrl::Rx::Nomulti,
        Mode::NoUnicast => ctrl::Rx::Nouni,
        Mode::NoBroadcast => ctrl::Rx::Nobcast,
    }
}

/// How many there are; no more than a limit of 16 bits.
const fn count<T>(list: &[T]) -> u32 {
    list.len() as u32
}

fn put_queue(queue: u16, put: &mut impl FnMut(&[u8])) {
    put(&queue.to_le_bytes());
    put(&[0; 2]);
}

fn put_coalescing(coalescing: Coalescing, put: &mut impl FnMut(&[u8])) {
    put(&coalescing.max_packets.to_le_bytes());
    put(&coalescing.max_usecs.to_le_bytes());
}

fn put_key(key: &[u8], put: &mut impl FnMut(&[u8])) {
    // No longer than a limit of 8 bits.
    put(&[key.len() as u8]);
    put(key);
}
