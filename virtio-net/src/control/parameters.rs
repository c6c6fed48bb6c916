//! The parameters of commands: types that hold what the specification allows, and the device's
//! limits for the rest.

use crate::config::MacAddress;
use crate::features::Features;

/// An Ethernet address of a group of stations: multicast, or broadcast.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct GroupAddress([u8; 6]);

impl GroupAddress {
    /// Accepts `octets` as a group's address.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Option<Self> {
        const GROUP: u8 = 1;
        let [first, ..] = octets;
        if first & GROUP != 0 {
            Some(Self(octets))
        } else {
            None
        }
    }

    /// The address as it goes over the wire.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

/// A VLAN, `0..=4094`. 0 stands for frames that carry a priority and no VLAN.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VlanId(u16);

impl VlanId {
    /// Accepts `id` as a VLAN's number; 4095 is reserved (IEEE 802.1Q, 9.6).
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        if id < 0xfff { Some(Self(id)) } else { None }
    }

    /// The VLAN as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A switch of the receive filter (virtio 1.2, 5.1.6.5 "Packet Receive Filtering").
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode {
    /// Every frame is received, whatever the other modes say.
    Promiscuous,
    /// Every multicast frame is received.
    AllMulticast,
    /// Every unicast frame is received.
    AllUnicast,
    /// No multicast frame is received, broadcasts excepted; stronger than `AllMulticast`.
    NoMulticast,
    /// No unicast frame is received; stronger than `AllUnicast`.
    NoUnicast,
    /// No broadcast frame is received.
    NoBroadcast,
}

impl Mode {
    /// All modes, by the number of their command.
    pub const ALL: [Self; 6] = [
        Self::Promiscuous,
        Self::AllMulticast,
        Self::AllUnicast,
        Self::NoMulticast,
        Self::NoUnicast,
        Self::NoBroadcast,
    ];

    /// What has to be negotiated for the mode to be set.
    #[must_use]
    pub fn needs(self) -> Features {
        let feature = match self {
            Self::Promiscuous | Self::AllMulticast => Features::CTRL_RX,
            Self::AllUnicast | Self::NoMulticast | Self::NoUnicast | Self::NoBroadcast => {
                Features::CTRL_RX_EXTRA
            }
        };
        Features::CTRL_VQ | feature
    }

    /// Whether more is received when the mode is on than when it is off.
    #[must_use]
    pub const fn widens(self) -> bool {
        matches!(
            self,
            Self::Promiscuous | Self::AllMulticast | Self::AllUnicast
        )
    }
}

/// When a device that has something to tell interrupts (virtio 1.2, 5.1.6.5 "Notifications
/// Coalescing"). With a zero in either field it does after every packet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Coalescing {
    /// After so many packets.
    pub max_packets: u32,
    /// Or so many microseconds after the first of them.
    pub max_usecs: u32,
}

/// Which frames the device hashes, and how (virtio 1.2, 5.1.6.5 "Hash calculation").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HashConfig<'a> {
    /// `VIRTIO_NET_HASH_TYPE_*` bits, see [`virtio_spec::net::HashType`].
    pub types: u32,
    /// The key of the Toeplitz hash.
    pub key: &'a [u8],
}

/// How the device spreads received frames over the queues (virtio 1.2, 5.1.6.5 "Setting RSS
/// parameters"). Receive queues are counted from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RssConfig<'a> {
    /// What is hashed.
    pub hash: HashConfig<'a>,
    /// The receive queue of frames that are not hashed.
    pub unclassified: u16,
    /// The receive queue for each value of the hash, which is masked with the number of entries
    /// less one: that number is a power of two.
    pub table: &'a [u16],
    /// How many transmit queues are in use.
    pub transmit_queues: u16,
}

/// How far the parameters may go: the device's limits, from its configuration, and the driver's own
/// for what takes memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The most unicast addresses in a table; the driver's choice, since devices name no limit.
    pub unicast: u16,
    /// The most multicast addresses in a table; the driver's choice.
    pub multicast: u16,
    /// `max_virtqueue_pairs`; 1 without `MQ` and `RSS`.
    pub queue_pairs: u16,
    /// `rss_max_indirection_table_length`, or less; 0 without `RSS`.
    pub rss_entries: u16,
    /// `rss_max_key_size`, or less; 0 without `RSS` and `HASH_REPORT`.
    pub hash_key: u8,
    /// `supported_hash_types`; 0 without `RSS` and `HASH_REPORT`.
    pub hash_types: u32,
}

/// A parameter that no command may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Invalid {
    /// There is something to hash, but no key.
    KeyMissing,
    /// The hash key is longer than the device takes.
    KeyTooLong {
        /// Its bytes.
        len: usize,
        /// The most that there may be.
        max: u8,
    },
    /// There is no such queue, or it has no frames.
    NoSuchQueue {
        /// The number that was given.
        queue: u16,
    },
    /// These features are no receive offloads.
    NotOffloads(Features),
    /// There is no such number of queue pairs (or of transmit queues alone) to be had.
    PairsOutOfRange {
        /// The number that was given.
        pairs: u16,
        /// The most that there are.
        max: u16,
    },
    /// The number of entries in the indirection table is no power of two.
    TableNotPowerOfTwo(usize),
    /// The indirection table has more entries than the device takes.
    TableTooLong {
        /// Its entries.
        len: usize,
        /// The most that there may be.
        max: u16,
    },
    /// There are more addresses than fit a command.
    TooManyAddresses {
        /// How many.
        len: usize,
        /// The most that there may be.
        max: u16,
    },
    /// The device does not hash these.
    UnsupportedHashTypes(u32),
}

impl Limits {
    pub(super) fn check_addresses(
        &self,
        unicast: &[MacAddress],
        multicast: &[GroupAddress],
    ) -> Result<(), Invalid> {
        for (len, max) in [
            (unicast.len(), self.unicast),
            (multicast.len(), self.multicast),
        ] {
            if len > usize::from(max) {
                return Err(Invalid::TooManyAddresses { len, max });
            }
        }
        Ok(())
    }

    pub(super) const fn check_pairs(&self, pairs: u16) -> Result<(), Invalid> {
        if pairs == 0 || pairs > self.queue_pairs {
            return Err(Invalid::PairsOutOfRange {
                pairs,
                max: self.queue_pairs,
            });
        }
        Ok(())
    }

    pub(super) fn check_hash(&self, hash: &HashConfig<'_>) -> Result<(), Invalid> {
        let len = hash.key.len();
        if len > usize::from(self.hash_key) {
            return Err(Invalid::KeyTooLong {
                len,
                max: self.hash_key,
            });
        }
        let unsupported = hash.types & !self.hash_types;
        if unsupported != 0 {
            return Err(Invalid::UnsupportedHashTypes(unsupported));
        }
        if hash.types != 0 && hash.key.is_empty() {
            return Err(Invalid::KeyMissing);
        }
        Ok(())
    }

    pub(super) fn check_rss(&self, rss: &RssConfig<'_>) -> Result<(), Invalid> {
        self.check_hash(&rss.hash)?;
        self.check_pairs(rss.transmit_queues)?;

        let len = rss.table.len();
        if len > usize::from(self.rss_entries) {
            let max = self.rss_entries;
            return Err(Invalid::TableTooLong { len, max });
        }
        if !len.is_power_of_two() {
            return Err(Invalid::TableNotPowerOfTwo(len));
        }
        let mut queues = rss.table.iter().chain([&rss.unclassified]);
        match queues.find(|queue| **queue >= self.queue_pairs) {
            Some(queue) => Err(Invalid::NoSuchQueue { queue: *queue }),
            None => Ok(()),
        }
    }

    /// `queue` is a virtqueue's number: receive queues are even, transmit queues odd, and the
    /// control queue comes after them.
    pub(super) fn check_queue(&self, queue: u16) -> Result<(), Invalid> {
        if queue >> 1 >= self.queue_pairs {
            return Err(Invalid::NoSuchQueue { queue });
        }
        Ok(())
    }
}
