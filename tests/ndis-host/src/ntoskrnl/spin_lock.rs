//! Spin locks, with an owner for each lock that is held.
//!
//! The word of a lock says whether it is held, as on Windows; who holds it, and how it was taken,
//! is kept here, so that a wrong release can be told from a right one (rules 210 and 211).

use ndis_sys::{KIRQL, KSPIN_LOCK};

use super::memory::describe;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL, Irql, ThreadId};
use crate::verifier;

/// Word of a held lock.
const TAKEN: KSPIN_LOCK = 1;

/// A lock that is held.
#[derive(Clone, Copy)]
struct Held {
    lock: usize,
    by: ThreadId,
    how: How,
}

/// How a lock was taken.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// With the level raised from this one.
    Raised(Irql),
    /// At `DISPATCH_LEVEL` or above already.
    AtDpcLevel,
}

/// The locks that are held, in the order in which they were taken.
static HELD: BatonCell<Vec<Held>> = BatonCell::new(Vec::new());

/// How many locks the calling thread holds, with what runs on top of it.
pub fn locks_held() -> usize {
    let me = sched::current_thread();
    HELD.with(|held| held.iter().filter(|held| held.by == me).count())
}

/// The held locks whose word lies in the `len` bytes from `start` on.
pub fn locks_in(start: usize, len: usize) -> Vec<usize> {
    let inside = |lock: &usize| lock.checked_sub(start).is_some_and(|offset| offset < len);
    HELD.with(|held| held.iter().map(|held| held.lock).filter(inside).collect())
}

/// `KeAcquireSpinLockRaiseToDpc`: raises the level to DISPATCH and takes the lock; returns the old
/// level. At DISPATCH or below.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(super) unsafe extern "efiapi" fn ke_acquire_spin_lock_raise_to_dpc(
    lock: *mut KSPIN_LOCK,
) -> KIRQL {
    sched::point();
    let irql = sched::irql();
    if irql > DISPATCH_LEVEL {
        let lock = describe(lock.addr());
        verifier::fatal(
            211,
            format!("spin lock {lock} acquired at level {irql} (0xC4/40)"),
        );
    }
    sched::raise(DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { acquire(lock, How::Raised(irql)) };
    irql
}

/// `KeAcquireSpinLockAtDpcLevel`: takes the lock. At DISPATCH or above.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(super) unsafe extern "efiapi" fn ke_acquire_spin_lock_at_dpc_level(lock: *mut KSPIN_LOCK) {
    sched::point();
    let irql = sched::irql();
    if irql < DISPATCH_LEVEL {
        let lock = describe(lock.addr());
        let text = format!("spin lock {lock} acquired \"at DPC level\" at level {irql} (0xC4/41)");
        verifier::fatal(211, text);
    }
    // SAFETY: as the caller promises.
    unsafe { acquire(lock, How::AtDpcLevel) };
}

/// # Safety
///
/// `lock` must point to a spin lock.
unsafe fn acquire(lock: *mut KSPIN_LOCK, how: How) {
    let by = sched::current_thread();
    let new = Held {
        lock: lock.addr(),
        by,
        how,
    };
    let is_recursion = HELD.with(|held| {
        held.iter()
            .any(|held| held.lock == new.lock && held.by == by)
    });
    if is_recursion {
        let lock = describe(lock.addr());
        verifier::fatal(
            210,
            format!("spin lock {lock} acquired twice by one processor"),
        );
    }
    sched::spin("a spin lock", || take(new));
    // SAFETY: as the caller promises.
    let word = unsafe { lock.read_volatile() };
    if word != 0 {
        let lock = describe(lock.addr());
        verifier::breach(
            210,
            format!("spin lock {lock} is not initialised: its word is {word:#x}"),
        );
    }
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(TAKEN) };
}

/// Takes a lock if nobody has it.
fn take(new: Held) -> bool {
    HELD.with(|held| {
        let is_free = held.iter().all(|held| held.lock != new.lock);
        if is_free {
            held.push(new);
        }
        is_free
    })
}

/// `KeReleaseSpinLock`: gives a lock back that was taken with the level raised, and restores the
/// level. At DISPATCH.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(super) unsafe extern "efiapi" fn ke_release_spin_lock(lock: *mut KSPIN_LOCK, new_irql: KIRQL) {
    sched::point();
    let irql = sched::irql();
    if irql != DISPATCH_LEVEL {
        let lock = describe(lock.addr());
        verifier::fatal(
            211,
            format!("spin lock {lock} released at level {irql} (0xC4/32)"),
        );
    }
    // SAFETY: as the caller promises.
    match unsafe { release(lock) } {
        How::Raised(old) if old == new_irql => {}
        How::Raised(old) => verifier::breach(
            210,
            format!(
                "spin lock {} released to level {new_irql}, acquired from level {old}",
                describe(lock.addr())
            ),
        ),
        How::AtDpcLevel => mismatch(lock),
    }
    sched::lower(new_irql);
}

/// `KeReleaseSpinLockFromDpcLevel`: gives a lock back that was taken without raising the level. At
/// DISPATCH or above.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(super) unsafe extern "efiapi" fn ke_release_spin_lock_from_dpc_level(lock: *mut KSPIN_LOCK) {
    sched::point();
    let irql = sched::irql();
    if irql < DISPATCH_LEVEL {
        let lock = describe(lock.addr());
        let text =
            format!("spin lock {lock} released \"from DPC level\" at level {irql} (0xC4/42)");
        verifier::fatal(211, text);
    }
    // SAFETY: as the caller promises.
    if unsafe { release(lock) } != How::AtDpcLevel {
        mismatch(lock);
    }
}

fn mismatch(lock: *mut KSPIN_LOCK) {
    let lock = describe(lock.addr());
    verifier::breach(
        210,
        format!("spin lock {lock}: raising and \"DPC level\" calls mixed"),
    );
}

/// Gives a lock back; tells how it had been taken.
///
/// # Safety
///
/// `lock` must point to a spin lock.
unsafe fn release(lock: *mut KSPIN_LOCK) -> How {
    let me = sched::current_thread();
    let (found, newest) = HELD.with(|held| {
        let index = held.iter().position(|held| held.lock == lock.addr());
        let newest = held
            .iter()
            .rev()
            .find(|held| held.by == me)
            .map(|held| held.lock);
        (index.map(|index| held[index]), newest)
    });
    let found = match found {
        Some(found) if found.by == me => found,
        Some(_) => verifier::fatal(
            211,
            format!(
                "spin lock {} released by another processor",
                describe(lock.addr())
            ),
        ),
        None => verifier::fatal(
            211,
            format!(
                "spin lock {} released and not held (0xC4/10)",
                describe(lock.addr())
            ),
        ),
    };
    if let Some(newest) = newest.filter(|newest| *newest != lock.addr()) {
        let (lock, newest) = (describe(lock.addr()), describe(newest));
        verifier::breach(
            210,
            format!("spin lock {lock} released before {newest}, taken later"),
        );
    }
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(0) };
    HELD.with(|held| held.retain(|held| held.lock != lock.addr()));
    found.how
}
