//! A split ring (virtio 1.2, 2.7): `virtio-queue` for the ring itself, and the checks around it.

use std::sync::atomic::{Ordering, fence};

use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::chain::{Builder, Chain, Usage};
use super::{QueueRole, RingFeatures};
use crate::pci::DmaMemory;

const AVAIL_F_NO_INTERRUPT: u16 = 1;

/// A split ring in use.
pub(super) struct Split {
    queue: Queue,
    features: RingFeatures,
    /// Chains, by head, that the driver made available and that are not used.
    with_device: Vec<bool>,
    /// The available index up to which heads were noted in `with_device`.
    noted: u16,
    /// With IN_ORDER, the head that comes next.
    expected: u16,
    /// Chains used since the driver was last asked whether it wants to know.
    used: u32,
    /// What the driver did though it must not, and that the device can live with.
    pub(super) complaints: Vec<String>,
}

impl Split {
    /// Takes the ring into use where the driver put it.
    pub(super) fn new(
        memory: &DmaMemory,
        size: u16,
        addresses: [u64; 3],
        features: RingFeatures,
    ) -> Result<Self, String> {
        let [table, driver, device] = addresses.map(GuestAddress);
        let mut queue = Queue::new(size).map_err(|error| format!("{size} entries: {error}"))?;
        let placed = queue
            .try_set_desc_table_address(table)
            .and_then(|()| queue.try_set_avail_ring_address(driver))
            .and_then(|()| queue.try_set_used_ring_address(device));
        placed.map_err(|error| format!("queue enabled with a bad address: {error}"))?;

        queue.set_event_idx(features.event_idx);
        queue.set_ready(true);
        if !queue.is_valid(memory) {
            return Err("queue enabled outside memory".to_owned());
        }
        Ok(Self {
            with_device: vec![false; usize::from(size)],
            queue,
            features,
            noted: 0,
            expected: 0,
            used: 0,
            complaints: Vec::new(),
        })
    }

    /// Takes the next chain that the driver made available.
    pub(super) fn pop(
        &mut self,
        memory: &DmaMemory,
        role: QueueRole,
    ) -> Result<Option<Chain>, String> {
        self.note_heads(memory)
            .map_err(|what| format!("{role:?}: {what}"))?;
        let size = self.queue.size();
        let mut available = self
            .queue
            .iter(memory)
            .map_err(|error| format!("{role:?}: available index: {error}"))?;
        let Some(chain) = available.next() else {
            return Ok(None);
        };

        let head = chain.head_index();
        let is_indirect = self
            .check_head(memory, head)
            .map_err(|what| format!("{role:?}: {what}"))?;
        let mut chain = collect(memory, chain, head, role, size)
            .map_err(|what| format!("{role:?}: chain {head}: {what}"))?;
        if is_indirect {
            chain.slots = 1;
        }
        if self.features.in_order {
            self.check_order(&chain);
        }
        Ok(Some(chain))
    }

    /// Notes which chains became available: none may be with the device twice.
    fn note_heads(&mut self, memory: &DmaMemory) -> Result<(), String> {
        let available = self.available_index(memory)?;
        let size = self.queue.size();
        let ahead = available.wrapping_sub(self.queue.next_avail());
        if ahead > size {
            return Err(format!("available index {ahead} ahead in a ring of {size}"));
        }
        while self.noted != available {
            let slot = self.queue.avail_ring() + 4 + 2 * u64::from(self.noted % size);
            let head: u16 = memory
                .read_obj(GuestAddress(slot))
                .map_err(|error| format!("available ring: {error}"))?;
            let head = u16::from_le(head);
            // A head beyond the ring is found when its turn comes.
            if let Some(there) = self.with_device.get_mut(usize::from(head))
                && std::mem::replace(there, true)
            {
                return Err(format!("head {head} is with the device already"));
            }
            self.noted = self.noted.wrapping_add(1);
        }
        Ok(())
    }

    /// With IN_ORDER, descriptors are taken in the order of the table (virtio 1.2, 2.7.5).
    fn check_order(&mut self, chain: &Chain) {
        let (head, expected) = (chain.id, self.expected);
        if head != expected {
            self.complaints
                .push(format!("head {head}, where {expected} is next in order"));
        }
        self.expected = head.wrapping_add(chain.slots) % self.queue.size();
    }

    /// Hands chains back in this order.
    pub(super) fn push_used(&mut self, memory: &DmaMemory, batch: &[Usage]) -> Result<(), String> {
        for usage in batch {
            if let Some(there) = self.with_device.get_mut(usize::from(usage.chain.id)) {
                *there = false;
            }
        }
        if self.features.in_order {
            // One element for all, where that of the first would be (virtio 1.2, 2.7.9).
            let Some(last) = batch.last() else {
                return Ok(());
            };
            let id = last.chain.id.into();
            return self.push(memory, id, last.len, batch.len() as u16);
        }
        for usage in batch {
            self.push(memory, usage.chain.id.into(), usage.len, 1)?;
        }
        Ok(())
    }

    /// Writes a used element as it is, however wrong, and moves the used index.
    pub(super) fn push(
        &mut self,
        memory: &DmaMemory,
        id: u32,
        len: u32,
        chains: u16,
    ) -> Result<(), String> {
        let next = self.queue.next_used();
        let base = self.queue.used_ring();
        let slot = base + 4 + 8 * u64::from(next % self.queue.size());
        let mut element = [0; 8];
        element[..4].copy_from_slice(&id.to_le_bytes());
        element[4..].copy_from_slice(&len.to_le_bytes());
        let index = next.wrapping_add(chains);

        memory
            .write_slice(&element, GuestAddress(slot))
            .and_then(|()| memory.store(index.to_le(), GuestAddress(base + 2), Ordering::Release))
            .map_err(|error| format!("used ring: {error}"))?;
        self.queue.set_next_used(index);
        self.used += u32::from(chains);
        Ok(())
    }

    /// Whether the driver wants an interrupt for what was used since the last call.
    pub(super) fn wants_interrupt(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        let used = std::mem::take(&mut self.used);
        if used == 0 {
            return Ok(false);
        }
        fence(Ordering::SeqCst);
        let driver = self.queue.avail_ring();
        if !self.features.event_idx {
            let flags =
                read_u16(memory, driver).map_err(|error| format!("available flags: {error}"))?;
            return Ok(flags & AVAIL_F_NO_INTERRUPT == 0);
        }
        let event = read_u16(memory, driver + 4 + 2 * u64::from(self.queue.size()))
            .map_err(|error| format!("used event: {error}"))?;
        // Virtio 1.2, 2.7.7.2: once the index has passed the event.
        let since = self.queue.next_used().wrapping_sub(event).wrapping_sub(1);
        Ok(u32::from(since) < used)
    }

    /// Asks for a doorbell at the next chain that is made available; chains that are there and
    /// were left alone do not count. Returns whether any are there.
    pub(super) fn enable_doorbell(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        let next = self.queue.next_avail();
        let available = self.available_index(memory)?;

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

    /// The driver's available index.
    pub(super) fn available_index(&self, memory: &DmaMemory) -> Result<u16, String> {
        let index = self.queue.avail_idx(memory, Ordering::Acquire);
        let index = index.map_err(|error| format!("available index: {error}"))?;
        Ok(index.0)
    }

    /// Returns whether the chain lies in an indirect table.
    fn check_head(&self, memory: &DmaMemory, head: u16) -> Result<bool, String> {
        if head >= self.queue.size() {
            return Err(format!("head {head} in a ring of {}", self.queue.size()));
        }
        let at = self.queue.desc_table() + 16 * u64::from(head);
        let raw: RawDescriptor = memory
            .read_obj(GuestAddress(at))
            .map_err(|error| format!("descriptor {head}: {error}"))?;
        let descriptor = Descriptor::from(raw);
        if !descriptor.refers_to_indirect_table() {
            return Ok(false);
        }
        if !self.features.indirect {
            return Err(format!("head {head} is indirect, which was not negotiated"));
        }
        if descriptor.has_next() {
            return Err(format!("head {head} is indirect and has a next"));
        }
        Ok(true)
    }
}

/// Follows a chain to its end and checks every descriptor (virtio 1.2, 2.7.4 and 2.7.5).
fn collect<'m>(
    memory: &'m DmaMemory,
    chain: impl Iterator<Item = Descriptor> + 'm,
    head: u16,
    role: QueueRole,
    size: u16,
) -> Result<Chain, String> {
    let mut builder = Builder::new(memory, role, size);
    let (mut ends, mut count) = (false, 0);
    for descriptor in chain {
        builder.add(
            descriptor.addr(),
            descriptor.len(),
            descriptor.is_write_only(),
        )?;
        count += 1;
        ends = !descriptor.has_next();
    }
    if !ends {
        return Err("it loops, leaves its table, or its table is malformed".to_owned());
    }
    Ok(builder.finish(head, count))
}

fn read_u16(memory: &DmaMemory, at: u64) -> Result<u16, vm_memory::GuestMemoryError> {
    memory
        .load(GuestAddress(at), Ordering::Acquire)
        .map(u16::from_le)
}
