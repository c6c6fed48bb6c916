//! What the device sees of our memory: shared blocks, and the scatter/gather lists of frames.

use core::ffi::c_void;
use core::ptr::NonNull;

use ndis_sys as sys;

use crate::Failed;
use crate::frame::Frame;
use crate::irql::Dispatch;

/// Nonpaged memory that driver and device share, at an address for each. Freed on drop.
pub struct SharedMemory {
    va: NonNull<u8>,
    address: sys::NDIS_PHYSICAL_ADDRESS,
    len: u32,
    miniport: sys::NDIS_HANDLE,
}

// SAFETY: the block is plain memory; who may touch which part of it when is its user's business.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Allocates `len` cached bytes, page-aligned and contiguous for the device, and zeroes them.
    ///
    /// # Errors
    ///
    /// NDIS has no such block.
    ///
    /// # Safety
    ///
    /// Called from MiniportInitializeEx after `NdisMRegisterScatterGatherDma`; the value is
    /// dropped before that registration and before MiniportHaltEx ends (Microsoft Learn,
    /// "NdisMAllocateSharedMemory").
    pub unsafe fn allocate(miniport: sys::NDIS_HANDLE, len: u32) -> Result<Self, Failed> {
        let (mut va, mut address) = (core::ptr::null_mut(), 0);
        // SAFETY: by this function's contract.
        unsafe {
            sys::NdisMAllocateSharedMemory(miniport, len, 1, &raw mut va, &raw mut address);
        }
        let va = NonNull::new(va.cast::<u8>()).ok_or(Failed::RESOURCES)?;
        // SAFETY: the block has `len` bytes and is ours alone so far.
        unsafe { va.as_ptr().write_bytes(0, len as usize) };
        Ok(Self {
            va,
            address,
            len,
            miniport,
        })
    }

    /// Where the driver sees the block.
    #[must_use]
    pub fn va(&self) -> NonNull<u8> {
        self.va
    }

    /// Where the device sees the block.
    #[must_use]
    pub fn device_address(&self) -> u64 {
        self.address.cast_unsigned()
    }

    /// The block's length in bytes.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the block has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        if cfg!(mutant = "leak_shared_memory") {
            return;
        }
        // SAFETY: exactly the block that `allocate` got, once.
        unsafe {
            sys::NdisMFreeSharedMemory(
                self.miniport,
                self.len,
                1,
                self.va.as_ptr().cast(),
                self.address,
            );
        }
    }
}

/// The adapter's registration as a bus master. Given back on drop, at PASSIVE_LEVEL.
pub struct BusMaster(sys::NDIS_HANDLE);

// SAFETY: the handle may be used on any CPU.
unsafe impl Send for BusMaster {}
// SAFETY: as above.
unsafe impl Sync for BusMaster {}

/// The list that a frame was mapped to, until [`BusMaster::unmap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping(pub NonNull<sys::SCATTER_GATHER_LIST>);

impl BusMaster {
    /// Registers the adapter for scatter/gather DMA to 64-bit addresses.
    ///
    /// `mapped` is the MiniportProcessSGList handler; `max_len` bounds one frame.
    ///
    /// # Errors
    ///
    /// NDIS's status.
    ///
    /// # Safety
    ///
    /// Called from MiniportInitializeEx after the registration attributes (with BUS_MASTER); the
    /// value is dropped before MiniportHaltEx ends, with every mapping undone and all shared
    /// memory freed.
    pub unsafe fn register(
        miniport: sys::NDIS_HANDLE,
        max_len: u32,
        mapped: sys::MINIPORT_PROCESS_SG_LIST,
    ) -> Result<Self, Failed> {
        let mut description: sys::NDIS_SG_DMA_DESCRIPTION = sys::zeroed();
        description.Header = crate::header(
            sys::NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION,
            sys::NDIS_SG_DMA_DESCRIPTION_REVISION_1,
            sys::NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1,
        );
        description.Flags = sys::NDIS_SG_DMA_64_BIT_ADDRESS;
        description.MaximumPhysicalMapping = max_len;
        description.ProcessSGListHandler = Some(mapped);
        let mut handle = core::ptr::null_mut();
        // SAFETY: by this function's contract.
        let status = unsafe {
            sys::NdisMRegisterScatterGatherDma(miniport, &raw mut description, &raw mut handle)
        };
        Failed::check(status)?;
        Ok(Self(handle))
    }

    /// Asks for `frame`'s scatter/gather list. The handler gets it, with `context`, inside this
    /// call or later; the frame must not change until [`Self::unmap`].
    ///
    /// # Errors
    ///
    /// The frame can't be mapped now, and the handler will not be called.
    ///
    /// # Safety
    ///
    /// The frame's list is ours, and stays so until the mapping is undone. No lock is held that
    /// the handler takes.
    pub unsafe fn map(
        &self,
        frame: Frame<'_>,
        context: *mut c_void,
        _at: Dispatch<'_>,
    ) -> Result<(), Failed> {
        // SAFETY: the token proves DISPATCH_LEVEL, the frame is ours by contract.
        Failed::check(unsafe {
            sys::NdisMAllocateNetBufferSGList(
                self.0,
                frame.as_ptr(),
                context,
                sys::NDIS_SG_LIST_WRITE_TO_DEVICE,
                core::ptr::null_mut(),
                0,
            )
        })
    }

    /// Frees the list of a frame that the device is done with.
    ///
    /// # Safety
    ///
    /// `mapping` is that of `frame`, and is undone once.
    pub unsafe fn unmap(&self, mapping: Mapping, frame: *mut sys::NET_BUFFER, _at: Dispatch<'_>) {
        // SAFETY: by contract, at the level that the token proves.
        unsafe { sys::NdisMFreeNetBufferSGList(self.0, mapping.0.as_ptr(), frame) };
    }
}

impl Drop for BusMaster {
    fn drop(&mut self) {
        // SAFETY: registered once, with everything that used it gone by `register`'s contract.
        unsafe { sys::NdisMDeregisterScatterGatherDma(self.0) };
    }
}

impl Mapping {
    /// The pieces of `len` bytes that start `skip` bytes into the list: a list begins with its
    /// frame's current MDL, not with the frame (Microsoft Learn, "NdisMAllocateNetBufferSGList").
    ///
    /// # Safety
    ///
    /// The mapping is not undone while the iterator lives.
    pub unsafe fn pieces(self, skip: usize, len: usize) -> impl Iterator<Item = (u64, u32)> {
        // SAFETY: NDIS gave us the list, which lives until it is freed.
        let list = unsafe { self.0.as_ref() };
        let count = list.NumberOfElements as usize;
        let first = (&raw const list.Elements).cast::<sys::SCATTER_GATHER_ELEMENT>();
        let (mut skip, mut left) = (skip as u64, len as u64);
        (0..count).filter_map(move |index| {
            // SAFETY: the list has `count` elements behind its header.
            let element = unsafe { first.wrapping_add(index).read() };
            let whole = u64::from(element.Length);
            let skipped = skip.min(whole);
            let used = whole.saturating_sub(skipped).min(left);
            skip = skip.saturating_sub(skipped);
            left = left.saturating_sub(used);
            let address = element.Address.cast_unsigned().wrapping_add(skipped);
            (used > 0).then_some((address, used as u32))
        })
    }
}
