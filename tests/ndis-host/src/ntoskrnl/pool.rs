//! Pool routines.

use std::ffi::c_void;

use ndis_sys::{NonPagedPool, NonPagedPoolNx, NonPagedPoolNxCacheAligned, POOL_TYPE, PagedPool};

use super::spin_lock::locks_in;
use crate::image;
use crate::memory::pool::{self, Kind, Request, Tag};
use crate::sched::{self, APC_LEVEL, DISPATCH_LEVEL, Irql};
use crate::verifier;

/// `POOL_FLAG_UNINITIALIZED`: do not zero.
const FLAG_UNINITIALIZED: u64 = 0x2;
/// `POOL_FLAG_CACHE_ALIGNED`.
const FLAG_CACHE_ALIGNED: u64 = 0x8;
/// `POOL_FLAG_NON_PAGED`.
const FLAG_NON_PAGED: u64 = 0x40;
/// `POOL_FLAG_NON_PAGED_EXECUTE`.
const FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
/// `POOL_FLAG_PAGED`.
const FLAG_PAGED: u64 = 0x100;

/// The driver that code at an address belongs to, and the offset into it.
pub fn caller_of(address: usize) -> (&'static str, usize) {
    image::owner_of(address).unwrap_or(("host", 0))
}

/// `ExAllocatePoolWithTag`: allocates pool that is not zeroed; null when there is none. Nonpaged
/// pool at DISPATCH or below, paged pool at APC or below (rule 214).
///
/// Passes its return address on as a fourth argument, which tells whose block it is.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
pub(super) unsafe extern "efiapi" fn ex_allocate_pool_with_tag(
    _pool_type: POOL_TYPE,
    _number_of_bytes: usize,
    _tag: u32,
) -> *mut c_void {
    std::arch::naked_asm!(
        "mov r9, [rsp]",
        "jmp {}",
        sym allocate_pool_with_tag,
    )
}

extern "efiapi" fn allocate_pool_with_tag(
    pool_type: POOL_TYPE,
    number_of_bytes: usize,
    tag: u32,
    caller: usize,
) -> *mut c_void {
    sched::point();
    let kind = match pool_type {
        NonPagedPoolNx => Kind::NonPagedNx,
        NonPagedPoolNxCacheAligned => Kind::NonPagedNxCacheAligned,
        PagedPool => Kind::Paged,
        NonPagedPool => {
            executable(caller);
            Kind::NonPagedNx
        }
        other => {
            verifier::breach(
                214,
                format!("pool type {other} from {}", image::describe(caller)),
            );
            return std::ptr::null_mut();
        }
    };
    allocate(kind, number_of_bytes, tag, false, caller)
}

/// `ExAllocatePool2`: allocates zeroed pool; null when there is none. Levels as above. Windows 10
/// 2004 and later.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
pub(super) unsafe extern "efiapi" fn ex_allocate_pool2(
    _flags: u64,
    _number_of_bytes: usize,
    _tag: u32,
) -> *mut c_void {
    std::arch::naked_asm!(
        "mov r9, [rsp]",
        "jmp {}",
        sym allocate_pool2,
    )
}

extern "efiapi" fn allocate_pool2(
    flags: u64,
    number_of_bytes: usize,
    tag: u32,
    caller: usize,
) -> *mut c_void {
    sched::point();
    let is_aligned = flags & FLAG_CACHE_ALIGNED != 0;
    let kind = match flags & (FLAG_NON_PAGED | FLAG_NON_PAGED_EXECUTE | FLAG_PAGED) {
        FLAG_NON_PAGED if is_aligned => Kind::NonPagedNxCacheAligned,
        FLAG_NON_PAGED => Kind::NonPagedNx,
        FLAG_PAGED => Kind::Paged,
        FLAG_NON_PAGED_EXECUTE => {
            executable(caller);
            Kind::NonPagedNx
        }
        _ => {
            let text = format!("ExAllocatePool2 flags {flags:#x} name not one kind of pool");
            verifier::breach(214, text);
            return std::ptr::null_mut();
        }
    };
    let zeroed = flags & FLAG_UNINITIALIZED == 0;
    allocate(kind, number_of_bytes, tag, zeroed, caller)
}

fn executable(caller: usize) {
    let place = image::describe(caller);
    verifier::breach(
        217,
        format!("executable pool from {place}: use NonPagedPoolNx"),
    );
}

fn allocate(kind: Kind, size: usize, tag: u32, zeroed: bool, caller: usize) -> *mut c_void {
    let highest = if kind == Kind::Paged {
        APC_LEVEL
    } else {
        DISPATCH_LEVEL
    };
    check_request(highest, size, tag, caller);
    let (owner, site) = caller_of(caller);
    let request = Request {
        size: size.max(1),
        tag: Tag(tag),
        kind,
        zeroed,
        owner,
        site,
    };
    let block = pool::allocate(&request);
    block.map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
}

fn check_request(highest: Irql, size: usize, tag: u32, caller: usize) {
    let irql = sched::irql();
    let place = || image::describe(caller);
    if irql > highest {
        verifier::fatal(
            214,
            format!("pool at level {irql} from {} (0xC4/01, 02)", place()),
        );
    }
    if size == 0 {
        verifier::breach(
            214,
            format!("zero bytes of pool from {} (0xC4/00)", place()),
        );
    }
    if tag == 0 {
        verifier::breach(214, format!("pool without a tag from {}", place()));
    }
}

/// `ExFreePoolWithTag`: frees pool; a tag of zero is not compared. At DISPATCH or below (rule 214).
///
/// # Safety
///
/// `p` must be a block of pool that nobody uses any more; anything else is reported.
pub(super) unsafe extern "efiapi" fn ex_free_pool_with_tag(p: *mut c_void, tag: u32) {
    sched::point();
    let irql = sched::irql();
    if irql > DISPATCH_LEVEL {
        verifier::fatal(214, format!("pool freed at level {irql} (0xC4/11)"));
    }
    if let Some(block) = pool::block_at(p.cast()) {
        for lock in locks_in(block.address, block.request.size) {
            let offset = lock - block.address;
            verifier::breach(
                211,
                format!("{block} freed with the spin lock at +{offset:#x} held"),
            );
        }
    }
    pool::free(p.cast(), (tag != 0).then_some(Tag(tag)));
}
