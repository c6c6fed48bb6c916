//! What the device says about itself: address, link, queues, MTU, speed, hashes
//! (virtio 1.2, 5.1.4).
//!
//! Each field exists only if its feature was negotiated, so reading it takes the features. A value
//! that the specification forbids is an error that names it; one that it calls unknown is `None`.

use virtio_spec::net::{HashType, S};

use crate::features::Features;
use crate::registers::Registers;
use crate::transport::pci::{ConfigFields, PciTransport, ReadConfigError};

/// The smallest MTU that a device may name (virtio 1.2, 5.1.4.1; every IPv4 host takes as much).
pub const MIN_MTU: u16 = 68;
/// The most pairs of queues that a device may have (virtio 1.2, 5.1.4.1).
pub const MAX_QUEUE_PAIRS: u16 = 0x8000;
/// The shortest hash key, in bytes, that a device may be content with (virtio 1.2, 5.1.4.1).
pub const MIN_HASH_KEY_LEN: u8 = 40;
/// The shortest indirection table, in entries, that a device may have (virtio 1.2, 5.1.4.1).
pub const MIN_INDIRECTION_TABLE_LEN: u16 = 128;

/// An Ethernet address that a station can have: not a group address, not zero.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Accepts `octets` as a station's address.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Option<Self> {
        const GROUP: u8 = 1;
        match octets {
            [0, 0, 0, 0, 0, 0] => None,
            [first, ..] if first & GROUP != 0 => None,
            _ => Some(Self(octets)),
        }
    }

    /// The address as it goes over the wire.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

/// Whether a link carries both ways at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duplex {
    /// One way at a time.
    Half,
    /// Both.
    Full,
}

/// What the device can hash (virtio 1.2, 5.1.6.4.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HashLimits {
    /// The longest key, in bytes; at least [`MIN_HASH_KEY_LEN`].
    pub max_key_len: u8,
    /// The longest indirection table, in entries, at least [`MIN_INDIRECTION_TABLE_LEN`]; `None`
    /// when `RSS` was not negotiated.
    pub max_table_len: Option<u16>,
    /// The kinds of frames, as the bits of `VIRTIO_NET_HASH_TYPE_*`; bits that virtio 1.4 does not
    /// define are left out.
    pub types: u32,
}

/// The negotiated part of the device configuration, read at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NetConfig {
    /// The device's address; `None` when `MAC` was not negotiated.
    pub mac: Option<MacAddress>,
    /// Whether the link is up; always so when `STATUS` was not negotiated (virtio 1.2, 5.1.4.2).
    pub link_up: bool,
    /// Whether the driver is asked to announce its addresses; never so when `GUEST_ANNOUNCE` was
    /// not negotiated.
    pub announce: bool,
    /// Pairs of queues that the device has: `1..=`[`MAX_QUEUE_PAIRS`], and 1 when neither `MQ` nor
    /// `RSS` was negotiated.
    pub max_queue_pairs: u16,
    /// The largest packet, in bytes without the Ethernet header; `None` when `MTU` was not
    /// negotiated.
    pub mtu: Option<u16>,
    /// Megabits per second; `None` when unknown, or when `SPEED_DUPLEX` was not negotiated.
    pub speed_mbps: Option<u32>,
    /// Half or full; `None` when unknown, or when `SPEED_DUPLEX` was not negotiated.
    pub duplex: Option<Duplex>,
    /// What the device hashes; `None` when neither `RSS` nor `HASH_REPORT` was negotiated.
    pub hash: Option<HashLimits>,
}

/// The status field alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkStatus {
    /// As [`NetConfig::link_up`].
    pub up: bool,
    /// As [`NetConfig::announce`].
    pub announce: bool,
}

/// A device configuration that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigError {
    /// The longest hash key is below [`MIN_HASH_KEY_LEN`].
    BadHashKeyLen(u8),
    /// The longest indirection table is below [`MIN_INDIRECTION_TABLE_LEN`].
    BadIndirectionTableLen(u16),
    /// The MAC address is zero or a group address.
    BadMac([u8; 6]),
    /// The MTU is below [`MIN_MTU`].
    BadMtu(u16),
    /// The number of queue pairs is not in `1..=`[`MAX_QUEUE_PAIRS`].
    BadQueuePairs(u16),
    /// The configuration could not be read.
    Unreadable(ReadConfigError),
}

/// Reads what `features` say there is.
pub(crate) fn read<R: Registers>(
    transport: &PciTransport<R>,
    features: Features,
) -> Result<NetConfig, ConfigError> {
    let raw = Raw::read(transport, features).map_err(ConfigError::Unreadable)?;

    let mac = match raw.mac {
        Some(octets) => Some(MacAddress::new(octets).ok_or(ConfigError::BadMac(octets))?),
        None => None,
    };
    if let Some(mtu) = raw.mtu.filter(|mtu| *mtu < MIN_MTU) {
        return Err(ConfigError::BadMtu(mtu));
    }
    let max_queue_pairs = match raw.queue_pairs {
        None => 1,
        Some(pairs @ 1..=MAX_QUEUE_PAIRS) => pairs,
        Some(pairs) => return Err(ConfigError::BadQueuePairs(pairs)),
    };
    let status = status(raw.status, features);
    Ok(NetConfig {
        mac,
        link_up: status.up,
        announce: status.announce,
        max_queue_pairs,
        mtu: raw.mtu,
        speed_mbps: raw.speed.filter(|speed| *speed <= i32::MAX as u32),
        duplex: raw.duplex.and_then(duplex),
        hash: raw.hash.map(HashLimits::check).transpose()?,
    })
}

/// Reads the status alone, for the configuration interrupt.
pub(crate) fn read_status<R: Registers>(
    transport: &PciTransport<R>,
    features: Features,
) -> Result<LinkStatus, ConfigError> {
    let raw = Raw::read(transport, features & Features::STATUS);
    raw.map(|raw| status(raw.status, features))
        .map_err(ConfigError::Unreadable)
}

/// The fields before they are judged.
#[derive(Clone, Copy, Default, PartialEq)]
struct Raw {
    mac: Option<[u8; 6]>,
    status: Option<u16>,
    queue_pairs: Option<u16>,
    mtu: Option<u16>,
    speed: Option<u32>,
    duplex: Option<u8>,
    hash: Option<HashLimits>,
}

impl Raw {
    fn read<R: Registers>(
        transport: &PciTransport<R>,
        features: Features,
    ) -> Result<Self, ReadConfigError> {
        transport.read_config(|fields| Self::read_once(fields, features))
    }

    fn read_once<R: Registers>(
        fields: &ConfigFields<'_, R>,
        features: Features,
    ) -> Result<Self, ReadConfigError> {
        let mut raw = Self::default();
        if features.contains(Features::MAC) {
            let mut octets = [0; 6];
            for (offset, octet) in (at::MAC..).zip(&mut octets) {
                *octet = fields.byte(offset)?;
            }
            raw.mac = Some(octets);
        }
        if features.contains(Features::STATUS) {
            raw.status = Some(fields.word(at::STATUS)?);
        }
        if features.intersects(Features::MQ | Features::RSS) {
            raw.queue_pairs = Some(fields.word(at::QUEUE_PAIRS)?);
        }
        if features.contains(Features::MTU) {
            raw.mtu = Some(fields.word(at::MTU)?);
        }
        if features.contains(Features::SPEED_DUPLEX) {
            raw.speed = Some(fields.double(at::SPEED)?);
            raw.duplex = Some(fields.byte(at::DUPLEX)?);
        }
        if features.intersects(Features::RSS | Features::HASH_REPORT) {
            let has_table = features.contains(Features::RSS);
            let max_table_len = has_table.then(|| fields.word(at::TABLE_LEN)).transpose()?;
            raw.hash = Some(HashLimits {
                max_key_len: fields.byte(at::KEY_LEN)?,
                max_table_len,
                types: fields.double(at::HASH_TYPES)?,
            });
        }
        Ok(raw)
    }
}

impl HashLimits {
    fn check(self) -> Result<Self, ConfigError> {
        // The highest kind that is defined, and all below it.
        const KNOWN: u32 = u32::MAX >> HashType::UDP_EX.bits().to_ne().leading_zeros();
        if self.max_key_len < MIN_HASH_KEY_LEN {
            return Err(ConfigError::BadHashKeyLen(self.max_key_len));
        }
        match self.max_table_len {
            Some(len) if len < MIN_INDIRECTION_TABLE_LEN => {
                Err(ConfigError::BadIndirectionTableLen(len))
            }
            _ => Ok(Self {
                types: self.types & KNOWN,
                ..self
            }),
        }
    }
}

fn status(status: Option<u16>, features: Features) -> LinkStatus {
    const LINK_UP: u16 = S::LINK_UP.bits().to_ne();
    const ANNOUNCE: u16 = S::ANNOUNCE.bits().to_ne();
    let asks = status.is_some_and(|status| status & ANNOUNCE != 0);
    LinkStatus {
        up: status.is_none_or(|status| status & LINK_UP != 0),
        announce: asks && features.contains(Features::GUEST_ANNOUNCE),
    }
}

/// The field's description has 1 for full and 0 for half, as every implementation does; a sentence
/// further down (virtio 1.2, 5.1.4.1) has them the other way round.
fn duplex(field: u8) -> Option<Duplex> {
    match field {
        0 => Some(Duplex::Half),
        1 => Some(Duplex::Full),
        _ => None,
    }
}

/// Offsets in `virtio_net_config`.
mod at {
    pub(super) const MAC: u32 = 0;
    pub(super) const STATUS: u32 = 6;
    pub(super) const QUEUE_PAIRS: u32 = 8;
    pub(super) const MTU: u32 = 10;
    pub(super) const SPEED: u32 = 12;
    pub(super) const DUPLEX: u32 = 16;
    pub(super) const KEY_LEN: u32 = 17;
    pub(super) const TABLE_LEN: u32 = 18;
    pub(super) const HASH_TYPES: u32 = 20;
    /// Where the next field, of a feature that is refused, would follow.
    pub(super) const END: u32 = 24;
}

// The specification's structure has one more field, for HASH_TUNNEL.
const _: () = assert!(size_of::<virtio_spec::net::Config>() as u32 == at::END.wrapping_add(4));
