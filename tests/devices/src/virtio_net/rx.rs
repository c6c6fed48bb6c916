//! Frames from the wire into the guest's buffers (virtio 1.2, 5.1.6.3 and 5.1.6.4).

use virtio_queue::QueueT;
use vm_memory::Bytes;

use super::core::Core;
use super::ring::{Chain, QueueRole};
use super::{Fault, feature};
use crate::pci::DmaMemory;
use crate::wire::Frame;

/// The header in front of each frame, `num_buffers` included.
pub(super) const HEADER_LEN: usize = 12;
const NUM_BUFFERS: usize = 10;

/// What a huge `num_buffers` is.
const HUGE: u16 = 0xFFF0;

enum Placed {
    Yes,
    NoBuffers,
    TooLarge,
}

impl Core {
    /// A frame came in from the wire.
    pub(super) fn frame_arrived(&mut self, frame: Frame) {
        if !self.link_up {
            self.counters.rx_dropped_link_down += 1;
        } else if !self.is_running() || !self.rx.queue.ready() {
            self.counters.rx_dropped_not_ready += 1;
        } else if self.backlog.len() >= self.config.backlog {
            self.counters.rx_dropped_backlog += 1;
        } else {
            self.backlog.push_back(frame);
            self.outbox.wake = true;
        }
    }

    /// Moves what waits into the guest's buffers, as far as they reach.
    pub(super) fn receive(&mut self, memory: &DmaMemory) -> Result<(), String> {
        if !self.rx.queue.ready() {
            return Ok(());
        }
        let rung = std::mem::take(&mut self.rx.doorbell);
        if self.starved && !rung {
            return Ok(());
        }

        self.starved = false;
        while let Some(frame) = self.backlog.pop_front() {
            match self.place_or_ask(memory, &frame)? {
                Placed::Yes => {}
                Placed::TooLarge => self.counters.rx_dropped_too_large += 1,
                Placed::NoBuffers => {
                    self.backlog.push_front(frame);
                    self.starved = true;
                    break;
                }
            }
        }
        if !self.starved {
            self.rx.disable_doorbell(memory)?;
        }
        self.interrupt_queue(QueueRole::Receive, memory)
    }

    /// Places `frame`. Without buffers it asks for a doorbell, and looks again in case the
    /// driver added some before it could see that.
    fn place_or_ask(&mut self, memory: &DmaMemory, frame: &[u8]) -> Result<Placed, String> {
        match self.place(memory, frame)? {
            Placed::NoBuffers => {
                self.rx.enable_doorbell(memory)?;
                self.place(memory, frame)
            }
            placed => Ok(placed),
        }
    }

    fn place(&mut self, memory: &DmaMemory, frame: &[u8]) -> Result<Placed, String> {
        let needed = HEADER_LEN + frame.len();
        let mergeable = self.features & feature::MRG_RXBUF != 0;
        let mut chains = Vec::with_capacity(1);
        let mut room = 0;
        while room < needed {
            if chains.len() == 1 && !mergeable {
                self.rx.unpop(1);
                return Ok(Placed::TooLarge);
            }
            let Some(chain) = self.rx.pop(memory, QueueRole::Receive)? else {
                self.rx.unpop(chains.len());
                return Ok(Placed::NoBuffers);
            };
            if chain.len() < HEADER_LEN {
                return Err(format!("receive buffer of {} bytes", chain.len()));
            }
            room += chain.len();
            chains.push(chain);
        }
        self.fill_chains(memory, &chains, frame)?;
        Ok(Placed::Yes)
    }

    fn fill_chains(
        &mut self,
        memory: &DmaMemory,
        chains: &[Chain],
        frame: &[u8],
    ) -> Result<(), String> {
        let header = self.header(chains.len() as u16);
        let mut source = Source {
            parts: [&header, frame],
        };
        for chain in chains {
            let written = source.fill(memory, chain)?;
            self.complete(memory, QueueRole::Receive, chain, written as u32)?;
        }

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
    /// Writes as much into `chain` as fits and returns how much that was.
    fn fill(&mut self, memory: &DmaMemory, chain: &Chain) -> Result<usize, String> {
        let mut written = 0;
        for segment in &chain.segments {
            let mut offset = 0;
            for part in &mut self.parts {
                let len = part.len().min(segment.len - offset);
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
