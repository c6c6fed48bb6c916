//! VLAN tags (IEEE 802.1Q): four bytes between the source address and the type of a frame.

/// Bytes of a tag.
pub const TAG_LEN: usize = 4;

/// Where the tag of a frame starts, in bytes: behind the two addresses.
pub const TAG_AT: usize = 12;

/// The type of a customer tag.
pub const CUSTOMER: u16 = 0x8100;
/// The type of a service tag (IEEE 802.1ad).
pub const SERVICE: u16 = 0x88a8;
/// What old equipment uses for a service tag.
const OLD_SERVICE: u16 = 0x9100;

/// A tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tag {
    /// The EtherType that makes it a tag.
    pub kind: u16,
    /// Priority, drop eligibility and VLAN, as the 16 bits of the frame.
    pub control: u16,
}

impl Tag {
    /// A customer tag: `priority` below 8, `vlan` below 4096; 0 is no VLAN but a priority alone.
    ///
    /// `None` when one is larger than its bits.
    #[must_use]
    pub const fn new(priority: u8, drop_eligible: bool, vlan: u16) -> Option<Self> {
        if priority > 7 || vlan > 0xfff {
            return None;
        }
        Some(Self {
            kind: CUSTOMER,
            control: (priority as u16) << 13 | (drop_eligible as u16) << 12 | vlan,
        })
    }

    /// The tag as a frame has it.
    #[must_use]
    pub const fn bytes(self) -> [u8; TAG_LEN] {
        let [kind_0, kind_1] = self.kind.to_be_bytes();
        let [control_0, control_1] = self.control.to_be_bytes();
        [kind_0, kind_1, control_0, control_1]
    }

    /// The inverse of [`bytes`](Self::bytes); `None` for a type that is not of a tag.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; TAG_LEN]) -> Option<Self> {
        let [kind_0, kind_1, control_0, control_1] = bytes;
        let kind = u16::from_be_bytes([kind_0, kind_1]);
        if !matches!(kind, CUSTOMER | SERVICE | OLD_SERVICE) {
            return None;
        }
        Some(Self {
            kind,
            control: u16::from_be_bytes([control_0, control_1]),
        })
    }

    /// The priority, 0 to 7.
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.control >> 13) as u8
    }

    /// Whether the frame may be dropped before others.
    #[must_use]
    pub const fn drop_eligible(self) -> bool {
        self.control & 0x1000 != 0
    }

    /// The VLAN, 0 to 4095.
    #[must_use]
    pub const fn vlan(self) -> u16 {
        self.control & 0xfff
    }
}

/// Takes the outer tag off a frame, whose first sixteen bytes lie in one piece.
///
/// The addresses move up to what is behind the tag: the frame starts [`TAG_LEN`] bytes later. Every
/// place that was found in the frame before is lower by as much.
///
/// `None`, and nothing moves, when there is no tag.
pub fn strip(frame: &mut [u8]) -> Option<(Tag, &mut [u8])> {
    let bytes = frame.get(TAG_AT..)?.first_chunk::<TAG_LEN>()?;
    let tag = Tag::from_bytes(*bytes)?;
    let addresses = *frame.first_chunk::<TAG_AT>()?;
    let rest = frame.get_mut(TAG_LEN..)?;
    *rest.first_chunk_mut()? = addresses;
    Some((tag, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_made_of_its_parts() {
        let tag = Tag::new(5, true, 0xabc).unwrap();
        assert_eq!(tag.bytes(), [0x81, 0x00, 0xba, 0xbc]);
        assert_eq!((tag.priority(), tag.vlan()), (5, 0xabc));
        assert!(tag.drop_eligible());
        assert_eq!(Tag::from_bytes(tag.bytes()), Some(tag));
        assert_eq!(Tag::new(8, false, 1), None);
        assert_eq!(Tag::new(0, false, 0x1000), None);
    }

    #[test]
    fn stripping_moves_the_addresses_alone() {
        let mut frame = *b"DDDDDDSSSSSS\x81\x00\x20\x07\x08\x00payload";
        let (tag, rest) = strip(&mut frame).unwrap();
        assert_eq!((tag.priority(), tag.vlan()), (1, 7));
        assert_eq!(rest, b"DDDDDDSSSSSS\x08\x00payload");
    }

    #[test]
    fn what_is_not_tagged_stays() {
        let mut frame = *b"DDDDDDSSSSSS\x08\x00..payload";
        assert_eq!(strip(&mut frame), None);
        assert_eq!(&frame, b"DDDDDDSSSSSS\x08\x00..payload");
        assert_eq!(strip(&mut frame[..15]), None);
    }
}
