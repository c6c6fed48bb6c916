//! What the device says about itself: MAC address, link, MTU (virtio 1.2, 5.1.4).
//!
//! Each field exists only if its feature was negotiated, so reading it takes the features.

use crate::features::Features;
use crate::registers::Registers;
use crate::transport::pci::{PciTransport, ReadConfigError};

// Offsets in `virtio_net_config`.
const MAC: u32 = 0;
const STATUS: u32 = 6;
const MTU: u32 = 10;

/// The smallest MTU that a device may name (virtio 1.2, 5.1.4.1; every IPv4 host takes as much).
pub const MIN_MTU: u16 = 68;

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

/// The negotiated part of the device configuration, read at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NetConfig {
    /// The device's address; `None` when `MAC` was not negotiated.
    pub mac: Option<MacAddress>,
    /// Whether the link is up; always so when `STATUS` was not negotiated (virtio 1.2, 5.1.4.2).
    pub link_up: bool,
    /// The largest packet, in bytes without the Ethernet header; `None` when `MTU` was not
    /// negotiated.
    pub mtu: Option<u16>,
}

/// A device configuration that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigError {
    /// The MAC address is zero or a group address.
    BadMac([u8; 6]),
    /// The MTU is below [`MIN_MTU`].
    BadMtu(u16),
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
    Ok(NetConfig {
        mac,
        link_up: is_up(raw.status),
        mtu: raw.mtu,
    })
}

/// Reads the link state alone, for the configuration interrupt.
pub(crate) fn read_link<R: Registers>(
    transport: &PciTransport<R>,
    features: Features,
) -> Result<bool, ConfigError> {
    let raw = Raw::read(transport, features & Features::STATUS);
    raw.map(|raw| is_up(raw.status))
        .map_err(ConfigError::Unreadable)
}

/// The fields before they are judged.
struct Raw {
    mac: Option<[u8; 6]>,
    status: Option<u16>,
    mtu: Option<u16>,
}

impl Raw {
    fn read<R: Registers>(
        transport: &PciTransport<R>,
        features: Features,
    ) -> Result<Self, ReadConfigError> {
        transport.read_config(|fields| {
            let mut raw = Self {
                mac: None,
                status: None,
                mtu: None,
            };
            if features.contains(Features::MAC) {
                let mut octets = [0; 6];
                for (offset, octet) in (MAC..).zip(&mut octets) {
                    *octet = fields.byte(offset)?;
                }
                raw.mac = Some(octets);
            }
            if features.contains(Features::STATUS) {
                raw.status = Some(fields.word(STATUS)?);
            }
            if features.contains(Features::MTU) {
                raw.mtu = Some(fields.word(MTU)?);
            }
            Ok(raw)
        })
    }
}

fn is_up(status: Option<u16>) -> bool {
    const LINK_UP: u16 = virtio_spec::net::S::LINK_UP.bits().to_ne();
    status.is_none_or(|status| status & LINK_UP != 0)
}
