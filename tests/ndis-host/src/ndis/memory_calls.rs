//! NdisAllocateMemoryWithTagPriority and NdisFreeMemory.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use ndis_sys::{EX_POOL_PRIORITY, NDIS_HANDLE};

use crate::ndis::call::{Level, import};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::nbl::pool::Piece;
use crate::ndis::{faults, handles};
use crate::sched::BatonCell;
use crate::verifier;

/// Blocks by address: memory, module charged, tag.
static BLOCKS: BatonCell<BTreeMap<usize, (Piece, ModuleId, u32)>> = BatonCell::new(BTreeMap::new());

/// Microsoft Learn, NdisAllocateMemoryWithTagPriority function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate(
    ndis_handle: NDIS_HANDLE,
    length: u32,
    tag: u32,
    _priority: EX_POOL_PRIORITY,
) -> *mut c_void {
    const CALL: &str = "NdisAllocateMemoryWithTagPriority";
    import(CALL, Level::UpToDispatch);
    verifier::require(213, tag != 0, || format!("{CALL}: the tag is zero"));
    verifier::insist(213, length > 0, || format!("{CALL}: zero bytes asked for"));
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let Some(piece) = Piece::allocate(length as usize, "NDIS memory") else {
        return ptr::null_mut();
    };
    let start = piece.pointer();
    let module = modules::of_handle(handles::number(ndis_handle));
    BLOCKS.with(|blocks| blocks.insert(start.addr(), (piece, module, tag)));
    start.cast()
}

/// Allocates memory that a driver gets from NDIS and frees with NdisFreeMemory.
pub(crate) fn give(module: ModuleId, length: usize) -> Option<*mut u8> {
    let piece = Piece::allocate(length, "NDIS memory")?;
    let start = piece.pointer();
    BLOCKS.with(|blocks| blocks.insert(start.addr(), (piece, module, 0)));
    Some(start)
}

/// Microsoft Learn, NdisFreeMemory function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(start: *mut c_void, _length: u32, flags: u32) {
    const CALL: &str = "NdisFreeMemory";
    import(CALL, Level::UpToDispatch);
    verifier::require(213, flags == 0, || {
        format!("{CALL}: MemoryFlags {flags:#x}")
    });
    let Some((piece, ..)) = BLOCKS.with(|blocks| blocks.remove(&start.addr())) else {
        verifier::fatal(
            213,
            format!("{CALL}: {start:p} is not allocated (freed before?)"),
        );
    };
    piece.release(CALL);
}

/// Blocks that a module has not freed, in words.
pub(crate) fn leaks_of(module: ModuleId) -> Vec<String> {
    BLOCKS.with(|blocks| {
        let of_module = blocks.iter().filter(|(_, (_, owner, _))| *owner == module);
        of_module
            .map(|(start, (.., tag))| format!("memory {start:#x} (tag {tag:#x})"))
            .collect()
    })
}
