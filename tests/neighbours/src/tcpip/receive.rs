//! Receiving: frames are copied out, and NBLs given back when the seed pleases.

use std::sync::atomic::Ordering;

use ndis_host::ndis::api;
use ndis_host::sched::{self, DpcId};
use ndis_sys::{NDIS_RECEIVE_FLAGS_RESOURCES, NET_BUFFER_LIST};

use super::{Edge, TcpIp};
use crate::nbl::{Nbl, at_some_level, chain, grouped, lock, shuffle, unchain};

/// NBLs that are kept at most: the adapter has more buffers than that.
const MOST_KEPT: usize = 48;
/// Numbers of the DPCs that give NBLs back.
const FIRST_DPC: u64 = 0x7c91_0000_0000;

/// A received NBL that has not been given back.
pub(super) struct Kept {
    nbl: Nbl,
    pub(super) due_ns: u64,
}

impl TcpIp {
    /// ProtocolReceiveNetBufferLists.
    pub(super) fn receives_came(&self, first: *mut NET_BUFFER_LIST, flags: u32) {
        let nbls = unchain(first);
        for nbl in &nbls {
            self.take_in(*nbl);
        }
        if flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0 {
            // Shown only; the chain has to be left as it came.
            lock(&self.edge).counters.lists_shown += nbls.len() as u64;
            chain(&nbls);
        } else {
            self.keep_some(nbls);
        }
        self.news();
    }

    fn take_in(&self, nbl: Nbl) {
        for frame in api::read_frames(nbl.0) {
            self.ledgers.guest_received(&frame);
            let mut edge = lock(&self.edge);
            edge.counters.frames_received += 1;
            edge.inbox.push_back(frame);
        }
    }

    /// Keeps some NBLs for a while and gives the others back at once.
    fn keep_some(&self, nbls: Vec<Nbl>) {
        let mut at_once = Vec::new();
        let keep_all = sched::chance(3);
        for nbl in nbls {
            if !self.keep(nbl, keep_all) {
                at_once.push(nbl);
            }
        }
        if !at_once.is_empty() {
            lock(&self.edge).returning += at_once.len();
            for group in grouped(at_once, 6) {
                self.give_back(&group);
            }
        }
    }

    fn keep(&self, nbl: Nbl, always: bool) -> bool {
        let mut edge = lock(&self.edge);
        let wanted = always || sched::chance(4);
        let keep = wanted && edge.running && edge.kept.len() < MOST_KEPT;
        if keep {
            let patience_ns = self.patience_ns.load(Ordering::Relaxed);
            let due_ns = sched::now() + sched::random_below(patience_ns);
            edge.kept.push(Kept { nbl, due_ns });
            edge.counters.lists_kept += 1;
        }
        keep
    }

    /// Gives back what is due, in some order and grouping, here or in a DPC on some CPU.
    pub(super) fn give_back_due(&self) {
        let mut due = lock(&self.edge).take_due(sched::now());
        shuffle(&mut due);
        for group in grouped(due, 3) {
            if sched::chance(3) {
                self.give_back_in_dpc(group);
            } else {
                self.give_back(&group);
            }
        }
    }

    fn give_back_in_dpc(&self, group: Vec<Nbl>) {
        let Some(name) = group
            .first()
            .map(|nbl| DpcId(FIRST_DPC + nbl.address() as u64))
        else {
            return;
        };
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        let tcpip = self.shared();
        let is_new = sched::queue_dpc(cpu, name, move || tcpip.give_back(&group));
        assert!(
            is_new,
            "an NBL is given back once, so no other DPC has its name"
        );
    }

    /// NdisReturnNetBufferLists for NBLs that were counted in `returning`.
    fn give_back(&self, group: &[Nbl]) {
        let Some(binding) = lock(&self.edge).binding else {
            unreachable!("a binding is not closed while receives are out");
        };
        at_some_level(|flag| api::return_nbls(binding, chain(group), flag));
        lock(&self.edge).returning -= group.len();
    }
}

impl Edge {
    /// Takes out what is due: all, when there is a hurry.
    fn take_due(&mut self, now_ns: u64) -> Vec<Nbl> {
        let all = self.hurry;
        let (due, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|kept| all || kept.due_ns <= now_ns);
        self.kept = kept;
        let due: Vec<Kept> = due;
        self.returning += due.len();
        due.into_iter().map(|kept| kept.nbl).collect()
    }
}
