//! Sending: frames into NBLs of every legal shape, and their completions.

use devices::wire::Frame;
use ndis_host::ndis::api;
use ndis_host::ndis::packet::Flow;
use ndis_host::sched;
use ndis_sys::{NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NetBufferListCancelId};

use super::{Edge, TcpIp};
use crate::nbl::{Nbl, at_some_level, chain, grouped, lock, unchain};

/// Bytes that have to be in one MDL: the Ethernet header.
const ETHERNET: usize = 14;
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
                .flat_map(by_connection)
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

    /// Sends a frame that the stack has not made, and that nobody waits for: one that is too long,
    /// say. False without a running binding.
    pub fn send_odd(&self, frame: Frame) -> bool {
        {
            let mut edge = lock(&self.edge);
            if !edge.running || edge.binding.is_none() {
                return false;
            }
            edge.in_flight += 1;
        }
        let nbl = Nbl(self.pool.frame(&frame));
        lock(&self.edge).sizes.insert(nbl.address(), 1);
        self.give(&[nbl]);
        true
    }

    /// Sends frames that the stack has not made in one call, an NBL for each. False, with nothing sent,
    /// without a running binding.
    pub fn send_chain(&self, frames: &[Frame]) -> bool {
        {
            let mut edge = lock(&self.edge);
            if !edge.running || edge.binding.is_none() {
                return false;
            }
            edge.in_flight += frames.len();
        }
        let list = |frame: &Frame| self.make_list(std::slice::from_ref(frame));
        let nbls: Vec<_> = frames.iter().map(list).collect();
        self.give(&nbls);
        true
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
            [frame] if sched::chance(2) => self.pool.fragments(&self.fragments(frame)),
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

/// Cuts frames into runs of one connection, which is all that an NBL may have.
fn by_connection(frames: Vec<Frame>) -> Vec<Vec<Frame>> {
    let mut runs: Vec<Vec<Frame>> = Vec::new();
    for frame in frames {
        match runs.last_mut() {
            Some(run) if Flow::of(&run[0]) == Flow::of(&frame) => run.push(frame),
            _ => runs.push(vec![frame]),
        }
    }
    runs
}

impl TcpIp {
    /// Cuts a frame where headers end, and as often as this run's habits are in other places.
    fn fragments<'frame>(&self, frame: &'frame [u8]) -> Vec<&'frame [u8]> {
        let anywhere = sched::random_below(self.habits.most_cuts + 1);
        let anywhere = (0..anywhere).map(|_| sched::random_below(frame.len() as u64) as usize);
        let at_headers = HEADER_ENDS.into_iter().filter(|_| sched::chance(2));
        let mut cuts: Vec<usize> = at_headers.chain(anywhere).collect();
        cuts.retain(|cut| (ETHERNET..frame.len()).contains(cut));
        cuts.sort_unstable();
        cuts.dedup();

        let mut parts = Vec::with_capacity(cuts.len() + 1);
        let (mut rest, mut start) = (frame, 0);
        for cut in cuts {
            let (part, tail) = rest.split_at(cut - start);
            self.push_part(&mut parts, part);
            (rest, start) = (tail, cut);
        }
        self.push_part(&mut parts, rest);
        parts
    }

    /// Adds a part, and sometimes an MDL without data beside it.
    fn push_part<'frame>(&self, parts: &mut Vec<&'frame [u8]>, part: &'frame [u8]) {
        let empty = &part[..0];
        if sched::chance(self.habits.empty_one_in) {
            parts.push(empty);
        }
        parts.push(part);
        if sched::chance(self.habits.empty_one_in) {
            parts.push(empty);
        }
    }
}
