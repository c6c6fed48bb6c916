//! The baton: of all contexts, only its holder runs host code.
//!
//! Every context is an OS thread, so that driver code keeps a real stack. One number, [`HOLDER`],
//! names the one that may use the host's state.
//!
//! * In the deterministic mode the holder names its successor ([`pass`]), and everybody else
//!   sleeps ([`await_turn`]): nothing happens at the same time.
//! * In the free-running mode the baton is a lock ([`acquire`], [`release`]): a thread has it
//!   while it is in host code, and is without it in a driver's.
//!
//! Either way, giving it up is a release store that the next holder acquires; whatever the old
//! holder wrote is visible to the new one. That is why state behind a [`BatonCell`] needs no lock
//! of its own.

use std::cell::{Cell, UnsafeCell};
use std::hint;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// Number of a context; `NOBODY` before the scheduler has started.
pub(super) type ContextId = u32;

/// No context has this number.
pub(super) const NOBODY: ContextId = 0;

/// The context that runs.
static HOLDER: AtomicU32 = AtomicU32::new(NOBODY);

/// How many [`BatonCell`]s the holder has open, the scheduler's own not counted.
static OPEN_CELLS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// The context that this OS thread is; `NOBODY` for a thread that is none.
    static ME: Cell<ContextId> = const { Cell::new(NOBODY) };
}

/// The context that the calling thread is.
pub(super) fn me() -> ContextId {
    ME.get()
}

/// Whether the calling thread may touch the host's state.
pub(super) fn is_holder() -> bool {
    let me = me();
    me != NOBODY && HOLDER.load(Ordering::Relaxed) == me
}

/// Makes the calling thread the first context, holding the baton.
pub(super) fn create(first: ContextId) {
    let before = HOLDER.compare_exchange(NOBODY, first, Ordering::AcqRel, Ordering::Acquire);
    assert!(
        before.is_ok(),
        "the scheduler runs already: one run per process"
    );
    ME.set(first);
}

/// Keeps this thread, and all that it starts, on one processor of the build machine.
///
/// Only one of them runs at a time, and waking a thread on the processor that is awake already
/// takes a tenth of the time that waking another processor takes. Where the system refuses, runs
/// are slower and otherwise the same.
pub(super) fn stay_on_one_processor() {
    // SAFETY: the call has no preconditions.
    let processor = unsafe { libc::sched_getcpu() };
    let Ok(processor) = usize::try_from(processor) else {
        return;
    };
    // SAFETY: a `cpu_set_t` is an array of integers.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `CPU_SET` writes inside of the set, as it checks the number.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is of the size that is stated; 0 means the calling thread.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
}

/// Makes the calling thread the context `id`, which is without the baton.
pub(super) fn become_context(id: ContextId) {
    ME.set(id);
}

/// Passes the baton to `to`; the caller must not touch the host's state until its next turn.
pub(super) fn pass(to: ContextId, thread: &Thread) {
    HOLDER.store(to, Ordering::Release);
    thread.unpark();
}

/// Sleeps until the baton is here.
pub(super) fn await_turn() {
    let me = me();
    while HOLDER.load(Ordering::Acquire) != me {
        thread::park();
    }
}

/// How often a thread looks for the baton before it goes to sleep.
const LOOKS: u32 = 200;

/// Guards going to sleep for the baton.
static BED: Mutex<()> = Mutex::new(());
/// Threads that sleep until the baton is free, or are about to.
static SLEEPERS: AtomicU32 = AtomicU32::new(0);
/// Told when the baton is free.
static FREED: Condvar = Condvar::new();

/// Takes the baton, free-running mode; waits while another thread has it.
pub(super) fn acquire() {
    let me = me();
    debug_assert!(!is_holder(), "the baton taken twice");
    if take(me) {
        return;
    }
    for _ in 0..LOOKS {
        hint::spin_loop();
        if HOLDER.load(Ordering::Relaxed) == NOBODY && take(me) {
            return;
        }
    }
    // Whoever gives the baton up after this increment sees it, and wakes a sleeper.
    let mut bed = lock_bed();
    SLEEPERS.fetch_add(1, Ordering::SeqCst);
    while !take(me) {
        bed = FREED.wait(bed).unwrap_or_else(PoisonError::into_inner);
    }
    SLEEPERS.fetch_sub(1, Ordering::SeqCst);
}

/// Gives the baton up, free-running mode.
pub(super) fn release() {
    assert_cells_closed();
    debug_assert!(is_holder(), "the baton given up by another");
    HOLDER.store(NOBODY, Ordering::SeqCst);
    if SLEEPERS.load(Ordering::SeqCst) != 0 {
        // Taken so that no sleeper is between its look at the baton and its sleep.
        drop(lock_bed());
        FREED.notify_one();
    }
}

/// Whether a thread sleeps for the baton.
pub(super) fn is_wanted() -> bool {
    SLEEPERS.load(Ordering::Relaxed) != 0
}

fn take(me: ContextId) -> bool {
    HOLDER
        .compare_exchange(NOBODY, me, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

fn lock_bed() -> MutexGuard<'static, ()> {
    BED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Panics when the caller keeps a cell open where other contexts may run.
pub(super) fn assert_cells_closed() {
    let open = OPEN_CELLS.load(Ordering::Relaxed);
    assert!(
        open == 0,
        "a scheduling point inside BatonCell::with ({open} open)"
    );
}

/// State of the host, open to the holder of the baton only.
///
/// Opening a cell twice at a time, opening it without the baton and reaching a scheduling point
/// with a cell open are programming errors of the host, and panic.
///
/// The value moves from thread to thread with the baton, also when its type is not `Send`; do not
/// keep in it what is bound to one OS thread, such as a lock guard.
pub struct BatonCell<T> {
    open: Cell<bool>,
    counted: bool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets only the holder of the baton in, and hand-over orders memory (`pass` with
// `await_turn`, `release` with `acquire`), so no two threads access the cell at the same time.
unsafe impl<T> Sync for BatonCell<T> {}

impl<T> BatonCell<T> {
    /// Makes a cell.
    pub const fn new(value: T) -> Self {
        Self {
            open: Cell::new(false),
            counted: true,
            value: UnsafeCell::new(value),
        }
    }

    /// Makes the scheduler's own cell, which may be opened inside any other.
    pub(super) const fn new_innermost(value: T) -> Self {
        Self {
            open: Cell::new(false),
            counted: false,
            value: UnsafeCell::new(value),
        }
    }

    /// Opens the cell for `body`, which must not reach a scheduling point.
    ///
    /// # Panics
    ///
    /// When the caller does not hold the baton, or has this cell open already.
    #[inline]
    pub fn with<R>(&'static self, body: impl FnOnce(&mut T) -> R) -> R {
        assert!(
            is_holder(),
            "BatonCell<{}> without the baton",
            std::any::type_name::<T>()
        );
        assert!(
            !self.open.replace(true),
            "BatonCell<{}> opened twice",
            std::any::type_name::<T>()
        );
        let _closer = Closer {
            open: &self.open,
            counted: self.counted,
        };
        if self.counted {
            OPEN_CELLS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the two assertions leave one thread, with one borrow.
        body(unsafe { &mut *self.value.get() })
    }
}

/// Closes a cell on every way out.
struct Closer<'a> {
    open: &'a Cell<bool>,
    counted: bool,
}

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        self.open.set(false);
        if self.counted {
            OPEN_CELLS.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
