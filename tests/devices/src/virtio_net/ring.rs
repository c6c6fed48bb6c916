//! A queue, seen from the device: its registers, and its ring in the format that was negotiated.
//!
//! Chains are checked before the device follows them, and what a driver does to a ring that no
//! driver may do is either an error, which breaks the device, or a complaint, which is counted.

mod chain;
mod descriptor;
mod packed;
mod split;

pub(super) use chain::{Chain, Segment, Usage, length};

use self::packed::Packed;
use self::split::Split;
use crate::pci::DmaMemory;

/// No vector: the value that switches a vector off (virtio 1.2, 4.1.5.1.2).
pub(super) const NO_VECTOR: u16 = 0xFFFF;

/// What a queue is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueRole {
    /// Frames to the driver: queues 0, 2, 4 and so on.
    Receive,
    /// Frames from the driver: queues 1, 3, 5 and so on.
    Transmit,
    /// Commands: the last queue, behind all pairs.
    Control,
}

/// What the negotiated features mean for a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RingFeatures {
    pub(super) event_idx: bool,
    pub(super) indirect: bool,
    pub(super) packed: bool,
    pub(super) in_order: bool,
}

/// When a queue may interrupt: after so many frames, or so long after the first of them
/// (virtio 1.2, 5.1.6.5, "Notifications Coalescing"). Zeros mean at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Coalescing {
    /// Frames.
    pub max_packets: u32,
    /// Microseconds.
    pub max_usecs: u32,
}

enum Format {
    Split(Split),
    Packed(Packed),
}

/// One queue with its registers.
pub(super) struct Ring {
    role: QueueRole,
    max_size: u16,
    pub(super) size: u16,
    pub(super) vector: u16,
    /// Halves as the driver wrote them: descriptor, driver and device area.
    pub(super) addresses: [u64; 3],
    /// The driver rang since the queue was served.
    pub(super) doorbell: bool,
    /// A reset of the queue is under way.
    pub(super) resetting: bool,
    pub(super) coalescing: Coalescing,
    /// Frames moved since the driver was last interrupted.
    pub(super) frames: u32,
    /// A timer runs that ends the wait for more frames.
    pub(super) timer: bool,
    /// The timer ended.
    pub(super) due: bool,
    format: Option<Format>,
    /// Chains that were taken and given back, the next one last.
    returned: Vec<Chain>,
    /// Chains that are used, but the driver can't see it yet.
    pending: Vec<Usage>,
    in_order: bool,
}

impl Ring {
    pub(super) fn new(role: QueueRole, max_size: u16) -> Self {
        Self {
            role,
            max_size,
            size: max_size,
            vector: NO_VECTOR,
            addresses: [0; 3],
            doorbell: false,
            resetting: false,
            coalescing: Coalescing::default(),
            frames: 0,
            timer: false,
            due: false,
            format: None,
            returned: Vec::new(),
            pending: Vec::new(),
            in_order: false,
        }
    }

    /// As after a reset of the device.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.role, self.max_size);
    }

    pub(super) fn role(&self) -> QueueRole {
        self.role
    }

    /// Whether the driver enabled it.
    pub(super) fn ready(&self) -> bool {
        self.format.is_some()
    }

    /// Sets the number of entries. Split rings have a power of two (virtio 1.2, 2.7).
    pub(super) fn try_set_size(&mut self, size: u64, packed: bool) -> bool {
        let fits = size >= 1 && size <= self.max_size.into();
        if !fits || !packed && !size.is_power_of_two() {
            return false;
        }
        self.size = size as u16;
        true
    }

    /// Takes the ring into use where the driver put it.
    pub(super) fn enable(
        &mut self,
        memory: &DmaMemory,
        features: RingFeatures,
    ) -> Result<(), String> {
        let (size, addresses) = (self.size, self.addresses);
        let format = if features.packed {
            Packed::new(memory, size, addresses, features).map(Format::Packed)?
        } else {
            Split::new(memory, size, addresses, features).map(Format::Split)?
        };
        self.format = Some(format);
        self.in_order = features.in_order;
        Ok(())
    }

    /// Takes the next chain that the driver made available.
    pub(super) fn pop(&mut self, memory: &DmaMemory) -> Result<Option<Chain>, String> {
        if let Some(chain) = self.returned.pop() {
            return Ok(Some(chain));
        }
        match &mut self.format {
            Some(Format::Split(ring)) => ring.pop(memory, self.role),
            Some(Format::Packed(ring)) => ring.pop(memory, self.role),
            None => Ok(None),
        }
    }

    /// Gives back the last chains that were taken and not used, in the order they were taken.
    pub(super) fn unpop(&mut self, chains: Vec<Chain>) {
        self.returned.extend(chains.into_iter().rev());
    }

    /// Uses a chain; the driver sees it after [`flush`](Self::flush) at the latest.
    pub(super) fn push_used(&mut self, memory: &DmaMemory, usage: Usage) -> Result<(), String> {
        // A batch of which only the last is named: the others were used completely.
        let hides = self.pending.last().is_some_and(|last| !last.is_complete());
        if self.in_order && hides {
            self.flush(memory)?;
        }
        self.pending.push(usage);
        if !self.batches() {
            self.flush(memory)?;
        }
        Ok(())
    }

    /// Whether used chains may wait for each other.
    pub(super) fn batches(&self) -> bool {
        self.in_order || matches!(self.format, Some(Format::Packed(_)))
    }

    /// Lets the driver see all that was used.
    pub(super) fn flush(&mut self, memory: &DmaMemory) -> Result<(), String> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.pending);
        match &mut self.format {
            Some(Format::Split(ring)) => ring.push_used(memory, &batch),
            Some(Format::Packed(ring)) => ring.push_used(memory, &batch),
            None => Ok(()),
        }
    }

    /// Writes a used element as it is, however wrong; it takes the place of `slots` descriptors.
    pub(super) fn push_raw(
        &mut self,
        memory: &DmaMemory,
        id: u32,
        len: u32,
        slots: u16,
    ) -> Result<(), String> {
        self.flush(memory)?;
        match &mut self.format {
            Some(Format::Split(ring)) => ring.push(memory, id, len, 1),
            Some(Format::Packed(ring)) => ring.push(memory, id as u16, len, slots),
            None => Ok(()),
        }
    }

    /// Whether the driver would see another used element behind those it waits for. In a packed
    /// ring it looks only where a chain of its own is.
    pub(super) fn shows_surplus(&self) -> bool {
        match &self.format {
            Some(Format::Packed(ring)) => ring.has_taken(),
            _ => true,
        }
    }

    /// Whether the driver wants an interrupt for what it saw used since the last call.
    pub(super) fn wants_interrupt(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        match &mut self.format {
            Some(Format::Split(ring)) => ring.wants_interrupt(memory),
            Some(Format::Packed(ring)) => ring.wants_interrupt(memory),
            None => Ok(false),
        }
    }

    /// Asks for a doorbell at the next chain that is made available; chains that are there and
    /// were left alone do not count. Returns whether any are there.
    pub(super) fn enable_doorbell(&mut self, memory: &DmaMemory) -> Result<bool, String> {
        let more = match &mut self.format {
            Some(Format::Split(ring)) => ring.enable_doorbell(memory)?,
            Some(Format::Packed(ring)) => ring.enable_doorbell(memory, self.role)?,
            None => false,
        };
        Ok(more || !self.returned.is_empty())
    }

    /// Wants no doorbell for now.
    pub(super) fn disable_doorbell(&mut self, memory: &DmaMemory) -> Result<(), String> {
        match &mut self.format {
            Some(Format::Split(ring)) => ring.disable_doorbell(memory),
            Some(Format::Packed(ring)) => ring.disable_doorbell(memory),
            None => Ok(()),
        }
    }

    /// Where the driver will make its next chain available, as NOTIFICATION_DATA states it: the
    /// position in 15 bits and the wrap counter, or the available index.
    pub(super) fn available_word(&mut self, memory: &DmaMemory) -> Result<u16, String> {
        match &mut self.format {
            Some(Format::Split(ring)) => ring.available_index(memory),
            Some(Format::Packed(ring)) => Ok(ring.available_word(memory, self.role)),
            None => Ok(0),
        }
    }

    /// What the driver did since the last call though it must not.
    pub(super) fn take_complaints(&mut self) -> Vec<String> {
        match &mut self.format {
            Some(Format::Split(ring)) => std::mem::take(&mut ring.complaints),
            Some(Format::Packed(ring)) => std::mem::take(&mut ring.complaints),
            None => Vec::new(),
        }
    }
}
