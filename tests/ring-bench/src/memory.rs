//! Memory that both sides see: pages for rings, and the packets.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;

use crate::case::QUEUE;

/// Bytes in the virtio header of a packet (virtio 1.2, 5.1.6).
pub const HEADER: usize = 12;

/// Bytes of a buffer: header and packet.
pub const BUFFER: usize = 2048;

/// From one buffer to the next. Not a power of two, which would put all headers into few cache sets.
const STRIDE: usize = BUFFER + 64;

/// Zeroed pages, freed when dropped.
#[derive(Debug)]
pub struct Pages {
    at: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    /// At least `bytes` bytes, page by page.
    ///
    /// # Panics
    ///
    /// `bytes` is 0 or absurd.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, 4096).expect("a size that exists");
        let layout = layout.pad_to_align();
        assert!(layout.size() > 0, "no bytes asked for");
        // SAFETY: the size is not 0.
        let at = unsafe { alloc_zeroed(layout) };
        let Some(at) = NonNull::new(at) else {
            handle_alloc_error(layout);
        };
        Self { at, layout }
    }

    /// The first byte.
    #[must_use]
    pub const fn at(&self) -> NonNull<u8> {
        self.at
    }

    /// Bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.layout.size()
    }

    /// Never: there is a byte at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The address of the byte at `offset`, for the device.
    #[must_use]
    pub fn address(&self, offset: usize) -> u64 {
        (self.at.addr().get() + offset) as u64
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout, and nobody else frees it.
        unsafe { dealloc(self.at.as_ptr(), self.layout) };
    }
}

/// One buffer of [`Packets`]: what a driver lends to the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet(pub NonNull<u8>);

impl Packet {
    /// Where the device sees it.
    #[inline]
    #[must_use]
    pub fn address(self) -> u64 {
        self.0.addr().get() as u64
    }
}

/// As many buffers as the queue has descriptors, each with a header of zeroes in front.
#[derive(Debug)]
pub struct Packets {
    pages: Pages,
    all: Vec<Packet>,
}

impl Packets {
    /// Buffers whose payload is told apart by its first eight bytes: the number of the buffer.
    #[must_use]
    pub fn new() -> Self {
        let pages = Pages::new(STRIDE * QUEUE);
        let all = (0..QUEUE).map(|number| {
            // SAFETY: `QUEUE` buffers were allocated, and this is one of them.
            let at = unsafe { pages.at().byte_add(number * STRIDE) };
            // SAFETY: the payload starts behind the header, inside of the buffer.
            let payload = unsafe { at.byte_add(HEADER) }.cast::<[u8; 8]>();
            // SAFETY: valid for eight bytes; `[u8; 8]` has no alignment.
            unsafe { payload.write((number as u64).to_le_bytes()) };
            Packet(at)
        });
        let all = all.collect();
        Self { pages, all }
    }

    /// The buffers.
    #[must_use]
    pub fn all(&self) -> &[Packet] {
        &self.all
    }

    /// The addresses that belong to packets: what the device finds elsewhere was copied.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.pages.address(0)..self.pages.address(self.pages.len())
    }
}
