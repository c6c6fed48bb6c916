//! The control queue: commands to the device, and what it says to them (virtio 1.2, 5.1.6.5).
//!
//! [`Control`] is the mechanism. A command is copied into a slot of shared memory, the slot is lent
//! to the device through the queue, and the command ends in exactly one [`Outcome`]: by the device's
//! answer, by its deadline, or by a reset. Nothing waits: the caller looks with
//! [`poll`](Control::poll) when the queue interrupts, and with [`expire`](Control::expire) when
//! [`next_deadline`](Control::next_deadline) has come.
//!
//! A deadline ends a command, not the loan. The device may write into the slot for as long as it
//! has not used the buffer, so the slot stays out of use until it does, or until a reset is proven.
//! A device that swallows commands so runs the driver out of slots, which
//! [`submit`](Control::submit) says as [`SubmitError::Stuck`]: then a reset is the only way on.
//!
//! [`wishes`] is the policy on top: what the driver wants the device to be like, which commands
//! that takes, and what is to be said anew after a reset.

mod command;
mod layout;
mod memory;
mod outcome;
mod parameters;
mod slots;
pub mod wishes;

pub use self::command::{Command, Kind};
pub use self::layout::ControlLayout;
use self::memory::SlotMemory;
use self::outcome::judge;
pub use self::outcome::{Answer, Done, Event, Outcome, Ticket};
pub use self::parameters::{
    Coalescing, GroupAddress, HashConfig, Invalid, Limits, Mode, RssConfig, VlanId,
};
pub use self::slots::Loan;
use self::slots::{Slots, State};
use crate::dma::{DmaRegion, Quiesced};
use crate::features::Features;
use crate::queue::{DeviceFault, Notify, Refusal, Refused, StillInFlight, Virtqueue};

/// A control queue that could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ControlError {
    /// The region ends beyond 64 bits of address.
    BadAddress,
    /// The layout has no slots.
    NoSlots,
    /// The private tables could not be allocated.
    OutOfMemory,
    /// The queue has buffers in flight already.
    QueueInUse,
    /// The region is too small.
    TooSmall {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that it has.
        given: usize,
    },
}

/// Why a command was not submitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SubmitError {
    /// There is no room now; there will be when the device answers.
    Busy,
    /// The queue has met a fault; only a reset helps.
    Faulted,
    /// No such command is possible.
    Invalid(Invalid),
    /// The command needs features that were not negotiated.
    NotNegotiated {
        /// Which.
        lacking: Features,
    },
    /// The queue will never take it, for instance because it is too small for three descriptors.
    Queue(Refusal),
    /// There is no room, and every command in flight has timed out: a reset is due.
    Stuck,
}

/// A control queue with its commands. One thread at a time; no function waits or allocates.
///
/// `Q` lends [`Loan`]s; a command takes up to three segments.
#[derive(Debug)]
pub struct Control<Q> {
    queue: Q,
    memory: SlotMemory,
    slots: Slots,
    features: Features,
}

impl<Q: Virtqueue<Loan>> Control<Q> {
    /// Makes a control queue of `queue`, which is empty.
    ///
    /// `region` has [`ControlLayout::bytes`] or more, at any alignment. `features` are the
    /// negotiated ones. No outcome but that of a query needs the lengths that the device tells, so
    /// the queue had better [clamp](crate::queue::Ring::clamping_lengths) them.
    ///
    /// # Errors
    ///
    /// The memory does not fit the layout, the queue is in use, or there is too little memory for
    /// the driver's own tables.
    pub fn new(
        queue: Q,
        region: DmaRegion,
        layout: ControlLayout,
        features: Features,
    ) -> Result<Self, ControlError> {
        if queue.in_flight() != 0 {
            return Err(ControlError::QueueInUse);
        }
        Ok(Self {
            queue,
            memory: SlotMemory::new(region, layout)?,
            slots: Slots::new(layout.slots()).map_err(|_| ControlError::OutOfMemory)?,
            features,
        })
    }

    /// Lends `command` to the device; [`publish`](Self::publish) shows it.
    ///
    /// It has timed out once [`expire`](Self::expire) is called with `deadline` or later.
    ///
    /// # Errors
    ///
    /// The command was not submitted and has no outcome; the reason says whether it may be later.
    pub fn submit(&mut self, command: &Command<'_>, deadline: u64) -> Result<Ticket, SubmitError> {
        let lacking = command.needs() & !self.features;
        if !lacking.is_empty() {
            return Err(SubmitError::NotNegotiated { lacking });
        }
        let limits = self.memory.layout().limits();
        command.check(limits).map_err(SubmitError::Invalid)?;
        if self.queue.fault().is_some() {
            return Err(SubmitError::Faulted);
        }

        let slot = self.slots.free().ok_or_else(|| self.no_room())?;
        let pieces = self.memory.write(slot, command);
        let loan = Loan::of(slot);
        let lent = match pieces.data {
            Some(data) => self
                .queue
                .add(&[pieces.header, data, pieces.answer], 2, loan),
            None => self.queue.add(&[pieces.header, pieces.answer], 1, loan),
        };
        match lent {
            Ok(()) => Ok(self.slots.lend(slot, command.kind(), deadline)),
            Err(Refused { why, .. }) => Err(match why {
                Refusal::Full => self.no_room(),
                Refusal::Faulted => SubmitError::Faulted,
                why => SubmitError::Queue(why),
            }),
        }
    }

    /// Shows the device what was submitted since the last call, and says whether to ring its
    /// doorbell.
    pub fn publish(&mut self) -> Notify {
        self.queue.publish()
    }

    /// Takes the next thing that the device has to say; `Ok(None)`: nothing now.
    ///
    /// # Errors
    ///
    /// The device broke the protocol of the queue. This is said once; commands in flight end by their
    /// deadlines or by a reset.
    pub fn poll(&mut self) -> Result<Option<Event>, DeviceFault> {
        while let Some((loan, written)) = self.queue.pop_used()? {
            match self.slots.take_back(&loan) {
                State::Waiting { ticket, kind, .. } => {
                    let outcome = self.read_outcome(loan.slot(), kind, written);
                    return Ok(Some(Event::Done(Done {
                        ticket,
                        kind,
                        outcome,
                    })));
                }
                State::Overdue { ticket, kind } => return Ok(Some(Event::Late { ticket, kind })),
                // No loan of this control queue, so nobody asks for it.
                State::Free => {}
            }
        }
        Ok(None)
    }

    /// Ends one command whose deadline is `now` or past; call it until there is none.
    ///
    /// `now` is in the caller's units and never goes back. What was answered in time counts if
    /// [`poll`](Self::poll) was called before.
    pub fn expire(&mut self, now: u64) -> Option<Done> {
        self.slots.expire(now)
    }

    /// When [`expire`](Self::expire) has something to do next, if nothing is answered before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.slots.next_deadline()
    }

    /// Commands whose outcome is still to come.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// Slots lost for now: their commands timed out, and the device has not given them back.
    #[must_use]
    pub fn overdue(&self) -> usize {
        self.slots.overdue()
    }

    /// Asks the device not to interrupt. A hint.
    pub fn disable_interrupts(&mut self) {
        self.queue.disable_interrupts();
    }

    /// Asks the device to interrupt; `true`: there is something to [`poll`](Self::poll) already, and
    /// no interrupt may come for it.
    #[must_use = "answers that came meanwhile may never be announced"]
    pub fn enable_interrupts(&mut self) -> bool {
        self.queue.enable_interrupts()
    }

    /// The queue, for its addresses and its size.
    #[must_use]
    pub const fn queue(&self) -> &Q {
        &self.queue
    }

    /// What was negotiated.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Returns to the state after construction, for use with a device that was reset and with which
    /// `features` are negotiated now. Commands whose outcome was still to come end in
    /// [`Outcome::Reset`], each of which is handed to `ended`.
    ///
    /// `proof` is of the reset after the last time this queue was used. The queue's own features
    /// (event index, indirect descriptors) have to be as they were.
    ///
    /// # Errors
    ///
    /// The queue does not give back everything: there are as many buffers in flight.
    pub fn reset(
        &mut self,
        proof: &Quiesced,
        features: Features,
        mut ended: impl FnMut(Done),
    ) -> Result<(), StillInFlight> {
        for loan in self.queue.take_all(proof) {
            if let State::Waiting { ticket, kind, .. } = self.slots.take_back(&loan) {
                ended(Done {
                    ticket,
                    kind,
                    outcome: Outcome::Reset,
                });
            }
        }
        self.features = features;
        self.queue.reset()
    }

    /// Reads what the device left in `slot`, once.
    fn read_outcome(&self, slot: u16, kind: Kind, written: u32) -> Outcome {
        let ack = self.memory.read_ack(slot);
        let answer = self.memory.read_answer(slot, kind);
        judge(kind, written, ack, answer)
    }

    fn no_room(&self) -> SubmitError {
        if self.slots.waiting() > 0 {
            SubmitError::Busy
        } else {
            SubmitError::Stuck
        }
    }
}
