//! Frames from the guest to the wire (virtio 1.2, 5.1.6.2).

use super::core::Core;
use super::queues::Queues;
use crate::pci::DmaMemory;
use crate::wire::Frame;

/// Frames sent before others get their turn, as in QEMU.
const BURST: usize = 256;

/// Ethernet header with one VLAN tag.
const ETHERNET_OVERHEAD: usize = 18;
const ETHERNET_HEADER: usize = 14;

impl Core {
    /// Sends what the driver made available, if it rang.
    pub(super) fn transmit(&mut self, memory: &DmaMemory, pair: u16) -> Result<(), String> {
        let index = Queues::transmit(pair);
        let ring = self.ring(index);
        if !ring.ready() || !std::mem::take(&mut ring.doorbell) {
            return Ok(());
        }
        ring.disable_doorbell(memory)?;
        let mut left = BURST;
        loop {
            if self.transmit_up_to(&mut left, memory, pair)? {
                // More is there than fits a burst: as if the driver rang again.
                self.ring(index).doorbell = true;
                self.outbox.wake = true;
                break;
            }
            if !self.ring(index).enable_doorbell(memory)? {
                break;
            }
        }
        self.interrupt_queue(index, memory)
    }

    /// Returns whether the burst ended before the queue was empty.
    fn transmit_up_to(
        &mut self,
        left: &mut usize,
        memory: &DmaMemory,
        pair: u16,
    ) -> Result<bool, String> {
        let index = Queues::transmit(pair);
        while *left > 0 {
            let Some(chain) = self.pop(memory, index)? else {
                return Ok(false);
            };
            *left -= 1;
            self.check_header(index, &chain);
            let frame = parse(chain.read(memory)?, self.header_len())?;
            self.queues.sent(&frame, pair);
            self.send(frame);
            self.complete(memory, index, chain, 0)?;
            self.ring(index).frames += 1;
            self.flush_by_chance(memory, index)?;
        }
        Ok(true)
    }

    fn send(&mut self, frame: Frame) {
        self.counters.tx.frames += 1;
        self.counters.tx.bytes += frame.len() as u64;
        if frame.len() > usize::from(self.config.mtu) + ETHERNET_OVERHEAD {
            self.counters.tx_oversized += 1;
        }
        if self.link_up {
            self.outbox.frames.push(frame);
        } else {
            self.counters.tx_dropped += 1;
        }
    }
}

/// Cuts the header off and checks it: no offload is on offer, so none may be asked for.
fn parse(mut bytes: Vec<u8>, header: usize) -> Result<Frame, String> {
    if bytes.len() < header + ETHERNET_HEADER {
        return Err(format!("a frame of {} bytes, header included", bytes.len()));
    }
    let (flags, gso_type) = (bytes[0], bytes[1]);
    if flags != 0 || gso_type != 0 {
        return Err(format!(
            "offloads (flags {flags:#x}, gso {gso_type:#x}) were not negotiated"
        ));
    }
    bytes.drain(..header);
    Ok(bytes)
}
