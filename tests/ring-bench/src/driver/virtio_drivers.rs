//! The raw network driver of the crate `virtio-drivers`, over a transport that is plain numbers.
//!
//! It is used as its documentation says: begin, poll, complete. It has no batches, so each packet is
//! published by itself. Mergeable buffers and packed queues it does not know.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Error, Hal, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Bell, Driver};
use crate::case::QUEUE;
use crate::layout::Areas;
use crate::memory::{BUFFER, HEADER, Packet, Packets};

const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;

/// Memory as it is: the device's addresses are ours.
#[derive(Debug)]
pub struct Identity;

fn pages(count: usize) -> Layout {
    Layout::from_size_align(count * PAGE_SIZE, PAGE_SIZE).expect("a queue of few pages")
}

// SAFETY: pages are fresh, zeroed and aligned; nothing is mapped elsewhere.
unsafe impl Hal for Identity {
    fn dma_alloc(count: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: a queue has pages.
        let at = unsafe { alloc_zeroed(pages(count)) };
        let at = NonNull::new(at).expect("memory for a queue");
        (at.expose_provenance().get() as PhysAddr, at)
    }

    unsafe fn dma_dealloc(_: PhysAddr, at: NonNull<u8>, count: usize) -> i32 {
        // SAFETY: allocated above, with the same count, by contract.
        unsafe { dealloc(at.as_ptr(), pages(count)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("the transport has no registers")
    }

    #[inline]
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().expose_provenance().get() as PhysAddr
    }

    #[inline]
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// A device that says yes, and remembers where the two queues are.
#[derive(Debug)]
pub struct Numbers {
    event_idx: bool,
    bell: Bell,
    queues: Rc<[Cell<Areas>; 2]>,
}

impl Transport for Numbers {
    fn device_type(&self) -> DeviceType {
        DeviceType::Network
    }

    fn read_device_features(&mut self) -> u64 {
        VERSION_1 | if self.event_idx { EVENT_IDX } else { 0 }
    }

    fn write_driver_features(&mut self, _: u64) {}

    fn max_queue_size(&mut self, _: u16) -> u32 {
        QUEUE as u32
    }

    #[inline]
    fn notify(&mut self, _: u16) {
        self.bell.ring();
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::empty()
    }

    fn set_status(&mut self, _: DeviceStatus) {}

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(&mut self, queue: u16, _: u32, table: PhysAddr, avail: PhysAddr, used: PhysAddr) {
        let areas = Areas {
            descriptors: table,
            driver: avail,
            device: used,
        };
        self.queues[usize::from(queue)].set(areas);
    }

    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, _: u16) -> bool {
        false
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> Result<T, Error> {
        Ok(T::new_zeroed())
    }

    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// The driver with its packets.
pub struct Raw {
    net: VirtIONetRaw<Identity, Numbers, QUEUE>,
    queues: Rc<[Cell<Areas>; 2]>,
    packets: Packets,
    /// The packet that was begun under each token.
    lent: Vec<Packet>,
}

impl Raw {
    fn new(packets: Packets, event_idx: bool, bell: Bell) -> Self {
        let queues = Rc::<[Cell<Areas>; 2]>::default();
        let transport = Numbers {
            event_idx,
            bell,
            queues: Rc::clone(&queues),
        };
        let mut net = VirtIONetRaw::new(transport).expect("a device that says yes");
        net.disable_interrupts();
        let lent = packets.all().to_vec();
        Self {
            net,
            queues,
            packets,
            lent,
        }
    }

    /// Where its queue of that number is: 0 to receive, 1 to send.
    fn areas(&self, queue: usize) -> Areas {
        self.queues[queue].get()
    }

    #[inline]
    fn lent(&self, token: u16) -> Option<Packet> {
        self.lent.get(usize::from(token)).copied()
    }

    #[inline]
    fn remember(&mut self, token: u16, packet: Packet) {
        if let Some(lent) = self.lent.get_mut(usize::from(token)) {
            *lent = packet;
        }
    }
}

/// Sends.
pub struct Sender {
    raw: Raw,
    len: usize,
    next: usize,
}

impl Sender {
    /// Sends `bytes` bytes of each of `packets` in turn.
    #[must_use]
    pub fn new(packets: Packets, bytes: u32, event_idx: bool, bell: Bell) -> Self {
        Self {
            raw: Raw::new(packets, event_idx, bell),
            len: bytes as usize + HEADER,
            next: 0,
        }
    }

    /// Where the queue is.
    #[must_use]
    pub fn areas(&self) -> Areas {
        self.raw.areas(1)
    }
}

impl Driver for Sender {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let raw = &mut self.raw;
        while let Some(token) = raw.net.poll_transmit()
            && let Some(packet) = raw.lent(token)
        {
            // SAFETY: the packet is `len` bytes at least.
            let bytes = unsafe { bytes(packet, self.len) };
            // SAFETY: the same bytes as were begun under this token.
            if unsafe { raw.net.transmit_complete(token, bytes) }.is_err() {
                break;
            }
        }
        let mut sent = 0;
        while sent < batch
            && let Some(&packet) = raw.packets.all().get(self.next)
        {
            // SAFETY: the packet is `len` bytes at least.
            let bytes = unsafe { bytes(packet, self.len) };
            // SAFETY: nobody touches them until they are completed.
            let Ok(token) = (unsafe { raw.net.transmit_begin(bytes) }) else {
                break;
            };
            raw.remember(token, packet);
            self.next = (self.next + 1) % QUEUE;
            sent += 1;
        }
        sent
    }
}

/// Receives.
pub struct Receiver {
    raw: Raw,
}

impl Receiver {
    /// Lends all of `packets` to the device.
    ///
    /// # Panics
    ///
    /// The driver does not take them.
    #[must_use]
    pub fn new(packets: Packets, event_idx: bool, bell: Bell) -> Self {
        let mut raw = Raw::new(packets, event_idx, bell);
        for at in 0..QUEUE {
            let packet = raw.packets.all()[at];
            // SAFETY: the buffer has that many bytes.
            let bytes = unsafe { bytes(packet, BUFFER) };
            // SAFETY: nobody touches them until they are completed.
            let token = unsafe { raw.net.receive_begin(bytes) };
            raw.remember(token.expect("an empty queue takes a buffer"), packet);
        }
        Self { raw }
    }

    /// Where the queue is.
    #[must_use]
    pub fn areas(&self) -> Areas {
        self.raw.areas(0)
    }
}

impl Driver for Receiver {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let raw = &mut self.raw;
        let mut received = 0;
        while received < batch
            && let Some(token) = raw.net.poll_receive()
            && let Some(packet) = raw.lent(token)
        {
            // SAFETY: the buffer has that many bytes.
            let bytes = unsafe { bytes(packet, BUFFER) };
            // SAFETY: the same bytes as were begun under this token.
            let Ok(lens) = (unsafe { raw.net.receive_complete(token, bytes) }) else {
                break;
            };
            std::hint::black_box(lens);
            // SAFETY: nobody touches them until they are completed.
            let Ok(token) = (unsafe { raw.net.receive_begin(bytes) }) else {
                break;
            };
            raw.remember(token, packet);
            received += 1;
        }
        received
    }
}

/// The bytes of a packet.
///
/// # Safety
///
/// `packet` has `len` bytes, which live, and nobody else holds a reference to them, as long as the
/// result is used.
#[inline]
unsafe fn bytes<'a>(packet: Packet, len: usize) -> &'a mut [u8] {
    // SAFETY: by contract.
    unsafe { NonNull::slice_from_raw_parts(packet.0, len).as_mut() }
}
