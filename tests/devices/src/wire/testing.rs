//! A clock for tests that have no scheduler.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Clock;

/// A clock that moves only when it is told to, and runs the events that fall due.
pub struct ManualClock {
    state: Mutex<State>,
}

struct State {
    now_ns: u64,
    next_order: u64,
    events: BinaryHeap<Reverse<Event>>,
}

struct Event {
    time_ns: u64,
    order: u64,
    body: Box<dyn FnOnce() + Send>,
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time_ns, self.order).cmp(&(other.time_ns, other.order))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl ManualClock {
    /// A clock at zero, without events.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                now_ns: 0,
                next_order: 0,
                events: BinaryHeap::new(),
            }),
        })
    }

    /// Moves to `time_ns` and runs what falls due on the way, each event at its own time.
    pub fn run_until(&self, time_ns: u64) {
        while self.step(time_ns) {}
        let mut state = self.state();
        state.now_ns = state.now_ns.max(time_ns);
    }

    /// Moves on by `duration_ns`.
    pub fn advance(&self, duration_ns: u64) {
        self.run_until(self.now_ns() + duration_ns);
    }

    /// Runs events, those that they ask for included, until `done` holds or none is left.
    /// Returns whether `done` holds.
    pub fn run_while_busy(&self, mut done: impl FnMut() -> bool) -> bool {
        loop {
            if done() {
                return true;
            }
            if !self.step(u64::MAX) {
                return false;
            }
        }
    }

    /// Events that wait.
    pub fn pending(&self) -> usize {
        self.state().events.len()
    }

    /// Runs the first event if it is due by `limit_ns`.
    fn step(&self, limit_ns: u64) -> bool {
        let mut state = self.state();
        let due = state
            .events
            .peek()
            .is_some_and(|next| next.0.time_ns <= limit_ns);
        if !due {
            return false;
        }
        let Some(Reverse(event)) = state.events.pop() else {
            return false;
        };
        state.now_ns = state.now_ns.max(event.time_ns);
        drop(state);

        (event.body)();
        true
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now_ns(&self) -> u64 {
        self.state().now_ns
    }

    fn at(&self, time_ns: u64, event: Box<dyn FnOnce() + Send>) {
        let mut state = self.state();
        let order = state.next_order;
        state.next_order += 1;
        state.events.push(Reverse(Event {
            time_ns,
            order,
            body: event,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(log: &Arc<Mutex<Vec<u32>>>, value: u32) -> Box<dyn FnOnce() + Send> {
        let log = Arc::clone(log);
        Box::new(move || log.lock().unwrap().push(value))
    }

    #[test]
    fn events_run_by_time_and_then_by_order_of_request() {
        let clock = ManualClock::new();
        let log = Arc::new(Mutex::new(Vec::new()));
        clock.at(20, note(&log, 3));
        clock.at(10, note(&log, 1));
        clock.at(10, note(&log, 2));

        clock.run_until(15);
        assert_eq!(*log.lock().unwrap(), [1, 2]);
        assert_eq!(clock.now_ns(), 15);

        clock.advance(5);
        assert_eq!(*log.lock().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn an_event_may_ask_for_another_at_once() {
        let clock = ManualClock::new();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (inner_clock, inner) = (Arc::clone(&clock), note(&log, 7));
        clock.at(5, Box::new(move || inner_clock.at(0, inner)));

        assert!(!clock.run_while_busy(|| false));

        assert_eq!(*log.lock().unwrap(), [7]);
        assert_eq!(clock.now_ns(), 5);
    }
}
