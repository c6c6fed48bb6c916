//! MDLs for nonpaged memory: NdisAllocateMdl and NdisFreeMdl.

use std::collections::BTreeMap;
use std::ptr;

use ndis_sys::{MDL, MDL_ALLOCATED_FIXED_SIZE, MDL_SOURCE_IS_NONPAGED_POOL, NDIS_HANDLE, Zeroed};

use super::pool::Piece;
use crate::memory::{self, PAGE_SIZE};
use crate::ndis::call::{Level, import};
use crate::ndis::faults;
use crate::ndis::handles;
use crate::ndis::modules::{self, ModuleId};
use crate::sched::BatonCell;
use crate::verifier;

/// MDLs that drivers have allocated, with the module charged.
static MDLS: BatonCell<BTreeMap<usize, (Piece, ModuleId)>> = BatonCell::new(BTreeMap::new());

/// Builds an MDL for `length` bytes of the guest's memory, page frame numbers included.
pub(crate) fn build(start: *mut u8, length: u32) -> Option<(Piece, *mut MDL)> {
    let offset = start.addr() % PAGE_SIZE;
    let pages = (offset + length as usize).div_ceil(PAGE_SIZE);
    let size = size_of::<MDL>() + pages * size_of::<u64>();
    let piece = Piece::allocate(size, "an MDL")?;
    let mdl: *mut MDL = piece.pointer().cast();
    let mut value = MDL::zeroed();
    value.Size = i16::try_from(size).unwrap_or(i16::MAX);
    value.MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL | MDL_ALLOCATED_FIXED_SIZE;
    value.MappedSystemVa = start.cast();
    value.StartVa = start.wrapping_sub(offset).cast();
    value.ByteCount = length;
    value.ByteOffset = offset as u32;
    // SAFETY: the piece is fresh, aligned and holds the header and `pages` frame numbers.
    unsafe {
        mdl.write(value);
        let frames: *mut u64 = mdl.add(1).cast();
        for page in 0..pages {
            let address = start.wrapping_sub(offset).wrapping_add(page * PAGE_SIZE);
            frames
                .add(page)
                .write(memory::physical(address).unwrap_or(0) / PAGE_SIZE as u64);
        }
    }
    Some((piece, mdl))
}

/// Microsoft Learn, NdisAllocateMdl function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate(
    ndis_handle: NDIS_HANDLE,
    start: *mut core::ffi::c_void,
    length: u32,
) -> *mut MDL {
    const CALL: &str = "NdisAllocateMdl";
    import(CALL, Level::UpToDispatch);
    verifier::insist(110, memory::contains(start.cast(), length as usize), || {
        format!("{CALL}: {start:p}, {length} bytes, is not nonpaged memory")
    });
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let Some((piece, mdl)) = build(start.cast(), length) else {
        return ptr::null_mut();
    };
    let module = modules::of_handle(handles::number(ndis_handle));
    MDLS.with(|mdls| mdls.insert(mdl.addr(), (piece, module)));
    mdl
}

/// Microsoft Learn, NdisFreeMdl function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(mdl: *mut MDL) {
    const CALL: &str = "NdisFreeMdl";
    import(CALL, Level::UpToDispatch);
    let Some((piece, _)) = MDLS.with(|mdls| mdls.remove(&mdl.addr())) else {
        verifier::fatal(111, format!("{CALL}: {mdl:p} is no MDL that is allocated"));
    };
    piece.release(CALL);
}

/// MDLs that a module has not freed, in words.
pub(crate) fn leaks_of(module: ModuleId) -> Vec<String> {
    MDLS.with(|mdls| {
        let of_module = mdls.iter().filter(|(_, (_, owner))| *owner == module);
        of_module
            .map(|(address, _)| format!("MDL {address:#x}"))
            .collect()
    })
}
