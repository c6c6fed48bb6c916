//! How long the header is and what it holds, which depends on the features (virtio 1.2, 5.1.6).

use virtio_spec::net::{Hdr, HdrHash};

use super::{HEADER_LEN, NetHeader};
use crate::features::Features;

/// Bytes of the longest header that the driver can come to use.
pub const MAX_HEADER_LEN: usize = 20;

/// Bytes of a legacy header without `num_buffers` (virtio 1.2, 5.1.6.1).
const SHORT_LEN: usize = 10;

const NUM_BUFFERS_AT: usize = SHORT_LEN;
const HASH_AT: usize = HEADER_LEN;

const _: () = assert!(size_of::<HdrHash>() == MAX_HEADER_LEN);
const _: () = assert!(core::mem::offset_of!(Hdr, num_buffers) == NUM_BUFFERS_AT);
const _: () = assert!(core::mem::offset_of!(HdrHash, hash_value) == HASH_AT);

/// The form of every header of a device, sent and received.
///
/// The fields for segmentation inside of UDP tunnels and for IPsec, which newer versions of the
/// specification add, are not in it: the driver does not accept those features.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderLayout {
    /// Ten bytes: a legacy device without mergeable receive buffers has no `num_buffers`.
    Short,
    /// Twelve bytes.
    Plain,
    /// Twenty bytes: the hash of a received frame follows.
    Hash,
}

/// What a device says of the hash of a received frame. Raw: read, not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReportedHash {
    /// The hash.
    pub value: u32,
    /// What it is a hash of, as the number of a [`virtio_spec::net::HashReport`].
    pub report: u16,
}

impl HeaderLayout {
    /// The layout that `features`, as negotiated, bring about.
    #[must_use]
    pub const fn of(features: Features) -> Self {
        if features.contains(Features::HASH_REPORT) {
            Self::Hash
        } else if features.contains(Features::VERSION_1) || features.contains(Features::MRG_RXBUF) {
            Self::Plain
        } else {
            Self::Short
        }
    }

    /// Whether the header has a descriptor of its own, in front of those of the frame: so it is for
    /// legacy devices that do not take any other layout (virtio 1.2, 5.1.6.6).
    #[must_use]
    pub const fn is_apart(features: Features) -> bool {
        !features.intersects(Features::VERSION_1) && !features.intersects(Features::ANY_LAYOUT)
    }

    /// Bytes in a header.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Short => SHORT_LEN,
            Self::Plain => HEADER_LEN,
            Self::Hash => MAX_HEADER_LEN,
        }
    }

    /// Where `num_buffers` lies, in bytes from the start of the header.
    #[must_use]
    pub const fn num_buffers_at(self) -> Option<usize> {
        match self {
            Self::Short => None,
            Self::Plain | Self::Hash => Some(NUM_BUFFERS_AT),
        }
    }

    /// Where the hash value and, four bytes on, its type lie, in bytes from the start of the header.
    #[must_use]
    pub const fn hash_at(self) -> Option<usize> {
        match self {
            Self::Short | Self::Plain => None,
            Self::Hash => Some(HASH_AT),
        }
    }

    /// Writes `header` to the front of `into`, for sending, and says how long it is.
    ///
    /// `None`, and nothing is written, when `into` is too short.
    #[inline]
    pub fn write(self, header: &NetHeader, into: &mut [u8]) -> Option<usize> {
        let space = into.get_mut(..self.size())?;
        let fields = header.encode();
        // What is beyond the fields is about received frames: zero.
        space.fill(0);
        for (to, from) in space.iter_mut().zip(fields) {
            *to = from;
        }
        Some(self.size())
    }

    /// Reads the header at the front of `buffer`; `None` when that is shorter than a header.
    ///
    /// The bytes were written by the device: fields are read, not believed. A header without
    /// `num_buffers` reads as one buffer.
    #[inline]
    #[must_use]
    pub fn parse(self, buffer: &[u8]) -> Option<(NetHeader, Option<ReportedHash>)> {
        match self {
            Self::Short => {
                let short = buffer.first_chunk::<SHORT_LEN>()?;
                let mut long = [0; HEADER_LEN];
                let (fields, buffers) = long.split_first_chunk_mut::<SHORT_LEN>()?;
                *fields = *short;
                buffers.copy_from_slice(&1_u16.to_le_bytes());
                Some((NetHeader::parse(&long)?, None))
            }
            Self::Plain => Some((NetHeader::parse(buffer)?, None)),
            Self::Hash => {
                let whole = buffer.first_chunk::<MAX_HEADER_LEN>()?;
                let (_, behind) = whole.split_first_chunk::<HEADER_LEN>()?;
                let (value, behind) = behind.split_first_chunk()?;
                let hash = ReportedHash {
                    value: u32::from_le_bytes(*value),
                    report: u16::from_le_bytes(*behind.first_chunk()?),
                };
                Some((NetHeader::parse(whole)?, Some(hash)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use virtio_spec::net::HdrF;

    use super::*;

    const SAMPLE: NetHeader = NetHeader {
        flags: HdrF::DATA_VALID,
        gso_type: 1,
        hdr_len: 54,
        gso_size: 1460,
        csum_start: 34,
        csum_offset: 16,
        num_buffers: 3,
    };

    #[test]
    fn features_decide_the_length() {
        let of = HeaderLayout::of;
        assert_eq!(of(Features::NONE).size(), 10);
        assert_eq!(of(Features::MRG_RXBUF).size(), 12);
        assert_eq!(of(Features::VERSION_1).size(), 12);
        assert_eq!(of(Features::VERSION_1 | Features::MRG_RXBUF).size(), 12);
        assert_eq!(of(Features::VERSION_1 | Features::HASH_REPORT).size(), 20);
    }

    #[test]
    fn only_what_is_there_has_a_place() {
        assert_eq!(HeaderLayout::Short.num_buffers_at(), None);
        assert_eq!(HeaderLayout::Plain.num_buffers_at(), Some(10));
        assert_eq!(HeaderLayout::Plain.hash_at(), None);
        assert_eq!(HeaderLayout::Hash.hash_at(), Some(12));
    }

    #[test]
    fn a_written_header_reads_back() {
        for layout in [HeaderLayout::Plain, HeaderLayout::Hash] {
            let mut bytes = [0xee; 32];
            assert_eq!(layout.write(&SAMPLE, &mut bytes), Some(layout.size()));
            assert_eq!(layout.parse(&bytes).unwrap().0, SAMPLE);
            assert_eq!(bytes[layout.size()], 0xee);
            let mut short = [0xee; 32];
            assert_eq!(layout.write(&SAMPLE, &mut short[..layout.size() - 1]), None);
            assert_eq!(short, [0xee; 32]);
            assert_eq!(layout.parse(&bytes[..layout.size() - 1]), None);
        }
    }

    #[test]
    fn a_short_header_has_one_buffer() {
        let mut bytes = [0xee; 12];
        assert_eq!(HeaderLayout::Short.write(&SAMPLE, &mut bytes), Some(10));
        assert_eq!(bytes[10..], [0xee; 2]);
        let (header, hash) = HeaderLayout::Short.parse(&bytes).unwrap();
        let one = NetHeader {
            num_buffers: 1,
            ..SAMPLE
        };
        assert_eq!((header, hash), (one, None));
        assert_eq!(HeaderLayout::Short.parse(&bytes[..9]), None);
    }

    #[test]
    fn the_hash_lies_behind_the_fields() {
        let mut bytes = [0; 20];
        bytes[12..18].copy_from_slice(&[0x78, 0x56, 0x34, 0x12, 5, 1]);
        let hash = HeaderLayout::Hash.parse(&bytes).unwrap().1;
        let expected = ReportedHash {
            value: 0x1234_5678,
            report: 0x0105,
        };
        assert_eq!(hash, Some(expected));
    }

    #[test]
    fn a_sent_header_says_nothing_of_a_hash() {
        let mut bytes = [0xee; 20];
        HeaderLayout::Hash.write(&SAMPLE, &mut bytes).unwrap();
        assert_eq!(bytes[12..], [0; 8]);
    }

    #[test]
    fn only_old_devices_want_the_header_apart() {
        assert!(HeaderLayout::is_apart(Features::NONE));
        assert!(HeaderLayout::is_apart(Features::MRG_RXBUF));
        assert!(!HeaderLayout::is_apart(Features::ANY_LAYOUT));
        assert!(!HeaderLayout::is_apart(Features::VERSION_1));
    }
}
