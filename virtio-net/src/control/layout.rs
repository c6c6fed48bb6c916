//! Where the commands lie in the memory shared with the device.
//!
//! ```text
//! 0         2    8                    answer     ack                bytes, one slot
//! | header  |    | data: the largest  | 8 bytes  | 1 |  ..64 |
//! | device reads |                    | device writes |
//! ```
//!
//! What the device writes ends with the acknowledgement; a command without an answer has that byte
//! alone for the device to write.

use super::command::{ANSWER_LEN, HEADER_LEN, max_data_len};
use super::parameters::Limits;

/// Where the data of a slot start.
const DATA: usize = 8;
const LINE: usize = 64;

const _: () = assert!(HEADER_LEN <= DATA);

/// Offsets and sizes, in bytes, for a number of slots and the largest command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ControlLayout {
    slots: u16,
    limits: Limits,
    /// Where the answer of a slot starts.
    answer: usize,
    /// Bytes from slot to slot.
    stride: usize,
}

impl ControlLayout {
    /// The layout for `slots` commands at a time, each of them within `limits`.
    #[must_use]
    pub const fn new(slots: u16, limits: Limits) -> Self {
        let data = max_data_len(&limits);
        let answer = round_up(DATA.saturating_add(data), 8);
        Self {
            slots,
            limits,
            answer,
            stride: round_up(answer.saturating_add(ANSWER_LEN + 1), LINE),
        }
    }

    /// Bytes that the region has at least.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.stride.saturating_mul(self.slots as usize)
    }

    /// Commands that fit at a time.
    #[must_use]
    pub const fn slots(&self) -> u16 {
        self.slots
    }

    /// What the parameters of commands are checked against.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    pub(super) const fn header(&self) -> usize {
        0
    }

    pub(super) const fn data(&self) -> usize {
        DATA
    }

    /// Where the answer starts, and where therefore the data have to end.
    pub(super) const fn answer(&self) -> usize {
        self.answer
    }

    pub(super) const fn ack(&self) -> usize {
        self.answer.saturating_add(ANSWER_LEN)
    }
}

/// The next multiple of `unit`, a power of two.
const fn round_up(offset: usize, unit: usize) -> usize {
    let mask = unit.wrapping_sub(1);
    offset.saturating_add(mask) & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limits = Limits {
        unicast: 0,
        multicast: 0,
        queue_pairs: 1,
        rss_entries: 0,
        hash_key: 0,
        hash_types: 0,
    };

    #[test]
    fn a_slot_for_small_commands_is_a_line() {
        assert_eq!(ControlLayout::new(8, SMALL).bytes(), 8 * 64);
    }

    #[test]
    fn each_limit_makes_room_for_its_command() {
        let with = |limits| ControlLayout::new(1, limits);
        let table = with(Limits {
            unicast: 16,
            multicast: 32,
            ..SMALL
        });
        assert!(table.answer() >= table.data() + 4 + 16 * 6 + 4 + 32 * 6);

        let rss = with(Limits {
            rss_entries: 128,
            hash_key: 40,
            ..SMALL
        });
        assert!(rss.answer() >= rss.data() + 10 + 2 * 128 + 1 + 40);

        let hash = with(Limits {
            hash_key: 255,
            ..SMALL
        });
        assert!(hash.answer() >= hash.data() + 12 + 1 + 255);
    }

    #[test]
    fn the_largest_limits_overflow_nothing() {
        let limits = Limits {
            unicast: u16::MAX,
            multicast: u16::MAX,
            queue_pairs: u16::MAX,
            rss_entries: u16::MAX,
            hash_key: u8::MAX,
            hash_types: u32::MAX,
        };
        let layout = ControlLayout::new(u16::MAX, limits);
        assert!(layout.ack() < layout.stride());
        assert_eq!(layout.bytes(), layout.stride() * 65535);
    }
}
