//! Lists that NDIS keeps for a moment, to hand them on together with others.
//!
//! NDIS and the filters in it may queue what passes. The order stays: while something waits, or is
//! being handed on, what comes later joins the queue.

use ndis_sys::NET_BUFFER_LIST;

use crate::ndis::adapter::Adapter;
use crate::ndis::adversary;
use crate::ndis::dpc;
use crate::sched::{self, BatonCell};

/// NBLs by address.
pub(crate) type Nbls = Vec<*mut NET_BUFFER_LIST>;

/// Lists that wait; `K` is what lists must have in common to become one.
pub(crate) struct Held<K> {
    waiting: Vec<(K, Nbls)>,
    /// Somebody hands on what waited.
    busy: bool,
}

impl<K> Default for Held<K> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            busy: false,
        }
    }
}

// SAFETY: the NBLs are NDIS's while they wait here; the baton orders the users.
unsafe impl<K: Send> Send for Held<K> {}

/// What is to be done with a list that was offered.
enum Offer {
    /// Hand it on now: nothing is before it.
    Direct(Nbls),
    /// Hand on all that waits, itself included.
    Drain,
    /// It waits, and nobody comes for it yet.
    Later,
    /// It waits for somebody who is at it.
    Joined,
}

impl<K: Copy + PartialEq> Held<K> {
    fn offer(&mut self, key: K, nbls: Nbls, hold: bool) -> Offer {
        if self.waiting.is_empty() && !self.busy && !hold {
            return Offer::Direct(nbls);
        }
        let first = self.waiting.is_empty();
        match self.waiting.last_mut() {
            Some((last, waiting)) if *last == key => waiting.extend(nbls),
            _ => self.waiting.push((key, nbls)),
        }
        match (self.busy, hold) {
            (true, _) => Offer::Joined,
            (false, true) if first => Offer::Later,
            (false, true) => Offer::Joined,
            (false, false) => Offer::Drain,
        }
    }

    /// The next lists to hand on, for the one who does so.
    fn take(&mut self, mine: &mut bool) -> Vec<(K, Nbls)> {
        if self.busy && !*mine {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        *mine = !waiting.is_empty();
        self.busy = *mine;
        waiting
    }

    /// Whether nothing waits and nobody hands anything on.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.busy
    }

    /// Takes out the waiting NBLs that `matches` names.
    pub(crate) fn withdraw(&mut self, matches: impl Fn(*mut NET_BUFFER_LIST) -> bool) -> Nbls {
        let mut found = Vec::new();
        for (_, nbls) in &mut self.waiting {
            let (out, stay) = nbls.iter().partition(|nbl| matches(**nbl));
            *nbls = stay;
            found.extend::<Nbls>(out);
        }
        self.waiting.retain(|(_, nbls)| !nbls.is_empty());
        found
    }
}

/// One of the four ways of an adapter's lists.
pub(crate) struct Way<K: 'static> {
    /// Where lists wait.
    pub(crate) queue: fn(&'static Adapter) -> &'static BatonCell<Held<K>>,
    /// Hands a list on.
    pub(crate) hand: fn(&'static Adapter, K, Nbls),
}

impl<K: Copy + PartialEq + 'static> Way<K> {
    /// Hands a list on, now or with others in a moment. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn pass(&'static self, adapter: &'static Adapter, key: K, nbls: Nbls, hold: bool) {
        let offer = (self.queue)(adapter).with(|held| held.offer(key, nbls, hold));
        match offer {
            Offer::Direct(nbls) => (self.hand)(adapter, key, nbls),
            Offer::Drain => self.drain(adapter),
            Offer::Later => self.come_back(adapter),
            Offer::Joined => {}
        }
    }

    /// Hands on all that waits. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn drain(&self, adapter: &'static Adapter) {
        let mut mine = false;
        loop {
            let lists = (self.queue)(adapter).with(|held| held.take(&mut mine));
            if lists.is_empty() {
                return;
            }
            for (key, nbls) in lists {
                (self.hand)(adapter, key, nbls);
            }
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self, adapter: &'static Adapter) -> bool {
        (self.queue)(adapter).with(|held| held.is_idle())
    }

    /// Has a DPC drain the queue, on some CPU, in a moment.
    fn come_back(&'static self, adapter: &'static Adapter) {
        let delay = sched::random_below(adversary::current().longest_hold_ns.max(1));
        sched::after(delay, move || {
            let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
            sched::queue_dpc(cpu, dpc::fresh(), move || self.drain(adapter));
        });
    }
}
