//! Pool routines.

use std::ffi::c_void;

use ndis_sys::{
    EX_POOL_PRIORITY, NonPagedPool, NonPagedPoolNx, NonPagedPoolNxCacheAligned, POOL_TYPE,
    PagedPool,
};

use crate::image;
use crate::memory::pool::{self, Kind, Request, Tag};
use crate::ndis::faults;
use crate::ntoskrnl::{Table, locks_in, objects, os};
use crate::sched::{self, APC_LEVEL, BatonCell, DISPATCH_LEVEL, Irql};
use crate::verifier;

/// Build from which on `ExAllocatePool2` is there (Windows 10 2004).
const POOL2_BUILD: u32 = 19041;
/// `POOL_ZERO_ALLOCATION` in a pool type: `ExAllocatePoolZero` of the headers sets it.
const ZERO: i32 = 0x400;
/// `POOL_QUOTA_FAIL_INSTEAD_OF_RAISE`, `POOL_RAISE_IF_ALLOCATION_FAILURE`, `POOL_COLD_ALLOCATION`:
/// bits of a pool type that change nothing here.
const WITHOUT_EFFECT: i32 = 0x8 | 0x10 | 0x100;
/// Cache alignment in a pool type.
const PAGED_CACHE_ALIGNED: POOL_TYPE = 5;
/// Nonpaged, executable, cache-aligned.
const NON_PAGED_CACHE_ALIGNED: POOL_TYPE = 4;
/// Bit of a tag that has to be named when the block is freed.
const PROTECTED_TAG: u32 = 0x8000_0000;
/// The tag of blocks that were allocated without one.
const NO_TAG: u32 = u32::from_le_bytes(*b"None");

/// Drivers that were told about [`POOL2_BUILD`].
static ADVISED: BatonCell<Vec<&'static str>> = BatonCell::new(Vec::new());

pub(super) fn exports() -> Table {
    exports! {
        "ExAllocatePool" => ex_allocate_pool,
        "ExAllocatePoolWithTag" => ex_allocate_pool_with_tag,
        "ExAllocatePoolWithTagPriority" => ex_allocate_pool_with_tag_priority,
        "ExFreePool" => ex_free_pool,
        "ExFreePoolWithTag" => ex_free_pool_with_tag,
    }
}

/// Routines that this Windows has only from some build on.
pub(in crate::ntoskrnl) fn newer_exports() -> Table {
    if os().build < POOL2_BUILD {
        return Vec::new();
    }
    exports! {
        "ExAllocatePool2" => ex_allocate_pool2,
        "ExAllocatePool3" => ex_allocate_pool3,
    }
}

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
    image::owner_of(sched::caller_behind(address)).unwrap_or(("host", 0))
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
    advise(pool_type, caller);
    let kind = match pool_type & !(ZERO | WITHOUT_EFFECT) {
        NonPagedPoolNx => Kind::NonPagedNx,
        NonPagedPoolNxCacheAligned => Kind::NonPagedNxCacheAligned,
        PagedPool | PAGED_CACHE_ALIGNED => Kind::Paged,
        NonPagedPool => {
            executable(caller);
            Kind::NonPagedNx
        }
        NON_PAGED_CACHE_ALIGNED => {
            executable(caller);
            Kind::NonPagedNxCacheAligned
        }
        other => {
            verifier::breach(
                214,
                format!("pool type {other} from {}", image::describe(caller)),
            );
            return std::ptr::null_mut();
        }
    };
    allocate(kind, number_of_bytes, tag, pool_type & ZERO != 0, caller)
}

/// Rule 216: from Windows 10 2004 on there is a better routine. Said once for each driver.
fn advise(pool_type: POOL_TYPE, caller: usize) {
    let (owner, _) = caller_of(caller);
    if os().build < POOL2_BUILD || pool_type & ZERO != 0 {
        return;
    }
    let is_new = ADVISED.with(|advised| {
        let is_new = !advised.contains(&owner);
        if is_new {
            advised.push(owner);
        }
        is_new
    });
    if is_new {
        let place = image::describe(caller);
        verifier::advice(
            216,
            format!("ExAllocatePoolWithTag from {place}: use ExAllocatePool2"),
        );
    }
}

/// `ExAllocatePoolWithTagPriority`: the same; the priority says when it may fail, which the seed
/// decides here. Levels as above.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn ex_allocate_pool_with_tag_priority(
    _pool_type: POOL_TYPE,
    _number_of_bytes: usize,
    _tag: u32,
    _priority: EX_POOL_PRIORITY,
) -> *mut c_void {
    std::arch::naked_asm!(
        "mov r9, [rsp]",
        "jmp {}",
        sym allocate_pool_with_tag,
    )
}

/// `ExAllocatePool`: the same, with a tag that says nothing; deprecated. Levels as above.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn ex_allocate_pool(
    _pool_type: POOL_TYPE,
    _number_of_bytes: usize,
) -> *mut c_void {
    std::arch::naked_asm!(
        "mov r8, {tag}",
        "mov r9, [rsp]",
        "jmp {target}",
        tag = const NO_TAG,
        target = sym allocate_pool_with_tag,
    )
}

/// `ExAllocatePool3`: `ExAllocatePool2` with further parameters. Levels as above. Windows 10 2004
/// and later.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn ex_allocate_pool3(
    _flags: u64,
    _number_of_bytes: usize,
    _tag: u32,
    _parameters: *const c_void,
    _count: u32,
) -> *mut c_void {
    // Priority, NUMA node and secure pool are what the parameters can name. The first two are
    // wishes; memory that another trust level protects is not to be had here.
    std::arch::naked_asm!(
        "mov r9, [rsp]",
        "jmp {}",
        sym allocate_pool2,
    )
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
    if faults::allocation_fails("ExAllocatePoolWithTag") {
        return std::ptr::null_mut();
    }
    let block = pool::allocate(&request);
    block.map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
}

fn check_request(highest: Irql, size: usize, tag: u32, caller: usize) {
    let irql = sched::irql();
    let place = || image::describe(caller);
    if irql > highest {
        let (kind, code) = match highest {
            APC_LEVEL => ("paged", "0xC4/01"),
            _ => ("nonpaged", "0xC4/02"),
        };
        verifier::fatal(
            214,
            format!("{kind} pool at level {irql} from {} ({code})", place()),
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
    check_free(p, tag);
    pool::free(p.cast(), (tag != 0).then_some(Tag(tag)));
}

/// `ExFreePool`: frees pool whose tag is not protected. Levels as above.
///
/// # Safety
///
/// As above.
pub(super) unsafe extern "efiapi" fn ex_free_pool(p: *mut c_void) {
    // SAFETY: as the caller promises.
    unsafe { ex_free_pool_with_tag(p, 0) };
}

/// Level, tag, and what is in the block.
fn check_free(p: *mut c_void, tag: u32) {
    let irql = sched::irql();
    if irql > DISPATCH_LEVEL {
        verifier::fatal(214, format!("pool freed at level {irql} (0xC4/12)"));
    }
    let Some(block) = pool::block_at(p.cast()) else {
        return;
    };
    if block.request.kind == Kind::Paged && irql > APC_LEVEL {
        verifier::fatal(
            214,
            format!("{block}, paged, freed at level {irql} (0xC4/11)"),
        );
    }
    if block.request.tag.0 & PROTECTED_TAG != 0 && tag == 0 {
        verifier::fatal(
            214,
            format!("{block} has a protected tag and is freed without one"),
        );
    }
    for lock in locks_in(block.address, block.request.size) {
        let offset = lock - block.address;
        verifier::breach(
            211,
            format!("{block} freed with the spin lock at +{offset:#x} held"),
        );
    }
    objects::require_none(block.address, block.request.size, || {
        format!("{block} freed")
    });
}
