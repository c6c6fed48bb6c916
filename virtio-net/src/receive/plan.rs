//! The buffers of a queue: how many, and where they lie.
//!
//! ```text
//! page 0        1        ...      n        n + 1    ...
//! | buffer 0    | buffer 0 | ...  | rest 0, 1, 2, 3 | rest 4, ...  |
//!   block 0 (16 pages)                 block 1 ...
//! ```
//!
//! First come the whole pages of all buffers, one buffer after the other, then their last pieces,
//! as many to a page as fit. A block is so many pages that are allocated together.

use super::shape::{self, BufferShape, PAGE};
use super::{FrameRules, Refill};
use crate::features::{Features, Interface};
use crate::header::HeaderLayout;
use crate::queue::{IndirectTables, QueueSize, RingLayout};

/// Pages of one block of memory, as larger blocks are harder to come by.
const BLOCK_PAGES: u32 = 16;

/// The buffers of a receive queue.
#[derive(Clone, Copy, Debug)]
pub struct ReceivePlan {
    shape: BufferShape,
    rules: FrameRules,
    features: Features,
    size: QueueSize,
    buffers: u16,
    /// Buffers that the longest frame lies in of those that were negotiated.
    spanned: u16,
}

/// Where a piece of a buffer lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The number of the block.
    pub block: u32,
    /// Bytes from its start; a multiple of 64.
    pub offset: u32,
    /// Bytes of the piece.
    pub len: u32,
}

/// What the device shares for one receive queue, in bytes; whole pages each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Memory {
    /// The buffers.
    pub buffers: u64,
    /// The rings.
    pub rings: u64,
    /// Tables for buffers of several segments.
    pub tables: u64,
}

/// A queue that can't hold the buffers for one frame of the longest that there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueTooShort {
    /// Buffers that it takes.
    pub needed: u16,
    /// Buffers that the queue holds.
    pub held: u16,
}

impl ReceivePlan {
    /// Plans for packets of up to `mtu` bytes and `features`, as negotiated, in a queue of `size`.
    ///
    /// There are as many buffers as `wish` says, but no more than the queue holds, and enough for
    /// one frame of the longest: a device without room for what it has waits for ever.
    ///
    /// # Errors
    ///
    /// The queue is too short for that.
    pub fn new(
        mtu: u32,
        features: Features,
        wish: u32,
        size: QueueSize,
    ) -> Result<Self, QueueTooShort> {
        let shape = BufferShape::of(mtu, features);
        let spanned = spanned(shape, mtu, features);
        let held = size.buffers(features, shape.segments());
        if held < spanned {
            return Err(QueueTooShort {
                needed: spanned,
                held,
            });
        }
        let wish = u16::try_from(wish).unwrap_or(u16::MAX);
        let buffers = wish.clamp(spanned, held);
        Ok(Self {
            shape,
            rules: FrameRules::new(mtu, features, shape, buffers),
            features,
            size,
            buffers,
            spanned,
        })
    }

    /// The size of a queue, a power of two, that holds `wish` buffers for packets of up to `mtu`
    /// bytes, and enough for one of the longest; the largest that there is when none does.
    #[must_use]
    pub fn queue_size(mtu: u32, features: Features, wish: u32) -> QueueSize {
        let shape = BufferShape::of(mtu, features);
        let segments = shape.segments();
        let wish = wish.max(spanned(shape, mtu, features).into());
        let sizes = (1..=15).filter_map(|bit| QueueSize::new(1 << bit).ok());
        let mut sizes = sizes.filter(|size| u32::from(size.buffers(features, segments)) >= wish);
        sizes.next().unwrap_or(QueueSize::MAX)
    }

    /// What each buffer is made of.
    #[must_use]
    pub const fn shape(&self) -> BufferShape {
        self.shape
    }

    /// What frames can be.
    #[must_use]
    pub const fn rules(&self) -> FrameRules {
        self.rules
    }

    /// How many buffers there are.
    #[must_use]
    pub const fn buffers(&self) -> u16 {
        self.buffers
    }

    /// Descriptors that the queue has.
    #[must_use]
    pub const fn size(&self) -> QueueSize {
        self.size
    }

    /// Descriptors of the queue's indirect tables (see [`IndirectTables::new`]); `None` when it
    /// needs none.
    #[must_use]
    pub const fn table_len(&self) -> Option<u16> {
        let segments = self.shape.segments();
        if segments > 1 && self.features.contains(Features::RING_INDIRECT_DESC) {
            Some(segments)
        } else {
            None
        }
    }

    /// When buffers go back.
    #[must_use]
    pub const fn refill(&self) -> Refill {
        Refill::new(self.buffers, self.spanned)
    }

    /// With fewer buffers than this in the queue, a frame is to be copied rather than lent: enough
    /// for the longest frame, and an eighth of all.
    #[must_use]
    pub const fn low(&self) -> u16 {
        let some = self.buffers / 8;
        if some > self.spanned {
            some
        } else {
            self.spanned
        }
    }

    /// Blocks of memory that the buffers lie in.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.memory_pages().div_ceil(BLOCK_PAGES)
    }

    /// Bytes of block `block`, a multiple of the page size; 0 beyond the last one.
    #[must_use]
    pub const fn block_len(&self, block: u32) -> u32 {
        let before = block.saturating_mul(BLOCK_PAGES);
        let left = self.memory_pages().saturating_sub(before);
        let pages = if left < BLOCK_PAGES {
            left
        } else {
            BLOCK_PAGES
        };
        pages.saturating_mul(PAGE)
    }

    /// Where piece `piece` of buffer `buffer` lies; `None` when there is no such piece.
    #[must_use]
    pub fn place(&self, buffer: u16, piece: u16) -> Option<Place> {
        if buffer >= self.buffers || piece >= self.shape.pieces() {
            return None;
        }
        let (page, offset, len) = if piece < self.shape.pages() {
            let before = u32::from(buffer).checked_mul(u32::from(self.shape.pages()))?;
            (before.checked_add(u32::from(piece))?, 0, PAGE)
        } else {
            let (buffer, rest) = (u32::from(buffer), self.shape.rest());
            let sharing = PAGE.checked_div(rest)?;
            let page = buffer.checked_div(sharing)?;
            let offset = buffer.checked_rem(sharing)?.checked_mul(rest)?;
            (self.whole_pages().checked_add(page)?, offset, rest)
        };
        let in_block = page.checked_rem(BLOCK_PAGES)?.checked_mul(PAGE)?;
        Some(Place {
            block: page.checked_div(BLOCK_PAGES)?,
            offset: in_block.checked_add(offset)?,
            len,
        })
    }

    /// What the device shares for the queue.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let pages = |bytes: usize| (bytes as u64).next_multiple_of(u64::from(PAGE));
        let interface = if self.features.contains(Features::VERSION_1) {
            Interface::Modern
        } else {
            Interface::Legacy
        };
        let rings = RingLayout::of(interface, self.size, self.features).bytes();
        let tables = self.table_len();
        let tables = tables.map_or(0, |len| IndirectTables::bytes(self.size, len));
        Memory {
            buffers: u64::from(self.memory_pages()).saturating_mul(u64::from(PAGE)),
            rings: pages(rings),
            tables: pages(tables),
        }
    }

    /// Pages that belong to one buffer each.
    const fn whole_pages(&self) -> u32 {
        (self.buffers as u32).saturating_mul(self.shape.pages() as u32)
    }

    /// Pages of all buffers.
    const fn memory_pages(&self) -> u32 {
        let shared = match PAGE.checked_div(self.shape.rest()) {
            Some(sharing) if sharing > 0 => (self.buffers as u32).div_ceil(sharing),
            _ => 0,
        };
        self.whole_pages().saturating_add(shared)
    }
}

/// Buffers that the longest frame lies in of those that were negotiated.
const fn spanned(shape: BufferShape, mtu: u32, features: Features) -> u16 {
    let header = HeaderLayout::of(features).size() as u32;
    shape.spanned(header, shape::longest(mtu, features))
}

impl Memory {
    /// All of it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.buffers
            .saturating_add(self.rings)
            .saturating_add(self.tables)
    }
}
