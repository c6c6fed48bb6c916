//! Our queue of either format, used as a network driver uses it, without what belongs to an operating
//! system.
//!
//! Interrupts are off: the driver polls, as it does under load and as DPDK always does.

use virtio_net::dma::Segment;
use virtio_net::features::Features;
use virtio_net::header::{HEADER_LEN, NetHeader};
use virtio_net::queue::Virtqueue;

use super::{Bell, Driver};
use crate::case::QUEUE;
use crate::memory::{BUFFER, Packet, Packets};

/// Buffers that a received packet may span.
const MAX_BUFFERS: u16 = 64;

/// Sends.
#[derive(Debug)]
pub struct Sender<Q> {
    queue: Q,
    packets: Packets,
    bell: Bell,
    /// Bytes of header and packet.
    len: u32,
    /// The packet to send next.
    next: usize,
}

impl<Q: Virtqueue<Packet>> Sender<Q> {
    /// Sends `bytes` bytes of each of `packets` in turn.
    pub fn new(mut queue: Q, packets: Packets, bytes: u32, bell: Bell) -> Self {
        queue.disable_interrupts();
        Self {
            queue,
            packets,
            bell,
            len: bytes + HEADER_LEN as u32,
            next: 0,
        }
    }
}

impl<Q: Virtqueue<Packet>> Driver for Sender<Q> {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let taken = self.queue.reap(usize::MAX, |packet, _| {
            std::hint::black_box(packet);
        });
        if taken.is_err() {
            return 0;
        }
        // A batch divides the number of packets, so that the window never wraps.
        let window = self.next..self.next + batch as usize;
        let mut sent = 0;
        for packet in self.packets.all().get(window).unwrap_or_default() {
            // SAFETY: the packet lives as long as the queue, and nobody touches it meanwhile.
            let segment = unsafe { Segment::new(packet.address(), self.len) };
            if self.queue.add(&[segment], 1, *packet).is_err() {
                break;
            }
            sent += 1;
        }
        self.next = (self.next + sent as usize) % QUEUE;
        if self.queue.publish().is_needed() {
            self.bell.ring();
        }
        sent
    }
}

/// Receives.
#[derive(Debug)]
pub struct Receiver<Q> {
    queue: Q,
    /// Keeps the buffers alive.
    _packets: Packets,
    bell: Bell,
    features: Features,
}

impl<Q: Virtqueue<Packet>> Receiver<Q> {
    /// Lends all of `packets` to the device.
    ///
    /// # Panics
    ///
    /// The queue does not take them.
    pub fn new(mut queue: Q, packets: Packets, features: Features, bell: Bell) -> Self {
        queue.disable_interrupts();
        for packet in packets.all() {
            assert!(lend(&mut queue, *packet), "an empty queue takes a buffer");
        }
        if queue.publish().is_needed() {
            bell.ring();
        }
        Self {
            queue,
            _packets: packets,
            bell,
            features,
        }
    }

    /// Takes the buffers of one packet, and lends them again. `None`: there is no whole packet.
    #[inline]
    fn receive(&mut self) -> Option<u32> {
        let (packet, written) = self.queue.pop_used().ok()??;
        // SAFETY: the device has given the buffer back; it has room for a header.
        let header = unsafe { packet.0.cast::<[u8; HEADER_LEN]>().read() };
        let header = NetHeader::parse(&header)?;
        let buffers = header.buffer_count(self.features, MAX_BUFFERS).ok()?;
        lend(&mut self.queue, packet).then_some(())?;
        if buffers == 1 {
            return Some(written);
        }
        self.receive_rest(buffers, written)
    }

    /// Takes all but the first of the buffers of one packet, and lends them again.
    #[inline(never)]
    fn receive_rest(&mut self, buffers: u16, mut written: u32) -> Option<u32> {
        for _ in 1..buffers {
            let (packet, more) = self.queue.pop_used().ok()??;
            written += more;
            lend(&mut self.queue, packet).then_some(())?;
        }
        Some(written)
    }
}

#[inline]
fn lend(queue: &mut impl Virtqueue<Packet>, packet: Packet) -> bool {
    // SAFETY: the buffer lives as long as the queue, and nobody touches it meanwhile.
    let segment = unsafe { Segment::new(packet.address(), BUFFER as u32) };
    queue.add(&[segment], 0, packet).is_ok()
}

impl<Q: Virtqueue<Packet>> Driver for Receiver<Q> {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let mut received = 0;
        while received < batch
            && let Some(written) = self.receive()
        {
            std::hint::black_box(written);
            received += 1;
        }
        if self.queue.publish().is_needed() {
            self.bell.ring();
        }
        received
    }
}
