//! The machine's memory: one shared mapping that is guest RAM and holds all kernel data.
//!
//! Pool blocks, shared memory, MDL data and NET_BUFFER_LISTs are all carved out of one
//! memory-file mapping, so that a physical address is the virtual one plus a constant, and a
//! device model (or another process that maps the same file) sees what the driver sees. Guest
//! physical memory starts above 4 GiB on purpose: a driver that drops the upper half of an
//! address is found out at once.
//!
//! Which block is free is known outside the mapping, so a driver that scribbles over freed memory
//! does not take the allocator with it. Blocks are powers of two; their place depends on the
//! history of calls only, never on where the host mapped them.

pub(crate) mod paging;
mod place;
pub mod poison;
pub mod pool;
mod ram;
mod replace;

use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use vm_memory::GuestMemoryMmap;

use crate::ntoskrnl;
use crate::sched::BatonCell;
use ram::{Blocks, Ram};

pub use replace::{file, replace_file};

/// Guest physical address of the first byte of memory.
pub const PHYSICAL_BASE: u64 = 0x1_0000_0000;

/// Size of a page.
pub const PAGE_SIZE: usize = 4096;

static RAM: OnceLock<Ram> = OnceLock::new();
/// Whether devices reach memory through an IOMMU.
static IOMMU: AtomicBool = AtomicBool::new(false);
static BLOCKS: BatonCell<Option<Blocks>> = BatonCell::new(None);

/// Maps `bytes` of memory, `low` bytes into its file: what is in front of it is for whoever else maps
/// the file. Both are multiples of the page size. Once per process; needs the scheduler.
///
/// # Errors
///
/// When a size is not a multiple of the page size, the system refuses the memory file or the
/// mapping, or memory is there already.
pub fn start(low: usize, bytes: usize) -> anyhow::Result<()> {
    let are_pages = low.is_multiple_of(PAGE_SIZE) && bytes.is_multiple_of(PAGE_SIZE);
    ensure!(
        bytes > 0 && are_pages,
        "{bytes} bytes behind {low} are not whole pages"
    );
    let ram = Ram::map(low, bytes).with_context(|| format!("no {bytes} bytes of guest memory"))?;
    ensure!(RAM.set(ram).is_ok(), "guest memory is mapped already");
    BLOCKS.with(|blocks| *blocks = Some(Blocks::new(bytes)));
    Ok(())
}

/// Puts an IOMMU between devices and memory, for devices that are plugged in from now on.
pub(crate) fn set_iommu(on: bool) {
    IOMMU.store(on, Ordering::Relaxed);
}

/// Whether the addresses that devices use are their own, not physical ones.
pub fn has_iommu() -> bool {
    IOMMU.load(Ordering::Relaxed)
}

fn ram() -> &'static Ram {
    RAM.get()
        .expect("memory::start comes before the first use of memory")
}

/// Guest memory, for device models. The clone shares the mapping; its one region tells the file, and
/// where in it memory begins.
pub fn guest() -> GuestMemoryMmap {
    ram().guest.clone()
}

/// Allocates `len` bytes; the physical address is aligned to `align`, the virtual one to `align`
/// but at most to a page. The contents are whatever was there.
///
/// `None` when no memory is left. A zero `len` counts as one byte.
///
/// # Panics
///
/// When `align` is not a power of two.
pub fn allocate(len: usize, align: usize) -> Option<NonNull<u8>> {
    assert!(
        align.is_power_of_two(),
        "alignment {align} is not a power of two"
    );
    let offset = BLOCKS.with(|blocks| opened(blocks).allocate(len, align))?;
    ram().pointer(offset)
}

/// Frees what [`allocate`] returned for the same `len` and `align`.
///
/// # Panics
///
/// When the address is outside of memory, or not of a block of that size.
pub fn free(address: NonNull<u8>, len: usize, align: usize) {
    let offset = ram()
        .offset(address.as_ptr())
        .expect("the address is in memory");
    ntoskrnl::forget_locks(address.addr().get(), len);
    BLOCKS.with(|blocks| opened(blocks).free(offset, len, align));
}

fn opened(blocks: &mut Option<Blocks>) -> &mut Blocks {
    blocks
        .as_mut()
        .expect("memory::start comes before the first use of memory")
}

/// Sets the access to whole pages: `PROT_` flags.
pub(crate) fn set_access(start: usize, len: usize, access: i32) {
    let address = std::ptr::with_exposed_provenance_mut(start);
    // SAFETY: callers name pages of guest memory, or of an image, that are theirs to protect.
    let result = unsafe { libc::mprotect(address, len, access) };
    assert_eq!(
        result, 0,
        "no access {access} to {len:#x} bytes at {start:#x}"
    );
}

/// The guest physical address of a host address inside of memory.
pub fn physical(va: *const u8) -> Option<u64> {
    ram().offset(va).map(|offset| PHYSICAL_BASE + offset as u64)
}

/// The host address of a guest physical address.
pub fn at_physical(address: u64) -> Option<NonNull<u8>> {
    let offset = address.checked_sub(PHYSICAL_BASE)?;
    ram().pointer(usize::try_from(offset).ok()?)
}

/// Whether `len` bytes from `va` on are inside of memory.
pub fn contains(va: *const u8, len: usize) -> bool {
    let offset = ram().offset(va);
    offset
        .and_then(|offset| offset.checked_add(len))
        .is_some_and(|end| end <= ram().len())
}

/// How many bytes are allocated, rounded up to whole blocks.
pub fn bytes_in_use() -> usize {
    BLOCKS.with(|blocks| opened(blocks).bytes_in_use())
}
