//! Frames out and in.
//!
//! A few frames are under way at a time; each that comes back is followed by the next, until
//! [`FRAMES`] have been sent.

use core::ptr;
use core::sync::atomic::Ordering;

use ndis_sys::{
    MDL, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_PROTOCOL_ID_DEFAULT,
    NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL, NDIS_RECEIVE_FLAGS_RESOURCES,
    NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NET_BUFFER_LIST,
    NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NdisAllocateMdl,
    NdisAllocateMemoryWithTagPriority, NdisAllocateNetBufferAndNetBufferList,
    NdisAllocateNetBufferListPool, NdisFreeMdl, NdisFreeMemory, NdisFreeNetBufferList,
    NdisFreeNetBufferListPool, NdisGetDataBuffer, NdisReturnNetBufferLists, NdisSendNetBufferLists,
    NormalPoolPriority, Zeroed,
};

use crate::binding::{self, Binding};
use crate::{TAG, driver};

/// Frames that a binding sends in its life.
const FRAMES: u32 = 200;
/// Frames under way when all goes well.
const WINDOW: u32 = 8;
/// Local experimental EtherType 1 (IEEE Std 802).
const ETHER_TYPE: [u8; 2] = [0x88, 0xb5];
/// The least Ethernet frame, without the check sequence.
const LENGTH: usize = 60;
const HEADER: usize = 14;
const FAR_END: [u8; 6] = [0x02, 0x4c, 0x50, 0, 0, 1];

/// A pool of lists with one NET_BUFFER each.
///
/// # Safety
///
/// `owner` is our protocol's handle.
pub(crate) unsafe fn make_pool(owner: NDIS_HANDLE) -> NDIS_HANDLE {
    let mut given = NET_BUFFER_LIST_POOL_PARAMETERS::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_DEFAULT,
        Revision: NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
        Size: NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
    };
    given.ProtocolId = NDIS_PROTOCOL_ID_DEFAULT;
    given.fAllocateNetBuffer = 1;
    given.PoolTag = TAG;
    // SAFETY: the parameters are valid.
    unsafe { NdisAllocateNetBufferListPool(owner, &raw mut given) }
}

/// Frees what [`make_pool`] made.
///
/// # Safety
///
/// All its lists are free.
pub(crate) unsafe fn free_pool(pool: NDIS_HANDLE) {
    // SAFETY: by contract.
    unsafe { NdisFreeNetBufferListPool(pool) }
}

/// Sends the first frames, or goes on after a pause. PASSIVE_LEVEL.
pub(crate) fn begin(binding: &Binding) {
    send(binding, WINDOW);
}

/// Sends up to `count` further frames in one call. IRQL <= DISPATCH_LEVEL.
fn send(binding: &Binding, count: u32) {
    // Counted before the look at `running`: a pause that comes in between waits for us.
    binding.sending.fetch_add(1, Ordering::SeqCst);
    if binding.running.load(Ordering::SeqCst) {
        let mut first: *mut NET_BUFFER_LIST = ptr::null_mut();
        for _ in 0..count {
            let Some(number) = next_number(binding) else {
                break;
            };
            // SAFETY: the binding is open and running.
            let list = unsafe { make_frame(binding, number) };
            if list.is_null() {
                break;
            }
            // SAFETY: the list is fresh and ours.
            unsafe { (*list).Next = first };
            first = list;
            binding.sending.fetch_add(1, Ordering::SeqCst);
        }
        if !first.is_null() {
            // SAFETY: the lists are NDIS's until they are completed.
            unsafe { NdisSendNetBufferLists(binding.adapter, first, 0, 0) };
        }
    }
    binding.sending.fetch_sub(1, Ordering::SeqCst);
}

/// The number of the next frame; `None` when all have been sent.
fn next_number(binding: &Binding) -> Option<u32> {
    let next = |sent: u32| (sent < FRAMES).then(|| sent.wrapping_add(1));
    binding
        .sent
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
        .ok()
}

/// A list with one frame; null when memory is short.
unsafe fn make_frame(binding: &Binding, number: u32) -> *mut NET_BUFFER_LIST {
    let owner = driver::protocol();
    // SAFETY: our protocol's handle; each piece is checked, and freed when a later one fails.
    unsafe {
        let memory =
            NdisAllocateMemoryWithTagPriority(owner, LENGTH as u32, TAG, NormalPoolPriority);
        if memory.is_null() {
            return ptr::null_mut();
        }
        let mdl = NdisAllocateMdl(owner, memory, LENGTH as u32);
        if !mdl.is_null() {
            fill(memory.cast(), binding.mac, number);
            let list = NdisAllocateNetBufferAndNetBufferList(binding.lists, 0, 0, mdl, 0, LENGTH);
            if !list.is_null() {
                (*list).SourceHandle = binding.adapter;
                return list;
            }
            NdisFreeMdl(mdl);
        }
        NdisFreeMemory(memory, 0, 0);
        ptr::null_mut()
    }
}

unsafe fn fill(bytes: *mut u8, mac: [u8; 6], number: u32) {
    let mut frame = [0_u8; LENGTH];
    frame[..6].copy_from_slice(&FAR_END);
    frame[6..12].copy_from_slice(&mac);
    frame[12..HEADER].copy_from_slice(&ETHER_TYPE);
    frame[HEADER..HEADER + 4].copy_from_slice(&number.to_be_bytes());
    // SAFETY: the buffer is that long.
    unsafe { bytes.cast::<[u8; LENGTH]>().write_unaligned(frame) }
}

/// ProtocolSendNetBufferListsComplete.
pub(crate) unsafe extern "efiapi" fn send_complete(
    context: NDIS_HANDLE,
    mut lists: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
    // SAFETY: a binding, and lists that `send` sent: ours again.
    unsafe {
        let binding = &*binding::of(context);
        while !lists.is_null() {
            let next = (*lists).Next;
            free_frame(lists);
            binding.completed.fetch_add(1, Ordering::Relaxed);
            // Last: a pause that sees zero lets the binding be closed.
            binding.sending.fetch_sub(1, Ordering::SeqCst);
            lists = next;
        }
    }
}

unsafe fn free_frame(list: *mut NET_BUFFER_LIST) {
    // SAFETY: a list that `make_frame` made, in its state.
    unsafe {
        let mdl: *mut MDL = (*(*list).FirstNetBuffer).MdlChain;
        let memory = (*mdl).MappedSystemVa;
        NdisFreeNetBufferList(list);
        NdisFreeMdl(mdl);
        NdisFreeMemory(memory, 0, 0);
    }
}

/// ProtocolReceiveNetBufferLists.
pub(crate) unsafe extern "efiapi" fn receive(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _port: u32,
    _count: u32,
    flags: u32,
) {
    // SAFETY: a binding; the lists may be read until they are returned, or during the call.
    unsafe {
        let binding = &*binding::of(context);
        let mut own = 0;
        let mut list = lists;
        while !list.is_null() {
            own += u32::from(is_own(list));
            list = (*list).Next;
        }
        binding.returned.fetch_add(own, Ordering::Relaxed);
        if flags & NDIS_RECEIVE_FLAGS_RESOURCES == 0 {
            let flags = flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL;
            NdisReturnNetBufferLists(binding.adapter, lists, flags);
        }
        send(binding, own);
    }
}

/// Whether a list has a frame of ours.
unsafe fn is_own(list: *mut NET_BUFFER_LIST) -> bool {
    let mut storage = [0_u8; HEADER];
    // SAFETY: the list may be read; the storage is as long as what is asked for.
    unsafe {
        let buffer = (*list).FirstNetBuffer;
        if ((*buffer).DataLength as usize) < HEADER {
            return false;
        }
        let found = NdisGetDataBuffer(buffer, HEADER as u32, storage.as_mut_ptr().cast(), 1, 0);
        !found.is_null() && found.cast::<[u8; 2]>().byte_add(12).read_unaligned() == ETHER_TYPE
    }
}
