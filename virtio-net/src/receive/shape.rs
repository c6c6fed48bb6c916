//! What one buffer is made of.

use super::{ETHERNET_HEADER, LEAST_MTU, LONGEST_FRAME, VLAN_TAG};
use crate::features::Features;
use crate::header::{HeaderLayout, MAX_HEADER_LEN};

/// Bytes of a page of memory.
pub(super) const PAGE: u32 = 4096;
/// What pieces start at a multiple of: a cache line, in bytes.
const LINE: u32 = 64;

/// Features of a device that makes one frame of several.
const COALESCING: Features = Features::union_of(&[
    Features::GUEST_TSO4,
    Features::GUEST_TSO6,
    Features::GUEST_UFO,
    Features::GUEST_USO4,
    Features::GUEST_USO6,
]);

/// The most segments that a buffer comes to have: a header apart, and the pieces.
pub const MAX_SEGMENTS: usize = (MAX_HEADER_LEN as u32)
    .saturating_add(LONGEST_FRAME)
    .div_ceil(PAGE)
    .saturating_add(1) as usize;

/// The size of every buffer of a queue: pages, and a last piece that is smaller than one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BufferShape {
    /// Whole pages.
    pages: u16,
    /// Bytes of the last piece; 0 for none.
    rest: u32,
    /// Whether the header, at the start of the first piece, is a segment of its own.
    is_apart: bool,
}

impl BufferShape {
    /// The buffers for packets of up to `mtu` bytes and what else `features`, as negotiated, let
    /// the device write.
    #[must_use]
    pub const fn of(mtu: u32, features: Features) -> Self {
        let is_apart = HeaderLayout::is_apart(features);
        let header = HeaderLayout::of(features).size() as u32;
        let plain = longest_plain(mtu).saturating_add(header);
        if features.contains(Features::MRG_RXBUF) {
            return match shared_page(plain, is_apart) {
                Some(shape) => shape,
                None => Self {
                    pages: 1,
                    rest: 0,
                    is_apart,
                },
            };
        }
        // Whatever comes has to fit into one buffer.
        let whole = longest(mtu, features).saturating_add(header);
        match shared_page(whole, is_apart) {
            Some(shape) => shape,
            None => Self {
                pages: whole.wrapping_div(PAGE) as u16,
                rest: lines(whole.wrapping_rem(PAGE)),
                is_apart,
            },
        }
    }

    /// Bytes that the device may write into one buffer, header included.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        (self.pages as u32)
            .saturating_mul(PAGE)
            .saturating_add(self.rest)
    }

    /// Pieces that are each contiguous.
    #[must_use]
    pub const fn pieces(&self) -> u16 {
        self.pages.saturating_add((self.rest > 0) as u16)
    }

    /// Segments for the queue, at most [`MAX_SEGMENTS`]: the pieces, of which the first is two when the
    /// header has to be apart (see [`HeaderLayout::is_apart`]).
    #[must_use]
    pub const fn segments(&self) -> u16 {
        self.pieces().saturating_add(self.is_apart as u16)
    }

    /// Whole pages.
    pub(super) const fn pages(&self) -> u16 {
        self.pages
    }

    /// Bytes of the last piece, if that is not a page.
    pub(super) const fn rest(&self) -> u32 {
        self.rest
    }

    /// Buffers that hold `frame` bytes behind a header of `header` bytes, each filled before the next.
    pub(super) const fn spanned(&self, header: u32, frame: u32) -> u16 {
        let whole = header.saturating_add(frame);
        match whole.checked_add(self.bytes().saturating_sub(1)) {
            Some(sum) => match sum.checked_div(self.bytes()) {
                Some(buffers) if buffers <= u16::MAX as u32 => buffers as u16,
                _ => u16::MAX,
            },
            None => u16::MAX,
        }
    }
}

/// Bytes of the longest frame that is as it was sent, with a tag.
const fn longest_plain(mtu: u32) -> u32 {
    let mtu = if mtu > LEAST_MTU { mtu } else { LEAST_MTU };
    let headers = ETHERNET_HEADER.saturating_add(VLAN_TAG);
    let longest = mtu.saturating_add(headers);
    if longest < LONGEST_FRAME {
        longest
    } else {
        LONGEST_FRAME
    }
}

/// Bytes of the longest frame that there is room for, with a tag.
pub(super) const fn longest(mtu: u32, features: Features) -> u32 {
    if coalesces(features) {
        LONGEST_FRAME
    } else {
        longest_plain(mtu)
    }
}

/// Whether the device makes one frame of several.
pub(super) const fn coalesces(features: Features) -> bool {
    features.intersects(COALESCING)
}

/// A buffer that is a page or an equal part of one, and holds `whole` bytes; `None` when a page is
/// too small.
const fn shared_page(whole: u32, is_apart: bool) -> Option<BufferShape> {
    let Some(sharing) = PAGE.checked_div(lines(whole)) else {
        return None;
    };
    match PAGE.checked_div(sharing) {
        None => None,
        Some(PAGE) => Some(BufferShape {
            pages: 1,
            rest: 0,
            is_apart,
        }),
        Some(part) => Some(BufferShape {
            pages: 0,
            rest: part & !(LINE - 1),
            is_apart,
        }),
    }
}

/// `bytes`, rounded up to cache lines.
const fn lines(bytes: u32) -> u32 {
    bytes.saturating_add(LINE - 1) & !(LINE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MERGEABLE: Features = Features::union_of(&[Features::VERSION_1, Features::MRG_RXBUF]);

    fn shape(mtu: u32, features: Features) -> (u32, u16) {
        let shape = BufferShape::of(mtu, features);
        (shape.bytes(), shape.pieces())
    }

    #[test]
    fn the_table_of_the_module_is_true() {
        assert_eq!(shape(1500, MERGEABLE), (2048, 1));
        assert_eq!(shape(9000, MERGEABLE), (4096, 1));
        assert_eq!(BufferShape::of(9000, MERGEABLE).spanned(12, 9014), 3);
        assert_eq!(shape(1500, Features::VERSION_1), (2048, 1));
        assert_eq!(shape(9000, Features::VERSION_1), (2 * 4096 + 896, 3));
        let big = Features::VERSION_1 | Features::GUEST_CSUM | Features::GUEST_TSO4;
        assert_eq!(shape(1500, big), (16 * 4096 + 128, 17));
        assert_eq!(shape(9000, big), (16 * 4096 + 128, 17));
    }

    #[test]
    fn every_feature_that_coalesces_makes_buffers_big() {
        for feature in [
            Features::GUEST_TSO4,
            Features::GUEST_TSO6,
            Features::GUEST_UFO,
            Features::GUEST_USO4,
            Features::GUEST_USO6,
        ] {
            let big = BufferShape::of(1500, feature);
            assert_eq!(
                (big.pieces(), usize::from(big.segments())),
                (17, MAX_SEGMENTS)
            );
            let modern = BufferShape::of(1500, Features::VERSION_1 | feature);
            assert_eq!((modern.pieces(), modern.segments()), (17, 17));
            assert_eq!(shape(1500, MERGEABLE | feature), (2048, 1));
        }
        let sending = Features::HOST_TSO4 | Features::CSUM | Features::GUEST_CSUM;
        assert_eq!(shape(1500, sending), (2048, 1));
    }

    #[test]
    fn buffers_hold_what_the_specification_asks_for() {
        let hash = Features::VERSION_1 | Features::HASH_REPORT;
        for mtu in [68, 576, 1280, 1500] {
            assert!(BufferShape::of(mtu, Features::NONE).bytes() >= 1524);
            assert!(BufferShape::of(mtu, Features::VERSION_1).bytes() >= 1526);
            assert!(BufferShape::of(mtu, hash).bytes() >= 1534);
            let big = BufferShape::of(mtu, Features::VERSION_1 | Features::GUEST_UFO);
            assert!(big.bytes() >= 65_601, "{big:?}");
            let big = BufferShape::of(mtu, hash | Features::GUEST_USO6);
            assert!(big.bytes() >= 65_609, "{big:?}");
        }
    }

    #[test]
    fn every_mtu_fits() {
        for features in [Features::NONE, Features::VERSION_1, MERGEABLE] {
            let header = HeaderLayout::of(features).size() as u32;
            for mtu in 68..=65_535 {
                let shape = BufferShape::of(mtu, features);
                let spanned = shape.spanned(header, mtu + ETHERNET_HEADER + VLAN_TAG);
                assert!(u32::from(spanned) * shape.bytes() >= header + mtu + 18);
                assert!(spanned == 1 || features.contains(Features::MRG_RXBUF));
                assert!(usize::from(shape.segments()) <= MAX_SEGMENTS);
                assert_eq!(shape.bytes() % LINE, 0);
                // At most a line is wasted, unless the buffer is an equal part of a page.
                let used = header + mtu.max(LEAST_MTU) + 18;
                assert!(
                    shape.bytes() <= PAGE || shape.bytes() < used + LINE,
                    "{mtu}"
                );
            }
        }
    }

    #[test]
    fn no_mtu_is_too_large_to_plan_for() {
        let longest = BufferShape::of(u32::MAX, Features::VERSION_1);
        assert_eq!(longest, BufferShape::of(65_575, Features::VERSION_1));
        assert_eq!(longest.pieces(), 17);
    }
}
