//! Pool: tagged blocks with an owner, guard bytes around them, and poison after they are freed.
//!
//! ```text
//!   | guard (as wide as the alignment: 16, 64, 4096) | data | guard (16 to 31 bytes) |
//! ```
//!
//! Freed blocks rest in a quarantine, filled with poison; a block whose poison has changed when it
//! leaves was written after it had been freed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ptr::NonNull;

use super::PAGE_SIZE;
use crate::sched::BatonCell;
use crate::verifier;

/// Fill of fresh blocks: a driver must not rely on zeroes that it has not asked for.
const FRESH: u8 = 0xCD;
/// Fill of freed blocks.
const FREED: u8 = 0xDD;
/// Fill around blocks.
const GUARD: u8 = 0xFD;
/// Alignment of pool blocks, and least width of a guard.
const POOL_ALIGN: usize = 16;
/// Size of a cache line.
const CACHE_LINE: usize = 64;
/// Most blocks in quarantine.
const QUARANTINE_BLOCKS: usize = 256;
/// Most bytes in quarantine.
const QUARANTINE_BYTES: usize = 4 << 20;

/// Four characters that name the purpose of a block, as in memory: first character lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u32);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let printable = |byte: u8| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '.'
            }
        };
        let text: String = self.0.to_le_bytes().into_iter().map(printable).collect();
        write!(f, "'{text}'")
    }
}

/// Kind of memory that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Resident and not executable.
    NonPagedNx,
    /// The same, aligned to a cache line.
    NonPagedNxCacheAligned,
    /// May be paged out.
    Paged,
}

/// A request for pool.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Bytes; above zero.
    pub size: usize,
    /// Its tag.
    pub tag: Tag,
    /// Its kind.
    pub kind: Kind,
    /// Whether the block is to be filled with zeroes.
    pub zeroed: bool,
    /// Name of the driver that asks, as in [`crate::image::Image::name`].
    pub owner: &'static str,
    /// Where in the driver the request comes from: an offset into its image, or 0.
    pub site: usize,
}

/// A block in use.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Address of the data.
    pub address: usize,
    /// What was asked for.
    pub request: Request,
    /// Number of the allocation, from 1 on.
    pub serial: u64,
}

/// What has gone through the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks ever allocated.
    pub allocations: u64,
    /// Blocks ever freed.
    pub frees: u64,
    /// Bytes in use.
    pub bytes: usize,
    /// Most bytes that were in use at a time.
    pub peak_bytes: usize,
}

struct Pool {
    blocks: BTreeMap<usize, Block>,
    quarantine: VecDeque<Block>,
    quarantined_bytes: usize,
    statistics: Statistics,
}

static POOL: BatonCell<Pool> = BatonCell::new(Pool {
    blocks: BTreeMap::new(),
    quarantine: VecDeque::new(),
    quarantined_bytes: 0,
    statistics: Statistics {
        allocations: 0,
        frees: 0,
        bytes: 0,
        peak_bytes: 0,
    },
});

/// Allocates a block, 16-byte aligned, or page-aligned from a page on; `None` when memory is out.
pub fn allocate(request: &Request) -> Option<NonNull<u8>> {
    let place = Place::of(request)?;
    let outer = super::allocate(place.outer_len, place.align)?;
    let data = place.data(outer);
    place.fill_guards(outer);
    fill(data, request.size, if request.zeroed { 0 } else { FRESH });
    POOL.with(|pool| pool.insert(data.addr().get(), *request));
    Some(data)
}

/// Frees a block. `tag`: what the caller says the tag is, `None` when it does not say.
///
/// Anything but the start of a block in use, a wrong tag and bytes changed around the block are
/// fatal breaches of rule 214.
pub fn free(address: *mut u8, tag: Option<Tag>) {
    let Some(block) = POOL.with(|pool| pool.remove(address.addr())) else {
        verifier::fatal(
            214,
            POOL.with(|pool| pool.describe_bad_free(address.addr())),
        );
    };
    if let Some(tag) = tag.filter(|tag| *tag != block.request.tag) {
        verifier::fatal(214, format!("{block} freed with tag {tag}"));
    }
    if let Some(damage) = block.place().damage(block.data()) {
        verifier::fatal(
            214,
            format!("overrun of {block}: byte {damage:+} was changed (0xC4/51)"),
        );
    }
    fill(block.data(), block.request.size, FREED);
    POOL.with(|pool| pool.put_into_quarantine(block));
    release_quarantine(QUARANTINE_BLOCKS, QUARANTINE_BYTES);
}

/// Lets the oldest blocks out of quarantine until the limits hold.
fn release_quarantine(blocks: usize, bytes: usize) {
    while let Some(block) = POOL.with(|pool| pool.take_from_quarantine(blocks, bytes)) {
        if let Some(offset) = first_difference(block.data(), block.request.size, FREED) {
            verifier::fatal(
                214,
                format!("{block} was written at +{offset} after it was freed"),
            );
        }
        let place = block.place();
        super::free(place.outer(block.data()), place.outer_len, place.align);
    }
}

/// The blocks that `owner` has in use, oldest first.
pub fn outstanding(owner: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = POOL.with(|pool| {
        pool.blocks
            .values()
            .filter(|block| block.request.owner == owner)
            .copied()
            .collect()
    });
    blocks.sort_unstable_by_key(|block| block.serial);
    blocks
}

/// Reports each tag of which `owner` has blocks in use as a breach of rule 14, at its unload.
/// Returns the number of blocks. Also checks that no freed block was written.
pub fn report_leaks(owner: &str) -> usize {
    release_quarantine(0, 0);
    let blocks = outstanding(owner);
    let mut by_tag: BTreeMap<Tag, Vec<Block>> = BTreeMap::new();
    for block in &blocks {
        by_tag.entry(block.request.tag).or_default().push(*block);
    }
    for (tag, blocks) in &by_tag {
        let bytes: usize = blocks.iter().map(|block| block.request.size).sum();
        let count = blocks.len();
        let text = format!(
            "{owner} leaves {count} pool blocks with tag {tag} ({bytes} bytes), the oldest from \
             {owner}+{:#x} (0xC4/62)",
            blocks[0].request.site
        );
        verifier::breach(14, text);
    }
    blocks.len()
}

/// The block in use that an address is in.
pub fn block_at(address: *const u8) -> Option<Block> {
    POOL.with(|pool| {
        let (_, block) = pool.blocks.range(..=address.addr()).next_back()?;
        (address.addr() - block.address < block.request.size).then_some(*block)
    })
}

/// Totals since the start.
pub fn statistics() -> Statistics {
    POOL.with(|pool| pool.statistics)
}

impl Pool {
    fn insert(&mut self, address: usize, request: Request) {
        let numbers = &mut self.statistics;
        numbers.allocations += 1;
        numbers.bytes += request.size;
        numbers.peak_bytes = numbers.peak_bytes.max(numbers.bytes);
        let serial = numbers.allocations;
        self.blocks.insert(
            address,
            Block {
                address,
                request,
                serial,
            },
        );
    }

    fn remove(&mut self, address: usize) -> Option<Block> {
        let block = self.blocks.remove(&address)?;
        self.statistics.frees += 1;
        self.statistics.bytes -= block.request.size;
        Some(block)
    }

    fn put_into_quarantine(&mut self, block: Block) {
        self.quarantined_bytes += block.request.size;
        self.quarantine.push_back(block);
    }

    fn take_from_quarantine(&mut self, blocks: usize, bytes: usize) -> Option<Block> {
        if self.quarantine.len() <= blocks && self.quarantined_bytes <= bytes {
            return None;
        }
        let block = self.quarantine.pop_front()?;
        self.quarantined_bytes -= block.request.size;
        Some(block)
    }

    fn describe_bad_free(&self, address: usize) -> String {
        if let Some(block) = self
            .quarantine
            .iter()
            .find(|block| block.address == address)
        {
            return format!("{block} freed twice (0xC4/13)");
        }
        let before = self
            .blocks
            .range(..address)
            .next_back()
            .map(|(_, block)| block);
        match before.filter(|block| address - block.address < block.request.size) {
            Some(block) => format!("free in the middle of {block} (0xC4/16)"),
            None => format!("free of {address:#x}, which is no pool block (0xC4/16)"),
        }
    }
}

impl Block {
    fn data(&self) -> NonNull<u8> {
        NonNull::new(self.address as *mut u8).expect("a block is in memory")
    }

    fn place(&self) -> Place {
        Place::of(&self.request).expect("it was allocated")
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request {
            size,
            tag,
            owner,
            site,
            ..
        } = self.request;
        write!(
            f,
            "pool block {tag} of {size} bytes (no. {}, {owner}+{site:#x})",
            self.serial
        )
    }
}

/// Where data and guards of a block of some size are.
#[derive(Clone, Copy)]
struct Place {
    size: usize,
    align: usize,
    before: usize,
    outer_len: usize,
}

impl Place {
    fn of(request: &Request) -> Option<Self> {
        let size = request.size;
        let align = match request.kind {
            _ if size >= PAGE_SIZE => PAGE_SIZE,
            Kind::NonPagedNxCacheAligned => CACHE_LINE,
            Kind::NonPagedNx | Kind::Paged => POOL_ALIGN,
        };
        let outer_len = size
            .checked_next_multiple_of(POOL_ALIGN)?
            .checked_add(align)?;
        Some(Self {
            size,
            align,
            before: align,
            outer_len: outer_len.checked_add(POOL_ALIGN)?,
        })
    }

    fn after(&self) -> usize {
        self.outer_len - self.before - self.size
    }

    fn data(&self, outer: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: `before` is below `outer_len`, which is the size of the allocation.
        unsafe { outer.add(self.before) }
    }

    fn outer(&self, data: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: the data starts `before` bytes into the allocation.
        unsafe { data.sub(self.before) }
    }

    fn end(&self, data: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: the data is followed by a guard in the same allocation.
        unsafe { data.add(self.size) }
    }

    fn fill_guards(&self, outer: NonNull<u8>) {
        fill(outer, self.before, GUARD);
        fill(self.end(self.data(outer)), self.after(), GUARD);
    }

    /// Offset from the data of the first guard byte that was changed.
    fn damage(&self, data: NonNull<u8>) -> Option<isize> {
        let before = first_difference(self.outer(data), self.before, GUARD)
            .map(|offset| offset as isize - self.before as isize);
        before.or_else(|| {
            let after = first_difference(self.end(data), self.after(), GUARD)?;
            Some((self.size + after) as isize)
        })
    }
}

fn fill(start: NonNull<u8>, len: usize, value: u8) {
    // SAFETY: callers name a part of one block of guest memory that no one else uses now.
    unsafe { start.as_ptr().write_bytes(value, len) }
}

fn first_difference(start: NonNull<u8>, len: usize, value: u8) -> Option<usize> {
    // SAFETY: callers name a part of one block of guest memory that no one else uses now.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), len) };
    bytes.iter().position(|byte| *byte != value)
}
