//! QEMU's own capture of the wire, read by a dissector that is neither the driver's nor the host's.

use anyhow::{Context, Result, bail, ensure};
use devices::wire::MacAddress;
use etherparse::{EtherType, Ipv4Slice, NetSlice, SlicedPacket, TransportSlice};
use pcap_file::pcap::PcapReader;
use serde::{Deserialize, Serialize};

use crate::frames::ODD_ETHER_TYPE;

/// EtherType of reverse ARP (RFC 903).
const REVERSE_ARP: EtherType = EtherType(0x8035);
/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// What was in a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Captured {
    /// Frames of the guest.
    pub from_guest: u64,
    /// Frames to the guest.
    pub to_guest: u64,
    /// TCP segments, both ways.
    pub tcp: u64,
    /// ICMP messages, both ways.
    pub icmp: u64,
    /// ARP packets, both ways.
    pub arp: u64,
    /// Frames of the test's own EtherType.
    pub chains: u64,
    /// The longest frame of the guest, bytes.
    pub longest_from_guest: usize,
    /// The longest frame to it.
    pub longest_to_guest: usize,
    /// Reverse ARP requests that QEMU sent in the guest's name.
    pub reverse_arp: u64,
}

/// Dissects a pcap file: every frame is whole, is one that the test expects, and has the right checksums.
///
/// # Errors
///
/// The first frame of which that is not true, and why.
pub fn dissect(pcap: &[u8], guest: MacAddress) -> Result<Captured> {
    let mut reader = PcapReader::new(pcap).context("QEMU's capture")?;
    let mut captured = Captured::default();
    let mut number = 0u64;
    while let Some(packet) = reader.next_packet() {
        number += 1;
        let packet = packet.with_context(|| format!("packet {number} of QEMU's capture"))?;
        let cut = packet.orig_len as usize != packet.data.len();
        ensure!(!cut, "packet {number} was cut");
        captured
            .add(&packet.data, guest)
            .with_context(|| format!("frame {number} on QEMU's wire: {:02x?}", packet.data))?;
    }
    Ok(captured)
}

impl Captured {
    /// Adds what was in another capture.
    pub fn add_all(&mut self, other: &Self) {
        let Self {
            from_guest,
            to_guest,
            tcp,
            icmp,
            arp,
            chains,
            reverse_arp,
            longest_from_guest,
            longest_to_guest,
        } = other;
        for (sum, more) in [
            (&mut self.from_guest, from_guest),
            (&mut self.to_guest, to_guest),
            (&mut self.tcp, tcp),
            (&mut self.icmp, icmp),
            (&mut self.arp, arp),
            (&mut self.chains, chains),
            (&mut self.reverse_arp, reverse_arp),
        ] {
            *sum += more;
        }
        for (longest, other) in [
            (&mut self.longest_from_guest, longest_from_guest),
            (&mut self.longest_to_guest, longest_to_guest),
        ] {
            *longest = (*longest).max(*other);
        }
    }

    fn add(&mut self, frame: &[u8], guest: MacAddress) -> Result<()> {
        let packet = SlicedPacket::from_ethernet(frame)?;
        let (Some(to), Some(from)) = (frame.get(..6), frame.get(6..12)) else {
            bail!("too short for Ethernet");
        };
        if from == guest {
            self.from_guest += 1;
            self.longest_from_guest = self.longest_from_guest.max(frame.len());
        } else {
            let is_group = to.first().is_some_and(|first| first & 1 != 0);
            ensure!(to == guest || is_group, "neither from nor to the guest");
            self.to_guest += 1;
            self.longest_to_guest = self.longest_to_guest.max(frame.len());
        }
        match &packet.net {
            Some(NetSlice::Ipv4(ip)) => self.add_ipv4(ip, packet.transport.as_ref()),
            Some(NetSlice::Arp(_)) => {
                self.arp += 1;
                Ok(())
            }
            Some(NetSlice::Ipv6(_)) => bail!("nobody speaks IPv6 here"),
            None => self.add_other(frame, &packet),
        }
    }

    fn add_ipv4(&mut self, ip: &Ipv4Slice<'_>, above: Option<&TransportSlice<'_>>) -> Result<()> {
        let header = ip.header().to_header();
        ensure!(
            header.calc_header_checksum() == header.header_checksum,
            "IPv4 checksum"
        );
        match above {
            Some(TransportSlice::Tcp(tcp)) => {
                self.tcp += 1;
                let right = tcp.calc_checksum_ipv4(header.source, header.destination)?;
                ensure!(right == tcp.checksum(), "TCP checksum");
            }
            Some(TransportSlice::Icmpv4(icmp)) => {
                self.icmp += 1;
                let right = icmp.icmp_type().calc_checksum(icmp.payload());
                ensure!(right == icmp.checksum(), "ICMP checksum");
            }
            _ => bail!("neither TCP nor ICMP"),
        }
        Ok(())
    }

    fn add_other(&mut self, frame: &[u8], packet: &SlicedPacket<'_>) -> Result<()> {
        let kind = packet.ether_payload().map(|payload| payload.ether_type);
        if kind == Some(REVERSE_ARP) {
            self.reverse_arp += 1;
            return Ok(());
        }
        ensure!(
            kind == Some(EtherType(ODD_ETHER_TYPE)),
            "EtherType {kind:?}"
        );
        let body = frame.get(ETHERNET + 8..).unwrap_or_default();
        ensure!(
            body.iter().all(|byte| *byte == body.len() as u8),
            "the contents changed"
        );
        self.chains += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use pcap_file::pcap::{PcapPacket, PcapWriter};
    use std::time::Duration;

    use super::*;

    const GUEST: MacAddress = [2, 0, 0, 0, 0, 1];
    const PEER: MacAddress = [2, 0, 0, 0, 0, 2];

    fn capture(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = PcapWriter::new(Vec::new()).unwrap();
        for frame in frames {
            let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame);
            writer.write_packet(&packet).unwrap();
        }
        writer.into_writer()
    }

    fn segment() -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(GUEST, PEER)
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(1, 2, 3, 4)
            .write(&mut frame, b"payload")
            .unwrap();
        frame
    }

    #[test]
    fn a_right_segment_counts_and_one_changed_bit_is_found() {
        let right = segment();
        let captured = dissect(&capture(std::slice::from_ref(&right)), GUEST).unwrap();
        assert_eq!((captured.from_guest, captured.tcp), (1, 1));

        for at in [ETHERNET + 8, right.len() - 1] {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            let error = dissect(&capture(&[right.clone(), wrong]), GUEST).unwrap_err();
            let told = format!("{error:#}");
            assert!(
                told.contains("frame 2") && told.contains("checksum"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_frame_of_nobody_is_found() {
        let mut frame = segment();
        frame[11] = 9;
        assert!(dissect(&capture(&[frame]), GUEST).is_err());
    }
}
