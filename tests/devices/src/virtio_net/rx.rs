//! Frames from the wire into the guest's buffers (virtio 1.2, 5.1.6.3 and 5.1.6.4).

use vm_memory::Bytes;

use super::core::Core;
use super::queues::Queues;
use super::ring::Chain;
use super::{Fault, feature};
use crate::pci::DmaMemory;
use crate::wire::Frame;

/// The header in front of each frame, `num_buffers` included.
const HEADER_LEN: usize = 12;
const NUM_BUFFERS: usize = 10;

/// What a huge `num_buffers` is.
const HUGE: u16 = 0xFFF0;

/// Bytes of a frame that is scattered which are in its first buffer: an Ethernet header, and a part
/// of what comes next.
const SCATTERED: usize = 20;

enum Placed {
    Yes,
    NoBuffers,
    TooLarge,
}

impl Core {
    /// Bytes of the header: legacy drivers leave `num_buffers` out if it says nothing
    /// (virtio 1.2, 5.1.6.1).
    pub(super) fn header_len(&self) -> usize {
        if self.legacy && self.features & feature::MRG_RXBUF == 0 {
            NUM_BUFFERS
        } else {
            HEADER_LEN
        }
    }

    /// A frame came in from the wire.
    pub(super) fn frame_arrived(&mut self, frame: Frame) {
        let lane = self.queues.steer(&frame);
        if !self.link_up {
            self.counters.rx_dropped_link_down += 1;
        } else if !self.is_running() || lane.is_none() {
            self.counters.rx_dropped_not_ready += 1;
        } else if !self.rules.take(&frame, &self.mac) {
            self.counters.rx_dropped_filter += 1;
        } else if lane.is_some_and(|lane| lane.backlog.len() >= self.config.backlog) {
            self.counters.rx_dropped_backlog += 1;
        } else {
            self.enqueue(frame);
            self.outbox.wake = true;
        }
    }

    fn enqueue(&mut self, frame: Frame) {
        if self.queues.enqueue(frame).is_err() {
            self.counters.rx_dropped_not_ready += 1;
        }
    }

    /// Finds new lanes for frames that wait, since the queues are no longer what they were.
    pub(super) fn steer_again(&mut self) {
        for frame in self.queues.take_waiting() {
            self.enqueue(frame);
        }
        self.outbox.wake = true;
    }

    /// Moves what waits for a pair into the guest's buffers, as far as they reach.
    pub(super) fn receive(&mut self, memory: &DmaMemory, pair: u16) -> Result<(), String> {
        let index = Queues::receive(pair);
        if !self.ring(index).ready() {
            return Ok(());
        }
        let rung = std::mem::take(&mut self.ring(index).doorbell);
        let lane = self.lane(pair);
        if lane.starved && !rung {
            return Ok(());
        }

        lane.starved = false;
        while let Some(frame) = self.lane(pair).backlog.pop_front() {
            match self.place_or_ask(memory, index, &frame)? {
                Placed::Yes => {}
                Placed::TooLarge => self.counters.rx_dropped_too_large += 1,
                Placed::NoBuffers => {
                    let lane = self.lane(pair);
                    lane.backlog.push_front(frame);
                    lane.starved = true;
                    break;
                }
            }
        }
        if !self.lane(pair).starved {
            self.ring(index).disable_doorbell(memory)?;
        }
        self.interrupt_queue(index, memory)
    }

    /// Places `frame`. Without buffers it asks for a doorbell, and looks again in case the
    /// driver added some before it could see that.
    fn place_or_ask(
        &mut self,
        memory: &DmaMemory,
        index: usize,
        frame: &[u8],
    ) -> Result<Placed, String> {
        match self.place(memory, index, frame)? {
            Placed::NoBuffers => {
                self.ring(index).enable_doorbell(memory)?;
                self.place(memory, index, frame)
            }
            placed => Ok(placed),
        }
    }

    fn place(&mut self, memory: &DmaMemory, index: usize, frame: &[u8]) -> Result<Placed, String> {
        let header = self.header_len();
        let needed = header + frame.len();
        let mergeable = self.features & feature::MRG_RXBUF != 0;
        let mut chains = Vec::with_capacity(1);
        let mut room = 0;
        let least = if mergeable && self.faults.has(Fault::FrameScattered) {
            2
        } else {
            1
        };
        while room < needed || chains.len() < least {
            if chains.len() == 1 && !mergeable {
                self.ring(index).unpop(chains);
                return Ok(Placed::TooLarge);
            }
            let Some(chain) = self.pop(memory, index)? else {
                self.ring(index).unpop(chains);
                return Ok(Placed::NoBuffers);
            };
            if chain.len() < header {
                return Err(format!("receive buffer of {} bytes", chain.len()));
            }
            room += chain.len();
            chains.push(chain);
        }
        self.fill_chains(memory, index, chains, frame)?;
        Ok(Placed::Yes)
    }

    fn fill_chains(
        &mut self,
        memory: &DmaMemory,
        index: usize,
        chains: Vec<Chain>,
        frame: &[u8],
    ) -> Result<(), String> {
        let header = self.header(chains.len() as u16);
        let mut source = Source {
            parts: [&header[..self.header_len()], frame],
        };
        let scattered = chains.len() > 1 && self.take_fault(Fault::FrameScattered);
        for (number, chain) in chains.into_iter().enumerate() {
            self.check_header(index, &chain);
            let most = if scattered && number == 0 {
                self.header_len() + SCATTERED
            } else {
                usize::MAX
            };
            let written = source.fill(memory, &chain, most)?;
            self.complete(memory, index, chain, written as u32)?;
        }
        self.flush_by_chance(memory, index)?;

        self.ring(index).frames += 1;
        self.counters.rx.frames += 1;
        self.counters.rx.bytes += frame.len() as u64;
        Ok(())
    }

    fn header(&mut self, buffers: u16) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let buffers = if self.take_fault(Fault::NumBuffersZero) {
            0
        } else if self.take_fault(Fault::NumBuffersHuge) {
            HUGE
        } else {
            buffers
        };
        header[NUM_BUFFERS..].copy_from_slice(&buffers.to_le_bytes());
        header
    }
}

/// Header and frame, taken from the front as buffers have room.
struct Source<'a> {
    parts: [&'a [u8]; 2],
}

impl Source<'_> {
    /// Writes as much into `chain` as fits, `most` bytes at most, and returns how much that was.
    fn fill(&mut self, memory: &DmaMemory, chain: &Chain, most: usize) -> Result<usize, String> {
        let mut written = 0;
        for segment in &chain.segments {
            let mut offset = 0;
            for part in &mut self.parts {
                let room = (segment.len - offset).min(most - written - offset);
                let len = part.len().min(room);
                let (now, later) = part.split_at(len);
                memory
                    .write_slice(
                        now,
                        vm_memory::GuestAddress(segment.address.0 + offset as u64),
                    )
                    .map_err(|error| format!("receive buffer: {error}"))?;
                *part = later;
                offset += len;
            }
            written += offset;
        }
        Ok(written)
    }
}
