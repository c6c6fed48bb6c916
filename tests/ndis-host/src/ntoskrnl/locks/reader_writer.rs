//! Reader/writer spin locks: `EX_SPIN_LOCK`.

use ndis_sys::KIRQL;

use super::{
    Acquisition, Family, How, Mode, acquire, holders, mine, raise_for, require_dispatch,
    require_exactly_dispatch, settle, upgrade,
};
use crate::ntoskrnl::Table;
use crate::ntoskrnl::memory::describe;
use crate::sched;
use crate::verifier;

/// Bit of a lock that a writer has; below it is the number of readers.
const WRITER: i32 = i32::MIN;

pub(super) fn exports() -> Table {
    exports! {
        "ExAcquireSpinLockExclusive" => acquire_exclusive,
        "ExAcquireSpinLockExclusiveAtDpcLevel" => acquire_exclusive_at_dpc_level,
        "ExAcquireSpinLockShared" => acquire_shared,
        "ExAcquireSpinLockSharedAtDpcLevel" => acquire_shared_at_dpc_level,
        "ExReleaseSpinLockExclusive" => release_exclusive,
        "ExReleaseSpinLockExclusiveFromDpcLevel" => release_exclusive_from_dpc_level,
        "ExReleaseSpinLockShared" => release_shared,
        "ExReleaseSpinLockSharedFromDpcLevel" => release_shared_from_dpc_level,
        "ExTryConvertSharedSpinLockExclusive" => try_convert,
    }
}

/// `ExAcquireSpinLockExclusive`: raises the level to DISPATCH and takes the lock alone; returns the
/// old level. At DISPATCH or below.
///
/// # Safety
///
/// `lock` must point to a lock of this kind, zero at first.
unsafe extern "efiapi" fn acquire_exclusive(lock: *mut i32) -> KIRQL {
    // SAFETY: as the caller promises.
    unsafe { take_raising(lock, Mode::Exclusive) }
}

/// `ExAcquireSpinLockShared`: the same, with other readers.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn acquire_shared(lock: *mut i32) -> KIRQL {
    // SAFETY: as the caller promises.
    unsafe { take_raising(lock, Mode::Shared) }
}

/// # Safety
///
/// As above.
unsafe fn take_raising(lock: *mut i32, mode: Mode) -> KIRQL {
    sched::point();
    let irql = raise_for(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { take(lock, mode, How::Raised(irql)) };
    irql
}

/// `ExAcquireSpinLockExclusiveAtDpcLevel`: takes the lock alone. At DISPATCH or above.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn acquire_exclusive_at_dpc_level(lock: *mut i32) {
    // SAFETY: as the caller promises.
    unsafe { take_at_dpc_level(lock, Mode::Exclusive) };
}

/// `ExAcquireSpinLockSharedAtDpcLevel`: takes the lock with other readers. At DISPATCH or above.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn acquire_shared_at_dpc_level(lock: *mut i32) {
    // SAFETY: as the caller promises.
    unsafe { take_at_dpc_level(lock, Mode::Shared) };
}

/// # Safety
///
/// As above.
unsafe fn take_at_dpc_level(lock: *mut i32, mode: Mode) {
    sched::point();
    require_dispatch(lock.addr(), "acquired", "0xC4/41");
    // SAFETY: as the caller promises.
    unsafe { take(lock, mode, How::AtDpcLevel) };
}

/// # Safety
///
/// As above.
unsafe fn take(lock: *mut i32, mode: Mode, how: How) {
    acquire(Acquisition {
        lock: lock.addr(),
        family: Family::ReaderWriter,
        mode,
        how,
    });
    // SAFETY: as the caller promises.
    unsafe { write_word(lock, mode) };
}

/// Sets the word of a lock that has just been taken.
///
/// # Safety
///
/// As above.
unsafe fn write_word(lock: *mut i32, mode: Mode) {
    // Readers that were let in together write the word in any order.
    let holders = holders(lock.addr()) as i32;
    let readers = if mode == Mode::Exclusive { 0 } else { holders };
    // SAFETY: as the caller promises.
    let word = unsafe { lock.read_volatile() };
    if !(0..=readers).contains(&word) {
        let place = describe(lock.addr());
        verifier::breach(
            210,
            format!("reader/writer spin lock {place} is not initialised: its word is {word:#x}"),
        );
    }
    let word = if mode == Mode::Exclusive {
        WRITER
    } else {
        holders
    };
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(word) };
}

/// `ExReleaseSpinLockExclusive`: gives the lock back and restores the level. At DISPATCH.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn release_exclusive(lock: *mut i32, old_irql: KIRQL) {
    sched::point();
    require_exactly_dispatch(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { give_back(lock, Mode::Exclusive, How::Raised(old_irql)) };
}

/// `ExReleaseSpinLockShared`: the same, for a reader.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn release_shared(lock: *mut i32, old_irql: KIRQL) {
    sched::point();
    require_exactly_dispatch(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { give_back(lock, Mode::Shared, How::Raised(old_irql)) };
}

/// `ExReleaseSpinLockExclusiveFromDpcLevel`: gives the lock back. At DISPATCH or above.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn release_exclusive_from_dpc_level(lock: *mut i32) {
    sched::point();
    require_dispatch(lock.addr(), "released", "0xC4/42");
    // SAFETY: as the caller promises.
    unsafe { give_back(lock, Mode::Exclusive, How::AtDpcLevel) };
}

/// `ExReleaseSpinLockSharedFromDpcLevel`: the same, for a reader.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn release_shared_from_dpc_level(lock: *mut i32) {
    sched::point();
    require_dispatch(lock.addr(), "released", "0xC4/42");
    // SAFETY: as the caller promises.
    unsafe { give_back(lock, Mode::Shared, How::AtDpcLevel) };
}

/// # Safety
///
/// As above.
unsafe fn give_back(lock: *mut i32, mode: Mode, how: How) {
    let taken = super::release(lock.addr());
    if taken.mode != mode {
        let place = describe(lock.addr());
        verifier::fatal(
            211,
            format!(
                "reader/writer spin lock {place} taken as {:?}, released as {mode:?}",
                taken.mode
            ),
        );
    }
    let readers = holders(lock.addr()) as i32;
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(readers) };
    settle(taken, how);
}

/// `ExTryConvertSharedSpinLockExclusive`: makes a reader the writer if it is the only reader; not
/// zero when it did. At DISPATCH or above.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn try_convert(lock: *mut i32) -> u32 {
    sched::point();
    require_dispatch(lock.addr(), "converted", "0xC4/42");
    if mine(lock.addr()).is_none_or(|taken| taken.mode != Mode::Shared) {
        let place = describe(lock.addr());
        verifier::fatal(
            211,
            format!("reader/writer spin lock {place} converted by one who is no reader"),
        );
    }
    if holders(lock.addr()) > 1 {
        return 0;
    }
    upgrade(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(WRITER) };
    1
}
