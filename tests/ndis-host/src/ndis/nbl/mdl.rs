//! MDLs for nonpaged memory: NdisAllocateMdl and NdisFreeMdl.

use std::collections::BTreeMap;
use std::ptr;

use ndis_sys::{
    MDL, MDL_ALLOCATED_FIXED_SIZE, MDL_SOURCE_IS_NONPAGED_POOL, NDIS_HANDLE, NET_BUFFER, Zeroed,
};

use super::piece::Piece;
use super::{raw, retreat, shadow};
use crate::memory::{self, PAGE_SIZE};
use crate::ndis::call::{Level, import};
use crate::ndis::faults;
use crate::ndis::handles;
use crate::ndis::modules::{self, ModuleId};
use crate::sched::BatonCell;
use crate::verifier;

/// An MDL that a driver has allocated.
struct Allocated {
    piece: Piece,
    /// The handle that it was allocated with.
    owner: u64,
    module: ModuleId,
}

static MDLS: BatonCell<BTreeMap<usize, Allocated>> = BatonCell::new(BTreeMap::new());

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
    let owner = handles::number(ndis_handle);
    let module = modules::of_handle(owner);
    let allocated = Allocated {
        piece,
        owner,
        module,
    };
    MDLS.with(|mdls| mdls.insert(mdl.addr(), allocated));
    mdl
}

/// Microsoft Learn, NdisFreeMdl function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(mdl: *mut MDL) {
    const CALL: &str = "NdisFreeMdl";
    import(CALL, Level::UpToDispatch);
    verifier::insist(108, !retreat::is_front(mdl), || {
        format!("{CALL}: MDL {mdl:p} is of a retreat, which an advance undoes")
    });
    let Some(allocated) = MDLS.with(|mdls| mdls.remove(&mdl.addr())) else {
        refuse_to_free(CALL, mdl);
    };
    allocated.piece.release(CALL);
}

/// Ends the run: an MDL that was not allocated by itself is freed.
fn refuse_to_free(call: &str, mdl: *mut MDL) -> ! {
    if let Some(nbl) = shadow::owner_of_part(mdl.addr()) {
        verifier::fatal(
            90,
            format!("{call}: MDL {mdl:p} came with NBL {nbl:#x} and goes with it"),
        );
    }
    verifier::fatal(111, format!("{call}: {mdl:p} is no MDL that is allocated"));
}

/// MDLs that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    leaks(|mdl| mdl.module == module)
}

/// MDLs allocated with `owner` (an adapter or driver handle), in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    leaks(|mdl| mdl.owner == owner)
}

fn leaks(of: impl Fn(&Allocated) -> bool) -> Vec<String> {
    MDLS.with(|mdls| {
        let of_owner = mdls.iter().filter(|(_, mdl)| of(mdl));
        of_owner
            .map(|(address, _)| format!("MDL {address:#x}"))
            .collect()
    })
}

/// Builds a chain of MDLs, one for each piece of memory; null for none.
pub(crate) fn build_chain(
    windows: &[(*mut u8, usize)],
    pieces: &mut Vec<Piece>,
) -> Option<*mut MDL> {
    let mut chain: *mut MDL = ptr::null_mut();
    for (start, length) in windows.iter().rev() {
        let (piece, mdl) = build(*start, u32::try_from(*length).ok()?)?;
        pieces.push(piece);
        // SAFETY: the MDL is fresh.
        unsafe { (*mdl).Next = chain };
        chain = mdl;
    }
    Some(chain)
}

/// Builds a chain of MDLs for `length` bytes of a NET_BUFFER's data, `skip` bytes into it.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that satisfies rule 107.
pub(crate) unsafe fn build_window(
    nb: *mut NET_BUFFER,
    skip: u32,
    length: u32,
    pieces: &mut Vec<Piece>,
) -> Option<*mut MDL> {
    // SAFETY: the caller's contract.
    let windows = unsafe { raw::windows(nb, skip as usize, length as usize) };
    build_chain(&windows, pieces)
}
