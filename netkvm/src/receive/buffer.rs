//! A receive buffer: memory, MDLs and a NET_BUFFER_LIST that stay together.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::{self, NonNull};

use ndis::Failed;
use ndis::chain::{Chain, Nbl, Own};
use ndis::dma::SharedMemory;
use ndis::memory::{try_box, try_vec};
use ndis::pool::{Mdl, NblPool};
use ndis_sys as sys;
use vioprot::pair::Addresses;
use virtio_net::dma::Segment;
use virtio_net::queue::{Refused, Ring, Virtqueue};
use virtio_net::receive::{Frame, FrameRules, MAX_SEGMENTS, Place, Progress, ReceivePlan};

/// Contiguous memory of a buffer: all of it, for most.
struct Piece {
    va: NonNull<u8>,
    address: u64,
    len: u32,
}

impl Piece {
    /// The piece at `place`.
    fn at(memory: &[SharedMemory], place: Place) -> Result<Self, Failed> {
        let block = memory.get(place.block as usize).ok_or(Failed::RESOURCES)?;
        let end = place.offset.checked_add(place.len);
        if end.is_none_or(|end| end > block.len()) {
            return Err(Failed::RESOURCES);
        }
        let va = block.va().as_ptr().wrapping_add(place.offset as usize);
        Ok(Self {
            va: NonNull::new(va).ok_or(Failed::RESOURCES)?,
            address: block.device_address().wrapping_add(place.offset.into()),
            len: place.len,
        })
    }

    /// An MDL for what lies behind the first `skip` bytes.
    ///
    /// # Safety
    ///
    /// As for [`Mdl::try_new`], of the memory that the piece is cut out of.
    unsafe fn describe(&self, miniport: sys::NDIS_HANDLE, skip: usize) -> Result<Mdl, Failed> {
        let va = NonNull::new(self.va.as_ptr().wrapping_add(skip)).ok_or(Failed::RESOURCES)?;
        let len = self.len.saturating_sub(skip as u32);
        // SAFETY: by contract.
        unsafe { Mdl::try_new(miniport, va, len) }
    }

    fn segment(&self) -> Segment {
        // SAFETY: the buffer's own bytes; the buffer goes to the queue with the segment.
        unsafe { Segment::new(self.address, self.len) }
    }

    /// The first `header` bytes, and the others.
    fn split(&self, header: u32) -> (Segment, Segment) {
        let behind = self.address.wrapping_add(header.into());
        // SAFETY: as for `segment`.
        unsafe {
            (
                Segment::new(self.address, header),
                Segment::new(behind, self.len.saturating_sub(header)),
            )
        }
    }

    /// The first `used` bytes, as far as there are so many.
    fn bytes(&self, used: u32) -> &[u8] {
        // SAFETY: the piece is its buffer's, and the device is done with that. A device that writes
        // on regardless spoils its own frame: who reads it copies first what it decides by.
        unsafe { core::slice::from_raw_parts(self.va.as_ptr(), used.min(self.len) as usize) }
    }
}

/// Memory for one frame, or for a part of one.
pub(crate) struct Buffer {
    start: Piece,
    /// Describes the first piece behind the virtio header: what a frame starts with.
    first: Mdl,
    /// Describes all of it, in a buffer that may go on with a frame.
    following: Option<Mdl>,
    /// Further pieces, for a buffer that holds long frames by itself.
    rest: Vec<(Piece, Mdl)>,
    list: NonNull<sys::NET_BUFFER_LIST>,
    /// Segments that the device gets: the pieces, and the header if that has to be apart.
    segments: u16,
    /// Bytes of the virtio header.
    header: usize,
    /// Bytes that the device wrote, header included.
    used: u32,
    /// Bytes between the virtio header and the frame, where a tag was taken out.
    skip: u32,
    /// What is known of the frame that starts here.
    frame: Option<Frame>,
    /// The frame's next buffer.
    next: Option<Box<Buffer>>,
}

// SAFETY: a buffer and its list have one owner at a time.
unsafe impl Send for Buffer {}

impl Buffer {
    /// Makes buffer `number` of a plan.
    ///
    /// # Safety
    ///
    /// `memory` is nonpaged, has the plan's blocks and is used for its buffers only, each made once;
    /// `memory` and `pool` outlive the buffer.
    pub(crate) unsafe fn try_new(
        miniport: sys::NDIS_HANDLE,
        pool: &NblPool,
        memory: &[SharedMemory],
        plan: &ReceivePlan,
        number: u16,
    ) -> Result<Box<Self>, Failed> {
        let rules = plan.rules();
        let header = rules.layout().size();
        let piece = |at| Piece::at(memory, plan.place(number, at).ok_or(Failed::RESOURCES)?);
        let start = piece(0)?;
        // SAFETY: by contract; the MDLs are freed with the buffer.
        let first = unsafe { start.describe(miniport, header)? };
        let following = if rules.most_spanned() > 1 {
            // SAFETY: as above.
            Some(unsafe { start.describe(miniport, 0)? })
        } else {
            None
        };
        let others = usize::from(plan.shape().pieces()).saturating_sub(1);
        let rest = try_vec(others, |index| {
            let piece = piece((index as u16).saturating_add(1))?;
            // SAFETY: as above.
            let mdl = unsafe { piece.describe(miniport, 0)? };
            Ok::<_, Failed>((piece, mdl))
        })?;
        // SAFETY: the MDL is freed after the list: `drop` frees that.
        let list = unsafe { pool.allocate_over(&first)? }.into_raw();
        let buffer = Self {
            start,
            first,
            following,
            rest,
            list,
            segments: plan.shape().segments(),
            header,
            used: 0,
            skip: 0,
            frame: None,
            next: None,
        };
        Ok(try_box(buffer)?)
    }

    /// Lends the buffer to the device.
    pub(super) fn lend(
        self: Box<Self>,
        to: &mut Ring<Box<Self>>,
    ) -> Result<(), Refused<Box<Self>>> {
        let readable = usize::from(cfg!(mutant = "post_readable_buffer"));
        if self.segments == 1 {
            to.add(&[self.start.segment()], readable, self)
        } else {
            self.lend_pieces(to)
        }
    }

    #[inline(never)]
    fn lend_pieces(self: Box<Self>, to: &mut Ring<Box<Self>>) -> Result<(), Refused<Box<Self>>> {
        let is_apart = usize::from(self.segments) > self.rest.len().saturating_add(1);
        let header = if is_apart { self.header } else { 0 };
        let (front, behind) = self.start.split(header as u32);
        let parts = is_apart.then_some(front).into_iter().chain([behind]);
        let parts = parts.chain(self.rest.iter().map(|(piece, _)| piece.segment()));
        let mut segments = [behind; MAX_SEGMENTS];
        for (segment, part) in segments.iter_mut().zip(parts) {
            *segment = part;
        }
        let count = usize::from(self.segments);
        to.add(segments.get(..count).unwrap_or_default(), 0, self)
    }

    /// Starts a frame: the device has written `used` bytes. `None`: it broke the protocol.
    pub(super) fn start(&mut self, rules: &FrameRules, used: u32) -> Option<Progress> {
        self.fill(used);
        rules.first(self.start.bytes(used), used).ok()
    }

    /// Notes that the device has written `used` bytes.
    pub(super) fn fill(&mut self, used: u32) {
        (self.used, self.skip, self.frame) = (used, 0, None);
    }

    /// Notes what is known of the frame that starts here; `None`: that it is useless.
    pub(super) fn set_frame(&mut self, frame: Option<Frame>) {
        self.frame = frame;
    }

    /// Where the frame's next buffer goes.
    pub(super) fn next_mut(&mut self) -> &mut Option<Box<Self>> {
        &mut self.next
    }

    /// What is known of the frame that starts here, if it is sound.
    pub(super) fn frame(&self) -> Option<Frame> {
        self.frame
    }

    /// Takes an IEEE 802.1Q tag out of the frame, and gives its control information.
    ///
    /// Tags are removed from all frames that are indicated, whatever the adapter does with their
    /// contents (Microsoft Learn, "Standardized INF Keywords for Network Devices",
    /// *PriorityVLANTag).
    pub(super) fn take_tag(&mut self) -> Option<u16> {
        /// The two addresses, which move up.
        const ADDRESSES: usize = 12;
        const TAG: usize = virtio_net::receive::VLAN_TAG as usize;
        let frame = self.start.bytes(self.used).get(self.header..)?;
        let [.., 0x81, 0x00, high, low] = *frame.first_chunk::<{ ADDRESSES + TAG }>()? else {
            return None;
        };
        let start = self.start.va.as_ptr().wrapping_add(self.header);
        // SAFETY: the sixteen bytes were in range just now; the buffer is ours.
        unsafe { start.copy_to(start.wrapping_add(TAG), ADDRESSES) };
        self.skip = TAG as u32;
        Some(u16::from_be_bytes([high, low]))
    }

    /// The frame's length in bytes, without the tag that was taken out.
    pub(super) fn frame_len(&self) -> u32 {
        let len = self.frame.map_or(0, |frame| frame.len);
        len.saturating_sub(self.skip)
    }

    /// The frame's bytes, piece by piece.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let behind = self.header.saturating_add(self.skip as usize);
        let start = self.start.bytes(self.used).get(behind..);
        let others = core::iter::successors(self.next.as_deref(), |buffer| buffer.next.as_deref());
        let others = others.flat_map(|buffer| {
            core::iter::once(buffer.start.bytes(buffer.used)).chain(buffer.further_bytes())
        });
        core::iter::once(start.unwrap_or_default())
            .chain(self.further_bytes())
            .chain(others)
    }

    /// What the device wrote into the further pieces.
    fn further_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let mut left = self.used.saturating_sub(self.start.len);
        self.rest.iter().map(move |(piece, _)| {
            let bytes = piece.bytes(left);
            left = left.saturating_sub(piece.len);
            bytes
        })
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
        let len = self.frame_len();
        self.link_mdls();
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

    /// Links the MDLs of all that the frame lies in, each as long as what was written there.
    ///
    /// From the front to the back, and each MDL when the one after it is known.
    fn link_mdls(&mut self) {
        let header = u32::try_from(self.header).unwrap_or(0);
        let len = self.used.min(self.start.len).saturating_sub(header);
        let mut last = (&mut self.first, len);
        let mut left = self.used.saturating_sub(self.start.len);
        let mut pieces = &mut self.rest;
        let mut next = &mut self.next;
        loop {
            for (piece, mdl) in pieces {
                if left == 0 {
                    break;
                }
                last.0.set(last.1, mdl.as_ptr());
                last = (mdl, left.min(piece.len));
                left = left.saturating_sub(piece.len);
            }
            let Some(buffer) = next else { break };
            if let Some(mdl) = &mut buffer.following {
                last.0.set(last.1, mdl.as_ptr());
                last = (mdl, buffer.used.min(buffer.start.len));
            }
            left = buffer.used.saturating_sub(buffer.start.len);
            (pieces, next) = (&mut buffer.rest, &mut buffer.next);
        }
        last.0.set(last.1, ptr::null_mut());
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
        // One after the other: dropped as a whole, a long chain would recurse once per buffer.
        let mut rest = self.next.take();
        while let Some(mut buffer) = rest {
            rest = buffer.next.take();
        }
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
