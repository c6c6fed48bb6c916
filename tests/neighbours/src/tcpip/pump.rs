//! The worker, and the pump that polls the stack.

use std::sync::atomic::Ordering;

use ndis_host::sched;

use super::TcpIp;
use crate::nbl::lock;

/// smoltcp counts microseconds: it is not asked again within one.
const LEAST_SLEEP_NS: u64 = 1_000;

impl TcpIp {
    /// The worker's life, at PASSIVE.
    pub(super) fn work(&self) {
        while !self.stopping.load(Ordering::Acquire) {
            let sleep = self
                .next_due_ns()
                .map(|due| due.saturating_sub(sched::now()));
            let sleep = sleep.map(|ns| ns.max(LEAST_SLEEP_NS));
            sched::wait("work for TCP/IP", || self.has_work(), sleep);
            self.wake.store(false, Ordering::Release);
            self.pump();
            self.give_back_due();
        }
    }

    fn has_work(&self) -> bool {
        self.wake.load(Ordering::Acquire) || self.stopping.load(Ordering::Acquire)
    }

    fn next_due_ns(&self) -> Option<u64> {
        let stack = lock(&self.stack).poll_at(sched::now());
        let kept = lock(&self.edge).kept.iter().map(|kept| kept.due_ns).min();
        stack.into_iter().chain(kept).min()
    }

    /// Something came for the stack: by seed it is polled here and now, or by the worker.
    pub(super) fn news(&self) {
        if sched::chance(4) {
            self.pump();
            // The worker may sleep for longer than an NBL is to be kept.
            if !lock(&self.edge).kept.is_empty() {
                self.wake_worker();
            }
        } else {
            self.wake_worker();
        }
    }

    /// Polls the stack and sends what it makes. When that is going on already, it will go on for
    /// one round more. At or below DISPATCH.
    pub(super) fn pump(&self) {
        if self.pumping.swap(true, Ordering::AcqRel) {
            self.again.store(true, Ordering::Release);
            return;
        }
        loop {
            self.again.store(false, Ordering::Release);
            self.poll_and_send();
            self.pumping.store(false, Ordering::Release);
            // Who came while we were at it left it to us.
            let again = self.again.load(Ordering::Acquire);
            if !again || self.pumping.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }

    fn poll_and_send(&self) {
        let frames = {
            let mut stack = lock(&self.stack);
            let mut edge = lock(&self.edge);
            let io = stack.io_mut();
            io.inbox.append(&mut edge.inbox);
            io.room = edge.room(self.window);
            stack.poll(sched::now());
            let io = stack.io_mut();
            io.room = 0;
            let frames = std::mem::take(&mut io.outbox);
            edge.in_flight += frames.len();
            frames
        };
        if !frames.is_empty() {
            self.send(frames);
        }
    }
}
