//! What the driver wants the device to be like, and the commands that bring it about.
//!
//! [`Wishes`] keeps for each setting what is wanted, what is under way and what the device has
//! confirmed. The caller states wishes whenever it has them, and turns the crank:
//!
//! ```text
//! wishes.want_modes(..)                  any time, any number of times
//!
//! while let Some(event) = control.poll()? { wishes.settle(&event) }
//! while let Some(done) = control.expire(now) { wishes.settle(&Event::Done(done)) }
//! wishes.advance(&mut control, now + patience)?;    submits the next command, if there is one
//! control.publish()
//! ```
//!
//! One command is under way at a time: they are few, and their order matters. A wish that comes
//! meanwhile replaces the one before it. A command without a clear answer is repeated, but a bounded
//! number of times; one that is refused is not, until something else is wanted. An overdue command
//! that the device uses after all makes its setting unknown, and it is sent once more, so that what
//! holds in the end is the newest wish whatever the order in which the device took the commands.
//!
//! After a reset [`replay`](Wishes::replay) makes everything unknown, and the same crank says it all
//! anew: queues and steering, the address, what lets more through, the table, what lets less
//! through, VLANs, offloads, coalescing.

mod coalescing;
mod filter;
mod steering;
mod tracked;
mod vlans;

use self::coalescing::Coalesced;
use self::filter::Filter;
pub use self::filter::ReceiveModes;
use self::steering::Steering;
use self::tracked::Tracked;
use self::vlans::Vlans;
use super::command::{Command, Kind, switchable};
use super::outcome::{Event, Outcome, Ticket};
use super::parameters::{Coalescing, GroupAddress, HashConfig, Invalid, Limits, RssConfig, VlanId};
use super::slots::Loan;
use super::{Control, ControlError, SubmitError};
use crate::config::MacAddress;
use crate::features::Features;
use crate::queue::Virtqueue;

/// How the device stands to what is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It has confirmed all of it, if only by modes in the place of a table. While there are
    /// [overdue](Control::overdue) commands, one of them may still come true; that is said then, and
    /// put right.
    Settled,
    /// Commands are under way or to be sent.
    Underway,
    /// All was said, and not all is so: it was refused, or not answered, or was not negotiated.
    Short,
}

impl Standing {
    const fn of(met: bool, due: bool) -> Self {
        match (met, due) {
            (true, _) => Self::Settled,
            (false, true) => Self::Underway,
            (false, false) => Self::Short,
        }
    }

    /// Of two things together.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Underway, _) | (_, Self::Underway) => Self::Underway,
            (Self::Short, _) | (_, Self::Short) => Self::Short,
            (Self::Settled, Self::Settled) => Self::Settled,
        }
    }
}

/// The wanted state of the device.
#[derive(Debug)]
pub struct Wishes {
    features: Features,
    /// The command that is under way.
    sent: Option<(Ticket, Kind)>,
    steering: Steering,
    filter: Filter,
    vlans: Vlans,
    offloads: Tracked<Features>,
    coalesced: Coalesced,
    /// The announcements of the device that were seen, by their number.
    announcement: Tracked<u64>,
}

impl Wishes {
    /// No wishes, for a device with which `features` were negotiated.
    ///
    /// `limits` are those of the [`ControlLayout`](super::ControlLayout). This is the last time that
    /// memory is allocated.
    ///
    /// # Errors
    ///
    /// There is too little memory.
    pub fn new(features: Features, limits: Limits) -> Result<Self, ControlError> {
        let out_of_memory = |_| ControlError::OutOfMemory;
        Ok(Self {
            features,
            sent: None,
            steering: Steering::new(limits).map_err(out_of_memory)?,
            filter: Filter::new(limits).map_err(out_of_memory)?,
            vlans: Vlans::new().map_err(out_of_memory)?,
            offloads: Tracked::new(),
            coalesced: Coalesced::new(limits).map_err(out_of_memory)?,
            announcement: Tracked::new(),
        })
    }

    /// Wants so many queue pairs, with automatic steering.
    ///
    /// # Errors
    ///
    /// There are not so many.
    pub fn want_pairs(&mut self, pairs: u16) -> Result<(), Invalid> {
        self.steering.want_pairs(pairs)
    }

    /// Wants frames to be hashed as long as steering is automatic.
    ///
    /// # Errors
    ///
    /// The device cannot do that.
    pub fn want_hash(&mut self, hash: &HashConfig<'_>) -> Result<(), Invalid> {
        self.steering.want_hash(hash)
    }

    /// Wants RSS, instead of automatic steering.
    ///
    /// # Errors
    ///
    /// The device cannot do that.
    pub fn want_rss(&mut self, rss: &RssConfig<'_>) -> Result<(), Invalid> {
        self.steering.want_rss(rss)
    }

    /// Wants the device to have `address` for its own.
    pub fn want_mac(&mut self, address: MacAddress) {
        self.filter.want_mac(address);
    }

    /// Wants the receive filter to be so. All modes are set, those that are off, too, since devices
    /// differ in how they start.
    pub fn want_modes(&mut self, modes: ReceiveModes) {
        self.filter.want_modes(modes, self.features);
    }

    /// Wants frames to these addresses, besides the device's own.
    ///
    /// More than the limit, or a table that the device refuses, is made up for: by all multicast,
    /// and by all unicast or, without `CTRL_RX_EXTRA`, promiscuous mode.
    pub fn want_addresses(&mut self, unicast: &[MacAddress], multicast: &[GroupAddress]) {
        self.filter
            .want_addresses(unicast, multicast, self.features);
    }

    /// Wants frames of `vlan`, or wants them no more. Without `CTRL_VLAN` the device passes all.
    pub fn want_vlan(&mut self, vlan: VlanId, passes: bool) {
        self.vlans.want(vlan, passes);
    }

    /// Wants these receive offloads and no others. Without a wish, all that were negotiated are on.
    ///
    /// # Errors
    ///
    /// Some are no receive offloads.
    pub fn want_offloads(&mut self, offloads: Features) -> Result<(), Invalid> {
        match offloads & !switchable() {
            Features::NONE => {
                self.offloads.want(offloads);
                Ok(())
            }
            others => Err(Invalid::NotOffloads(others)),
        }
    }

    /// Wants notifications of all transmit queues to be coalesced so.
    pub fn want_transmit_coalescing(&mut self, coalescing: Coalescing) {
        self.coalesced.want_transmit(coalescing);
    }

    /// Wants notifications of all receive queues to be coalesced so.
    pub fn want_receive_coalescing(&mut self, coalescing: Coalescing) {
        self.coalesced.want_receive(coalescing);
    }

    /// Wants notifications of one virtqueue, which is enabled, to be coalesced so.
    ///
    /// # Errors
    ///
    /// There is no such transmit or receive queue.
    pub fn want_queue_coalescing(
        &mut self,
        queue: u16,
        coalescing: Coalescing,
    ) -> Result<(), Invalid> {
        self.coalesced.want_queue(queue, coalescing)
    }

    /// Wants the device to know that its wish for an announcement was seen. Said once, and not
    /// again after a reset.
    pub fn acknowledge_announcement(&mut self) {
        let seen = self.announcement.wanted().unwrap_or(0);
        self.announcement.want(seen.wrapping_add(1));
    }

    /// Whether the device has accepted the last [acknowledgement](Self::acknowledge_announcement), if
    /// there was one.
    #[must_use]
    pub fn is_announcement_acknowledged(&self) -> bool {
        self.announcement.is_met()
    }

    /// The command to send next; `None` if one is under way, or nothing is to be said.
    #[must_use]
    pub fn next(&self) -> Option<Command<'_>> {
        if self.sent.is_some() {
            return None;
        }
        self.steering
            .next(self.features)
            .or_else(|| self.only_possible(self.filter.next_mac()))
            .or_else(|| self.filter.next(self.features))
            .or_else(|| self.only_possible(self.vlans.next()))
            .or_else(|| self.only_possible(self.offloads.due().map(Command::GuestOffloads)))
            .or_else(|| self.coalesced.next(self.features))
            .or_else(|| {
                let due = self.announcement.due();
                self.only_possible(due.map(|_| Command::AcknowledgeAnnouncement))
            })
    }

    /// Notes that the [next](Self::next) command was sent, as `ticket`.
    pub fn sent(&mut self, ticket: Ticket, kind: Kind) {
        self.sent = Some((ticket, kind));
        match kind {
            Kind::AddVlan(vlan) => self.vlans.send(vlan, true),
            Kind::RemoveVlan(vlan) => self.vlans.send(vlan, false),
            Kind::GuestOffloads => self.offloads.send(),
            Kind::AcknowledgeAnnouncement => self.announcement.send(),
            _ => {}
        }
        self.steering.send(kind);
        self.filter.send(kind);
        self.coalesced.send(kind);
    }

    /// Sends the [next](Self::next) command, if there is one, and says whether it did.
    ///
    /// # Errors
    ///
    /// Those of [`Control::submit`]; the command stays the next one.
    pub fn advance<Q: Virtqueue<Loan>>(
        &mut self,
        control: &mut Control<Q>,
        deadline: u64,
    ) -> Result<Option<Ticket>, SubmitError> {
        let Some(command) = self.next() else {
            return Ok(None);
        };
        let kind = command.kind();
        let ticket = control.submit(&command, deadline)?;
        self.sent(ticket, kind);
        Ok(Some(ticket))
    }

    /// Takes notice of what became of a command. One that did not come from here, but changes the
    /// same settings, has these said anew.
    pub fn settle(&mut self, event: &Event) {
        match *event {
            Event::Done(done) => match self.sent {
                Some((ticket, kind)) if ticket == done.ticket => {
                    self.sent = None;
                    self.end(kind, done.outcome);
                }
                _ => self.unsettle(done.kind),
            },
            Event::Late { kind, .. } => self.unsettle(kind),
        }
    }

    /// Says everything anew to a device that was reset, and with which `features` are negotiated
    /// now.
    pub fn replay(&mut self, features: Features) {
        self.features = features;
        self.sent = None;
        self.steering.forget();
        self.filter.forget(features);
        self.vlans.forget();
        self.offloads.forget();
        self.coalesced.forget();
        // A device that was reset asks for no announcement.
        self.announcement = Tracked::new();
    }

    /// How the device stands to all wishes.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let can = |needs| self.features.contains(Features::CTRL_VQ | needs);
        let offloads = Standing::of(
            self.offloads.is_met(),
            can(Features::CTRL_GUEST_OFFLOADS) && self.offloads.due().is_some(),
        );
        let vlans = Standing::of(
            self.vlans.is_met() || !can(Features::CTRL_VLAN),
            self.vlans.next().is_some(),
        );
        let announcement = Standing::of(
            self.announcement.is_met(),
            can(Features::GUEST_ANNOUNCE) && self.announcement.due().is_some(),
        );
        let all = self
            .filter_standing()
            .and(self.steering.standing(self.features))
            .and(self.filter.mac_standing(self.features))
            .and(offloads)
            .and(vlans)
            .and(self.coalesced.standing(self.features))
            .and(announcement);
        match self.sent {
            Some(_) => Standing::Underway,
            None => all,
        }
    }

    /// How the device stands to the wishes for modes and addresses alone.
    #[must_use]
    pub fn filter_standing(&self) -> Standing {
        match self.sent {
            Some((_, Kind::Mode(_) | Kind::MacTable)) => Standing::Underway,
            _ => self.filter.standing(self.features),
        }
    }

    fn only_possible<'a>(&self, command: Option<Command<'a>>) -> Option<Command<'a>> {
        command.filter(|command| self.features.contains(command.needs()))
    }

    fn end(&mut self, kind: Kind, outcome: Outcome) {
        match kind {
            Kind::AddVlan(vlan) | Kind::RemoveVlan(vlan) => self.vlans.end(vlan, outcome),
            Kind::GuestOffloads => self.offloads.end(outcome),
            Kind::AcknowledgeAnnouncement => self.announcement.end(outcome),
            _ => {}
        }
        self.steering.end(kind, outcome);
        self.filter.end(kind, outcome, self.features);
        self.coalesced.end(kind, outcome);
    }

    fn unsettle(&mut self, kind: Kind) {
        match kind {
            Kind::AddVlan(vlan) | Kind::RemoveVlan(vlan) => self.vlans.unsettle(vlan),
            Kind::GuestOffloads => self.offloads.unsettle(),
            // A late acknowledgement is as good as any.
            _ => {}
        }
        self.steering.unsettle(kind);
        self.filter.unsettle(kind, self.features);
        self.coalesced.unsettle(kind);
    }
}
