//! Counting what is out, per CPU, so that a closer can wait for all of it.
//!
//! A [`Rundown`] is open or closed. While it is open, anyone may take references; closing stops
//! that, and the last reference to come back reports that nothing is out any more. Takers touch
//! counters of their own CPU only.
//!
//! Per CPU there are two counters that only grow: `taken` and `given`. A reference may be taken
//! on one CPU and given back on another, so only the sums mean something. The closer reads all
//! `given` first and all `taken` after that: both grow, and `given` never passes `taken`, so equal
//! sums mean that nothing was out at the moment between the two readings.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use crate::memory::OutOfMemory;
use crate::percpu::PerCpu;

#[derive(Default)]
struct Counters {
    taken: AtomicU64,
    given: AtomicU64,
}

/// References that a closer can wait for.
pub struct Rundown {
    counters: PerCpu<Counters>,
    closed: AtomicBool,
    /// Set by `close`, cleared by whoever reports that the rundown is empty: so exactly one does.
    report_due: AtomicBool,
}

/// Nothing is out any more; the receiver is the only one to be told.
#[must_use = "the closer waits for this news"]
pub struct RunDown(());

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

    /// Takes `count` references, unless the rundown is closed.
    ///
    /// When it is closed at the same moment the references go straight back, and the news that
    /// nothing is out may fall to this caller.
    ///
    /// # Errors
    ///
    /// The rundown is closed; nothing was taken.
    pub fn take(&self, count: u64) -> Result<(), Option<RunDown>> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(None);
        }
        let Some(here) = self.counters.here() else {
            return Err(None);
        };
        here.taken.fetch_add(count, Ordering::SeqCst);
        // The closer stores `closed` and then reads `taken`; we add to `taken` and then read
        // `closed`: one of the two sees the other.
        if self.closed.load(Ordering::SeqCst) {
            return Err(self.give(count));
        }
        Ok(())
    }

    /// Gives `count` references back. `Some`: the rundown was closed, and these were the last.
    pub fn give(&self, count: u64) -> Option<RunDown> {
        let here = self.counters.here()?;
        here.given.fetch_add(count, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.report()
        } else {
            None
        }
    }

    /// Stops the taking. `Some`: nothing was out. Otherwise the last [`Self::give`] reports it.
    pub fn close(&self) -> Option<RunDown> {
        self.report_due.store(true, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
        self.report()
    }

    /// Whether references can be taken.
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
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

    fn sum(&self, which: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.counters.iter().fold(0u64, |sum, counters| {
            sum.wrapping_add(which(counters).load(Ordering::SeqCst))
        })
    }

    fn report(&self) -> Option<RunDown> {
        (self.out() == 0 && self.report_due.swap(false, Ordering::SeqCst)).then_some(RunDown(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_for_tests::CPU;

    fn rundown(cpus: usize) -> Rundown {
        Rundown::over(PerCpu::for_cpus(cpus).unwrap())
    }

    #[test]
    fn a_closed_rundown_gives_no_references() {
        let rundown = rundown(1);
        assert!(rundown.take(1).is_err());
        rundown.open();
        assert!(rundown.take(1).is_ok());
        assert!(rundown.close().is_none(), "one is out");
        assert!(rundown.take(1).is_err());
        assert!(rundown.give(1).is_some(), "the last one reports");
    }

    #[test]
    fn references_may_come_back_on_another_cpu() {
        let rundown = rundown(2);
        rundown.open();
        CPU.set(0);
        assert!(rundown.take(3).is_ok());
        CPU.set(1);
        assert!(rundown.give(2).is_none());
        assert_eq!(rundown.out(), 1);
        assert!(rundown.close().is_none());
        assert!(rundown.give(1).is_some());
        CPU.set(0);
    }

    #[test]
    fn the_end_is_reported_once_per_closing() {
        let rundown = rundown(1);
        rundown.open();
        assert!(rundown.close().is_some(), "nothing is out");
        assert!(rundown.close().is_some(), "each closer hears of it");
        rundown.open();
        assert!(rundown.take(1).is_ok());
        assert!(rundown.close().is_none());
        assert!(rundown.give(1).is_some());
    }

    #[test]
    fn many_threads_and_a_closer_agree_on_the_end() {
        use std::sync::atomic::AtomicUsize;
        let rundown = rundown(4);
        let reports = AtomicUsize::new(0);
        rundown.open();
        std::thread::scope(|scope| {
            for cpu in 0..4 {
                let (rundown, reports) = (&rundown, &reports);
                scope.spawn(move || {
                    CPU.set(cpu);
                    for _ in 0..20_000 {
                        let news = match rundown.take(1) {
                            Ok(()) => rundown.give(1),
                            Err(news) => news,
                        };
                        reports.fetch_add(usize::from(news.is_some()), Ordering::Relaxed);
                    }
                });
            }
            std::thread::yield_now();
            reports.fetch_add(usize::from(rundown.close().is_some()), Ordering::Relaxed);
        });
        assert_eq!((reports.load(Ordering::Relaxed), rundown.out()), (1, 0));
    }
}
