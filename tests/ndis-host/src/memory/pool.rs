//! Pool: tagged blocks with an owner, guards around them, and poison after they are freed.
//!
//! Freed blocks rest in a quarantine, filled with poison; a block whose poison has changed when it
//! leaves was written after it had been freed. In some runs, by seed, the whole pool is a special
//! pool, as Driver Verifier's: each block ends at a page without access, and a freed block has no
//! access at all, so that reads are noticed too, and both where they happen. It costs a run up to
//! a third of its time, which is why not all runs have it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ptr::NonNull;

use super::place::{Place, fill, first_difference};
use super::{paging, set_access};
use crate::sched::BatonCell;
use crate::verifier;

/// Fill of fresh blocks: a driver must not rely on zeroes that it has not asked for.
const FRESH: u8 = 0xCD;
/// Fill of freed blocks.
const FREED: u8 = 0xDD;
/// Access to memory.
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
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
    place: Place,
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
    /// Whether new blocks are of the special pool.
    is_special: bool,
    blocks: BTreeMap<usize, Block>,
    quarantine: VecDeque<Block>,
    quarantined_bytes: usize,
    statistics: Statistics,
}

static POOL: BatonCell<Pool> = BatonCell::new(Pool {
    is_special: false,
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

/// Makes new blocks ones of the special pool, or ordinary ones.
pub fn set_special(yes: bool) {
    POOL.with(|pool| pool.is_special = yes);
}

/// Allocates a block, 16-byte aligned, or page-aligned from a page on; `None` when memory is out.
pub fn allocate(request: &Request) -> Option<NonNull<u8>> {
    let special = POOL.with(|pool| pool.is_special);
    let place = Place::of(request, special)?;
    let outer = place.allocate()?;
    let data = place.data(outer);
    place.fill_guards(outer);
    fill(data, request.size, if request.zeroed { 0 } else { FRESH });
    let block = POOL.with(|pool| pool.insert(data.as_ptr().expose_provenance(), *request, place));
    if request.kind == Kind::Paged {
        let (start, len) = place.pages(data);
        paging::add(start, len, READ_WRITE, block.to_string());
    }
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
    if block.request.kind == Kind::Paged {
        paging::remove(block.place.pages(block.data()).0);
    }
    if let Some(damage) = block.place.damage(block.data()) {
        verifier::fatal(
            214,
            format!("overrun of {block}: byte {damage:+} was changed (0xC4/51)"),
        );
    }
    block.close();
    POOL.with(|pool| pool.put_into_quarantine(block));
    release_quarantine(QUARANTINE_BLOCKS, QUARANTINE_BYTES);
}

/// Lets the oldest blocks out of quarantine until the limits hold.
fn release_quarantine(blocks: usize, bytes: usize) {
    while let Some(block) = POOL.with(|pool| pool.take_from_quarantine(blocks, bytes)) {
        block.open();
        block.place.free(block.place.outer(block.data()));
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

/// What a fault at an address means if the special pool caused it.
pub(crate) fn describe_fault(address: usize) -> Option<String> {
    POOL.with(|pool| {
        let special = pool
            .quarantine
            .iter()
            .filter(|block| block.place.is_special());
        let mut special = special.map(|block| (block, block.place.pages(block.data())));
        let freed = special.find(|(_, (start, len))| (*start..start + len).contains(&address));
        if let Some((block, _)) = freed {
            let at = address as isize - block.address as isize;
            return Some(format!("{block} touched at {at:+} after it was freed"));
        }
        let (_, block) = pool.blocks.range(..=address).next_back()?;
        let at = address - block.address;
        block
            .place
            .guards(block.address, address)
            .then(|| format!("overrun of {block}: byte +{at} was touched (0xC4/51, 0xD6)"))
    })
}

/// Totals since the start.
pub fn statistics() -> Statistics {
    POOL.with(|pool| pool.statistics)
}

impl Pool {
    fn insert(&mut self, address: usize, request: Request, place: Place) -> Block {
        let numbers = &mut self.statistics;
        numbers.allocations += 1;
        numbers.bytes += request.size;
        numbers.peak_bytes = numbers.peak_bytes.max(numbers.bytes);
        let serial = numbers.allocations;
        let block = Block {
            place,
            address,
            request,
            serial,
        };
        self.blocks.insert(address, block);
        block
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
        NonNull::new(std::ptr::with_exposed_provenance_mut(self.address))
            .expect("a block is in memory")
    }

    /// Poisons a block that was freed, or takes its access away.
    fn close(&self) {
        if self.place.is_special() {
            let (start, len) = self.place.pages(self.data());
            set_access(start, len, libc::PROT_NONE);
        } else {
            fill(self.data(), self.request.size, FREED);
        }
    }

    /// Makes a freed block ready for its next use: nobody has written it.
    fn open(&self) {
        if self.place.is_special() {
            let (start, len) = self.place.pages(self.data());
            set_access(start, len, READ_WRITE);
            return;
        }
        if let Some(offset) = first_difference(self.data(), self.request.size, FREED) {
            verifier::fatal(
                214,
                format!("{self} was written at +{offset} after it was freed"),
            );
        }
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
