//! Frames that tell the switch on the host which of its ports the adapter is behind now.

/// An address that the protocols above have told us, in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IPv4 address.
    V4([u8; 4]),
    /// An IPv6 address.
    V6([u8; 16]),
}

/// The longest announcement: a neighbor advertisement.
const MAX_LEN: usize = 86;

const BROADCAST: [u8; 6] = [0xff; 6];
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// One frame, without FCS and without padding.
pub struct Announcement {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Announcement {
    /// Announces `address`: an ARP announcement (RFC 5227, 2.3) or an unsolicited neighbor
    /// advertisement with the override flag (RFC 4861, 7.2.6).
    #[must_use]
    pub fn of(mac: [u8; 6], address: Address) -> Self {
        match address {
            Address::V4(ip) => Self::arp(mac, 0x0806, 1, ip),
            Address::V6(ip) => Self::neighbor_advertisement(mac, ip),
        }
    }

    /// Announces the MAC address alone: a reverse ARP request (RFC 903), which no host takes an
    /// address from. For adapters whose protocols have told us no address.
    #[must_use]
    pub fn of_mac(mac: [u8; 6]) -> Self {
        Self::arp(mac, 0x8035, 3, [0; 4])
    }

    /// The frame.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn arp(mac: [u8; 6], ethertype: u16, operation: u16, ip: [u8; 4]) -> Self {
        let target = if ethertype == 0x8035 { mac } else { [0; 6] };
        let mut frame = Self::ethernet(BROADCAST, mac, ethertype);
        // Hardware type Ethernet, protocol type IPv4, six and four bytes.
        frame.push(&[0, 1, 8, 0, 6, 4]);
        frame.push(&operation.to_be_bytes());
        frame.push(&mac);
        frame.push(&ip);
        frame.push(&target);
        frame.push(&ip);
        frame
    }

    fn neighbor_advertisement(mac: [u8; 6], ip: [u8; 16]) -> Self {
        const ICMP_LEN: u16 = 32;
        let mut icmp = [0u8; ICMP_LEN as usize];
        let mut body = Self {
            bytes: [0; MAX_LEN],
            len: 0,
        };
        body.push(&[136, 0, 0, 0, 0x20, 0, 0, 0]);
        body.push(&ip);
        body.push(&[2, 1]); // target link-layer address, in units of eight bytes
        body.push(&mac);
        for (to, from) in icmp.iter_mut().zip(body.bytes()) {
            *to = *from;
        }
        let sum = !sum_words([&ip[..], &ALL_NODES, &[0, ICMP_LEN as u8, 0, 58], &icmp]);
        if let Some(field) = icmp.get_mut(2..4) {
            field.copy_from_slice(&sum.to_be_bytes());
        }
        let mut frame = Self::ethernet(ALL_NODES_MAC, mac, 0x86dd);
        frame.push(&[0x60, 0, 0, 0]);
        frame.push(&ICMP_LEN.to_be_bytes());
        frame.push(&[58, 255]);
        frame.push(&ip);
        frame.push(&ALL_NODES);
        frame.push(&icmp);
        frame
    }

    fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16) -> Self {
        let mut frame = Self {
            bytes: [0; MAX_LEN],
            len: 0,
        };
        frame.push(&to);
        frame.push(&from);
        frame.push(&ethertype.to_be_bytes());
        frame
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
            self.len = end;
        }
    }
}

/// The one's complement sum of 16-bit words (RFC 1071) over parts of even length.
fn sum_words<const N: usize>(parts: [&[u8]; N]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks_exact(2) {
            if let [high, low] = pair {
                sum = sum.wrapping_add(u32::from(u16::from_be_bytes([*high, *low])));
            }
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff).wrapping_add(sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];

    #[test]
    fn an_arp_announcement_names_the_address_as_sender_and_target() {
        let frame = Announcement::of(MAC, Address::V4([10, 0, 0, 2]));
        let bytes = frame.bytes();
        assert_eq!(bytes.len(), 42);
        assert_eq!(&bytes[..6], &[0xff; 6]);
        assert_eq!(&bytes[6..12], &MAC);
        assert_eq!(&bytes[12..22], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!((&bytes[22..28], &bytes[32..38]), (&MAC[..], &[0u8; 6][..]));
        assert_eq!(
            (&bytes[28..32], &bytes[38..42]),
            (&[10u8, 0, 0, 2][..], &[10u8, 0, 0, 2][..])
        );
    }

    #[test]
    fn a_neighbor_advertisement_has_a_right_checksum() {
        let ip = [
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 1, 2, 3,
        ];
        let frame = Announcement::of(MAC, Address::V6(ip));
        let bytes = frame.bytes();
        assert_eq!(bytes.len(), MAX_LEN);
        assert_eq!(&bytes[12..14], &[0x86, 0xdd]);
        let total = sum_words([&bytes[22..54], &[0, 32, 0, 58], &bytes[54..]]);
        assert_eq!(total, 0xffff, "a sum over data and checksum is all ones");
    }

    #[test]
    fn without_addresses_the_mac_is_announced() {
        let frame = Announcement::of_mac(MAC);
        assert_eq!(&frame.bytes()[12..14], &[0x80, 0x35]);
        assert_eq!(&frame.bytes()[20..22], &[0, 3]);
    }
}
