//! What a hash is of.

use virtio_spec::net::HashReport;

use super::toeplitz::Toeplitz;
use crate::header::ReportedHash;
use crate::offload::parse::{Addresses, Ip, Transport};

/// What a hash is of. The numbers are those of the device's reports (virtio 1.2, 5.1.6.4.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum HashKind {
    /// The IPv4 addresses.
    Ipv4 = 1,
    /// The IPv4 addresses and the TCP ports.
    TcpV4 = 2,
    /// The IPv4 addresses and the UDP ports.
    UdpV4 = 3,
    /// The IPv6 addresses of the IP header.
    Ipv6 = 4,
    /// Those and the TCP ports.
    TcpV6 = 5,
    /// Those and the UDP ports.
    UdpV6 = 6,
    /// The IPv6 addresses; of a mobile node its home address, in place of where it is.
    Ipv6Ex = 7,
    /// Those and the TCP ports.
    TcpV6Ex = 8,
    /// Those and the UDP ports.
    UdpV6Ex = 9,
}

const KINDS: [HashKind; 9] = [
    HashKind::Ipv4,
    HashKind::TcpV4,
    HashKind::UdpV4,
    HashKind::Ipv6,
    HashKind::TcpV6,
    HashKind::UdpV6,
    HashKind::Ipv6Ex,
    HashKind::TcpV6Ex,
    HashKind::UdpV6Ex,
];

impl HashKind {
    /// The kind that a device reports by `report`; `None` for "no hash" and unknown numbers.
    #[must_use]
    pub fn reported(report: u16) -> Option<Self> {
        let index = usize::from(report).checked_sub(1)?;
        KINDS.get(index).copied()
    }

    /// The number by which a device reports it.
    #[must_use]
    pub const fn report(self) -> u16 {
        self as u16
    }
}

const _: () = assert!(HashKind::Ipv4.report() == HashReport::Ipv4 as u16);
const _: () = assert!(HashKind::UdpV4.report() == HashReport::Udpv4 as u16);
const _: () = assert!(HashKind::TcpV6.report() == HashReport::Tcpv6 as u16);
const _: () = assert!(HashKind::UdpV6Ex.report() == HashReport::Udpv6Ex as u16);

/// A set of kinds. The bits are those of virtio (`VIRTIO_NET_HASH_TYPE_*`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HashTypes(u32);

impl HashTypes {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self(0x1ff);

    /// The set with `bits`; those of no kind are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The set as a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set with `kind` in addition.
    #[must_use]
    pub const fn with(self, kind: HashKind) -> Self {
        Self(self.0 | Self::bit(kind))
    }

    /// Whether `kind` is in the set.
    #[must_use]
    pub const fn contains(self, kind: HashKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    /// Whether the set has no kind.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn bit(kind: HashKind) -> u32 {
        match 1_u32.checked_shl(kind as u32) {
            Some(bit) => bit >> 1,
            None => 0,
        }
    }

    /// What to hash of `ip`; `None` when the set has nothing for it.
    ///
    /// Packets with extension headers prefer the kinds that look into those. Others take such a kind
    /// when there is nothing else: then there is no difference.
    #[must_use]
    fn kind_for(self, ip: &Ip) -> Option<HashKind> {
        use HashKind::*;
        let (v4, v6, ex) = match ip.transport {
            Transport::Tcp(_) => (TcpV4, TcpV6, TcpV6Ex),
            Transport::Udp(_) => (UdpV4, UdpV6, UdpV6Ex),
            Transport::Fragment | Transport::Malformed | Transport::Other { .. } => {
                (Ipv4, Ipv6, Ipv6Ex)
            }
        };
        let order = match (ip.is_v4(), ip.extensions.present) {
            (true, _) => [v4, Ipv4, v4, Ipv4],
            (false, true) => [ex, Ipv6Ex, v6, Ipv6],
            (false, false) => [v6, Ipv6, ex, Ipv6Ex],
        };
        order.into_iter().find(|kind| self.contains(*kind))
    }
}

/// The hash of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowHash {
    /// The hash.
    pub value: u32,
    /// What it is of.
    pub kind: HashKind,
}

impl FlowHash {
    /// What the device reports, when it is of one of the `enabled` kinds.
    ///
    /// That the device was asked for reports is in there being one
    /// ([`HeaderLayout::parse`](crate::header::HeaderLayout::parse)). Whether the hash is right is not
    /// checked: with a wrong one the device disorders its own traffic.
    #[inline]
    #[must_use]
    pub fn reported(report: Option<ReportedHash>, enabled: HashTypes) -> Option<Self> {
        let report = report?;
        let kind = HashKind::reported(report.report)?;
        enabled.contains(kind).then_some(Self {
            value: report.value,
            kind,
        })
    }
}

impl Toeplitz {
    /// The hash of the flow that `ip` belongs to, of the first that fits of the `enabled` kinds.
    #[inline]
    #[must_use]
    pub fn hash(&self, ip: &Ip, enabled: HashTypes) -> Option<FlowHash> {
        let kind = enabled.kind_for(ip)?;
        let mut input = self.start();
        match &ip.addresses {
            Addresses::V4 {
                source,
                destination,
            } => {
                input.add(source);
                input.add(destination);
            }
            Addresses::V6 {
                source,
                destination,
            } => {
                let (home, routing) = match kind {
                    HashKind::Ipv6Ex | HashKind::TcpV6Ex | HashKind::UdpV6Ex => (
                        ip.extensions.home_address.as_ref(),
                        ip.extensions.routing_address.as_ref(),
                    ),
                    _ => (None, None),
                };
                input.add(home.unwrap_or(source));
                input.add(routing.unwrap_or(destination));
            }
        }
        let addresses_alone = matches!(kind, HashKind::Ipv4 | HashKind::Ipv6 | HashKind::Ipv6Ex);
        if let Some((source, destination)) = ip.transport.ports()
            && !addresses_alone
        {
            input.add(&source.to_be_bytes());
            input.add(&destination.to_be_bytes());
        }
        Some(FlowHash {
            value: input.value(),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use virtio_spec::net::HashType;

    use super::*;

    #[test]
    fn reports_and_types_are_those_of_the_specification() {
        let types = [
            HashType::IPV4,
            HashType::TCPV4,
            HashType::UDPV4,
            HashType::IPV6,
            HashType::TCPV6,
            HashType::UDPV6,
            HashType::IP_EX,
            HashType::TCP_EX,
            HashType::UDP_EX,
        ];
        for ((report, kind), bit) in (1..).zip(KINDS).zip(types) {
            assert_eq!(kind.report(), report);
            assert_eq!(HashKind::reported(report), Some(kind));
            assert_eq!(HashTypes::NONE.with(kind).bits(), bit.bits().to_ne());
        }
        assert_eq!(HashTypes::from_bits(u32::MAX), HashTypes::ALL);
        assert_eq!(HashKind::reported(0), None);
        assert_eq!(HashKind::reported(10), None);
    }

    #[test]
    fn a_report_counts_when_its_kind_was_asked_for() {
        let report = |report| Some(ReportedHash { value: 7, report });
        let enabled = HashTypes::NONE.with(HashKind::TcpV6);
        let hash = FlowHash {
            value: 7,
            kind: HashKind::TcpV6,
        };
        assert_eq!(FlowHash::reported(report(5), enabled), Some(hash));
        for other in [0, 4, 6, 10, 0x0105, u16::MAX] {
            assert_eq!(FlowHash::reported(report(other), enabled), None);
        }
        assert_eq!(FlowHash::reported(None, enabled), None);
    }
}
