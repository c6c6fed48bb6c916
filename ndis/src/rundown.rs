//! Counting what is out, per CPU, so that a closer can wait for all of it.
//!
//! A [`Rundown`] is open or closed. While it is open, anyone may take references; closing stops
//! that, and the last reference to come back reports that nothing is out any more. Takers touch
//! counters of their own CPU only. [`Gate`] is a rundown whose closer waits.
//!
//! Per CPU there are two counters that only grow: `taken` and `given`. A reference may be taken
//! on one CPU and given back on another, so only the sums mean something. The closer reads all
//! `given` first and all `taken` after that: both grow, and `given` never passes `taken`, so equal
//! sums mean that nothing was out at the moment between the two readings.
//!
//! Who gives the last reference back is still inside [`Rundown::give`] when the closer learns that
//! nothing is out. Before the rundown's memory goes, [`Rundown::wait_for_givers`] waits for them.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

use crate::event::Event;
use crate::irql::Passive;
use crate::memory::OutOfMemory;
use crate::percpu::PerCpu;

#[derive(Default)]
struct Counters {
    taken: AtomicU64,
    given: AtomicU64,
    /// Calls of `give` that came in by this CPU and are not done with the rundown.
    giving: AtomicU32,
}

/// References that a closer can wait for.
pub struct Rundown {
    counters: PerCpu<Counters>,
    closed: AtomicBool,
    /// Set by `close`, cleared by whoever reports that the rundown is empty: so exactly one does.
    report_due: AtomicBool,
}

/// No reference was taken: the rundown is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Rundown {
    /// A closed rundown with nothing out.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn try_new() -> Result<Self, OutOfMemory> {
        Ok(Self::over(PerCpu::try_new()?))
    }

    fn over(counters: PerCpu<Counters>) -> Self {
        Self {
            counters,
            closed: AtomicBool::new(true),
            report_due: AtomicBool::new(false),
        }
    }

    /// Lets references be taken (again).
    pub fn open(&self) {
        self.report_due.store(false, Ordering::SeqCst);
        self.closed.store(false, Ordering::SeqCst);
    }

    /// Takes `count` references, unless the rundown is closed. `empty` is called when it is closed
    /// at the same moment and the news that nothing is out falls to this caller.
    ///
    /// # Errors
    ///
    /// [`Closed`].
    pub fn take(&self, count: u64, empty: impl FnOnce()) -> Result<(), Closed> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Closed);
        }
        let here = self.counters.here().ok_or(Closed)?;
        here.taken.fetch_add(count, Ordering::SeqCst);
        // The closer stores `closed` and then reads `taken`; we add to `taken` and then read
        // `closed`: one of the two sees the other.
        if self.closed.load(Ordering::SeqCst) {
            self.give(count, empty);
            return Err(Closed);
        }
        Ok(())
    }

    /// Takes `count` more references, for somebody who holds one: closed or not.
    pub fn take_more(&self, count: u64) {
        if let Some(here) = self.counters.here() {
            here.taken.fetch_add(count, Ordering::SeqCst);
        }
    }

    /// Gives `count` references back. `empty` is called if the rundown was closed and these were
    /// the last.
    pub fn give(&self, count: u64, empty: impl FnOnce()) {
        let Some(here) = self.counters.here() else {
            return;
        };
        here.giving.fetch_add(1, Ordering::SeqCst);
        here.given.fetch_add(count, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) && self.report() {
            empty();
        }
        here.giving.fetch_sub(1, Ordering::SeqCst);
    }

    /// Stops the taking. True: nothing was out. Otherwise the last [`Self::give`] says so.
    pub fn close(&self) -> bool {
        self.report_due.store(true, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
        self.report()
    }

    /// How many references are out. Exact when nobody takes or gives at the same time.
    pub fn out(&self) -> u64 {
        let given = self.sum(|counters| &counters.given);
        fence(Ordering::SeqCst);
        self.sum(|counters| &counters.taken).wrapping_sub(given)
    }

    /// How many references were taken so far, in all.
    pub fn taken(&self) -> u64 {
        self.sum(|counters| &counters.taken)
    }

    /// Waits, once nothing is out, until everybody who gave a reference back is done with the
    /// rundown. After that its memory, and that of what the `empty` functions touch, may go.
    pub fn wait_for_givers(&self, at: &Passive<'_>) {
        while self
            .counters
            .iter()
            .any(|here| here.giving.load(Ordering::SeqCst) != 0)
        {
            crate::time::sleep_us(100, at);
        }
    }

    fn sum(&self, which: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.counters.iter().fold(0u64, |sum, counters| {
            sum.wrapping_add(which(counters).load(Ordering::SeqCst))
        })
    }

    /// Whether it falls to the caller to report that nothing is out.
    fn report(&self) -> bool {
        while self.out() == 0 {
            if !self.report_due.swap(false, Ordering::SeqCst) {
                return false;
            }
            // The rundown may have been opened and closed again since the look above.
            if self.out() == 0 {
                return true;
            }
            self.report_due.store(true, Ordering::SeqCst);
        }
        false
    }
}

/// A [`Rundown`] whose closer can wait at PASSIVE_LEVEL. Must not move once initialised.
pub struct Gate {
    rundown: Rundown,
    drained: Event,
}

impl Gate {
    /// A closed gate with nothing out.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`].
    pub fn try_new() -> Result<Self, OutOfMemory> {
        Ok(Self {
            rundown: Rundown::try_new()?,
            drained: Event::uninitialized(),
        })
    }

    /// Makes waiting possible.
    ///
    /// # Safety
    ///
    /// As for [`Event::initialize`].
    pub unsafe fn initialize(&self) {
        // SAFETY: passed on.
        unsafe { self.drained.initialize(true) };
    }

    /// Lets references be taken (again).
    pub fn open(&self) {
        self.rundown.open();
    }

    /// Takes `count` references. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// [`Closed`].
    pub fn take(&self, count: u64) -> Result<(), Closed> {
        self.rundown.take(count, || self.drained.set())
    }

    /// Gives `count` references back. IRQL <= DISPATCH_LEVEL.
    pub fn give(&self, count: u64) {
        self.rundown.give(count, || self.drained.set());
    }

    /// Stops the taking. IRQL <= DISPATCH_LEVEL.
    pub fn close(&self) {
        self.drained.clear();
        if self.rundown.close() {
            self.drained.set();
        }
    }

    /// Waits, at most `milliseconds`, until nothing is out of the closed gate.
    pub fn wait_at_most(&self, milliseconds: u32, at: &Passive<'_>) {
        self.drained.wait_at_most(milliseconds, at);
    }

    /// Closes the gate and waits until nothing is out, and nobody is about to touch it.
    pub fn close_and_wait(&self, at: &Passive<'_>) {
        loop {
            self.close();
            self.drained.wait(at);
            // An event set late, for a closing before this one, proves nothing.
            if self.rundown.out() == 0 {
                break;
            }
        }
        self.rundown.wait_for_givers(at);
    }

    /// How many references were taken so far, in all.
    pub fn taken(&self) -> u64 {
        self.rundown.taken()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::kernel_for_tests::CPU;

    fn rundown(cpus: usize) -> Rundown {
        Rundown::over(PerCpu::for_cpus(cpus).unwrap())
    }

    /// Gives references back, and says whether that was reported as the end.
    fn give(rundown: &Rundown, count: u64) -> bool {
        let reported = Cell::new(false);
        rundown.give(count, || reported.set(true));
        reported.get()
    }

    fn take(rundown: &Rundown, count: u64) -> bool {
        rundown
            .take(count, || panic!("nobody closes meanwhile"))
            .is_ok()
    }

    #[test]
    fn a_closed_rundown_gives_no_references() {
        let rundown = rundown(1);
        assert!(!take(&rundown, 1));
        rundown.open();
        assert!(take(&rundown, 1));
        assert!(!rundown.close(), "one is out");
        assert!(!take(&rundown, 1));
        assert!(give(&rundown, 1), "the last one reports");
    }

    #[test]
    fn references_may_come_back_on_another_cpu() {
        let rundown = rundown(2);
        rundown.open();
        CPU.set(0);
        assert!(take(&rundown, 3));
        CPU.set(1);
        assert!(!give(&rundown, 2));
        assert_eq!(rundown.out(), 1);
        assert!(!rundown.close());
        assert!(give(&rundown, 1));
        CPU.set(0);
    }

    #[test]
    fn more_can_be_taken_from_a_closed_rundown_by_who_holds_one() {
        let rundown = rundown(1);
        rundown.open();
        assert!(take(&rundown, 1));
        assert!(!rundown.close());
        rundown.take_more(1);
        assert!(!give(&rundown, 1));
        assert!(give(&rundown, 1));
    }

    #[test]
    fn the_end_is_reported_once_per_closing() {
        let rundown = rundown(1);
        rundown.open();
        assert!(rundown.close(), "nothing is out");
        assert!(rundown.close(), "each closer hears of it");
        rundown.open();
        assert!(take(&rundown, 1));
        assert!(!rundown.close());
        assert!(give(&rundown, 1));
    }

    #[test]
    fn many_threads_and_a_closer_agree_on_the_end() {
        use std::sync::atomic::AtomicUsize;
        let rundown = rundown(4);
        let reports = AtomicUsize::new(0);
        let report = || {
            reports.fetch_add(1, Ordering::SeqCst);
        };
        rundown.open();
        std::thread::scope(|scope| {
            for cpu in 0..4 {
                let (rundown, report) = (&rundown, &report);
                scope.spawn(move || {
                    CPU.set(cpu);
                    for _ in 0..20_000 {
                        if rundown.take(1, report).is_ok() {
                            rundown.give(1, report);
                        }
                    }
                });
            }
            std::thread::yield_now();
            if rundown.close() {
                report();
            }
        });
        assert_eq!((reports.load(Ordering::SeqCst), rundown.out()), (1, 0));
    }
}
