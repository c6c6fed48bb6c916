//! Memory that NDIS allocates for drivers.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    EX_POOL_PRIORITY, NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS,
};

use crate::memory::pool::Tag;
use crate::ndis::call::{Level, import};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::nbl::piece::Piece;
use crate::ndis::{faults, handles};
use crate::sched::BatonCell;
use crate::verifier;

/// A block that a driver has.
struct Block {
    piece: Piece,
    length: u32,
    tag: u32,
    /// The handle that it was allocated with; 0 where the routine takes none.
    owner: u64,
    module: ModuleId,
}

static BLOCKS: BatonCell<BTreeMap<usize, Block>> = BatonCell::new(BTreeMap::new());

/// Microsoft Learn, NdisAllocateMemoryWithTagPriority function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate(
    ndis_handle: NDIS_HANDLE,
    length: u32,
    tag: u32,
    _priority: EX_POOL_PRIORITY,
) -> *mut c_void {
    const CALL: &str = "NdisAllocateMemoryWithTagPriority";
    import(CALL, Level::UpToDispatch);
    allocate_block(CALL, handles::number(ndis_handle), length, tag)
}

/// Microsoft Learn, NdisAllocateMemoryWithTag function (ndis.h): obsolete, and still there.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `address` points to a pointer.
pub(crate) unsafe extern "efiapi" fn allocate_with_tag(
    address: *mut *mut c_void,
    length: u32,
    tag: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisAllocateMemoryWithTag";
    import(CALL, Level::UpToDispatch);
    let start = allocate_block(CALL, 0, length, tag);
    // SAFETY: the caller's contract.
    unsafe { *address = start };
    if start.is_null() {
        NDIS_STATUS_FAILURE
    } else {
        NDIS_STATUS_SUCCESS
    }
}

fn allocate_block(call: &'static str, owner: u64, length: u32, tag: u32) -> *mut c_void {
    verifier::require(213, tag != 0, || format!("{call}: the tag is zero"));
    verifier::insist(213, length > 0, || format!("{call}: zero bytes asked for"));
    if faults::allocation_fails(call) {
        return ptr::null_mut();
    }
    give(owner, length, tag).unwrap_or(ptr::null_mut())
}

/// Memory that the driver behind `owner` frees with NdisFreeMemory.
pub(crate) fn give(owner: u64, length: u32, tag: u32) -> Option<*mut c_void> {
    let piece = Piece::allocate(length as usize, "NDIS memory")?.with_rule(213);
    let start = piece.pointer();
    let block = Block {
        piece,
        length,
        tag,
        owner,
        module: modules::of_handle(owner),
    };
    BLOCKS.with(|blocks| blocks.insert(start.addr(), block));
    Some(start.cast())
}

/// Microsoft Learn, NdisFreeMemory function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(start: *mut c_void, length: u32, flags: u32) {
    const CALL: &str = "NdisFreeMemory";
    import(CALL, Level::UpToDispatch);
    let block = take(CALL, start);
    verifier::require(213, flags == 0, || {
        format!("{CALL}: MemoryFlags {flags:#x}")
    });
    verifier::require(213, length == 0 || length == block.length, || {
        format!("{CALL}: Length {length}, allocated were {}", block.length)
    });
    block.piece.release(CALL);
}

/// Microsoft Learn, NdisFreeMemoryWithTag function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free_with_tag(start: *mut c_void, tag: u32) {
    const CALL: &str = "NdisFreeMemoryWithTag";
    import(CALL, Level::UpToDispatch);
    let block = take(CALL, start);
    check_tag(CALL, &block, tag);
    block.piece.release(CALL);
}

/// Microsoft Learn, NdisFreeMemoryWithTagPriority function (ndis.h): with the handle and the tag
/// of the allocation. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free_with_tag_priority(
    ndis_handle: NDIS_HANDLE,
    start: *mut c_void,
    tag: u32,
) {
    const CALL: &str = "NdisFreeMemoryWithTagPriority";
    import(CALL, Level::UpToDispatch);
    let block = take(CALL, start);
    check_tag(CALL, &block, tag);
    let owner = handles::number(ndis_handle);
    verifier::require(213, owner == block.owner, || {
        format!(
            "{CALL}: handle {owner:#x}, allocated with {:#x}",
            block.owner
        )
    });
    block.piece.release(CALL);
}

fn check_tag(call: &str, block: &Block, tag: u32) {
    verifier::require(213, tag == block.tag, || {
        format!(
            "{call}: tag {}, allocated with {}",
            Tag(tag),
            Tag(block.tag)
        )
    });
}

fn take(call: &str, start: *mut c_void) -> Block {
    BLOCKS
        .with(|blocks| blocks.remove(&start.addr()))
        .unwrap_or_else(|| {
            verifier::fatal(
                213,
                format!("{call}: {start:p} is not allocated (freed before?)"),
            )
        })
}

/// Blocks that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    leaks(|block| block.module == module)
}

/// Blocks allocated with `owner` (an adapter or driver handle), in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    leaks(|block| block.owner == owner)
}

fn leaks(of: impl Fn(&Block) -> bool) -> Vec<String> {
    BLOCKS.with(|blocks| {
        let of_owner = blocks.iter().filter(|(_, block)| of(block));
        of_owner
            .map(|(start, block)| format!("memory {start:#x} (tag {})", Tag(block.tag)))
            .collect()
    })
}
