//! Which command is in which slot, and who has the memory.
//!
//! ```text
//!                submit                    answer
//!   Free ------------------> Waiting ------------------> Free      Done
//!    ^                          | deadline                         Done, timed out
//!    |     answer, or reset     v
//!    +----------------------- Overdue                              Late
//! ```
//!
//! Only a free slot's memory is the driver's. A slot becomes free when the queue gives its [`Loan`]
//! back, and in no other way.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::command::Kind;
use super::outcome::{Done, Outcome, Ticket};

/// A slot that the device holds: what the control queue is a queue of.
///
/// Made by [`Control`](super::Control) alone, and not to be copied.
#[derive(Debug, Eq, PartialEq)]
pub struct Loan(u16);

impl Loan {
    pub(super) const fn of(slot: u16) -> Self {
        Self(slot)
    }

    pub(super) const fn slot(&self) -> u16 {
        self.0
    }
}

/// What a slot is there for.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Free,
    /// The device has it, and somebody waits for the outcome.
    Waiting {
        ticket: Ticket,
        kind: Kind,
        deadline: u64,
    },
    /// The device has it, and the outcome was said to be a time-out.
    Overdue {
        ticket: Ticket,
        kind: Kind,
    },
}

/// The states of all slots: private memory, which no device sees.
#[derive(Debug)]
pub(super) struct Slots {
    states: Vec<State>,
    next_ticket: u64,
}

impl Slots {
    pub(super) fn new(count: u16) -> Result<Self, TryReserveError> {
        let mut states = Vec::new();
        states.try_reserve_exact(usize::from(count))?;
        states.extend((0..count).map(|_| State::Free));
        Ok(Self {
            states,
            next_ticket: 0,
        })
    }

    /// A free slot, if there is one.
    pub(super) fn free(&self) -> Option<u16> {
        let mut slots = (0..).zip(&self.states);
        slots
            .find(|(_, state)| matches!(state, State::Free))
            .map(|(slot, _)| slot)
    }

    /// Notes that `slot` was lent.
    pub(super) fn lend(&mut self, slot: u16, kind: Kind, deadline: u64) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        // A submission per nanosecond needs five centuries to come round.
        self.next_ticket = self.next_ticket.wrapping_add(1);
        if let Some(state) = self.states.get_mut(usize::from(slot)) {
            *state = State::Waiting {
                ticket,
                kind,
                deadline,
            };
        }
        ticket
    }

    /// Frees the slot that came back as `loan`, and says what it was.
    pub(super) fn take_back(&mut self, loan: &Loan) -> State {
        let state = self.states.get_mut(usize::from(loan.slot()));
        state.map_or(State::Free, |state| core::mem::replace(state, State::Free))
    }

    /// Makes one command overdue whose deadline is `now` or past, and says which.
    pub(super) fn expire(&mut self, now: u64) -> Option<Done> {
        self.states.iter_mut().find_map(|state| match *state {
            State::Waiting {
                ticket,
                kind,
                deadline,
            } if deadline <= now => {
                *state = State::Overdue { ticket, kind };
                Some(Done {
                    ticket,
                    kind,
                    outcome: Outcome::TimedOut,
                })
            }
            _ => None,
        })
    }

    /// The earliest deadline of those who wait.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let deadlines = self.states.iter().filter_map(|state| match state {
            State::Waiting { deadline, .. } => Some(*deadline),
            _ => None,
        });
        deadlines.min()
    }

    /// Commands that somebody waits for.
    pub(super) fn waiting(&self) -> usize {
        self.count(|state| matches!(state, State::Waiting { .. }))
    }

    /// Commands that timed out and that the device has not given back.
    pub(super) fn overdue(&self) -> usize {
        self.count(|state| matches!(state, State::Overdue { .. }))
    }

    fn count(&self, of: impl Fn(&State) -> bool) -> usize {
        self.states.iter().filter(|state| of(state)).count()
    }
}
