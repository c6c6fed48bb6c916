//! Receiving: frames from the hardware, in chains of NBLs of our own.

use ndis_host::ndis::api::{self, NblPool};
use ndis_host::ndis::native::AdapterHandle;
use ndis_host::sched;
use ndis_sys::{NDIS_DEFAULT_PORT_NUMBER, NDIS_RECEIVE_FLAGS_RESOURCES, NET_BUFFER_LIST};

use super::{Phase, Vf};
use crate::nbl::{Nbl, at_some_level, chain, lock, unchain};

/// Frames of one indication, at most.
const LONGEST_CHAIN: u64 = 32;

impl Vf {
    /// Empties the hardware's receive queue. In the DPC.
    pub(super) fn indicate_received(&self) {
        loop {
            let most = 1 + sched::random_below(LONGEST_CHAIN);
            let hardware = self.control.hardware();
            let frames: Vec<_> = (0..most).map_while(|_| hardware.receive()).collect();
            if frames.is_empty() {
                return;
            }
            match self.admit(frames.len()) {
                Some((adapter, pool, flags)) => self.indicate(adapter, pool, &frames, flags),
                None => self
                    .control
                    .count(|c| c.frames_dropped += frames.len() as u64),
            }
        }
    }

    /// Counts NBLs that are about to be indicated: where, from which pool, with which flags.
    fn admit(&self, count: usize) -> Option<(AdapterHandle, NblPool, u32)> {
        let options = self.control.options();
        let mut state = lock(&self.state);
        if state.phase != Phase::Running || state.asleep {
            return None;
        }
        let many = state.receives_out + count > options.most_receives_out;
        let resources = many || sched::chance(options.resources_one_in);
        // Shown NBLs are out as well, for the time of the call.
        state.receives_out += count;
        let flags = if resources {
            NDIS_RECEIVE_FLAGS_RESOURCES
        } else {
            0
        };
        Some((state.adapter?, state.pool?, flags))
    }

    fn indicate(&self, adapter: AdapterHandle, pool: NblPool, frames: &[Vec<u8>], flags: u32) {
        let nbls: Vec<Nbl> = frames
            .iter()
            .map(|frame| Nbl(pool.fragments(&api::receive_parts(adapter, frame))))
            .collect();
        self.control
            .count(|c| c.frames_indicated += nbls.len() as u64);
        let (first, count) = (chain(&nbls), nbls.len() as u32);
        let port = NDIS_DEFAULT_PORT_NUMBER;
        at_some_level(|flag| api::indicate(adapter, first, port, count, flags | flag));
        if flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0 {
            self.release(nbls);
        }
    }

    /// MiniportReturnNetBufferLists.
    pub(super) fn take_back(&self, first: *mut NET_BUFFER_LIST) {
        self.release(unchain(first));
        self.finish_pause();
    }

    fn release(&self, nbls: Vec<Nbl>) {
        let pool = lock(&self.state).pool;
        if let Some(pool) = pool {
            nbls.iter().for_each(|nbl| pool.release(nbl.0));
        }
        lock(&self.state).receives_out -= nbls.len();
    }
}
