//! NET_BUFFER_LISTs of our own.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use ndis_sys as sys;

use crate::chain::{Nbl, Own};
use crate::{Failed, POOL_TAG};

/// A pool of lists with one NET_BUFFER each. Freed on drop, when every list is back.
pub struct NblPool(sys::NDIS_HANDLE);

// SAFETY: NDIS synchronises its pools.
unsafe impl Send for NblPool {}
// SAFETY: as above.
unsafe impl Sync for NblPool {}

impl NblPool {
    /// Makes a pool for a miniport (`owner` an adapter handle) whose lists get their MDL when they
    /// are allocated. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// `owner` outlives the pool, and all lists are freed before the pool is dropped.
    pub unsafe fn try_new(owner: sys::NDIS_HANDLE) -> Result<Self, Failed> {
        // SAFETY: passed on.
        unsafe { Self::with_data(owner, 0) }
    }

    /// Makes a pool whose lists come with an MDL and `data` bytes behind it.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// As for [`Self::try_new`]. `owner` may be null: the lists then belong to no component.
    pub unsafe fn with_data(owner: sys::NDIS_HANDLE, data: u32) -> Result<Self, Failed> {
        let mut parameters: sys::NET_BUFFER_LIST_POOL_PARAMETERS = sys::zeroed();
        parameters.Header = crate::header(
            sys::NDIS_OBJECT_TYPE_DEFAULT,
            sys::NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
            sys::NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
        );
        parameters.ProtocolId = sys::NDIS_PROTOCOL_ID_DEFAULT;
        parameters.fAllocateNetBuffer = 1;
        parameters.PoolTag = POOL_TAG;
        parameters.DataSize = data;
        // SAFETY: the parameters are copied.
        let pool = unsafe { sys::NdisAllocateNetBufferListPool(owner, &raw mut parameters) };
        if pool.is_null() {
            Err(Failed::RESOURCES)
        } else {
            Ok(Self(pool))
        }
    }

    /// Allocates a list whose one frame is the whole of `mdl`. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// The MDL outlives the list. The pool was made by [`Self::try_new`].
    pub unsafe fn allocate_over(&self, mdl: &Mdl) -> Result<Nbl<Own>, Failed> {
        // SAFETY: by contract; no context and no backfill are asked for.
        let list = unsafe {
            sys::NdisAllocateNetBufferAndNetBufferList(
                self.0,
                0,
                0,
                mdl.as_ptr(),
                0,
                mdl.len() as usize,
            )
        };
        let list = NonNull::new(list).ok_or(Failed::RESOURCES)?;
        // SAFETY: freshly allocated, and ours alone.
        Ok(unsafe { Nbl::from_raw(list) })
    }

    /// Allocates a list with room for data, of a pool made by [`Self::with_data`], and fills its
    /// frame with `bytes`. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// No memory for it, or no room for the bytes.
    pub fn allocate_with(&self, bytes: &[u8]) -> Result<Nbl<Own>, Failed> {
        // SAFETY: no context and no backfill are asked for.
        let list = unsafe { sys::NdisAllocateNetBufferList(self.0, 0, 0) };
        let list = NonNull::new(list).ok_or(Failed::RESOURCES)?;
        // SAFETY: freshly allocated, and ours alone.
        let nbl = unsafe { Nbl::<Own>::from_raw(list) };
        if fill(&nbl, bytes).is_none() {
            self.free(nbl);
            return Err(Failed::RESOURCES);
        }
        Ok(nbl)
    }

    /// Frees a list of this pool. IRQL <= DISPATCH_LEVEL.
    pub fn free(&self, list: Nbl<Own>) {
        // SAFETY: the list is ours, and the value that stood for it is gone.
        unsafe { sys::NdisFreeNetBufferList(list.into_raw().as_ptr()) };
    }

    /// Whether `list`, in whatever role it is here, came from this pool.
    #[must_use]
    pub fn made<D>(&self, list: &Nbl<D>) -> bool {
        list.fields().NdisPoolHandle == self.0
    }
}

/// Sets the frame of a list with preallocated data to `bytes`.
fn fill(list: &Nbl<Own>, bytes: &[u8]) -> Option<()> {
    let frame = list.frames().next()?;
    // SAFETY: the NET_BUFFER and its MDL belong to the list, which is ours.
    let buffer = unsafe { &mut *frame.as_ptr() };
    // SAFETY: as above.
    let mdl = unsafe { buffer.MdlChain.as_ref() }?;
    if mdl.MappedSystemVa.is_null() || (mdl.ByteCount as usize) < bytes.len() {
        return None;
    }
    // SAFETY: NDIS's preallocated data is nonpaged, mapped where the MDL says, and ByteCount long.
    unsafe {
        mdl.MappedSystemVa
            .cast::<u8>()
            .copy_from(bytes.as_ptr(), bytes.len())
    };
    buffer.CurrentMdl = buffer.MdlChain;
    buffer.CurrentMdlOffset = 0;
    buffer.DataOffset = 0;
    buffer.DataLength = u32::try_from(bytes.len()).ok()?;
    Some(())
}

impl Drop for NblPool {
    fn drop(&mut self) {
        // SAFETY: every list is back, by `try_new`'s contract.
        unsafe { sys::NdisFreeNetBufferListPool(self.0) };
    }
}

/// An MDL over nonpaged memory. Freed on drop.
pub struct Mdl {
    mdl: NonNull<sys::MDL>,
    len: u32,
}

// SAFETY: an MDL is plain memory; its user orders accesses.
unsafe impl Send for Mdl {}
// SAFETY: as above.
unsafe impl Sync for Mdl {}

impl Mdl {
    /// Describes `len` bytes from `va` on. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// The memory is nonpaged and outlives the MDL, as does the adapter `owner`.
    pub unsafe fn try_new(
        owner: sys::NDIS_HANDLE,
        va: NonNull<u8>,
        len: u32,
    ) -> Result<Self, Failed> {
        // SAFETY: by contract.
        let mdl = unsafe { sys::NdisAllocateMdl(owner, va.as_ptr().cast::<c_void>(), len) };
        NonNull::new(mdl)
            .map(|mdl| Self { mdl, len })
            .ok_or(Failed::RESOURCES)
    }

    /// The MDL itself.
    #[must_use]
    pub fn as_ptr(&self) -> *mut sys::MDL {
        self.mdl.as_ptr()
    }

    /// The number of bytes that the memory behind the MDL has.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes the MDL describe its first `len` bytes only, and links it to `next`
    /// (`NdisAdjustMdlLength`). Nobody but us may be using it.
    pub fn set(&mut self, len: u32, next: *mut sys::MDL) {
        // SAFETY: the MDL is ours and alive.
        let fields = unsafe { self.mdl.as_mut() };
        fields.ByteCount = len.min(self.len);
        fields.Next = next;
    }
}

impl Drop for Mdl {
    fn drop(&mut self) {
        let len = self.len;
        self.set(len, ptr::null_mut());
        // SAFETY: allocated by NdisAllocateMdl, and in nobody's hands any more.
        unsafe { sys::NdisFreeMdl(self.mdl.as_ptr()) };
    }
}
