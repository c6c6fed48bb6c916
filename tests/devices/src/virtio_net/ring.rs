//! A split ring, seen from the device: `virtio-queue` for the ring itself, and the checks that a
//! device owes to itself before it follows a driver's chain.

use std::sync::atomic::Ordering;

use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use crate::pci::DmaMemory;

/// No vector: the value that switches a vector off (virtio 1.2, 4.1.5.1.2).
pub(super) const NO_VECTOR: u16 = 0xFFFF;

const AVAIL_F_NO_INTERRUPT: u16 = 1;

/// The queues of a device with one pair and no control queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueRole {
    /// Queue 0.
    Receive,
    /// Queue 1.
    Transmit,
}

impl QueueRole {
    /// The role of a queue, by its index.
    pub(super) fn from_index(index: u64) -> Option<Self> {
        match index {
            0 => Some(Self::Receive),
            1 => Some(Self::Transmit),
            _ => None,
        }
    }
}

/// A piece of guest memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) address: GuestAddress,
    pub(super) len: usize,
}

/// A chain that passed the checks: memory that exists, all of one direction.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) head: u16,
    pub(super) segments: Vec<Segment>,
}

impl Chain {
    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

/// One queue with its registers.
pub(super) struct Ring {
    pub(super) queue: Queue,
    pub(super) vector: u16,
    /// Halves as the driver wrote them: descriptor table, driver area, device area.
    pub(super) addresses: [u64; 3],
    /// The driver rang since the queue was served.
    pub(super) doorbell: bool,
    indirect: bool,
    /// Chains used since the driver was last asked whether it wants to know.
    used: u32,
}

impl Ring {
    /// # Panics
    ///
    /// If `max_size` is not a power of two of at most 32768.
    pub(super) fn new(max_size: u16) -> Self {
        Self {
            queue: Queue::new(max_size).expect("a power of two"),
            vector: NO_VECTOR,
            addresses: [0; 3],
            doorbell: false,
            indirect: false,
            used: 0,
        }
    }

    /// Takes the ring into use where the driver put it.
    pub(super) fn enable(
        &mut self,
        memory: &DmaMemory,
        event_idx: bool,
        indirect: bool,
    ) -> Result<(), String> {
        let [table, driver, device] = self.addresses.map(GuestAddress);
        let placed = self
            .queue
            .try_set_desc_table_address(table)
            .and_then(|()| self.queue.try_set_avail_ring_address(driver))
            .and_then(|()| self.queue.try_set_used_ring_address(device));
        placed.map_err(|error| format!("queue enabled with a bad address: {error}"))?;

        self.queue.set_event_idx(event_idx);
        self.indirect = indirect;
        self.queue.set_ready(true);
        if !self.queue.is_valid(memory) {
            return Err("queue enabled outside memory".to_owned());
        }
        Ok(())
    }

    /// Takes the next chain that the driver made available.
    pub(super) fn pop(
        &mut self,
        memory: &DmaMemory,
        role: QueueRole,
    ) -> Result<Option<Chain>, String> {
        let mut available = self
            .queue
            .iter(memory)
            .map_err(|error| format!("{role:?}: available index: {error}"))?;
        let Some(chain) = available.next() else {
            return Ok(None);
        };

        let head = chain.head_index();
        self.check_head(memory, head)
            .map_err(|what| format!("{role:?}: {what}"))?;
        let segments = collect(memory, chain, role == QueueRole::Receive)
            .map_err(|what| format!("{role:?}: chain {head}: {what}"))?;
        Ok(Some(Chain { head, segments }))
    }

    /// Gives back the last `count` chains that were taken and not used.
    pub(super) fn unpop(&mut self, count: usize) {
        for _ in 0..count {
            self.queue.go_to_previous_position();
        }
    }

    /// Hands a chain back with `len` bytes written.
    pub(super) fn push_used(
        &mut self,
        memory: &DmaMemory,
        head: u16,
        len: u32,
    ) -> Result<(), String> {
        self.used += 1;
        let added = self.queue.add_used(memory, head, len);
        added.map_err(|error| format!("used ring: {error}"))
    }

    /// Writes a used element as it is, however wrong.
    pub(super) fn push_used_raw(
        &mut self,
        memory: &DmaMemory,
        id: u32,
        len: u32,
    ) -> Result<(), String> {
        let next = self.queue.next_used();
        let base = self.queue.used_ring();
        let slot = base + 4 + 8 * u64::from(next % self.queue.size());
        let mut element = [0; 8];
        element[..4].copy_from_slice(&id.to_le_bytes());
        element[4..].copy_from_slice(&len.to_le_bytes());
        let index = next.wrapping_add(1);

        memory
            .write_slice(&element, GuestAddress(slot))
            .and_then(|()| memory.write_slice(&index.to_le_bytes(), GuestAddress(base + 2)))
            .map_err(|error| format!("used ring: {error}"))?;
        self.queue.set_next_used(index);
        self.used += 1;
        Ok(())
    }

    /// Whether the driver wants an interrupt for what was used since the last call.
    pub(super) fn wants_interrupt(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        if std::mem::take(&mut self.used) == 0 {
            return Ok(false);
        }
        if self.queue.event_idx_enabled() {
            let wanted = self.queue.needs_notification(memory);
            return wanted.map_err(|error| format!("used event: {error}"));
        }
        // `virtio-queue` knows suppression by position only.
        let flags: u16 = memory
            .read_obj(GuestAddress(self.queue.avail_ring()))
            .map_err(|error| format!("available flags: {error}"))?;
        Ok(u16::from_le(flags) & AVAIL_F_NO_INTERRUPT == 0)
    }

    /// Asks for a doorbell at the next chain that is made available; chains that are there and
    /// were left alone do not count. Returns whether any are there.
    pub(super) fn enable_doorbell(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        let next = self.queue.next_avail();
        let available = self.queue.avail_idx(memory, Ordering::Acquire);
        let available = available
            .map_err(|error| format!("available index: {error}"))?
            .0;

        // `virtio-queue` asks for a doorbell at its own position. That would be in the past if
        // chains were left, and the doorbell for the next one would not come.
        self.queue.set_next_avail(available);
        let more = self.queue.enable_notification(memory);
        self.queue.set_next_avail(next);

        let more = more.map_err(|error| format!("used ring: {error}"))?;
        Ok(more || available != next)
    }

    /// Wants no doorbell for now.
    pub(super) fn disable_doorbell(&mut self, memory: &DmaMemory) -> Result<(), String> {
        let done = self.queue.disable_notification(memory);
        done.map_err(|error| format!("used ring: {error}"))
    }

    fn check_head(&self, memory: &DmaMemory, head: u16) -> Result<(), String> {
        if head >= self.queue.size() {
            return Err(format!("head {head} in a ring of {}", self.queue.size()));
        }
        let at = self.queue.desc_table() + 16 * u64::from(head);
        let raw: RawDescriptor = memory
            .read_obj(GuestAddress(at))
            .map_err(|error| format!("descriptor {head}: {error}"))?;
        let descriptor = Descriptor::from(raw);
        if !descriptor.refers_to_indirect_table() {
            return Ok(());
        }
        if !self.indirect {
            return Err(format!("head {head} is indirect, which was not negotiated"));
        }
        if descriptor.has_next() {
            return Err(format!("head {head} is indirect and has a next"));
        }
        Ok(())
    }
}

/// Follows a chain to its end and checks every descriptor (virtio 1.2, 2.7.4 and 2.7.5).
fn collect<'m>(
    memory: &'m DmaMemory,
    chain: impl Iterator<Item = Descriptor> + 'm,
    writable: bool,
) -> Result<Vec<Segment>, String> {
    let access = if writable {
        Permissions::Write
    } else {
        Permissions::Read
    };
    let mut segments = Vec::new();
    let mut ends = false;
    for descriptor in chain {
        let (address, len) = (descriptor.addr(), descriptor.len() as usize);
        if descriptor.is_write_only() != writable {
            return Err("a descriptor of the wrong direction".to_owned());
        }
        if len == 0 {
            return Err("an empty descriptor".to_owned());
        }
        if !memory.check_range(address, len, access) {
            return Err(format!("{len} bytes at {:#x} are not memory", address.0));
        }
        segments.push(Segment { address, len });
        ends = !descriptor.has_next();
    }
    if !ends {
        return Err("it loops, leaves its table, or its table is malformed".to_owned());
    }
    Ok(segments)
}
