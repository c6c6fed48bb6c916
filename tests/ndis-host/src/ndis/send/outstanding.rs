//! Sends that a miniport has not completed: their ages, and the watchdog over them.

use std::collections::{BTreeMap, BTreeSet};

use crate::ndis::adapter::Adapter;
use crate::sched::{self, EventId};
use crate::verifier::{self, SECOND_NS};

/// Longest time of one send (table of rule 308).
const SEND_LIMIT_NS: u64 = 30 * SECOND_NS;
/// Longest time without any completion while sends are out (table of rule 308).
const STALL_LIMIT_NS: u64 = 22 * SECOND_NS;

/// NBLs that a miniport has not completed, by age.
#[derive(Default)]
pub(crate) struct Outstanding {
    by_age: BTreeMap<(u64, u64), usize>,
    ages: BTreeMap<usize, (u64, u64)>,
    /// Identifiers for NdisCancelSendNetBufferLists, by NBL.
    ids: BTreeMap<usize, usize>,
    count: u64,
    last_completion_ns: u64,
    watchdog: Option<EventId>,
    /// Identifiers that the miniport was asked to cancel.
    cancelled: BTreeSet<usize>,
}

impl Outstanding {
    /// How many are out.
    pub(crate) fn len(&self) -> usize {
        self.ages.len()
    }

    /// The NBLs that are out, by address.
    pub(crate) fn addresses(&self) -> Vec<usize> {
        self.ages.keys().copied().collect()
    }

    /// The NBLs that are out and have this identifier, by address.
    pub(super) fn of_id(&self, id: usize) -> Vec<usize> {
        let of_id = self.ids.iter().filter(|(_, other)| **other == id);
        of_id.map(|(nbl, _)| *nbl).collect()
    }

    /// When each was given to the miniport, and a number: one pair names one sending.
    pub(crate) fn ages(&self) -> Vec<(u64, u64)> {
        self.by_age.keys().copied().collect()
    }

    pub(super) fn insert(&mut self, nbl: usize, id: usize) {
        if id != 0 {
            self.ids.insert(nbl, id);
        }
        self.count += 1;
        let age = (sched::now(), self.count);
        self.by_age.insert(age, nbl);
        self.ages.insert(nbl, age);
    }

    pub(super) fn remove(&mut self, nbl: usize) {
        self.ids.remove(&nbl);
        if let Some(age) = self.ages.remove(&nbl) {
            self.by_age.remove(&age);
        }
        self.last_completion_ns = sched::now();
    }

    /// Notes that sends with this identifier are to be cancelled.
    pub(super) fn cancel(&mut self, id: usize) {
        self.cancelled.insert(id);
    }

    /// Whether sends with this identifier were ever cancelled.
    pub(super) fn was_cancelled(&self, id: usize) -> bool {
        self.cancelled.contains(&id)
    }

    /// When the oldest send or the stall becomes a breach.
    fn deadline(&self) -> Option<u64> {
        let ((since, _), _) = self.by_age.first_key_value()?;
        let stall_since = (*since).max(self.last_completion_ns);
        Some((since + SEND_LIMIT_NS).min(stall_since + STALL_LIMIT_NS))
    }
}

/// Keeps one watchdog per adapter, at the earliest time at which a send is late.
pub(super) fn watch(adapter: &'static Adapter) {
    adapter.sends.with(|sends| {
        if sends.watchdog.is_some() {
            return;
        }
        if let Some(deadline) = sends.deadline() {
            sends.watchdog = Some(sched::at(deadline, move || check_late(adapter)));
        }
    });
}

fn check_late(adapter: &'static Adapter) {
    let late = adapter.sends.with(|sends| {
        sends.watchdog = None;
        sends
            .deadline()
            .filter(|deadline| *deadline <= sched::now())
            .map(|_| sends.len())
    });
    if let Some(count) = late {
        verifier::fatal(
            116,
            format!(
                "{count} sends on {} are out; 30 s, or 22 s without a completion",
                adapter.name
            ),
        );
    }
    watch(adapter);
}

/// Takes the watchdog back when nothing is out.
pub(super) fn rest_if_idle(adapter: &'static Adapter) {
    let idle = adapter.sends.with(|sends| {
        if sends.len() == 0 {
            sends.watchdog.take()
        } else {
            None
        }
    });
    if let Some(event) = idle {
        sched::cancel(event);
    }
}
