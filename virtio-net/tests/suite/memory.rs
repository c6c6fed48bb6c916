//! Memory that both sides of a queue see, without a memory map; and the device's hands on a ring.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use virtio_net::dma::{DmaRegion, Segment};
use virtio_net::features::Features;
use virtio_net::queue::split::{IndirectTables, SplitLayout, SplitQueue};
use virtio_net::queue::{QueueSize, Virtqueue};

/// Where the device sees the first byte of a [`Shared`].
pub(crate) const DEVICE_BASE: u64 = 0x1_0000_0000;

/// A stretch of memory; the device addresses it from [`DEVICE_BASE`] on.
pub(crate) struct Shared {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: all accesses, here and in a queue, are volatile or atomic; where both sides run at the same
// time, they agree by the atomic ones.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, SplitLayout::LEGACY_ALIGNMENT).unwrap();
        // SAFETY: no caller asks for zero bytes.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
        Self { start, layout }
    }

    pub(crate) fn region(&self, offset: usize, len: usize) -> DmaRegion {
        assert!(offset + len <= self.layout.size());
        // SAFETY: inside the allocation, as asserted.
        let va = unsafe { self.start.byte_add(offset) };
        // SAFETY: the memory outlives the queue in every test, and only the device's hands in this
        // module touch it besides, on the same thread.
        unsafe { DmaRegion::new(va, DEVICE_BASE + offset as u64, len) }
    }

    pub(crate) fn read_u16(&self, address: u64) -> u16 {
        u16::from_le_bytes(self.read(address))
    }

    pub(crate) fn read_u32(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.read(address))
    }

    pub(crate) fn read_u64(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.read(address))
    }

    /// Reads a 16-bit word with all that was written before it.
    pub(crate) fn load_u16(&self, address: u64) -> u16 {
        u16::from_le(self.atomic_u16(address).load(Ordering::Acquire))
    }

    /// Writes a 16-bit word, after all that was written before it.
    pub(crate) fn store_u16(&self, address: u64, value: u16) {
        self.atomic_u16(address)
            .store(value.to_le(), Ordering::Release);
    }

    fn atomic_u16(&self, address: u64) -> &AtomicU16 {
        let at = self.at(address, 2).cast::<u16>();
        assert!(at.is_aligned(), "{address:#x}");
        // SAFETY: inside the allocation and aligned, as asserted.
        unsafe { AtomicU16::from_ptr(at.as_ptr()) }
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        let at = self.at(address, bytes.len());
        for (offset, byte) in bytes.iter().enumerate() {
            // SAFETY: `at` checked that all bytes lie inside the allocation.
            unsafe { at.byte_add(offset).write_volatile(*byte) };
        }
    }

    pub(crate) fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let at = self.at(address, N);
        // SAFETY: `at` checked that all bytes lie inside the allocation.
        std::array::from_fn(|offset| unsafe { at.byte_add(offset).read_volatile() })
    }

    fn at(&self, address: u64, len: usize) -> NonNull<u8> {
        let offset = usize::try_from(address - DEVICE_BASE).unwrap();
        assert!(offset + len <= self.layout.size(), "{address:#x} + {len}");
        // SAFETY: inside the allocation, as asserted.
        unsafe { self.start.byte_add(offset) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// A descriptor as the device reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Descriptor {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

/// A queue of `u32` buffers, and the device's hands on it.
pub(crate) struct Bench {
    pub(crate) queue: SplitQueue<u32>,
    pub(crate) shared: Shared,
    pub(crate) size: u16,
    used: u16,
}

impl Bench {
    /// A queue of `size`; with `RING_INDIRECT_DESC`, tables of four.
    pub(crate) fn new(size: u16, features: Features) -> Self {
        let queue_size = QueueSize::new(size).unwrap();
        let rings = SplitLayout::new(queue_size).bytes();
        let tables = SplitLayout::indirect_bytes(queue_size, 4);
        let shared = Shared::new(rings + tables);
        let tables = IndirectTables::new(shared.region(rings, tables), queue_size, 4).unwrap();
        let rings = shared.region(0, rings);
        let queue = SplitQueue::new(queue_size, features, rings, Some(tables)).unwrap();
        Self {
            queue,
            shared,
            size,
            used: 0,
        }
    }

    /// Device and queue begin anew; nothing is in flight.
    pub(crate) fn reset(&mut self) {
        self.queue.reset().unwrap();
        self.used = 0;
    }

    pub(crate) fn available_flags(&self) -> u16 {
        self.shared.read_u16(self.queue.addresses().driver)
    }

    pub(crate) fn available_index(&self) -> u16 {
        self.shared.read_u16(self.queue.addresses().driver + 2)
    }

    /// The head at `index` of the available ring.
    pub(crate) fn available(&self, index: u16) -> u16 {
        let slot = u64::from(index % self.size);
        self.shared
            .read_u16(self.queue.addresses().driver + 4 + 2 * slot)
    }

    pub(crate) fn used_event(&self) -> u16 {
        let entries = 2 * u64::from(self.size);
        self.shared
            .read_u16(self.queue.addresses().driver + 4 + entries)
    }

    pub(crate) fn descriptor(&self, index: u16) -> Descriptor {
        self.descriptor_at(self.queue.addresses().descriptors, index)
    }

    pub(crate) fn descriptor_at(&self, table: u64, index: u16) -> Descriptor {
        let at = table + 16 * u64::from(index);
        Descriptor {
            address: self.shared.read_u64(at),
            len: self.shared.read_u32(at + 8),
            flags: self.shared.read_u16(at + 12),
            next: self.shared.read_u16(at + 14),
        }
    }

    /// The device uses buffer `id`, of which it wrote `written` bytes.
    pub(crate) fn use_buffer(&mut self, id: u32, written: u32) {
        self.write_used(self.used, id, written);
        self.used = self.used.wrapping_add(1);
        self.set_used_index(self.used);
    }

    pub(crate) fn write_used(&self, index: u16, id: u32, written: u32) {
        let at = self.queue.addresses().device + 4 + 8 * u64::from(index % self.size);
        self.shared.write(at, &id.to_le_bytes());
        self.shared.write(at + 4, &written.to_le_bytes());
    }

    pub(crate) fn set_used_index(&self, index: u16) {
        self.shared
            .write(self.queue.addresses().device + 2, &index.to_le_bytes());
    }

    pub(crate) fn set_used_flags(&self, flags: u16) {
        self.shared
            .write(self.queue.addresses().device, &flags.to_le_bytes());
    }

    pub(crate) fn set_available_event(&self, index: u16) {
        let at = self.queue.addresses().device + 4 + 8 * u64::from(self.size);
        self.shared.write(at, &index.to_le_bytes());
    }
}

/// A segment of memory that no device of these tests touches.
pub(crate) fn segment(address: u64, len: u32) -> Segment {
    // SAFETY: the devices in these tests read descriptors, not what they point at.
    unsafe { Segment::new(address, len) }
}
