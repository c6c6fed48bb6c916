//! Chains of guest memory, and the checks that a device owes to itself before it follows one,
//! whatever the format of the ring.

use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use super::QueueRole;
use crate::pci::DmaMemory;

/// A piece of guest memory.
#[derive(Clone, Copy, Debug)]
pub(in crate::virtio_net) struct Segment {
    pub(in crate::virtio_net) address: GuestAddress,
    pub(in crate::virtio_net) len: usize,
}

/// A chain that passed the checks: memory that exists, readable pieces in front of writable ones,
/// of the direction that the queue is for.
#[derive(Debug)]
pub(in crate::virtio_net) struct Chain {
    /// Split rings: the index of the first descriptor. Packed rings: the buffer ID.
    pub(in crate::virtio_net) id: u16,
    pub(in crate::virtio_net) segments: Vec<Segment>,
    /// How many segments, from the front, are the device's to read.
    readable: usize,
    /// Descriptors that the chain takes in its ring, without those of an indirect table.
    pub(in crate::virtio_net) slots: u16,
}

impl Chain {
    /// Bytes of all segments.
    pub(in crate::virtio_net) fn len(&self) -> usize {
        length(&self.segments)
    }

    /// What the device reads.
    pub(in crate::virtio_net) fn readable(&self) -> &[Segment] {
        &self.segments[..self.readable]
    }

    /// What the device writes.
    pub(in crate::virtio_net) fn writable(&self) -> &[Segment] {
        &self.segments[self.readable..]
    }

    /// Copies all that is the device's to read.
    pub(in crate::virtio_net) fn read(&self, memory: &DmaMemory) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; length(self.readable())];
        let mut at = 0;
        for segment in self.readable() {
            memory
                .read_slice(&mut bytes[at..at + segment.len], segment.address)
                .map_err(|error| format!("buffer: {error}"))?;
            at += segment.len;
        }
        Ok(bytes)
    }
}

/// Bytes of `segments`.
pub(in crate::virtio_net) fn length(segments: &[Segment]) -> usize {
    segments.iter().map(|segment| segment.len).sum()
}

/// A chain with the bytes that the device wrote to it, on its way back to the driver.
#[derive(Debug)]
pub(in crate::virtio_net) struct Usage {
    pub(in crate::virtio_net) chain: Chain,
    pub(in crate::virtio_net) len: u32,
}

impl Usage {
    /// Whether a driver may conclude from the chain alone how many bytes were written.
    pub(super) fn is_complete(&self) -> bool {
        length(self.chain.writable()) == self.len as usize
    }
}

/// Puts a chain together, descriptor by descriptor (virtio 1.2, 2.7.4, 2.7.5 and 2.8.5).
pub(super) struct Builder<'m> {
    memory: &'m DmaMemory,
    role: QueueRole,
    /// No chain is longer than its queue.
    limit: u16,
    segments: Vec<Segment>,
    readable: usize,
}

impl<'m> Builder<'m> {
    pub(super) fn new(memory: &'m DmaMemory, role: QueueRole, limit: u16) -> Self {
        Self {
            memory,
            role,
            limit,
            segments: Vec::new(),
            readable: 0,
        }
    }

    pub(super) fn add(
        &mut self,
        address: GuestAddress,
        len: u32,
        writable: bool,
    ) -> Result<(), String> {
        let len = len as usize;
        let fits = match self.role {
            QueueRole::Receive => writable,
            QueueRole::Transmit => !writable,
            QueueRole::Control => true,
        };
        if !fits {
            return Err("a descriptor of the wrong direction".to_owned());
        }
        if !writable && self.readable < self.segments.len() {
            return Err("a readable descriptor behind a writable one".to_owned());
        }
        if len == 0 {
            return Err("an empty descriptor".to_owned());
        }
        if self.segments.len() >= usize::from(self.limit) {
            return Err(format!("more than the {} descriptors allowed", self.limit));
        }
        let access = if writable {
            Permissions::Write
        } else {
            Permissions::Read
        };
        if !self.memory.check_range(address, len, access) {
            return Err(format!("{len} bytes at {:#x} are not memory", address.0));
        }
        self.segments.push(Segment { address, len });
        self.readable += usize::from(!writable);
        Ok(())
    }

    pub(super) fn finish(self, id: u16, slots: u16) -> Chain {
        Chain {
            id,
            segments: self.segments,
            readable: self.readable,
            slots,
        }
    }
}
