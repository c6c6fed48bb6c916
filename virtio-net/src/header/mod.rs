//! The header in front of every frame: `virtio_net_hdr` (virtio 1.2, 5.1.6).
//!
//! A device of virtio 1.0 or later has at least twelve bytes in every header, whether or not
//! mergeable receive buffers were negotiated; [`HeaderLayout`] knows the other lengths.

mod layout;

use virtio_spec::net::{Hdr, HdrF};

use crate::features::Features;

pub use layout::{HeaderLayout, MAX_HEADER_LEN, ReportedHash};

/// Bytes in an encoded header of a device of virtio 1.0 or later that reports no hash.
pub const HEADER_LEN: usize = 12;

const _: () = assert!(size_of::<Hdr>() == HEADER_LEN);

/// A packet header in the byte order of the CPU.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NetHeader {
    /// Checksum state and the like.
    pub flags: HdrF,
    /// How the packet is segmented, as the raw number (see [`virtio_spec::net::HdrGso`]).
    pub gso_type: u8,
    /// Length of the packet's own headers, in bytes; a hint.
    pub hdr_len: u16,
    /// Payload bytes per segment.
    pub gso_size: u16,
    /// Where the checksum starts, in bytes from the start of the frame.
    pub csum_start: u16,
    /// Where the checksum goes, in bytes from `csum_start`.
    pub csum_offset: u16,
    /// Buffers that a received frame spans; 0 in a frame to send (virtio 1.2, 5.1.6.2.1).
    pub num_buffers: u16,
}

/// A received header spans no buffer, or more than can belong to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadBufferCount(
    /// What the device wrote.
    pub u16,
);

impl NetHeader {
    /// The header of a frame that is sent as it is: no checksum, no segmentation.
    pub const PLAIN: Self = Self {
        flags: HdrF::empty(),
        gso_type: 0,
        hdr_len: 0,
        gso_size: 0,
        csum_start: 0,
        csum_offset: 0,
        num_buffers: 0,
    };

    /// The header as the device reads it.
    #[must_use]
    pub const fn encode(&self) -> [u8; HEADER_LEN] {
        let [hdr_len_0, hdr_len_1] = self.hdr_len.to_le_bytes();
        let [gso_size_0, gso_size_1] = self.gso_size.to_le_bytes();
        let [start_0, start_1] = self.csum_start.to_le_bytes();
        let [offset_0, offset_1] = self.csum_offset.to_le_bytes();
        let [buffers_0, buffers_1] = self.num_buffers.to_le_bytes();
        [
            self.flags.bits(),
            self.gso_type,
            hdr_len_0,
            hdr_len_1,
            gso_size_0,
            gso_size_1,
            start_0,
            start_1,
            offset_0,
            offset_1,
            buffers_0,
            buffers_1,
        ]
    }

    /// Reads the header that `frame` starts with; `None` when there are fewer than twelve bytes.
    ///
    /// The bytes were written by the device: fields are read, not believed.
    #[must_use]
    pub const fn parse(frame: &[u8]) -> Option<Self> {
        let Some(bytes) = frame.first_chunk::<HEADER_LEN>() else {
            return None;
        };
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1, n0, n1] = *bytes;
        Some(Self {
            flags: HdrF::from_bits_retain(flags),
            gso_type,
            hdr_len: u16::from_le_bytes([h0, h1]),
            gso_size: u16::from_le_bytes([g0, g1]),
            csum_start: u16::from_le_bytes([s0, s1]),
            csum_offset: u16::from_le_bytes([o0, o1]),
            num_buffers: u16::from_le_bytes([n0, n1]),
        })
    }

    /// How many buffers the received frame spans, of at most `max`.
    ///
    /// Without `VIRTIO_NET_F_MRG_RXBUF` it is one whatever the field says: the specification asks
    /// for a 1 there (virtio 1.2, 5.1.6.4.1), but there are devices that leave it alone.
    ///
    /// # Errors
    ///
    /// Gives back a count that is not in `1..=max`: the device broke the protocol.
    pub fn buffer_count(&self, features: Features, max: u16) -> Result<u16, BadBufferCount> {
        if !features.contains(Features::MRG_RXBUF) {
            return Ok(1);
        }
        if (1..=max).contains(&self.num_buffers) {
            Ok(self.num_buffers)
        } else {
            Err(BadBufferCount(self.num_buffers))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: NetHeader = NetHeader {
        flags: HdrF::NEEDS_CSUM,
        gso_type: 4,
        hdr_len: 0x1234,
        gso_size: 1448,
        csum_start: 34,
        csum_offset: 16,
        num_buffers: 0x0203,
    };

    #[test]
    fn fields_lie_where_the_specification_has_them() {
        let bytes = [1, 4, 0x34, 0x12, 0xa8, 0x05, 34, 0, 16, 0, 0x03, 0x02];
        assert_eq!(SAMPLE.encode(), bytes);
        assert_eq!(NetHeader::parse(&bytes), Some(SAMPLE));
    }

    #[test]
    fn a_plain_header_is_twelve_zeroes() {
        assert_eq!(NetHeader::PLAIN.encode(), [0; 12]);
    }

    #[test]
    fn a_frame_shorter_than_the_header_has_none() {
        assert_eq!(NetHeader::parse(&[0; 11]), None);
        assert!(NetHeader::parse(&[0; 13]).is_some());
    }

    #[test]
    fn unknown_flags_survive() {
        let mut bytes = [0; 12];
        bytes[0] = 0xff;
        assert_eq!(NetHeader::parse(&bytes).unwrap().encode(), bytes);
    }

    #[test]
    fn a_buffer_count_out_of_bounds_is_the_devices_fault() {
        let of = |num_buffers| NetHeader {
            num_buffers,
            ..NetHeader::PLAIN
        };
        let merging = Features::MRG_RXBUF;
        assert_eq!(of(0).buffer_count(merging, 4), Err(BadBufferCount(0)));
        assert_eq!(of(1).buffer_count(merging, 4), Ok(1));
        assert_eq!(of(4).buffer_count(merging, 4), Ok(4));
        assert_eq!(of(5).buffer_count(merging, 4), Err(BadBufferCount(5)));
        assert_eq!(of(u16::MAX).buffer_count(merging, u16::MAX), Ok(u16::MAX));
    }

    #[test]
    fn without_merging_the_count_is_one() {
        let header = NetHeader {
            num_buffers: 0,
            ..NetHeader::PLAIN
        };
        assert_eq!(header.buffer_count(Features::NONE, 4), Ok(1));
    }
}
