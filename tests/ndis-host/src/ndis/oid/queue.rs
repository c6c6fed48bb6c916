//! One request at a time: the turn of a request at its miniport (rules 155, 158).

use crate::ndis::adapter::{Adapter, Operation};
use crate::sched;

/// Requests of one adapter: a turn for each, in order of arrival.
#[derive(Default)]
pub(crate) struct OidQueue {
    next_turn: u64,
    serving: u64,
    /// The request that the miniport has.
    pub(crate) current: Option<Current>,
    /// Requests that bindings have submitted and that are not complete.
    pub(crate) submitted: Vec<Submitted>,
    /// RequestHandles of requests that were completed with INDICATION_REQUIRED.
    pub(crate) awaiting_indication: Vec<u64>,
}

/// The request that the miniport has.
#[derive(Clone, Copy)]
pub(crate) struct Current {
    /// Address of NDIS's own NDIS_OID_REQUEST.
    pub(crate) address: usize,
    /// RequestId that the originator gave.
    pub(crate) request_id: usize,
    pub(crate) outcome: Operation,
}

/// A request of a binding, for cancelling.
#[derive(Clone, Copy)]
pub(crate) struct Submitted {
    pub(crate) binding: u64,
    pub(crate) address: usize,
    pub(crate) request_id: usize,
    pub(crate) cancelled: bool,
}

impl OidQueue {
    /// Whether no request waits or runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.next_turn == self.serving
    }

    /// Whether a status indication for this RequestHandle is due.
    pub(crate) fn awaits_indication(&self, handle: u64) -> bool {
        self.awaiting_indication.contains(&handle)
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
