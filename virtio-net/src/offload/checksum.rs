//! The Internet checksum (RFC 1071): 16-bit ones' complement, over pieces of any lengths.

use crate::offload::parse::{Ip, Transport};

/// A sum under way.
///
/// The order and the lengths of the pieces do not matter beyond what they are put together: a piece
/// of odd length shifts what follows it by a byte, as it does in the frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Checksum {
    /// Folded, in the byte order of memory: ones' complement sums do not mind which (RFC 1071, 2B).
    sum: u16,
    /// Whether the next byte is the second of a 16-bit word.
    odd: bool,
}

impl Checksum {
    /// The sum of nothing.
    pub const ZERO: Self = Self { sum: 0, odd: false };

    /// Goes on with `bytes`.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        let piece = fold(sum_of_words(bytes));
        let piece = if self.odd { piece.swap_bytes() } else { piece };
        self.sum = plus(self.sum, piece);
        self.odd ^= bytes.len() & 1 == 1;
    }

    /// Goes on with a 16-bit field whose value is `value`.
    #[inline]
    pub fn add_field(&mut self, value: u16) {
        self.add(&value.to_be_bytes());
    }

    /// Goes on with those bytes of a frame that lie in `start..end`, offsets from its first byte;
    /// `false` when the frame ends before `end`.
    #[inline]
    pub fn add_range<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        start: usize,
        end: usize,
    ) -> bool {
        let mut at = 0_usize;
        for piece in pieces {
            let from = start.saturating_sub(at).min(piece.len());
            let to = end.saturating_sub(at).min(piece.len());
            // Beyond the end, or empty: nothing of this piece.
            self.add(piece.get(from..to).unwrap_or_default());
            at = at.saturating_add(piece.len());
            if at >= end {
                return true;
            }
        }
        at >= end
    }

    /// The sum itself, not complemented, as the value of a field in network byte order.
    #[must_use]
    pub const fn sum(self) -> u16 {
        u16::from_be(self.sum)
    }

    /// The checksum: the complement of the sum, as the value of a field in network byte order.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.sum()
    }
}

/// Ones' complement addition: what is carried out comes in again.
const fn plus(left: u16, right: u16) -> u16 {
    let (sum, carried) = left.overflowing_add(right);
    sum.wrapping_add(carried as u16)
}

const fn fold(sum: u64) -> u16 {
    let [a, b, c, d] = [sum, sum >> 16, sum >> 32, sum >> 48];
    plus(plus(a as u16, b as u16), plus(c as u16, d as u16))
}

/// Sums `bytes` as 32-bit words, the last filled up with zeroes; folds to the same as 16-bit words
/// do. No sum of a piece of less than 16 GiB overflows.
#[inline]
fn sum_of_words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let sum = words.iter().fold(0_u64, |sum, word| {
        sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)))
    });
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    sum.wrapping_add(u64::from(u32::from_ne_bytes(last)))
}

/// A checksum that is not yet in the frame: where it goes and what it is over.
///
/// All places are in bytes from the start of the frame, as it was when this was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pending {
    /// Where the summed bytes start.
    pub start: usize,
    /// Where they end.
    pub end: usize,
    /// Where the checksum goes: two bytes, in network byte order.
    pub field: usize,
    /// What is added to the bytes as they are in the frame.
    pub(crate) seed: Checksum,
    /// Whether a checksum of zero is written as 0xffff: in UDP zero says that there is none.
    pub(crate) never_zero: bool,
}

impl Pending {
    /// The checksum of a TCP or UDP packet from scratch; `None` for any other, and when the pseudo
    /// header is not known.
    ///
    /// What the checksum field holds plays no role.
    #[must_use]
    pub fn of_transport(ip: &Ip) -> Option<Self> {
        let place = ip.transport.checksum_place()?;
        let mut seed = ip.pseudo_header()?;
        // The field is among the summed bytes, and counts as zero: its complement takes it out.
        seed.add_field(!place.value);
        Some(Self {
            start: place.start,
            end: ip.transport_end()?,
            field: place.field,
            seed,
            never_zero: matches!(ip.transport, Transport::Udp(_)),
        })
    }

    /// The value for the checksum field, given the pieces of the frame in order.
    ///
    /// `None` when the frame ends before the summed bytes do.
    #[must_use]
    pub fn over<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<u16> {
        let mut sum = self.seed;
        if !sum.add_range(pieces, self.start, self.end) {
            return None;
        }
        match sum.finish() {
            0 if self.never_zero => Some(0xffff),
            value => Some(value),
        }
    }

    /// Puts the checksum into a frame that lies in one piece; `false` when that is too short.
    #[must_use]
    pub fn complete(&self, frame: &mut [u8]) -> bool {
        let Some(value) = self.over([&*frame]) else {
            return false;
        };
        store(frame, self.field, value)
    }
}

/// Writes `value` at `at` in network byte order; `false` when that is outside.
pub(crate) fn store(bytes: &mut [u8], at: usize, value: u16) -> bool {
    let field = bytes
        .get_mut(at..)
        .and_then(|behind| behind.first_chunk_mut());
    match field {
        Some(field) => {
            *field = value.to_be_bytes();
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071, section 3.
    const SAMPLE: [u8; 8] = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];

    #[test]
    fn the_sample_of_the_rfc() {
        let mut sum = Checksum::ZERO;
        sum.add(&SAMPLE);
        assert_eq!(sum.sum(), 0xddf2);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn pieces_sum_like_the_whole() {
        for first in 0..=SAMPLE.len() {
            for second in first..=SAMPLE.len() {
                let mut sum = Checksum::ZERO;
                sum.add(&SAMPLE[..first]);
                sum.add(&SAMPLE[first..second]);
                sum.add(&SAMPLE[second..]);
                assert_eq!(sum.sum(), 0xddf2, "{first} {second}");
            }
        }
    }

    #[test]
    fn a_range_may_lie_anywhere_in_the_pieces() {
        let whole: [u8; 11] = [9, 9, 9, 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        for cut in 0..=whole.len() {
            let (left, right) = whole.split_at(cut);
            let mut sum = Checksum::ZERO;
            assert!(sum.add_range([left, &[], right], 3, 11));
            assert_eq!(sum.sum(), 0xddf2, "{cut}");
            assert!(!sum.add_range([left, right], 3, 12));
        }
    }

    #[test]
    fn a_field_is_a_word_in_network_byte_order() {
        let mut sum = Checksum::ZERO;
        sum.add_field(0x1234);
        assert_eq!(sum.sum(), 0x1234);
    }

    #[test]
    fn a_udp_checksum_is_never_zero() {
        let pending = Pending {
            start: 0,
            end: 2,
            field: 2,
            seed: Checksum::ZERO,
            never_zero: true,
        };
        assert_eq!(pending.over([&[0xff, 0xff][..]]), Some(0xffff));
        let tcp = Pending {
            never_zero: false,
            ..pending
        };
        assert_eq!(tcp.over([&[0xff, 0xff][..]]), Some(0));
        assert_eq!(tcp.over([&[0xff][..]]), None);
        let mut frame = [1, 2, 0];
        assert!(!tcp.complete(&mut frame));
        assert_eq!(frame, [1, 2, 0]);
    }
}
