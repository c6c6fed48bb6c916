//! A receive buffer: memory, MDLs and a NET_BUFFER_LIST that stay together.

use alloc::boxed::Box;
use core::ptr::{self, NonNull};

use ndis::Failed;
use ndis::chain::{Chain, Nbl, Own};
use ndis::dma::SharedMemory;
use ndis::memory::try_box;
use ndis::pool::{Mdl, NblPool};
use ndis_sys as sys;
use vioprot::pair::Addresses;
use virtio_net::dma::Segment;
use virtio_net::features::Features;
use virtio_net::header::HeaderLayout;

/// Memory for one frame, or for a part of one.
pub(crate) struct Buffer {
    va: NonNull<u8>,
    address: u64,
    len: u32,
    /// Bytes of the virtio header.
    header: u32,
    /// Whether the device wants the header in a descriptor of its own.
    is_apart: bool,
    /// Describes the memory behind the virtio header: the first buffer of a frame.
    first: Mdl,
    /// Describes all of it: the buffers that follow.
    following: Mdl,
    list: NonNull<sys::NET_BUFFER_LIST>,
    /// Bytes that the device wrote, header included.
    pub(super) used: u32,
    /// Bytes between the virtio header and the frame, where a tag was taken out.
    skip: u32,
    /// The frame's next buffer.
    pub(super) next: Option<Box<Buffer>>,
}

// SAFETY: a buffer and its list have one owner at a time.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Makes a buffer of `len` bytes, `offset` into `memory`.
    ///
    /// # Safety
    ///
    /// The bytes lie in `memory` and are this buffer's alone; memory and `pool` outlive it.
    pub(crate) unsafe fn try_new(
        miniport: sys::NDIS_HANDLE,
        pool: &NblPool,
        memory: &SharedMemory,
        offset: u32,
        len: u32,
        features: Features,
    ) -> Result<Box<Self>, Failed> {
        let at = |skip: u32| {
            let va = memory
                .va()
                .as_ptr()
                .wrapping_add(offset as usize)
                .wrapping_add(skip as usize);
            NonNull::new(va).ok_or(Failed::RESOURCES)
        };
        let header = HeaderLayout::of(features).size() as u32;
        // SAFETY: shared memory is nonpaged; the MDLs are freed with the buffer.
        let (first, following) = unsafe {
            let rest = len.saturating_sub(header);
            (
                Mdl::try_new(miniport, at(header)?, rest)?,
                Mdl::try_new(miniport, at(0)?, len)?,
            )
        };
        // SAFETY: the MDL is freed after the list: `drop` frees that.
        let list = unsafe { pool.allocate_over(&first)? }.into_raw();
        let address = memory.device_address().wrapping_add(u64::from(offset));
        let buffer = Self {
            va: at(0)?,
            address,
            len,
            header,
            is_apart: HeaderLayout::is_apart(features),
            first,
            following,
            list,
            used: 0,
            skip: 0,
            next: None,
        };
        Ok(try_box(buffer)?)
    }

    /// The memory as the device gets it: the first so many of these.
    pub(super) fn segments(&self) -> ([Segment; 2], usize) {
        let header = if self.is_apart { self.header } else { self.len };
        let behind = self.address.wrapping_add(u64::from(header));
        // SAFETY: the buffer's own bytes; the buffer goes to the queue with the segments.
        let segments = unsafe {
            [
                Segment::new(self.address, header),
                Segment::new(behind, self.len.saturating_sub(header)),
            ]
        };
        (segments, if self.is_apart { 2 } else { 1 })
    }

    /// The bytes that the device wrote.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer is ours, `used` is at most its length, and the device is done with
        // it. A device that writes on regardless spoils its own frame: who reads it copies first
        // what it decides by.
        unsafe { core::slice::from_raw_parts(self.va.as_ptr(), self.used.min(self.len) as usize) }
    }

    /// Notes that the device has written `used` bytes.
    pub(super) fn fill(&mut self, used: u32) {
        (self.used, self.skip) = (used, 0);
    }

    /// Takes an IEEE 802.1Q tag out of the frame, and gives its control information.
    ///
    /// Tags are removed from all frames that are indicated, whatever the adapter does with their
    /// contents (Microsoft Learn, "Standardized INF Keywords for Network Devices",
    /// *PriorityVLANTag).
    pub(super) fn take_tag(&mut self) -> Option<u16> {
        /// The two addresses, which move up.
        const ADDRESSES: usize = 12;
        const TAG: u32 = 4;
        let frame = self.bytes().get(self.header as usize..)?;
        let [.., 0x81, 0x00, high, low] = *frame.first_chunk::<{ ADDRESSES + TAG as usize }>()?
        else {
            return None;
        };
        let start = self.va.as_ptr().wrapping_add(self.header as usize);
        // SAFETY: the sixteen bytes were in range just now; the buffer is ours.
        unsafe { start.copy_to(start.wrapping_add(TAG as usize), ADDRESSES) };
        self.skip = TAG;
        Some(u16::from_be_bytes([high, low]))
    }

    /// The frame's bytes, piece by piece.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let start = self.header.saturating_add(self.skip) as usize;
        let first = self.bytes().get(start..).unwrap_or_default();
        let rest = core::iter::successors(self.next.as_deref(), |buffer| buffer.next.as_deref());
        core::iter::once(first).chain(rest.map(Self::bytes))
    }

    /// The frame's length.
    pub(super) fn frame_len(&self) -> usize {
        self.pieces()
            .fold(0usize, |sum, piece| sum.saturating_add(piece.len()))
    }

    pub(super) fn addresses(&self) -> Option<Addresses> {
        self.pieces()
            .next()?
            .first_chunk()
            .copied()
            .map(Addresses::of)
    }

    /// Turns a frame into a list to indicate, which owns the buffer from now on.
    pub(super) fn into_list(mut self: Box<Self>, miniport: sys::NDIS_HANDLE) -> Nbl<Own> {
        let len = u32::try_from(self.frame_len()).unwrap_or(0);
        let chain = self.link_following();
        let here = self.used.saturating_sub(self.header);
        self.first.set(here, chain);
        let (list, mdl, skip) = (self.list, self.first.as_ptr(), self.skip);
        // SAFETY: the buffer owns its list, which nobody else has at the moment.
        let mut list = unsafe { Nbl::<Own>::from_raw(list) };
        if let Some(frame) = list.frames().next() {
            // SAFETY: the one frame of our own list.
            let fields = unsafe { &mut *frame.as_ptr() };
            (fields.MdlChain, fields.CurrentMdl) = (mdl, mdl);
            (
                fields.DataOffset,
                fields.CurrentMdlOffset,
                fields.DataLength,
            ) = (skip, skip, len);
        }
        let fields = list.fields_mut();
        fields.SourceHandle = if cfg!(mutant = "forget_source_handle") {
            ptr::null_mut()
        } else {
            miniport
        };
        fields.Status = sys::NDIS_STATUS_SUCCESS;
        fields.NetBufferListInfo = [ptr::null_mut(); 27];
        fields.MiniportReserved = [Box::into_raw(self).cast(), ptr::null_mut()];
        list
    }

    /// Links the MDLs of the frame's other buffers, last first.
    fn link_following(&mut self) -> *mut sys::MDL {
        let Some(next) = self.next.as_mut() else {
            return ptr::null_mut();
        };
        let rest = next.link_following();
        let used = next.used;
        next.following.set(used, rest);
        next.following.as_ptr()
    }

    /// Takes the buffer back out of a list that was indicated and has come back.
    pub(super) fn from_list<D>(mut list: Nbl<D>) -> Option<Box<Self>> {
        let [owner, _] = &mut list.fields_mut().MiniportReserved;
        let buffer = core::mem::replace(owner, ptr::null_mut()).cast::<Self>();
        // The list stays with its buffer.
        let _ = list.into_raw();
        // SAFETY: `into_list` put the box there, and it is taken out once.
        (!buffer.is_null()).then(|| unsafe { Box::from_raw(buffer) })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let all = self.first.len();
        self.first.set(all, ptr::null_mut());
        // SAFETY: the list came from the pool, and is with its buffer: in nobody else's hands.
        unsafe { sys::NdisFreeNetBufferList(self.list.as_ptr()) };
    }
}

/// Single buffers on their way to the device, linked through `next`.
#[derive(Default)]
pub(super) struct Returning(Option<Box<Buffer>>);

impl Returning {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a frame's buffers, each on its own.
    pub(super) fn push(&mut self, frame: Box<Buffer>) {
        let mut rest = Some(frame);
        while let Some(mut buffer) = rest {
            rest = buffer.next.take();
            buffer.next = self.0.take();
            self.0 = Some(buffer);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Box<Buffer>> {
        let mut first = self.0.take()?;
        self.0 = first.next.take();
        Some(first)
    }

    /// Adds the buffers of lists that are ours.
    pub(super) fn take_lists<D>(&mut self, lists: &mut Chain<D>) {
        while let Some(list) = lists.pop() {
            if let Some(buffer) = Buffer::from_list(list) {
                self.push(buffer);
            }
        }
    }
}

impl Drop for Returning {
    /// One after the other: a long list dropped as a whole would recurse once per buffer.
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
