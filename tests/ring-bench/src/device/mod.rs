//! The device's half, as small as it can be: a sink for what is sent, a source of what is received.
//!
//! Written from the specification alone, and sharing nothing with a driver but the memory, so that
//! two misunderstandings of one author do not cancel out. The payload of a sent packet is looked at
//! in its first bytes only; a received packet is copied into the buffer, as a device has to.

mod packed;
mod split;

use std::ops::Range;
use std::ptr::NonNull;

pub use packed::Packed;
pub use split::Split;

use crate::memory::HEADER;

/// What the device has seen and done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Packets sent or received.
    pub packets: u64,
    /// Their bytes, without headers.
    pub bytes: u64,
    /// Sum of the first eight bytes of each packet.
    pub sum: u64,
    /// Descriptors that they took.
    pub descriptors: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Payload bytes that were not in a packet's own memory: somebody had to copy them.
    pub copied: u64,
}

/// How a device behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    /// `VIRTIO_F_EVENT_IDX` was negotiated.
    pub event_idx: bool,
    /// The device looks by itself and wants no doorbell; else it sleeps after each batch.
    pub polls: bool,
    /// The memory of the packets, as the device addresses it.
    pub packets: Range<u64>,
}

/// The device's side of one queue.
pub trait Device {
    /// Takes all that was sent; says how many packets.
    fn drain(&mut self) -> u32;

    /// Delivers up to `packets` packets of `bytes` bytes; says how many there were buffers for.
    fn fill(&mut self, packets: u32, bytes: u32) -> u32;

    /// What happened so far.
    fn seen(&self) -> Seen;
}

/// One piece of a chain, as read from a descriptor.
#[derive(Clone, Copy)]
struct Piece {
    address: u64,
    len: u32,
    writable: bool,
}

impl Seen {
    /// What this has more than `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
            sum: self.sum.wrapping_sub(earlier.sum),
            descriptors: self.descriptors - earlier.descriptors,
            interrupts: self.interrupts - earlier.interrupts,
            copied: self.copied - earlier.copied,
        }
    }

    /// Looks at a piece of a packet that was sent; `first`: the one with the header.
    #[inline]
    fn sent(&mut self, piece: Piece, first: bool, manner: &Manner) {
        assert!(!piece.writable, "a buffer to send is writable");
        let header = if first { HEADER as u32 } else { 0 };
        let payload = piece.len.checked_sub(header);
        let payload = payload.expect("the header lies in the first piece");
        self.descriptors += 1;
        self.bytes += u64::from(payload);
        if first && payload >= 8 {
            // SAFETY: the driver lends `piece.len` bytes, which are more than header and eight.
            let head = unsafe {
                pointer(piece.address + HEADER as u64)
                    .cast::<u64>()
                    .read_unaligned()
            };
            self.sum = self.sum.wrapping_add(head);
        }
        if !manner.packets.contains(&piece.address) {
            self.copied += u64::from(payload);
        }
    }

    /// Puts a packet and its header into a buffer; says how many bytes that is.
    #[inline]
    fn receive(&mut self, piece: Piece, bytes: u32, frame: &[u8], manner: &Manner) -> u32 {
        let whole = bytes + HEADER as u32;
        assert!(piece.writable, "a buffer to receive into is not writable");
        assert!(piece.len >= whole, "the buffer is smaller than the packet");
        let number = self.packets;
        let at = pointer(piece.address);
        // A plain header with `num_buffers` 1 (virtio 1.2, 5.1.6.4.1).
        let header: [u8; HEADER] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        // SAFETY: the driver lends `piece.len` bytes for writing, which are enough for the header.
        unsafe { at.cast::<[u8; HEADER]>().write(header) };
        // SAFETY: as above; the payload follows.
        let payload = unsafe { at.byte_add(HEADER) };
        let frame = &frame[..bytes as usize];
        // SAFETY: the buffer has room for header and packet (asserted), and is not `frame`.
        unsafe { payload.copy_from_nonoverlapping(NonNull::from(frame).cast(), frame.len()) };
        // SAFETY: a packet has eight bytes at least.
        unsafe { payload.cast::<u64>().write_unaligned(number) };
        self.packets += 1;
        self.descriptors += 1;
        self.bytes += u64::from(bytes);
        self.sum = self.sum.wrapping_add(number);
        if !manner.packets.contains(&piece.address) {
            self.copied += u64::from(bytes);
        }
        whole
    }
}

/// The memory behind a device address, which is an address of this process.
fn pointer(address: u64) -> NonNull<u8> {
    let at = std::ptr::with_exposed_provenance_mut(address as usize);
    NonNull::new(at).expect("a buffer is not at address 0")
}
