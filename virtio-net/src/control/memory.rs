//! The memory of the commands: the one place of this module that dereferences its pointer.
//!
//! Invariant of [`SlotMemory`]: the region, which it owns, has the bytes that the layout asks for.
//! Accesses are volatile and of one byte: nothing here is frequent.

use core::ptr::NonNull;

use super::ControlError;
use super::command::{ANSWER_LEN, Command, HEADER_LEN, Kind};
use super::layout::ControlLayout;
use crate::dma::{DmaRegion, Segment};

/// What the acknowledgement is before the device writes it; neither `VIRTIO_NET_OK` nor `_ERR`.
const UNANSWERED: u8 = 0xff;

#[derive(Debug)]
pub(super) struct SlotMemory {
    region: DmaRegion,
    layout: ControlLayout,
}

/// The three pieces of a command as the device addresses them.
///
/// One for each part, although a device has to take any division (virtio 1.2, 2.7.4): there are
/// devices that know this one only, and take the acknowledgement for a descriptor of its own.
pub(super) struct Pieces {
    pub(super) header: Segment,
    /// `None`: the command has no data.
    pub(super) data: Option<Segment>,
    /// Answer and acknowledgement, written by the device.
    pub(super) answer: Segment,
}

impl SlotMemory {
    pub(super) fn new(region: DmaRegion, layout: ControlLayout) -> Result<Self, ControlError> {
        if layout.slots() == 0 {
            return Err(ControlError::NoSlots);
        }
        if region.len() < layout.bytes() {
            return Err(ControlError::TooSmall {
                needed: layout.bytes(),
                given: region.len(),
            });
        }
        if region.wraps() {
            return Err(ControlError::BadAddress);
        }
        Ok(Self { region, layout })
    }

    pub(super) const fn layout(&self) -> &ControlLayout {
        &self.layout
    }

    /// Writes `command` into `slot`, which the device does not hold, and presets the answer.
    pub(super) fn write(&mut self, slot: u16, command: &Command<'_>) -> Pieces {
        let layout = self.layout;
        self.write_bytes(slot, layout.header(), &command.header());

        let mut end = layout.data();
        command.encode(|bytes| {
            // The layout has room for every command within the limits; were it not so, the command
            // would be cut and not the slot overrun.
            let room = layout.answer().saturating_sub(end);
            let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
            self.write_bytes(slot, end, bytes);
            end = end.saturating_add(bytes.len());
        });

        self.write_bytes(slot, layout.answer(), &[0; ANSWER_LEN]);
        self.write_bytes(slot, layout.ack(), &[UNANSWERED]);

        let data_len = end.saturating_sub(layout.data());
        let answer_len = command.kind().answer_len();
        Pieces {
            header: self.segment(slot, layout.header(), HEADER_LEN),
            data: (data_len > 0).then(|| self.segment(slot, layout.data(), data_len)),
            answer: self.segment(
                slot,
                layout.ack().saturating_sub(answer_len),
                answer_len.saturating_add(1),
            ),
        }
    }

    /// Reads the acknowledgement in `slot`, which the device has used.
    pub(super) fn read_ack(&self, slot: u16) -> u8 {
        let [ack] = self.read_bytes(slot, self.layout.ack());
        ack
    }

    /// Reads the answer of a command of `kind` in `slot`, which the device has used.
    pub(super) fn read_answer(&self, slot: u16, kind: Kind) -> Option<[u8; ANSWER_LEN]> {
        (kind.answer_len() > 0).then(|| self.read_bytes(slot, self.layout.answer()))
    }

    fn segment(&self, slot: u16, offset: usize, len: usize) -> Segment {
        let address = self
            .region
            .device_address()
            .wrapping_add(self.offset(slot, offset) as u64);
        // SAFETY: the bytes lie in a slot of the region, which the device reaches and this memory
        // owns. The slot is neither read nor written from its lending until the queue gives its
        // loan back (`Slots` says which are free).
        unsafe { Segment::new(address, len as u32) }
    }

    fn write_bytes(&mut self, slot: u16, offset: usize, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            if let Some(at) = self.at(slot, at) {
                // SAFETY: inside the region, as `at` checks; the region is this memory's own.
                unsafe { at.write_volatile(*byte) };
            }
        }
    }

    fn read_bytes<const N: usize>(&self, slot: u16, offset: usize) -> [u8; N] {
        let mut bytes = [UNANSWERED; N];
        for (at, byte) in (offset..).zip(&mut bytes) {
            if let Some(at) = self.at(slot, at) {
                // SAFETY: inside the region, as `at` checks; any bits are a byte.
                *byte = unsafe { at.read_volatile() };
            }
        }
        bytes
    }

    /// The byte at `offset` of `slot`, if there is one.
    fn at(&self, slot: u16, offset: usize) -> Option<NonNull<u8>> {
        if slot >= self.layout.slots() || offset >= self.layout.stride() {
            return None;
        }
        // SAFETY: in a slot, so below `layout.bytes()`, which the region has (module invariant).
        Some(unsafe { self.region.va().byte_add(self.offset(slot, offset)) })
    }

    fn offset(&self, slot: u16, offset: usize) -> usize {
        // Below the region's length for every slot that there is.
        usize::from(slot)
            .wrapping_mul(self.layout.stride())
            .wrapping_add(offset)
    }
}
