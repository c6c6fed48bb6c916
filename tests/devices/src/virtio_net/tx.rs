//! Frames from the guest to the wire (virtio 1.2, 5.1.6.2).

use virtio_queue::QueueT;
use vm_memory::Bytes;

use super::core::Core;
use super::ring::{Chain, QueueRole};
use super::rx::HEADER_LEN;
use crate::pci::DmaMemory;
use crate::wire::Frame;

/// Frames sent before others get their turn, as in QEMU.
const BURST: usize = 256;

/// Ethernet header with one VLAN tag.
const ETHERNET_OVERHEAD: usize = 18;
const ETHERNET_HEADER: usize = 14;

impl Core {
    /// Sends what the driver made available, if it rang.
    pub(super) fn transmit(&mut self, memory: &DmaMemory) -> Result<(), String> {
        if !self.tx.queue.ready() || !std::mem::take(&mut self.tx.doorbell) {
            return Ok(());
        }
        self.tx.disable_doorbell(memory)?;
        let mut left = BURST;
        loop {
            if self.transmit_up_to(&mut left, memory)? {
                // More is there than fits a burst: as if the driver rang again.
                self.tx.doorbell = true;
                self.outbox.wake = true;
                break;
            }
            if !self.tx.enable_doorbell(memory)? {
                break;
            }
        }
        self.interrupt_queue(QueueRole::Transmit, memory)
    }

    /// Returns whether the burst ended before the queue was empty.
    fn transmit_up_to(&mut self, left: &mut usize, memory: &DmaMemory) -> Result<bool, String> {
        while *left > 0 {
            let Some(chain) = self.tx.pop(memory, QueueRole::Transmit)? else {
                return Ok(false);
            };
            *left -= 1;
            let frame = gather(memory, &chain)?;
            self.send(frame);
            self.complete(memory, QueueRole::Transmit, &chain, 0)?;
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

/// Reads a frame and checks its header: no offload is on offer, so none may be asked for.
fn gather(memory: &DmaMemory, chain: &Chain) -> Result<Frame, String> {
    let mut bytes = vec![0; chain.len()];
    let mut at = 0;
    for segment in &chain.segments {
        memory
            .read_slice(&mut bytes[at..at + segment.len], segment.address)
            .map_err(|error| format!("transmit buffer: {error}"))?;
        at += segment.len;
    }
    if bytes.len() < HEADER_LEN + ETHERNET_HEADER {
        return Err(format!("a frame of {} bytes, header included", bytes.len()));
    }
    let (flags, gso_type) = (bytes[0], bytes[1]);
    if flags != 0 || gso_type != 0 {
        return Err(format!(
            "offloads (flags {flags:#x}, gso {gso_type:#x}) were not negotiated"
        ));
    }
    bytes.drain(..HEADER_LEN);
    Ok(bytes)
}
