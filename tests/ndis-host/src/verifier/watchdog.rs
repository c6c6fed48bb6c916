//! Watchdogs: what has to happen happens within a documented virtual time, or the run ends.
//!
//! The times are those of rule 308's table. They run in virtual time, so they cost nothing and
//! depend on nothing but the seed.

use crate::sched;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A running watchdog; it is silent once it was dropped.
#[must_use = "a watchdog that is dropped at once watches nothing"]
pub struct Watchdog {
    event: sched::EventId,
}

impl Watchdog {
    /// As [`Watchdog::start`]; the report has the history of the object that is watched as well:
    /// since when, and what was noted about it by name.
    pub fn on(
        rule: u16,
        limit_ns: u64,
        object: &str,
        what: impl FnOnce() -> String + 'static,
    ) -> Self {
        let (since, object) = (sched::now() / 1000, object.to_owned());
        Self::start(rule, limit_ns, move || {
            let history = super::history(&object);
            format!("{} (since {since} us;{history})", what())
        })
    }

    /// Ends the run with `rule` if the watchdog still lives in `limit_ns` nanoseconds.
    ///
    /// `what` is called then, to say what has not happened.
    pub fn start(rule: u16, limit_ns: u64, what: impl FnOnce() -> String + 'static) -> Self {
        let due = sched::now().saturating_add(limit_ns);
        let event = sched::at(due, move || {
            super::fatal(
                rule,
                format!("{} within {} ms", what(), limit_ns / 1_000_000),
            )
        });
        Self { event }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        sched::cancel(self.event);
    }
}
