//! MDLs: allocation, and the descriptions that cost nothing to build. What locks and maps pages is
//! in [`super::mdl_pages`].
//!
//! The state of an MDL is in its flags, where inlines of the headers look at it; MDLs that drivers
//! build in memory of their own are as good as those of `IoAllocateMdl`.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::{
    MDL, MDL_ALLOCATED_FIXED_SIZE, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL,
    MDL_SOURCE_IS_NONPAGED_POOL, Zeroed,
};

use crate::memory::{self, PAGE_SIZE, paging};
use crate::ndis::faults;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::pool::caller_of;
use crate::ntoskrnl::{Table, enter};
use crate::sched::{BatonCell, DISPATCH_LEVEL, HIGH_LEVEL};
use crate::verifier;

/// Bytes of an MDL's largest buffer: its size has to fit into 16 bits.
const LARGEST: usize = (i16::MAX as usize - size_of::<MDL>()) / 8 * PAGE_SIZE;

/// An MDL that was allocated.
struct Allocated {
    owner: &'static str,
    len: usize,
}

/// MDLs of `IoAllocateMdl`, and those that were freed, which are not used again.
static MDLS: BatonCell<BTreeMap<usize, Allocated>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "IoAllocateMdl" => io_allocate_mdl,
        "IoBuildPartialMdl" => io_build_partial_mdl,
        "IoFreeMdl" => io_free_mdl,
        "MmBuildMdlForNonPagedPool" => mm_build_mdl_for_nonpaged_pool,
        "MmSizeOfMdl" => mm_size_of_mdl,
    }
}

/// The MDLs that a driver has not freed, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    MDLS.with(|mdls| {
        let of_owner = mdls.values().filter(|mdl| mdl.owner == owner);
        of_owner
            .map(|_| "an MDL of IoAllocateMdl".to_owned())
            .collect()
    })
}

/// How many pages a buffer touches.
pub(super) fn pages(start: usize, length: usize) -> usize {
    (start % PAGE_SIZE + length).div_ceil(PAGE_SIZE)
}

/// `MmSizeOfMdl`: bytes of an MDL for a buffer. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn mm_size_of_mdl(base: *mut c_void, length: usize) -> usize {
    enter("MmSizeOfMdl", HIGH_LEVEL);
    size_of::<MDL>() + pages(base.addr(), length) * size_of::<u64>()
}

/// `IoAllocateMdl`: an MDL for a buffer, of whose pages it knows nothing yet; null when there is no
/// memory. At DISPATCH or below.
///
/// Hands its return address on, behind the five arguments, which tells whose the MDL is.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn io_allocate_mdl(
    _address: *mut c_void,
    _length: u32,
    _secondary: u8,
    _charge_quota: u8,
    _irp: *mut c_void,
) -> *mut MDL {
    std::arch::naked_asm!(
        "mov rax, [rsp]",
        "mov r10, [rsp + 0x28]",
        "sub rsp, 0x38",
        "mov [rsp + 0x20], r10",
        "mov [rsp + 0x28], rax",
        "call {}",
        "add rsp, 0x38",
        "ret",
        sym allocate,
    )
}

extern "efiapi" fn allocate(
    address: *mut c_void,
    length: u32,
    secondary: u8,
    _charge_quota: u8,
    irp: *mut c_void,
    caller: usize,
) -> *mut MDL {
    const CALL: &str = "IoAllocateMdl";
    enter(CALL, DISPATCH_LEVEL);
    verifier::require(111, irp.is_null() && secondary == 0, || {
        format!("{CALL} for IRP {irp:p}: network drivers have no IRPs with buffers")
    });
    if length as usize > LARGEST || faults::allocation_fails(CALL) {
        return std::ptr::null_mut();
    }
    let len = size_of::<MDL>() + pages(address.addr(), length as usize) * size_of::<u64>();
    let Some(memory) = memory::allocate(len, 16) else {
        return std::ptr::null_mut();
    };
    // SAFETY: fresh memory of that length.
    unsafe { memory.as_ptr().write_bytes(0, len) };
    let mdl = memory.as_ptr().cast::<MDL>();
    let mut value = MDL::zeroed();
    value.Size = len as i16;
    value.MdlFlags = MDL_ALLOCATED_FIXED_SIZE;
    describe_buffer(&mut value, address, length);
    // SAFETY: fresh memory that holds an MDL.
    unsafe { mdl.write(value) };
    let owner = caller_of(caller).0;
    MDLS.with(|mdls| mdls.insert(mdl.addr(), Allocated { owner, len }));
    mdl
}

fn describe_buffer(mdl: &mut MDL, address: *mut c_void, length: u32) {
    let offset = address.addr() % PAGE_SIZE;
    mdl.StartVa = address.wrapping_byte_sub(offset);
    mdl.ByteOffset = offset as u32;
    mdl.ByteCount = length;
}

/// `IoFreeMdl`: frees an MDL; its pages must not be locked or mapped any more (0xC4/B8). At
/// DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn io_free_mdl(mdl: *mut MDL) {
    const CALL: &str = "IoFreeMdl";
    enter(CALL, DISPATCH_LEVEL);
    let Some(found) = MDLS.with(|mdls| mdls.remove(&mdl.addr())) else {
        let place = describe(mdl.addr());
        verifier::fatal(111, format!("{CALL}: no MDL at {place}, or freed before"));
    };
    // SAFETY: the MDL was allocated and not freed.
    let flags = unsafe { (*mdl).MdlFlags };
    verifier::insist(111, flags & MDL_PAGES_LOCKED == 0, || {
        format!("{CALL}: the pages of MDL {mdl:p} are locked (0xC4/B8)")
    });
    let is_mapped = flags & MDL_MAPPED_TO_SYSTEM_VA != 0 && flags & MDL_PARTIAL == 0;
    verifier::insist(111, !is_mapped, || {
        format!("{CALL}: the pages of MDL {mdl:p} are mapped (0xC4/B8)")
    });
    // The memory is not given back, and says nothing any more: who uses the MDL is recognised.
    // SAFETY: as above; it has that length.
    unsafe { mdl.cast::<u8>().write_bytes(0xDD, found.len) };
}

/// `MmBuildMdlForNonPagedPool`: describes a buffer in nonpaged memory; the MDL is mapped then. At
/// DISPATCH or below.
///
/// # Safety
///
/// `mdl` must be an MDL with room for its pages.
unsafe extern "efiapi" fn mm_build_mdl_for_nonpaged_pool(mdl: *mut MDL) {
    const CALL: &str = "MmBuildMdlForNonPagedPool";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *mdl };
    let used =
        MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
    verifier::insist(111, value.MdlFlags & used == 0, || {
        let flags = value.MdlFlags;
        format!("{CALL}: MDL {mdl:p} is in use already, its flags are {flags:#x} (0xC4/B0)")
    });
    let start = value.StartVa.wrapping_byte_add(value.ByteOffset as usize);
    verifier::insist(111, !paging::is_pageable(start.addr()), || {
        format!("{CALL}: {} is pageable (0xC4/B1)", describe(start.addr()))
    });
    value.MappedSystemVa = start;
    value.MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    // SAFETY: as the caller promises.
    unsafe { write_frames(mdl) };
}

/// Writes the page frame numbers behind an MDL; 0 for memory that devices cannot reach.
///
/// # Safety
///
/// `mdl` must be an MDL with room for its pages.
pub(super) unsafe fn write_frames(mdl: *mut MDL) {
    // SAFETY: as the caller promises.
    let value = unsafe { &*mdl };
    let count = pages(value.ByteOffset as usize, value.ByteCount as usize);
    // SAFETY: the frame numbers follow the MDL.
    let frames: *mut u64 = unsafe { mdl.add(1) }.cast();
    for page in 0..count {
        let address = value.StartVa.wrapping_byte_add(page * PAGE_SIZE);
        let frame = memory::physical(address.cast()).unwrap_or(0) / PAGE_SIZE as u64;
        // SAFETY: there is room for `count` numbers.
        unsafe { frames.add(page).write(frame) };
    }
}

/// `IoBuildPartialMdl`: describes a part of another MDL's buffer; all from `address` on for a
/// length of zero. The part is mapped if the whole is. At DISPATCH or below.
///
/// # Safety
///
/// `source` must describe a buffer, `target` be an MDL.
unsafe extern "efiapi" fn io_build_partial_mdl(
    source: *mut MDL,
    target: *mut MDL,
    address: *mut c_void,
    length: u32,
) {
    const CALL: &str = "IoBuildPartialMdl";
    const BUILT: i16 = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let whole = unsafe { *source };
    verifier::insist(111, whole.MdlFlags & BUILT != 0, || {
        format!("{CALL}: MDL {source:p} describes no pages yet")
    });
    let start = whole.StartVa.wrapping_byte_add(whole.ByteOffset as usize);
    let skipped = address.addr().wrapping_sub(start.addr());
    let rest = (whole.ByteCount as usize).checked_sub(skipped);
    let length = if length == 0 {
        rest.unwrap_or(0) as u32
    } else {
        length
    };
    verifier::insist(
        111,
        rest.is_some_and(|rest| length as usize <= rest),
        || format!("{CALL}: {length} bytes at {address:p} are not in MDL {source:p}"),
    );
    // SAFETY: as the caller promises.
    let part = unsafe { &mut *target };
    let count = pages(address.addr(), length as usize);
    let room = (part.Size as usize).saturating_sub(size_of::<MDL>()) / size_of::<u64>();
    verifier::insist(111, count <= room, || {
        format!("{CALL}: MDL {target:p} has room for {room} pages of {count} (0x135)")
    });
    describe_buffer(part, address, length);
    part.Process = whole.Process;
    part.MdlFlags &= MDL_ALLOCATED_FIXED_SIZE;
    part.MdlFlags |= MDL_PARTIAL | (whole.MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL);
    let mapped = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL;
    if whole.MdlFlags & mapped != 0 {
        part.MdlFlags |= whole.MdlFlags & mapped;
        part.MappedSystemVa = whole.MappedSystemVa.wrapping_byte_add(skipped);
    }
    let first = (address.addr() / PAGE_SIZE) - (whole.StartVa.addr() / PAGE_SIZE);
    // SAFETY: the numbers of the source follow it, and the target has room, as was checked.
    unsafe {
        let from = source.add(1).cast::<u64>().add(first);
        std::ptr::copy_nonoverlapping(from, target.add(1).cast::<u64>(), count);
    }
}
