//! One direction of a port: frames under way, and how long they take.

use std::collections::VecDeque;

use crate::wire::Frame;

/// Preamble, check sequence and gap: what a frame costs on the wire beyond its own bytes.
const WIRE_OVERHEAD: u64 = 24;

/// Speed of a port. Applies to each direction by itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortConfig {
    /// Time between a frame's last bit leaving one end and reaching the other.
    pub latency_ns: u64,
    /// Line rate; 0 means that bits take no time.
    pub bits_per_second: u64,
}

impl PortConfig {
    fn serialization_ns(&self, frame: &[u8]) -> u64 {
        if self.bits_per_second == 0 {
            return 0;
        }
        let bits = u128::from(frame.len() as u64 + WIRE_OVERHEAD) * 8;
        (bits * 1_000_000_000 / u128::from(self.bits_per_second)) as u64
    }
}

/// One direction of a port: frames with the time at which they arrive at the other end.
#[derive(Default)]
pub(super) struct Line {
    pub(super) frames: VecDeque<(u64, Frame)>,
    busy_until_ns: u64,
    /// Time of the earliest event that was asked for and has not come.
    armed_ns: Option<u64>,
}

impl Line {
    pub(super) fn push(&mut self, frame: Frame, config: PortConfig, now_ns: u64) {
        let start = now_ns.max(self.busy_until_ns);
        self.busy_until_ns = start.saturating_add(config.serialization_ns(&frame));
        let arrival = self.busy_until_ns.saturating_add(config.latency_ns);
        self.frames.push_back((arrival, frame));
    }

    /// Takes the first frame if it is there. A frame that was sent at a lower latency than those
    /// before it waits for them.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<Frame> {
        let (arrival, _) = self.frames.front()?;
        if *arrival > now_ns {
            return None;
        }
        self.frames.pop_front().map(|(_, frame)| frame)
    }

    /// When an event has to be asked for, if none comes in time.
    pub(super) fn next_event(&mut self) -> Option<u64> {
        let arrival = self.frames.front()?.0;
        if self.armed_ns.is_some_and(|armed| armed <= arrival) {
            return None;
        }
        self.armed_ns = Some(arrival);
        Some(arrival)
    }

    pub(super) fn event_came(&mut self, now_ns: u64) {
        if self.armed_ns.is_some_and(|armed| armed <= now_ns) {
            self.armed_ns = None;
        }
    }

    /// Drops what is under way and returns how much that was.
    pub(super) fn clear(&mut self) -> u64 {
        let lost = self.frames.len() as u64;
        self.frames.clear();
        self.busy_until_ns = 0;
        lost
    }
}
