//! Sending: NBLs from NDIS, frames to the hardware, completions back.

use std::collections::VecDeque;

use devices::vf_port::TransmitError;
use ndis_host::ndis::api;
use ndis_host::sched;
use ndis_sys::{
    NDIS_STATUS, NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_PAUSED,
    NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
};

use super::{Open, Phase, Queued, Sends, State, Vf};
use crate::nbl::{Nbl, at_some_level, chain, grouped, lock, shuffle, unchain};

impl Vf {
    /// MiniportSendNetBufferLists.
    pub(super) fn take_sends(&self, first: *mut NET_BUFFER_LIST) {
        let nbls = unchain(first);
        if let Some(status) = self.refusal() {
            self.control.count(|c| c.lists_refused += nbls.len() as u64);
            self.complete(vec![nbls], status);
            return;
        }
        for nbl in nbls {
            let frames = api::read_frames(nbl.0);
            self.control
                .count(|c| c.frames_taken += frames.len() as u64);
            lock(&self.state).sends.push(nbl, frames);
        }
        // The doorbell may ring now or a little later.
        if sched::chance(4) {
            lock(&self.state).news.room = true;
            self.ask_dpc();
        } else {
            self.feed_hardware();
        }
    }

    /// Why sends are not taken now, if they are not.
    fn refusal(&self) -> Option<NDIS_STATUS> {
        let state = lock(&self.state);
        if state.gone {
            Some(NDIS_STATUS_NOT_ACCEPTED)
        } else if state.asleep {
            Some(NDIS_STATUS_LOW_POWER_STATE)
        } else {
            (state.phase != Phase::Running).then_some(NDIS_STATUS_PAUSED)
        }
    }

    /// Gives the hardware what it has room for.
    pub(super) fn feed_hardware(&self) {
        let mut guard = lock(&self.state);
        let state: &mut State = &mut guard;
        while let Some(next) = state.sends.queue.pop_front() {
            let list = next.list;
            match self.control.hardware().transmit(next.frame, list) {
                Ok(()) => {
                    if let Some(open) = state.sends.open.get_mut(&list) {
                        open.started = true;
                    }
                }
                // What is gone stays in the queue until PnP has noticed.
                Err(TransmitError::Full(frame) | TransmitError::Gone(frame)) => {
                    state.sends.queue.push_front(Queued { list, frame });
                    return;
                }
            }
        }
    }

    /// The hardware has sent frames: completes the NBLs that are through.
    pub(super) fn complete_sent(&self, done: VecDeque<u64>) {
        if done.is_empty() || self.control.options().never_complete_sends {
            return;
        }
        let mut through: Vec<Nbl> = {
            let mut state = lock(&self.state);
            done.into_iter()
                .filter_map(|list| state.sends.sent_one(list))
                .collect()
        };
        self.control
            .count(|c| c.lists_completed += through.len() as u64);
        if sched::chance(self.control.options().reorder_one_in) {
            shuffle(&mut through);
        }
        self.complete(grouped(through, 8), NDIS_STATUS_SUCCESS);
    }

    /// By seed, gives back as PAUSED what the hardware has not begun to send.
    pub(super) fn give_back_unsent(&self) {
        if sched::chance(2) {
            return;
        }
        let unsent = lock(&self.state).sends.take_unstarted();
        self.control
            .count(|c| c.lists_paused += unsent.len() as u64);
        self.complete(grouped(unsent, 4), NDIS_STATUS_PAUSED);
    }

    /// The hardware is gone: what it had sent is complete, the rest will not be sent any more.
    pub(super) fn abort_all(&self) {
        let done = {
            let mut state = lock(&self.state);
            let mut done = std::mem::take(&mut state.delayed);
            done.append(&mut state.news.done);
            done
        };
        self.complete_sent(done);
        let rest: Vec<Nbl> = {
            let mut state = lock(&self.state);
            state.sends.queue.clear();
            let open = std::mem::take(&mut state.sends.open);
            open.into_values().map(|open| open.nbl).collect()
        };
        self.control.count(|c| c.lists_aborted += rest.len() as u64);
        self.complete(grouped(rest, 4), NDIS_STATUS_NOT_ACCEPTED);
    }

    /// Gives NBLs back, a call for each group. They are out until NDIS has them.
    pub(super) fn complete(&self, groups: Vec<Vec<Nbl>>, status: NDIS_STATUS) {
        let Some(adapter) = lock(&self.state).adapter else {
            return;
        };
        lock(&self.state).completing += groups.iter().map(Vec::len).sum::<usize>();
        for group in groups.iter().filter(|group| !group.is_empty()) {
            for nbl in group {
                api::set_status(nbl.0, status);
            }
            at_some_level(|flag| api::send_complete(adapter, chain(group), flag));
            lock(&self.state).completing -= group.len();
        }
        self.finish_pause();
    }
}

impl Sends {
    fn push(&mut self, nbl: Nbl, frames: Vec<Vec<u8>>) {
        let list = self.next;
        self.next += 1;
        let open = Open {
            nbl,
            left: frames.len(),
            started: false,
        };
        self.open.insert(list, open);
        let queued = frames.into_iter().map(|frame| Queued { list, frame });
        self.queue.extend(queued);
    }

    /// One frame of `list` is through; the NBL, if that was its last.
    fn sent_one(&mut self, list: u64) -> Option<Nbl> {
        let open = self.open.get_mut(&list)?;
        open.left -= 1;
        if open.left > 0 {
            return None;
        }
        self.open.remove(&list).map(|open| open.nbl)
    }

    /// Takes out the NBLs of which the hardware has nothing.
    pub(super) fn take_unstarted(&mut self) -> Vec<Nbl> {
        let unstarted: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| !open.started)
            .map(|(list, _)| *list)
            .collect();
        self.queue
            .retain(|queued| !unstarted.contains(&queued.list));
        unstarted
            .iter()
            .filter_map(|list| self.open.remove(list))
            .map(|open| open.nbl)
            .collect()
    }
}
