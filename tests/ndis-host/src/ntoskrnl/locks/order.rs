//! The order in which locks are taken, as Driver Verifier's deadlock detection keeps it.
//!
//! An edge from one lock to another says that somebody took the second with the first held. Two
//! locks that lie on a circle of edges can deadlock, whether or not they did in this run.

use std::collections::{BTreeMap, BTreeSet};

use crate::sched::BatonCell;

type Edges = BTreeMap<usize, BTreeSet<usize>>;

static EDGES: BatonCell<Edges> = BatonCell::new(BTreeMap::new());

/// Notes that `second` is taken with `first` held; false when that closes a circle.
pub(super) fn note(first: usize, second: usize) -> bool {
    EDGES.with(|edges| {
        if first == second {
            return true;
        }
        let is_known = edges
            .get(&first)
            .is_some_and(|after| after.contains(&second));
        if is_known {
            return true;
        }
        if leads_to(edges, second, first) {
            return false;
        }
        edges.entry(first).or_default().insert(second);
        true
    })
}

/// Whether edges lead from one lock to another.
fn leads_to(edges: &Edges, from: usize, to: usize) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(lock) = open.pop() {
        if lock == to {
            return true;
        }
        if seen.insert(lock) {
            open.extend(edges.get(&lock).into_iter().flatten());
        }
    }
    false
}

/// Forgets the locks in the `len` bytes from `start` on: they are freed or initialised anew.
pub(crate) fn forget(start: usize, len: usize) {
    let range = start..start.saturating_add(len);
    EDGES.with(|edges| {
        if edges.is_empty() {
            return;
        }
        edges.retain(|lock, _| !range.contains(lock));
        for after in edges.values_mut() {
            after.retain(|lock| !range.contains(lock));
        }
    });
    super::QUEUED.with(|queued| queued.retain(|lock| !range.contains(lock)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_lead_along_any_number_of_locks() {
        let edges: Edges = [(1, [2].into()), (2, [3].into()), (4, [1].into())].into();

        assert!(leads_to(&edges, 4, 3));
        assert!(!leads_to(&edges, 3, 4));
    }
}
