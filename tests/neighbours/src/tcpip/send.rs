//! Sending: frames into NBLs of every legal shape, and their completions.

use devices::wire::Frame;
use ndis_host::ndis::api;
use ndis_host::sched;
use ndis_sys::{NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NetBufferListCancelId};

use super::{Edge, TcpIp};
use crate::nbl::{Nbl, at_some_level, chain, grouped, lock, unchain};

/// Where headers end, and so where Windows' own stack begins a new MDL: Ethernet, IPv4, TCP.
const HEADER_ENDS: [usize; 3] = [14, 34, 54];

impl Edge {
    /// How many frames the stack may send now.
    pub(super) fn room(&self, window: usize) -> usize {
        if self.running && !self.asleep && self.link_up && self.binding.is_some() {
            window.saturating_sub(self.in_flight)
        } else {
            0
        }
    }
}

impl TcpIp {
    /// Gives frames to NDIS, in order. Only the pump calls it.
    pub(super) fn send(&self, frames: Vec<Frame>) {
        for call in grouped(frames, 8) {
            let nbls: Vec<_> = grouped(call, 2)
                .into_iter()
                .map(|frames| self.make_list(&frames))
                .collect();
            self.give(&nbls);
        }
    }

    /// One call of NdisSendNetBufferLists, which may be regretted at once.
    fn give(&self, nbls: &[Nbl]) {
        let Some(binding) = lock(&self.edge).binding else {
            unreachable!("a binding is not closed while frames are in flight");
        };
        let cancel_id = self.choose_cancel_id();
        if let Some(id) = cancel_id {
            for nbl in nbls {
                api::set_info(nbl.0, NetBufferListCancelId as usize, id);
            }
        }
        at_some_level(|flag| api::send(binding, chain(nbls), flag));
        if let Some(id) = cancel_id {
            api::cancel_sends(binding, id);
        }
    }

    /// An identifier for sends that will be cancelled.
    fn choose_cancel_id(&self) -> Option<usize> {
        let mut edge = lock(&self.edge);
        if !sched::chance(edge.cancel_one_in) {
            return None;
        }
        edge.counters.calls_cancelled += 1;
        Some(edge.counters.calls_cancelled as usize)
    }

    /// An NBL of one or several frames; one frame may be spread over several MDLs.
    fn make_list(&self, frames: &[Frame]) -> Nbl {
        for frame in frames {
            self.ledgers.guest_sent(frame);
        }
        let nbl = match frames {
            [frame] if sched::chance(2) => self.pool.fragments(&fragments(frame)),
            [frame] => self.pool.frame(frame),
            _ => self.pool.frames(frames),
        };
        let nbl = Nbl(nbl);
        let mut edge = lock(&self.edge);
        edge.sizes.insert(nbl.address(), frames.len());
        edge.counters.frames_sent += frames.len() as u64;
        edge.counters.lists_sent += 1;
        nbl
    }

    /// ProtocolSendNetBufferListsComplete.
    pub(super) fn sends_came_back(&self, first: *mut NET_BUFFER_LIST) {
        for nbl in unchain(first) {
            self.count_completion(nbl);
            self.pool.release(nbl.0);
        }
        // There is room for more.
        self.news();
    }

    fn count_completion(&self, nbl: Nbl) {
        let status = api::status_of(nbl.0);
        let mut edge = lock(&self.edge);
        let frames = edge.sizes.remove(&nbl.address());
        let frames = frames.expect("NDIS completes only what was sent");
        edge.in_flight -= frames;
        let counters = &mut edge.counters;
        if status == NDIS_STATUS_SUCCESS {
            counters.frames_completed += frames as u64;
        } else {
            *counters.frames_failed.entry(status).or_default() += frames as u64;
        }
    }
}

/// Cuts a frame where headers end, and sometimes anywhere else.
fn fragments(frame: &[u8]) -> Vec<&[u8]> {
    let mut cuts: Vec<usize> = HEADER_ENDS
        .into_iter()
        .filter(|_| sched::chance(2))
        .collect();
    if sched::chance(3) {
        cuts.push(sched::random_below(frame.len() as u64) as usize);
    }
    cuts.retain(|cut| (1..frame.len()).contains(cut));
    cuts.sort_unstable();
    cuts.dedup();

    let mut parts = Vec::with_capacity(cuts.len() + 1);
    let mut rest = frame;
    let mut start = 0;
    for cut in cuts {
        let (part, tail) = rest.split_at(cut - start);
        parts.push(part);
        (rest, start) = (tail, cut);
    }
    parts.push(rest);
    parts
}
