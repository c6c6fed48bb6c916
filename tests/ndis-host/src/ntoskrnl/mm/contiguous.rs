//! Physically contiguous memory.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;

use ndis_sys::{MEMORY_CACHING_TYPE, NODE_REQUIREMENT, PHYSICAL_ADDRESS};

use crate::memory::{self, PAGE_SIZE};
use crate::ndis::faults;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::pool::caller_of;
use crate::ntoskrnl::{Table, enter, objects};
use crate::sched::{BatonCell, DISPATCH_LEVEL};
use crate::verifier;

/// Bits of a protection that make memory executable.
const EXECUTE: u32 = 0xF0;
/// Fill of freed blocks.
const FREED: u8 = 0xDD;

struct Block {
    len: usize,
    align: usize,
    owner: &'static str,
}

static BLOCKS: BatonCell<BTreeMap<usize, Block>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "MmAllocateContiguousMemory" => allocate_below,
        "MmAllocateContiguousMemorySpecifyCache" => allocate_specify_cache,
        "MmAllocateContiguousMemorySpecifyCacheNode" => allocate_specify_cache,
        "MmAllocateContiguousNodeMemory" => allocate_node,
        "MmFreeContiguousMemory" => free,
        "MmFreeContiguousMemorySpecifyCache" => free,
    }
}

/// The blocks that a driver has not freed, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    BLOCKS.with(|blocks| {
        let of_owner = blocks.values().filter(|block| block.owner == owner);
        of_owner
            .map(|block| format!("{} bytes of contiguous memory", block.len))
            .collect()
    })
}

/// Where a block has to be.
struct Range {
    low: u64,
    high: u64,
    boundary: u64,
}

/// `MmAllocateContiguousMemorySpecifyCache` and, with a wish for a node, its `Node` form: a block
/// in a range of physical addresses that crosses no multiple of `boundary`; null when there is
/// none. All memory here is above 4 GiB. At DISPATCH or below.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn allocate_specify_cache(
    _bytes: usize,
    _low: PHYSICAL_ADDRESS,
    _high: PHYSICAL_ADDRESS,
    _boundary: PHYSICAL_ADDRESS,
    _cache_type: MEMORY_CACHING_TYPE,
    _node: NODE_REQUIREMENT,
) -> *mut c_void {
    std::arch::naked_asm!(
        "mov rax, [rsp]",
        "sub rsp, 0x38",
        "mov [rsp + 0x20], rax",
        "call {}",
        "add rsp, 0x38",
        "ret",
        sym specify_cache,
    )
}

extern "efiapi" fn specify_cache(
    bytes: usize,
    low: PHYSICAL_ADDRESS,
    high: PHYSICAL_ADDRESS,
    boundary: PHYSICAL_ADDRESS,
    caller: usize,
) -> *mut c_void {
    const CALL: &str = "MmAllocateContiguousMemorySpecifyCache";
    verifier::advice(
        217,
        format!("{CALL} makes executable memory: use MmAllocateContiguousNodeMemory"),
    );
    allocate(CALL, bytes, &range(low, high, boundary), caller)
}

/// `MmAllocateContiguousNodeMemory`: the same, with a protection in place of a cache type. At
/// DISPATCH or below.
///
/// # Safety
///
/// As above.
#[unsafe(naked)]
unsafe extern "efiapi" fn allocate_node(
    _bytes: usize,
    _low: PHYSICAL_ADDRESS,
    _high: PHYSICAL_ADDRESS,
    _boundary: PHYSICAL_ADDRESS,
    _protect: u32,
    _node: NODE_REQUIREMENT,
) -> *mut c_void {
    std::arch::naked_asm!(
        "mov rax, [rsp]",
        "mov r10d, [rsp + 0x28]",
        "sub rsp, 0x38",
        "mov [rsp + 0x20], r10",
        "mov [rsp + 0x28], rax",
        "call {}",
        "add rsp, 0x38",
        "ret",
        sym node,
    )
}

extern "efiapi" fn node(
    bytes: usize,
    low: PHYSICAL_ADDRESS,
    high: PHYSICAL_ADDRESS,
    boundary: PHYSICAL_ADDRESS,
    protect: u32,
    caller: usize,
) -> *mut c_void {
    const CALL: &str = "MmAllocateContiguousNodeMemory";
    verifier::require(217, protect & EXECUTE == 0, || {
        format!("{CALL}: executable memory (protection {protect:#x})")
    });
    allocate(CALL, bytes, &range(low, high, boundary), caller)
}

/// `MmAllocateContiguousMemory`: a block below an address. At DISPATCH or below.
///
/// # Safety
///
/// As above.
#[unsafe(naked)]
unsafe extern "efiapi" fn allocate_below(_bytes: usize, _high: PHYSICAL_ADDRESS) -> *mut c_void {
    std::arch::naked_asm!("mov r8, [rsp]", "jmp {}", sym below)
}

extern "efiapi" fn below(bytes: usize, high: PHYSICAL_ADDRESS, caller: usize) -> *mut c_void {
    const CALL: &str = "MmAllocateContiguousMemory";
    verifier::advice(
        217,
        format!("{CALL} makes executable memory: use MmAllocateContiguousNodeMemory"),
    );
    allocate(CALL, bytes, &range(0, high, 0), caller)
}

fn range(low: PHYSICAL_ADDRESS, high: PHYSICAL_ADDRESS, boundary: PHYSICAL_ADDRESS) -> Range {
    Range {
        low: low as u64,
        high: high as u64,
        boundary: boundary as u64,
    }
}

fn allocate(call: &str, bytes: usize, range: &Range, caller: usize) -> *mut c_void {
    enter(call, DISPATCH_LEVEL);
    let is_possible = bytes > 0 && (range.boundary == 0 || range.boundary.is_power_of_two());
    verifier::require(214, is_possible, || {
        format!("{call}: {bytes} bytes, boundary {:#x}", range.boundary)
    });
    if !is_possible || faults::allocation_fails(call) {
        return std::ptr::null_mut();
    }
    let len = bytes.next_multiple_of(PAGE_SIZE);
    // A block that is aligned to its own size crosses no boundary that is not smaller.
    let align = len.next_power_of_two();
    let too_small = range.boundary != 0 && len as u64 > range.boundary;
    let start = if too_small {
        None
    } else {
        memory::allocate(len, align)
    };
    let Some(start) = start else {
        return std::ptr::null_mut();
    };
    let physical = memory::physical(start.as_ptr()).expect("it is memory");
    if physical < range.low || physical + len as u64 - 1 > range.high {
        memory::free(start, len, align);
        return std::ptr::null_mut();
    }
    let owner = caller_of(caller).0;
    let address = start.as_ptr().expose_provenance();
    BLOCKS.with(|blocks| blocks.insert(address, Block { len, align, owner }));
    start.as_ptr().cast()
}

/// `MmFreeContiguousMemory`, and its form with size and cache type: frees such a block. At DISPATCH
/// or below.
///
/// # Safety
///
/// `base` must be a block that nobody uses any more; anything else is reported.
unsafe extern "efiapi" fn free(base: *mut c_void) {
    const CALL: &str = "MmFreeContiguousMemory";
    enter(CALL, DISPATCH_LEVEL);
    let Some(block) = BLOCKS.with(|blocks| blocks.remove(&base.addr())) else {
        let place = describe(base.addr());
        verifier::fatal(214, format!("{CALL}: no contiguous memory at {place}"));
    };
    objects::require_none(base.addr(), block.len, || {
        "contiguous memory freed".to_owned()
    });
    let start = NonNull::new(base.cast::<u8>()).expect("a block is in memory");
    // SAFETY: the block has that length, and nobody uses it.
    unsafe { start.as_ptr().write_bytes(FREED, block.len) };
    memory::free(start, block.len, block.align);
}
