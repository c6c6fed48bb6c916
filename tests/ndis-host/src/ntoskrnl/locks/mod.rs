//! Spin locks of all families, with an owner for each that is held.
//!
//! The word of a lock says whether it is held, as on Windows; who holds it, and how it was taken,
//! is kept here as a stack for each thread (with what runs on top of it), so that a wrong release
//! can be told from a right one (rules 210 and 211). [`order`] keeps which locks were taken while
//! others were held, and finds the deadlock that has not happened yet (rule 85).

pub(super) mod interlocked;
mod order;
pub(super) mod queued;
pub(super) mod reader_writer;
pub(super) mod spin_lock;

use super::Table;
use super::memory::describe;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL, Irql, ThreadId};
use crate::verifier;

pub(crate) use order::forget;

/// Longest that a lock should be held, ns: the page on spin locks says 25 microseconds.
const LONGEST_HELD_NS: u64 = 25_000;

/// How a lock was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With the level raised from this one.
    Raised(Irql),
    /// At `DISPATCH_LEVEL` or above already.
    AtDpcLevel,
}

/// Which routines a lock is for; those of different families must not be mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `KeAcquireSpinLock` and its relatives.
    Plain,
    /// In-stack queued: taken with the handle at this address.
    Queued(usize),
    /// `EX_SPIN_LOCK`: one writer or many readers.
    ReaderWriter,
}

/// With whom a lock is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// With nobody.
    Exclusive,
    /// With other readers.
    Shared,
}

/// One acquisition of a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acquisition {
    /// Address of the lock.
    pub(crate) lock: usize,
    /// Its family.
    pub(crate) family: Family,
    /// Whether others may hold it as well.
    pub(crate) mode: Mode,
    /// How it is taken.
    pub(crate) how: How,
}

/// A lock that is held.
#[derive(Clone, Copy)]
struct Held {
    of: Acquisition,
    by: ThreadId,
    /// Time that its holder has stalled since.
    stalled_ns: u64,
}

/// The locks that are held, in the order in which they were taken.
static HELD: BatonCell<Vec<Held>> = BatonCell::new(Vec::new());

/// Locks that were used as queued ones.
static QUEUED: BatonCell<Vec<usize>> = BatonCell::new(Vec::new());

/// The routines of this area.
pub(super) fn exports() -> Table {
    let parts = [
        spin_lock::exports(),
        queued::exports(),
        reader_writer::exports(),
        interlocked::exports(),
    ];
    parts.concat()
}

/// How many locks the calling thread holds, with what runs on top of it.
pub fn locks_held() -> usize {
    let me = sched::current_thread();
    HELD.with(|held| held.iter().filter(|held| held.by == me).count())
}

/// The held locks whose word lies in the `len` bytes from `start` on.
pub fn locks_in(start: usize, len: usize) -> Vec<usize> {
    let inside = |lock: &usize| lock.checked_sub(start).is_some_and(|offset| offset < len);
    HELD.with(|held| {
        held.iter()
            .map(|held| held.of.lock)
            .filter(inside)
            .collect()
    })
}

/// Counts a busy wait of the calling thread against the locks that it holds.
pub(super) fn stalled(ns: u64) {
    let me = sched::current_thread();
    HELD.with(|held| {
        let mine = held.iter_mut().filter(|held| held.by == me);
        mine.for_each(|held| held.stalled_ns += ns);
    });
}

/// Waits for a lock and takes it. The level is right already.
///
/// Taking a lock twice is a fatal breach of rule 210, taking it in an order that can end in a
/// deadlock one of rule 85.
pub(crate) fn acquire(new: Acquisition) {
    refuse_recursion(new);
    refuse_inversion(new);
    note_family(new);
    // Whoever looks for something to do evaluates the condition, so the taker is named here.
    let by = sched::current_thread();
    sched::spin("a spin lock", || take(new, by));
}

/// Takes a lock if it is free; tells whether it was.
pub(crate) fn try_acquire(new: Acquisition) -> bool {
    note_family(new);
    take(new, sched::current_thread())
}

fn refuse_recursion(new: Acquisition) {
    let by = sched::current_thread();
    let is_recursion = HELD.with(|held| {
        held.iter()
            .any(|held| held.of.lock == new.lock && held.by == by)
    });
    if is_recursion {
        let lock = describe(new.lock);
        verifier::fatal(
            210,
            format!("spin lock {lock} acquired twice by one processor (0xC4/1001)"),
        );
    }
}

fn refuse_inversion(new: Acquisition) {
    let by = sched::current_thread();
    let first_bad = HELD.with(|held| {
        let mine = held.iter().filter(|held| held.by == by);
        let mut others = mine.map(|held| held.of.lock);
        others.find(|other| !order::note(*other, new.lock))
    });
    if let Some(other) = first_bad {
        let (new, other) = (describe(new.lock), describe(other));
        let text = format!(
            "spin lock {new} acquired with {other} held; they were taken the other way round before \
             (deadlock: 0xC4/1001)"
        );
        verifier::fatal(85, text);
    }
}

/// Rule 210: a lock is either an ordinary or a queued one.
fn note_family(new: Acquisition) {
    let was_queued = QUEUED.with(|queued| queued.contains(&new.lock));
    match new.family {
        Family::Queued(_) if !was_queued => QUEUED.with(|queued| queued.push(new.lock)),
        Family::Plain if was_queued => verifier::breach(
            210,
            format!(
                "queued spin lock {} acquired by an ordinary routine",
                describe(new.lock)
            ),
        ),
        _ => {}
    }
}

/// Takes a lock for a thread if nobody has it who excludes that.
fn take(of: Acquisition, by: ThreadId) -> bool {
    HELD.with(|held| {
        let excludes = |held: &Held| {
            held.of.lock == of.lock
                && (of.mode == Mode::Exclusive || held.of.mode == Mode::Exclusive)
        };
        let is_free = !held.iter().any(excludes);
        if is_free {
            held.push(Held {
                of,
                by,
                stalled_ns: 0,
            });
        }
        is_free
    })
}

/// How many hold a lock now.
fn holders(lock: usize) -> usize {
    HELD.with(|held| held.iter().filter(|held| held.of.lock == lock).count())
}

/// How the calling thread holds a lock, if it does.
fn mine(lock: usize) -> Option<Acquisition> {
    let me = sched::current_thread();
    HELD.with(|held| {
        let mine = held
            .iter()
            .find(|held| held.of.lock == lock && held.by == me);
        mine.map(|held| held.of)
    })
}

/// Makes a reader, who must be the only one, the writer.
fn upgrade(lock: usize) {
    HELD.with(|held| {
        let held = held.iter_mut().find(|held| held.of.lock == lock);
        held.expect("the caller holds it").of.mode = Mode::Exclusive;
    });
}

/// Gives a lock back; tells how it had been taken.
///
/// A lock that the calling thread does not hold is a fatal breach of rule 211, one that was not
/// taken last a breach of rule 210.
pub(crate) fn release(lock: usize) -> Acquisition {
    let me = sched::current_thread();
    let (found, newest) = HELD.with(|held| {
        let index = held
            .iter()
            .rposition(|held| held.by == me && held.of.lock == lock);
        let newest = held.iter().rev().find(|held| held.by == me);
        let newest = newest.map(|held| held.of.lock);
        (index.map(|index| held.remove(index)), newest)
    });
    let Some(found) = found else {
        refuse_release(lock);
    };
    if let Some(newest) = newest.filter(|newest| *newest != lock) {
        let (lock, newest) = (describe(lock), describe(newest));
        verifier::breach(
            210,
            format!("spin lock {lock} released before {newest}, taken later"),
        );
    }
    if found.stalled_ns > LONGEST_HELD_NS {
        let lock = describe(lock);
        let us = found.stalled_ns / 1000;
        verifier::advice(
            210,
            format!("spin lock {lock} held while stalling for {us} us"),
        );
    }
    found.of
}

fn refuse_release(lock: usize) -> ! {
    let is_held = holders(lock) > 0;
    let lock = describe(lock);
    let text = if is_held {
        format!("spin lock {lock} released by another processor")
    } else {
        format!("spin lock {lock} released and not held (0xC4/10)")
    };
    verifier::fatal(211, text)
}

/// Takes the level check of every acquisition that raises it; returns the old level.
fn raise_for(lock: usize) -> Irql {
    let irql = sched::irql();
    if irql > DISPATCH_LEVEL {
        let lock = describe(lock);
        verifier::fatal(
            211,
            format!("spin lock {lock} acquired at level {irql} (0xC4/40)"),
        );
    }
    sched::raise(DISPATCH_LEVEL);
    irql
}

/// Takes the level check of every routine "at DPC level".
fn require_dispatch(lock: usize, what: &str, code: &str) {
    let irql = sched::irql();
    if irql < DISPATCH_LEVEL {
        let lock = describe(lock);
        let text = format!("spin lock {lock} {what} \"at DPC level\" at level {irql} ({code})");
        verifier::fatal(211, text);
    }
}

/// Takes the level check of every release that lowers the level.
fn require_exactly_dispatch(lock: usize) {
    let irql = sched::irql();
    if irql != DISPATCH_LEVEL {
        let lock = describe(lock);
        verifier::fatal(
            211,
            format!("spin lock {lock} released at level {irql} (0xC4/32)"),
        );
    }
}

/// Compares how a lock was taken with how it is given back, and lowers the level.
fn settle(taken: Acquisition, how: How) {
    let lock = || describe(taken.lock);
    match (taken.how, how) {
        (How::Raised(old), How::Raised(new)) if old != new => verifier::breach(
            210,
            format!(
                "spin lock {} released to level {new}, acquired from level {old}",
                lock()
            ),
        ),
        (How::Raised(_), How::AtDpcLevel) | (How::AtDpcLevel, How::Raised(_)) => verifier::breach(
            210,
            format!(
                "spin lock {}: raising and \"DPC level\" calls mixed",
                lock()
            ),
        ),
        _ => {}
    }
    if let How::Raised(new) = how {
        sched::lower(new);
    }
}
