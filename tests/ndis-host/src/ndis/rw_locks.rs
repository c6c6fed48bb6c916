//! Reader/writer locks: those of NDIS 6.20 (NDIS_RW_LOCK_EX), and the older NDIS_RW_LOCK.
//!
//! A lock is taken by a processor: recursively for reading, never twice for writing, and never
//! for writing by who has it for reading. What was taken with one LOCK_STATE is given back with
//! the same one (rule 212).

use std::collections::BTreeMap;

use ndis_sys::{
    BOOLEAN, LOCK_STATE, LOCK_STATE_EX, NDIS_HANDLE, NDIS_RW_LOCK, NDIS_RWL_AT_DISPATCH_LEVEL,
    Zeroed,
};

use crate::ndis::call::{self, Level, import};
use crate::ndis::faults;
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::{self, ModuleId};
use crate::sched::{self, BatonCell, DISPATCH_LEVEL, Irql, ThreadId};
use crate::verifier;

/// A lock of NdisAllocateRWLock.
pub(crate) struct RwLock {
    handle: u64,
    owner: u64,
    module: ModuleId,
}

impl Object for RwLock {
    const KIND: Kind = Kind::RwLock;
}

/// One hold of a lock.
#[derive(Clone, Copy)]
struct Hold {
    by: ThreadId,
    write: bool,
    /// Address of the LOCK_STATE.
    state: usize,
    how: How,
}

/// How a lock is taken and given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The level was raised from this one, and goes back to it.
    Raised(Irql),
    /// By a routine, or with a flag, that says that the level is DISPATCH.
    AtDispatch,
}

static LOCKS: BatonCell<Vec<&'static RwLock>> = BatonCell::new(Vec::new());
/// Locks in drivers' memory.
static OLD_LOCKS: BatonCell<Vec<usize>> = BatonCell::new(Vec::new());
/// Who holds what, by handle or address of the lock.
static HOLDS: BatonCell<BTreeMap<u64, Vec<Hold>>> = BatonCell::new(BTreeMap::new());

/// How many reader/writer locks the calling thread holds.
pub(crate) fn held() -> usize {
    let me = sched::current_thread();
    HOLDS.with(|all| {
        let holds = all.values().flatten();
        holds.filter(|hold| hold.by == me).count()
    })
}

/// Microsoft Learn, NdisAllocateRWLock function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate(ndis_handle: NDIS_HANDLE) -> NDIS_HANDLE {
    const CALL: &str = "NdisAllocateRWLock";
    import(CALL, Level::UpToDispatch);
    if faults::allocation_fails(CALL) {
        return std::ptr::null_mut();
    }
    let owner = handles::number(ndis_handle);
    let lock = handles::create(|handle| RwLock {
        handle,
        owner,
        module: modules::of_handle(owner),
    });
    LOCKS.with(|locks| locks.push(lock));
    handles::raw(lock.handle)
}

/// Microsoft Learn, NdisFreeRWLock function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(lock: NDIS_HANDLE) {
    const CALL: &str = "NdisFreeRWLock";
    import(CALL, Level::UpToDispatch);
    let lock: &'static RwLock = handles::resolve(lock, CALL);
    let holds = HOLDS
        .with(|all| all.remove(&lock.handle))
        .unwrap_or_default();
    verifier::insist(212, holds.is_empty(), || {
        format!("{CALL}: the lock is held")
    });
    LOCKS.with(|locks| locks.retain(|other| other.handle != lock.handle));
    handles::close(lock.handle, CALL);
}

/// Microsoft Learn, NdisAcquireRWLockRead function (ndis.h). IRQL <= DISPATCH_LEVEL; returns at
/// DISPATCH_LEVEL.
///
/// # Safety
///
/// `state` points to a LOCK_STATE_EX that lives until the lock is released.
pub(crate) unsafe extern "efiapi" fn acquire_read(
    lock: NDIS_HANDLE,
    state: *mut LOCK_STATE_EX,
    flags: u8,
) {
    // SAFETY: the caller's contract.
    unsafe { acquire_ex("NdisAcquireRWLockRead", lock, state, flags, false) }
}

/// Microsoft Learn, NdisAcquireRWLockWrite function (ndis.h). IRQL <= DISPATCH_LEVEL; returns at
/// DISPATCH_LEVEL.
///
/// # Safety
///
/// As for [`acquire_read`].
pub(crate) unsafe extern "efiapi" fn acquire_write(
    lock: NDIS_HANDLE,
    state: *mut LOCK_STATE_EX,
    flags: u8,
) {
    // SAFETY: the caller's contract.
    unsafe { acquire_ex("NdisAcquireRWLockWrite", lock, state, flags, true) }
}

/// # Safety
///
/// As for [`acquire_read`].
unsafe fn acquire_ex(
    call: &'static str,
    lock: NDIS_HANDLE,
    state: *mut LOCK_STATE_EX,
    flags: u8,
    write: bool,
) {
    import(call, Level::UpToDispatch);
    let lock: &'static RwLock = handles::resolve(lock, call);
    call::check_dispatch_flag(call, u32::from(flags));
    verifier::require(212, flags & !NDIS_RWL_AT_DISPATCH_LEVEL == 0, || {
        format!("{call}: Flags {flags:#x}")
    });
    let how = if flags & NDIS_RWL_AT_DISPATCH_LEVEL != 0 {
        How::AtDispatch
    } else {
        How::Raised(sched::irql())
    };
    take(call, lock.handle, state.addr(), write, how);
    // SAFETY: the caller's contract.
    unsafe {
        (*state).OldIrql = old_level(how);
        (*state).LockState = 1 + u8::from(write);
        (*state).Flags = flags;
    }
}

/// Microsoft Learn, NdisReleaseRWLock function (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `state` is the one that the lock was acquired with.
pub(crate) unsafe extern "efiapi" fn release(lock: NDIS_HANDLE, state: *mut LOCK_STATE_EX) {
    const CALL: &str = "NdisReleaseRWLock";
    insist_dispatch(CALL);
    import(CALL, Level::Dispatch);
    let lock: &'static RwLock = handles::resolve(lock, CALL);
    if let How::Raised(old) = give_back(CALL, lock.handle, state.addr()) {
        sched::lower(old);
    }
}

/// Microsoft Learn, NdisInitializeReadWriteLock function (ndis.h). Any IRQL.
///
/// # Safety
///
/// `lock` points to nonpaged memory for a lock.
pub(crate) unsafe extern "efiapi" fn initialize_old(lock: *mut NDIS_RW_LOCK) {
    const CALL: &str = "NdisInitializeReadWriteLock";
    import(CALL, Level::Any);
    let holds = HOLDS
        .with(|all| all.remove(&address(lock)))
        .unwrap_or_default();
    verifier::insist(212, holds.is_empty(), || {
        format!("{CALL}: the lock is held")
    });
    // SAFETY: the caller's contract.
    unsafe { lock.write(NDIS_RW_LOCK::zeroed()) };
    OLD_LOCKS.with(|locks| {
        if !locks.contains(&lock.addr()) {
            locks.push(lock.addr());
        }
    });
}

/// Microsoft Learn, NdisAcquireReadWriteLock function (ndis.h). IRQL <= DISPATCH_LEVEL; returns
/// at DISPATCH_LEVEL.
///
/// # Safety
///
/// `lock` is initialized; `state` points to a LOCK_STATE that lives until it is released.
pub(crate) unsafe extern "efiapi" fn acquire_old(
    lock: *mut NDIS_RW_LOCK,
    write: BOOLEAN,
    state: *mut LOCK_STATE,
) {
    const CALL: &str = "NdisAcquireReadWriteLock";
    import(CALL, Level::UpToDispatch);
    let how = How::Raised(sched::irql());
    // SAFETY: the caller's contract.
    unsafe { take_old(CALL, lock, write != 0, state, how) }
}

/// Microsoft Learn, NdisDprAcquireReadWriteLock function (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// As for [`acquire_old`].
pub(crate) unsafe extern "efiapi" fn acquire_old_dpr(
    lock: *mut NDIS_RW_LOCK,
    write: BOOLEAN,
    state: *mut LOCK_STATE,
) {
    const CALL: &str = "NdisDprAcquireReadWriteLock";
    import(CALL, Level::Dispatch);
    // SAFETY: the caller's contract.
    unsafe { take_old(CALL, lock, write != 0, state, How::AtDispatch) }
}

/// # Safety
///
/// As for [`acquire_old`].
unsafe fn take_old(
    call: &'static str,
    lock: *mut NDIS_RW_LOCK,
    write: bool,
    state: *mut LOCK_STATE,
    how: How,
) {
    let known = OLD_LOCKS.with(|locks| locks.contains(&lock.addr()));
    verifier::insist(212, known, || {
        format!("{call}: {lock:p} is not initialized")
    });
    take(call, address(lock), state.addr(), write, how);
    // SAFETY: the caller's contract.
    unsafe {
        (*state).OldIrql = old_level(how);
        (*state).LockState = 1 + u16::from(write);
    }
}

/// Microsoft Learn, NdisReleaseReadWriteLock function (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `state` is the one that the lock was acquired with.
pub(crate) unsafe extern "efiapi" fn release_old(lock: *mut NDIS_RW_LOCK, state: *mut LOCK_STATE) {
    const CALL: &str = "NdisReleaseReadWriteLock";
    insist_dispatch(CALL);
    import(CALL, Level::Dispatch);
    match give_back(CALL, address(lock), state.addr()) {
        How::Raised(old) => sched::lower(old),
        How::AtDispatch => mixed(CALL),
    }
}

/// Microsoft Learn, NdisDprReleaseReadWriteLock function (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// As for [`release_old`].
pub(crate) unsafe extern "efiapi" fn release_old_dpr(
    lock: *mut NDIS_RW_LOCK,
    state: *mut LOCK_STATE,
) {
    const CALL: &str = "NdisDprReleaseReadWriteLock";
    insist_dispatch(CALL);
    import(CALL, Level::Dispatch);
    if give_back(CALL, address(lock), state.addr()) != How::AtDispatch {
        mixed(CALL);
    }
}

fn mixed(call: &str) {
    verifier::breach(212, format!("{call}: the lock was taken the other way"));
}

fn insist_dispatch(call: &str) {
    let irql = sched::irql();
    verifier::insist(212, irql == DISPATCH_LEVEL, || {
        format!("{call} called at level {irql}; who holds the lock is at DISPATCH")
    });
}

fn address(lock: *mut NDIS_RW_LOCK) -> u64 {
    lock.addr() as u64
}

fn old_level(how: How) -> Irql {
    match how {
        How::Raised(old) => old,
        How::AtDispatch => DISPATCH_LEVEL,
    }
}

/// Takes a lock, waiting busily for it at DISPATCH_LEVEL.
fn take(call: &'static str, lock: u64, state: usize, write: bool, how: How) {
    let by = sched::current_thread();
    let held = HOLDS
        .with(|all| all.get(&lock).cloned())
        .unwrap_or_default();
    let mine = || held.iter().filter(|hold| hold.by == by);
    if let Some(other) = mine().find(|hold| hold.write || write) {
        let has = if other.write { "writing" } else { "reading" };
        verifier::fatal(
            212,
            format!("{call}: this processor holds the lock for {has} already"),
        );
    }
    verifier::insist(212, mine().all(|hold| hold.state != state), || {
        format!("{call}: LOCK_STATE {state:#x} is in use")
    });
    if sched::irql() < DISPATCH_LEVEL {
        sched::raise(DISPATCH_LEVEL);
    }
    let hold = Hold {
        by,
        write,
        state,
        how,
    };
    sched::spin(call, || {
        HOLDS.with(|all| {
            let holds = all.entry(lock).or_default();
            let free = holds.iter().all(|other| !other.write && !write);
            if free {
                holds.push(hold);
            }
            free
        })
    });
}

/// Gives a lock back.
fn give_back(call: &str, lock: u64, state: usize) -> How {
    let me = sched::current_thread();
    let found = HOLDS.with(|all| {
        let holds = all.get_mut(&lock)?;
        let index = holds
            .iter()
            .position(|hold| hold.by == me && hold.state == state)?;
        Some(holds.swap_remove(index).how)
    });
    found.unwrap_or_else(|| {
        verifier::fatal(
            212,
            format!("{call}: the lock is not held with LOCK_STATE {state:#x}"),
        )
    })
}

/// Locks allocated with `owner` (an adapter or driver handle), in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    leaks(|lock| lock.owner == owner)
}

/// Locks that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    leaks(|lock| lock.module == module)
}

fn leaks(of: impl Fn(&RwLock) -> bool) -> Vec<String> {
    LOCKS.with(|locks| {
        let of_owner = locks.iter().filter(|lock| of(lock));
        of_owner
            .map(|lock| format!("reader/writer lock {:#x}", lock.handle))
            .collect()
    })
}
