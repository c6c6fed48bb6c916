//! One request at a time: the turn of a request at its miniport (rules 155, 158).

use crate::ndis::adapter::{Adapter, Operation};
use crate::ndis::oid::contents::Remembered;
use crate::ndis::oid::copy::Given;
use crate::ndis::oid::direct::Direct;
use crate::ndis::oid::faults::Plan;
use crate::sched;
use crate::verifier::Watchdog;

/// Requests of one adapter: a turn for each, in order of arrival.
#[derive(Default)]
pub(crate) struct OidQueue {
    next_turn: u64,
    serving: u64,
    /// The request that the miniport has.
    pub(crate) current: Option<Current>,
    /// Requests that bindings have submitted and that are not complete.
    pub(crate) submitted: Vec<Submitted>,
    /// RequestHandle and RequestId of requests that were completed with INDICATION_REQUIRED.
    pub(crate) awaiting_indication: Vec<(u64, usize)>,
    /// Runs while a cancelled request is at the miniport.
    pub(crate) cancel_watchdog: Option<Watchdog>,
    /// Direct requests that the miniport has.
    pub(crate) direct: Vec<Direct>,
    /// Faults on demand.
    pub(crate) plan: Plan,
    /// What the miniport answered before.
    pub(crate) remembered: Remembered,
}

/// The request that the miniport has.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    /// Address of NDIS's own NDIS_OID_REQUEST.
    pub(crate) address: usize,
    /// RequestId that the originator gave.
    pub(crate) request_id: usize,
    pub(crate) outcome: Operation,
    /// MiniportCancelOidRequest was called for it.
    pub(crate) cancelled: bool,
}

/// A request of a binding, for cancelling.
pub(crate) struct Submitted {
    pub(crate) binding: u64,
    pub(crate) address: usize,
    pub(crate) request_id: usize,
    pub(crate) cancelled: bool,
    /// What the originator leaves as it is while NDIS has the request (rule 179).
    pub(crate) given: Given,
}

impl OidQueue {
    /// Whether no request waits or runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.next_turn == self.serving && self.direct.is_empty()
    }

    /// Takes the RequestId of a request whose status indication is due.
    pub(crate) fn take_awaited(&mut self, handle: u64) -> Option<usize> {
        let index = self
            .awaiting_indication
            .iter()
            .position(|(awaited, _)| *awaited == handle)?;
        Some(self.awaiting_indication.swap_remove(index).1)
    }

    /// Whether a request has been submitted and is not complete.
    pub(crate) fn is_submitted(&self, address: usize) -> bool {
        self.submitted
            .iter()
            .any(|request| request.address == address)
    }

    /// Whether a submitted request has been cancelled.
    pub(crate) fn is_cancelled(&self, address: usize) -> bool {
        self.submitted
            .iter()
            .any(|request| request.address == address && request.cancelled)
    }
}

/// The turn of a request, until dropped.
pub(crate) struct Turn {
    adapter: &'static Adapter,
}

impl Adapter {
    /// Waits until it is the caller's turn at the miniport. IRQL = PASSIVE_LEVEL.
    pub(crate) fn take_oid_turn(&'static self) -> Turn {
        let turn = self.oids.with(|queue| {
            queue.next_turn += 1;
            queue.next_turn - 1
        });
        sched::wait(
            "the OID request before",
            move || self.oids.with(|queue| queue.serving == turn),
            None,
        );
        Turn { adapter: self }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.adapter.oids.with(|queue| queue.serving += 1);
    }
}
