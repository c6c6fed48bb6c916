//! A packed ring (virtio 1.2, 2.8), seen from the device.
//!
//! ```text
//!            write                 read
//!              v                     v
//!   | free ... | taken, not used ... | free, or made available since ... |
//! ```
//!
//! Both cursors go round the ring, each with a wrap counter. What lies between them is known:
//! chains are checked once, when they are seen to be available, and never read again.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{Ordering, fence};

use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use super::chain::{Builder, Chain, Usage};
use super::descriptor::{
    AVAIL, Cursor, DESCRIPTOR, Descriptor, INDIRECT, KNOWN, NEXT, USED, WRITE, read_descriptor,
    read_u16,
};
use super::{QueueRole, RingFeatures};
use crate::pci::DmaMemory;

/// Values of the event suppression flags.
const EVENTS_ON: u16 = 0;
const EVENTS_OFF: u16 = 1;
const EVENTS_AT_DESCRIPTOR: u16 = 2;

/// A packed ring in use.
pub(super) struct Packed {
    ring: u64,
    driver_events: u64,
    device_events: u64,
    size: u16,
    features: RingFeatures,
    /// Where the next available descriptor will appear.
    read: Cursor,
    /// Where the next used descriptor goes.
    write: Cursor,
    /// Descriptors between the two.
    taken: u16,
    /// Buffer IDs of chains that are not used.
    with_device: HashSet<u16>,
    /// Chains that were checked and wait for their turn.
    waiting: VecDeque<Chain>,
    /// What is wrong behind them.
    failure: Option<String>,
    /// Descriptors used since the driver was last asked whether it wants to know.
    used: u32,
    /// What the driver did though it must not, and that the device can live with.
    pub(super) complaints: Vec<String>,
}

impl Packed {
    /// Takes the ring into use where the driver put it.
    pub(super) fn new(
        memory: &DmaMemory,
        size: u16,
        addresses: [u64; 3],
        features: RingFeatures,
    ) -> Result<Self, String> {
        let [ring, driver_events, device_events] = addresses;
        if !ring.is_multiple_of(16)
            || !driver_events.is_multiple_of(4)
            || !device_events.is_multiple_of(4)
        {
            return Err("queue enabled with a bad address: alignment".to_owned());
        }
        let bytes = DESCRIPTOR as usize * usize::from(size);
        let parts = [
            (ring, bytes, Permissions::ReadWrite),
            (driver_events, 4, Permissions::Read),
            (device_events, 4, Permissions::Write),
        ];
        let there = |&(at, len, access): &(u64, usize, Permissions)| {
            memory.check_range(GuestAddress(at), len, access)
        };
        if !parts.iter().all(there) {
            return Err("queue enabled outside memory".to_owned());
        }
        Ok(Self {
            ring,
            driver_events,
            device_events,
            size,
            features,
            read: Cursor::START,
            write: Cursor::START,
            taken: 0,
            with_device: HashSet::new(),
            waiting: VecDeque::new(),
            failure: None,
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
        self.look(memory, role);
        match (self.waiting.pop_front(), &self.failure) {
            (Some(chain), _) => Ok(Some(chain)),
            (None, Some(failure)) => Err(failure.clone()),
            (None, None) => Ok(None),
        }
    }

    /// Takes note of all that is available, up to the first thing that is wrong.
    fn look(&mut self, memory: &DmaMemory, role: QueueRole) {
        while self.failure.is_none() {
            let at = self.read.at;
            match self.next_chain(memory, role) {
                Ok(Some(chain)) => self.waiting.push_back(chain),
                Ok(None) => return,
                Err(what) => {
                    self.failure = Some(format!("{role:?}: chain at {at}: {what}"));
                }
            }
        }
    }

    fn next_chain(&mut self, memory: &DmaMemory, role: QueueRole) -> Result<Option<Chain>, String> {
        let mut descriptor = self.descriptor(memory, self.read.at)?;
        if !descriptor.is_available(self.read.wrap) {
            return Ok(None);
        }
        let room = self.size.saturating_sub(self.taken);
        let mut builder = Builder::new(memory, role, self.size);
        let mut slots = 0;
        if room == 0 {
            return Err("it lies where chains are that were not used".to_owned());
        }
        loop {
            slots += 1;
            self.add(memory, &descriptor, slots, &mut builder)?;
            if descriptor.flags & NEXT == 0 {
                break;
            }
            if slots >= room {
                return Err(format!("it takes more than the {room} descriptors left"));
            }
            let cursor = self.read.plus(slots, self.size);
            descriptor = self.descriptor(memory, cursor.at)?;
            if !descriptor.is_available(cursor.wrap) {
                return Err("it goes on with a descriptor that is not available".to_owned());
            }
        }

        // The last descriptor has the ID of all (virtio 1.2, 2.8.6).
        let id = descriptor.id;
        if !self.with_device.insert(id) {
            return Err(format!("buffer ID {id} is with the device already"));
        }
        self.read = self.read.plus(slots, self.size);
        self.taken += slots;
        Ok(Some(builder.finish(id, slots)))
    }

    /// Adds what a descriptor of the ring means; it is the `number`th of its chain.
    fn add(
        &mut self,
        memory: &DmaMemory,
        descriptor: &Descriptor,
        number: u16,
        builder: &mut Builder<'_>,
    ) -> Result<(), String> {
        let flags = descriptor.flags;
        if flags & !KNOWN != 0 {
            return Err(format!("flags {flags:#06x}"));
        }
        if flags & INDIRECT == 0 {
            let writable = flags & WRITE != 0;
            return builder.add(descriptor.address, descriptor.len, writable);
        }
        if !self.features.indirect {
            return Err("it is indirect, which was not negotiated".to_owned());
        }
        if flags & NEXT != 0 || number > 1 {
            return Err("it mixes direct and indirect descriptors".to_owned());
        }
        self.add_table(memory, descriptor, builder)
    }

    /// Adds an indirect table: all its descriptors, in their order (virtio 1.2, 2.8.7).
    fn add_table(
        &mut self,
        memory: &DmaMemory,
        descriptor: &Descriptor,
        builder: &mut Builder<'_>,
    ) -> Result<(), String> {
        let len = u64::from(descriptor.len);
        if len == 0 || len % DESCRIPTOR != 0 {
            return Err(format!("its indirect table has {len} bytes"));
        }
        if len / DESCRIPTOR > self.size.into() {
            return Err("its indirect table is longer than the queue".to_owned());
        }
        if !memory.check_range(descriptor.address, len as usize, Permissions::Read) {
            return Err("its indirect table is not memory".to_owned());
        }
        for index in 0..len / DESCRIPTOR {
            let entry = read_descriptor(memory, descriptor.address.0 + index * DESCRIPTOR)?;
            if entry.flags & !WRITE != 0 {
                // Reserved and ignored by devices, but not the driver's to set.
                let flags = entry.flags;
                self.complaints
                    .push(format!("flags {flags:#06x} in an indirect table"));
            }
            builder.add(entry.address, entry.len, entry.flags & WRITE != 0)?;
        }
        Ok(())
    }

    fn descriptor(&self, memory: &DmaMemory, at: u16) -> Result<Descriptor, String> {
        read_descriptor(memory, self.slot(at))
    }

    fn slot(&self, at: u16) -> u64 {
        self.ring + DESCRIPTOR * u64::from(at)
    }

    /// Hands chains back in this order. The driver sees all of them or none, since the flags of
    /// the first are written last (virtio 1.2, 2.8.9).
    pub(super) fn push_used(&mut self, memory: &DmaMemory, batch: &[Usage]) -> Result<(), String> {
        for usage in batch {
            self.with_device.remove(&usage.chain.id);
        }
        if self.features.in_order {
            // One descriptor for all (virtio 1.2, 2.8.8).
            let Some(last) = batch.last() else {
                return Ok(());
            };
            let slots = batch.iter().map(|usage| usage.chain.slots).sum();
            return self.push(memory, last.chain.id, last.len, slots);
        }
        let mut cursors = Vec::with_capacity(batch.len());
        let mut cursor = self.write;
        for usage in batch {
            self.write_body(memory, cursor, usage.chain.id, usage.len)?;
            cursors.push(cursor);
            cursor = cursor.plus(usage.chain.slots, self.size);
        }
        for (usage, cursor) in batch.iter().zip(cursors).rev() {
            self.write_flags(memory, cursor, usage.len)?;
        }
        self.advance(batch.iter().map(|usage| usage.chain.slots).sum());
        Ok(())
    }

    /// Writes a used descriptor as it is, however wrong, and moves on by `slots`.
    pub(super) fn push(
        &mut self,
        memory: &DmaMemory,
        id: u16,
        len: u32,
        slots: u16,
    ) -> Result<(), String> {
        self.write_body(memory, self.write, id, len)?;
        self.write_flags(memory, self.write, len)?;
        self.advance(slots);
        Ok(())
    }

    /// Whether other chains are with the device, so that the driver will look at one more used
    /// descriptor.
    pub(super) fn has_taken(&self) -> bool {
        self.taken > 0
    }

    fn advance(&mut self, slots: u16) {
        self.write = self.write.plus(slots, self.size);
        self.taken = self.taken.saturating_sub(slots);
        self.used += u32::from(slots);
    }

    fn write_body(
        &self,
        memory: &DmaMemory,
        cursor: Cursor,
        id: u16,
        len: u32,
    ) -> Result<(), String> {
        let mut body = [0; 6];
        body[..4].copy_from_slice(&len.to_le_bytes());
        body[4..].copy_from_slice(&id.to_le_bytes());
        memory
            .write_slice(&body, GuestAddress(self.slot(cursor.at) + 8))
            .map_err(|error| format!("used descriptor: {error}"))
    }

    fn write_flags(&self, memory: &DmaMemory, cursor: Cursor, len: u32) -> Result<(), String> {
        let used = if cursor.wrap { AVAIL | USED } else { 0 };
        let written = if len > 0 { WRITE } else { 0 };
        let flags = used | written;
        let at = GuestAddress(self.slot(cursor.at) + 14);
        memory
            .store(flags.to_le(), at, Ordering::Release)
            .map_err(|error| format!("used descriptor: {error}"))
    }

    /// Whether the driver wants an interrupt for what was used since the last call.
    pub(super) fn wants_interrupt(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        let used = std::mem::take(&mut self.used);
        if used == 0 {
            return Ok(false);
        }
        fence(Ordering::SeqCst);
        let at = self.driver_events;
        let flags = read_u16(memory, at + 2)?;
        match flags {
            EVENTS_ON => Ok(true),
            EVENTS_OFF => Ok(false),
            EVENTS_AT_DESCRIPTOR if self.features.event_idx => {
                let event = Cursor::from_word(read_u16(memory, at)?);
                self.passed(event, used)
            }
            _ => Err(format!("driver event suppression: flags {flags:#06x}")),
        }
    }

    /// Whether `event` is among the last `used` descriptors (virtio 1.2, 2.8.10).
    fn passed(&self, event: Cursor, used: u32) -> Result<bool, String> {
        if event.at >= self.size {
            let (at, size) = (event.at, self.size);
            return Err(format!(
                "driver event suppression: descriptor {at} of {size}"
            ));
        }
        let round_trip = 2 * u32::from(self.size);
        let back = round_trip + self.write.linear(self.size) - event.linear(self.size);
        // At the cursor itself is a whole round trip ago.
        let back = (back + round_trip - 1) % round_trip + 1;
        Ok(back <= used)
    }

    /// Asks for a doorbell at the next chain that is made available; chains that are there and
    /// were left alone do not count. Returns whether any are there.
    pub(super) fn enable_doorbell(
        &mut self,
        memory: &DmaMemory,
        role: QueueRole,
    ) -> Result<bool, String> {
        self.look(memory, role);
        if self.features.event_idx {
            self.write_event(memory, 0, self.read.to_word())?;
            self.write_event(memory, 2, EVENTS_AT_DESCRIPTOR)?;
        } else {
            self.write_event(memory, 2, EVENTS_ON)?;
        }
        fence(Ordering::SeqCst);
        self.look(memory, role);
        Ok(!self.waiting.is_empty() || self.failure.is_some())
    }

    /// Wants no doorbell for now.
    pub(super) fn disable_doorbell(&mut self, memory: &DmaMemory) -> Result<(), String> {
        self.write_event(memory, 2, EVENTS_OFF)
    }

    fn write_event(&self, memory: &DmaMemory, offset: u64, value: u16) -> Result<(), String> {
        let at = GuestAddress(self.device_events + offset);
        memory
            .store(value.to_le(), at, Ordering::Release)
            .map_err(|error| format!("device event suppression: {error}"))
    }

    /// Offset and wrap counter of the first descriptor that is not available.
    pub(super) fn available_word(&mut self, memory: &DmaMemory, role: QueueRole) -> u16 {
        self.look(memory, role);
        self.read.to_word()
    }
}
