//! How notifications are coalesced: for all queues of a direction, and for single queues.
//!
//! The device goes by the command that came last (virtio 1.3, 5.1.6.5 "Notifications Coalescing"),
//! so single queues are set after their direction, and anew whenever it was; a queue that was
//! disabled meanwhile has its direction's parameters, too.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::super::command::{Command, Kind};
use super::super::outcome::Outcome;
use super::super::parameters::{Coalescing, Invalid, Limits};
use super::Standing;
use super::tracked::Tracked;
use crate::features::Features;

#[derive(Debug)]
pub(super) struct Coalesced {
    limits: Limits,
    transmit: Tracked<Coalescing>,
    receive: Tracked<Coalescing>,
    /// By virtqueue: receive queues are even, transmit queues odd.
    queues: Vec<Tracked<Coalescing>>,
}

impl Coalesced {
    pub(super) fn new(limits: Limits) -> Result<Self, TryReserveError> {
        let count = usize::from(limits.queue_pairs).saturating_mul(2);
        let mut queues = Vec::new();
        queues.try_reserve_exact(count)?;
        queues.extend((0..count).map(|_| Tracked::new()));
        Ok(Self {
            limits,
            transmit: Tracked::new(),
            receive: Tracked::new(),
            queues,
        })
    }

    pub(super) fn want_transmit(&mut self, coalescing: Coalescing) {
        self.transmit.want(coalescing);
    }

    pub(super) fn want_receive(&mut self, coalescing: Coalescing) {
        self.receive.want(coalescing);
    }

    pub(super) fn want_queue(&mut self, queue: u16, coalescing: Coalescing) -> Result<(), Invalid> {
        self.limits.check_queue(queue)?;
        if let Some(tracked) = self.queues.get_mut(usize::from(queue)) {
            tracked.want(coalescing);
        }
        Ok(())
    }

    pub(super) fn next(&self, features: Features) -> Option<Command<'_>> {
        let directions = || {
            let transmit = self.transmit.due().map(Command::CoalesceTransmit);
            transmit.or_else(|| self.receive.due().map(Command::CoalesceReceive))
        };
        let queue = || {
            let mut queues = (0..).zip(&self.queues);
            queues.find_map(|(queue, tracked)| Some(Command::CoalesceQueue(queue, tracked.due()?)))
        };
        let possible = |command: &Command<'_>| features.contains(command.needs());
        directions()
            .filter(possible)
            .or_else(|| queue().filter(possible))
    }

    pub(super) fn send(&mut self, kind: Kind) {
        match kind {
            Kind::CoalesceTransmit => self.transmit.send(),
            Kind::CoalesceReceive => self.receive.send(),
            Kind::CoalesceQueue(queue) => self.with(queue, Tracked::send),
            _ => {}
        }
        self.unsettle_queues_of(kind);
    }

    pub(super) fn end(&mut self, kind: Kind, outcome: Outcome) {
        match kind {
            Kind::CoalesceTransmit => self.transmit.end(outcome),
            Kind::CoalesceReceive => self.receive.end(outcome),
            Kind::CoalesceQueue(queue) => self.with(queue, |tracked| tracked.end(outcome)),
            _ => {}
        }
    }

    pub(super) fn unsettle(&mut self, kind: Kind) {
        match kind {
            Kind::CoalesceTransmit => self.transmit.unsettle(),
            Kind::CoalesceReceive => self.receive.unsettle(),
            Kind::CoalesceQueue(queue) => self.with(queue, Tracked::unsettle),
            _ => {}
        }
        self.unsettle_queues_of(kind);
    }

    pub(super) fn forget(&mut self) {
        self.transmit.forget();
        self.receive.forget();
        for tracked in &mut self.queues {
            tracked.forget();
        }
    }

    pub(super) fn standing(&self, features: Features) -> Standing {
        let met = self.transmit.is_met()
            && self.receive.is_met()
            && self.queues.iter().all(Tracked::is_met);
        Standing::of(met, self.next(features).is_some())
    }

    /// A command of `kind` sets these queues, too.
    fn unsettle_queues_of(&mut self, kind: Kind) {
        let (receive, transmit) = match kind {
            Kind::CoalesceReceive => (true, false),
            Kind::CoalesceTransmit => (false, true),
            // Which queues are enabled may change.
            Kind::Pairs | Kind::Rss => (true, true),
            _ => return,
        };
        for (queue, tracked) in (0_u32..).zip(&mut self.queues) {
            let is_meant = if queue & 1 == 0 { receive } else { transmit };
            if is_meant {
                tracked.unsettle();
            }
        }
    }

    fn with(&mut self, queue: u16, change: impl FnOnce(&mut Tracked<Coalescing>)) {
        if let Some(tracked) = self.queues.get_mut(usize::from(queue)) {
            change(tracked);
        }
    }
}
