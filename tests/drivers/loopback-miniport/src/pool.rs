//! The buffers of the frames that come back: made when an adapter is initialized, and used again
//! and again.

use core::ffi::c_void;
use core::ptr;

use ndis_sys::{
    MDL, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NET_BUFFER_LIST,
    NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NdisAllocateMdl,
    NdisAllocateMemoryWithTagPriority, NdisAllocateNetBufferAndNetBufferList,
    NdisAllocateNetBufferListPool, NdisFreeMdl, NdisFreeMemory, NdisFreeNetBufferList,
    NdisFreeNetBufferListPool, NormalPoolPriority, Zeroed,
};

use crate::TAG;

/// Bytes of a buffer: the longest frame, header included.
pub(crate) const FRAME: usize = 1514;
const BUFFERS: usize = 64;

/// A pool of lists, one NET_BUFFER with one MDL each, and the memory behind them.
pub(crate) struct Pool {
    lists: NDIS_HANDLE,
    memory: *mut c_void,
    /// Lists that no frame is in, linked by `Next`.
    free: *mut NET_BUFFER_LIST,
}

// SAFETY: handles and nonpaged memory are every CPU's; a lock orders the users of a pool.
unsafe impl Send for Pool {}

impl Pool {
    /// A pool that holds nothing.
    pub(crate) const EMPTY: Self = Self {
        lists: ptr::null_mut(),
        memory: ptr::null_mut(),
        free: ptr::null_mut(),
    };

    /// Makes all buffers; `None` when memory is short, and nothing is left then.
    ///
    /// # Safety
    ///
    /// `adapter` is the handle of an adapter that is being initialized.
    pub(crate) unsafe fn fill(adapter: NDIS_HANDLE) -> Option<Self> {
        let mut pool = Self::EMPTY;
        // SAFETY: by contract; on failure everything made so far is freed once.
        unsafe {
            if pool.make(adapter).is_some() {
                return Some(pool);
            }
            pool.empty();
        }
        None
    }

    unsafe fn make(&mut self, adapter: NDIS_HANDLE) -> Option<()> {
        let mut given = NET_BUFFER_LIST_POOL_PARAMETERS::zeroed();
        given.Header = NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
            Size: NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
        };
        given.fAllocateNetBuffer = 1;
        given.PoolTag = TAG;
        // SAFETY: the parameters are valid; the handle is by the caller's contract.
        self.lists = unsafe { NdisAllocateNetBufferListPool(adapter, &raw mut given) };
        let length = (BUFFERS * FRAME) as u32;
        // SAFETY: as above.
        self.memory =
            unsafe { NdisAllocateMemoryWithTagPriority(adapter, length, TAG, NormalPoolPriority) };
        if self.lists.is_null() || self.memory.is_null() {
            return None;
        }
        for index in 0..BUFFERS {
            let bytes = self.memory.wrapping_byte_add(index * FRAME);
            // SAFETY: a piece of our memory.
            let mdl = unsafe { NdisAllocateMdl(adapter, bytes, FRAME as u32) };
            if mdl.is_null() {
                return None;
            }
            // SAFETY: the MDL describes as much as is said.
            unsafe { self.add(mdl)? };
        }
        Some(())
    }

    unsafe fn add(&mut self, mdl: *mut MDL) -> Option<()> {
        // SAFETY: the pool is of the kind that the call needs; the MDL is the caller's.
        let list =
            unsafe { NdisAllocateNetBufferAndNetBufferList(self.lists, 0, 0, mdl, 0, FRAME) };
        if list.is_null() {
            // SAFETY: no list has it.
            unsafe { NdisFreeMdl(mdl) };
            return None;
        }
        // SAFETY: a list of this pool that nobody else has.
        unsafe { self.put(list) };
        Some(())
    }

    /// Takes a buffer; null when all are out.
    pub(crate) fn take(&mut self) -> *mut NET_BUFFER_LIST {
        let list = self.free;
        if !list.is_null() {
            // SAFETY: what is in the free list is ours.
            self.free = unsafe { core::mem::replace(&mut (*list).Next, ptr::null_mut()) };
        }
        list
    }

    /// Puts a buffer back.
    ///
    /// # Safety
    ///
    /// `list` came from this pool and is ours again.
    pub(crate) unsafe fn put(&mut self, list: *mut NET_BUFFER_LIST) {
        // SAFETY: ours, by contract.
        unsafe { (*list).Next = self.free };
        self.free = list;
    }

    /// Frees the pool. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// All buffers have been put back; none is taken afterwards.
    pub(crate) unsafe fn empty(&mut self) {
        // SAFETY: each piece is freed once, and lists before what they are made of.
        unsafe {
            loop {
                let list = self.take();
                if list.is_null() {
                    break;
                }
                let mdl = (*(*list).FirstNetBuffer).MdlChain;
                NdisFreeNetBufferList(list);
                NdisFreeMdl(mdl);
            }
            if !self.lists.is_null() {
                NdisFreeNetBufferListPool(self.lists);
            }
            if !self.memory.is_null() {
                NdisFreeMemory(self.memory, 0, 0);
            }
        }
        *self = Self::EMPTY;
    }
}
