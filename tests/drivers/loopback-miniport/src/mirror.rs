//! Frames go out, and come back a moment later.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use ndis_sys::{
    LARGE_INTEGER, NDIS_HANDLE, NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_PROMISCUOUS,
    NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL, NDIS_SEND_FLAGS_DISPATCH_LEVEL, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_PAUSED, NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST, NdisGetDataBuffer,
    NdisMIndicateReceiveNetBufferLists, NdisMSendNetBufferListsComplete, NdisSetTimerObject,
};

use crate::adapter::{self, Adapter, Path};
use crate::pool::FRAME;

/// Length of an Ethernet header.
const HEADER: usize = 14;
/// Time that a frame is under way, in units of 100 ns; relative, hence negative.
const DELAY: i64 = -20;

/// MiniportSendNetBufferLists. The frames are copied; so the lists are complete at once.
pub(crate) unsafe extern "efiapi" fn send(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _port: u32,
    flags: u32,
) {
    // SAFETY: an adapter context, and lists that are ours until they are completed.
    unsafe {
        let adapter = adapter::of(context);
        let running = adapter.path.with(|path| {
            // A pause waits until this call has done with the mirror.
            path.busy = path.busy.wrapping_add(u32::from(path.running));
            path.running
        });
        let mut list = lists;
        while !list.is_null() {
            (*list).Status = if running {
                send_list(adapter, list)
            } else {
                NDIS_STATUS_PAUSED
            };
            list = (*list).Next;
        }
        if running {
            start_timer(adapter);
        }
        // The flag of the caller is the same bit of ours.
        let flags = flags & NDIS_SEND_FLAGS_DISPATCH_LEVEL;
        NdisMSendNetBufferListsComplete(adapter.handle, lists, flags);
        if running {
            let complete = adapter.path.with(|path| path.done(1));
            adapter.complete_pause(complete);
        }
    }
}

/// Copies the frames of a list into the mirror.
unsafe fn send_list(adapter: &Adapter, list: *mut NET_BUFFER_LIST) -> ndis_sys::NDIS_STATUS {
    let mut status = NDIS_STATUS_SUCCESS;
    // SAFETY: the list is ours, so its NET_BUFFERs are.
    unsafe {
        let mut buffer = (*list).FirstNetBuffer;
        while !buffer.is_null() {
            let length = (*buffer).DataLength as usize;
            if (HEADER..=FRAME).contains(&length) {
                send_frame(adapter, buffer, length);
            } else {
                adapter.counters.errors.fetch_add(1, Ordering::Relaxed);
                status = NDIS_STATUS_INVALID_LENGTH;
            }
            buffer = (*buffer).Next;
        }
    }
    status
}

unsafe fn send_frame(adapter: &Adapter, from: *mut NET_BUFFER, length: usize) {
    let counters = &adapter.counters;
    counters.sent.fetch_add(1, Ordering::Relaxed);
    counters
        .bytes_sent
        .fetch_add(length as u64, Ordering::Relaxed);
    let wanted = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_PROMISCUOUS;
    if adapter.filter.load(Ordering::Relaxed) & wanted == 0 {
        return;
    }
    let copy = adapter.path.with(|path| path.pool.take());
    if copy.is_null() {
        counters.no_buffer.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // SAFETY: `copy` is ours, with a buffer of FRAME bytes in one MDL; `from` has `length` bytes.
    unsafe {
        let to = (*copy).FirstNetBuffer;
        let bytes = (*(*to).MdlChain).MappedSystemVa.cast::<u8>();
        let found = NdisGetDataBuffer(from, length as u32, bytes.cast(), 1, 0);
        if found.is_null() {
            // An MDL of the sender's could not be mapped.
            adapter.path.with(|path| path.pool.put(copy));
            return;
        }
        if found != bytes.cast() {
            bytes.copy_from_nonoverlapping(found.cast(), length);
        }
        address_back(bytes, adapter.mac);
        (*to).DataLength = length as u32;
        (*copy).SourceHandle = adapter.handle;
        (*copy).Status = NDIS_STATUS_SUCCESS;
        adapter.path.with(|path| {
            // A pause that came meanwhile has pulled the cable.
            if path.running {
                put_last(path, copy);
            } else {
                path.pool.put(copy);
            }
        });
    }
}

/// To the sender, from whom it was for. The mirror answers for groups itself.
unsafe fn address_back(frame: *mut u8, mac: [u8; 6]) {
    const MIRROR: [u8; 6] = [0x02, 0x4c, 0x4d, 0xff, 0xff, 0xff];
    // SAFETY: a frame has two addresses.
    unsafe {
        let was_for: [u8; 6] = frame.cast::<[u8; 6]>().read_unaligned();
        let group = frame.read() & 1 != 0;
        frame.cast::<[u8; 6]>().write_unaligned(mac);
        let from = if group { MIRROR } else { was_for };
        frame.add(6).cast::<[u8; 6]>().write_unaligned(from);
    }
}

fn put_last(path: &mut Path, list: *mut NET_BUFFER_LIST) {
    path.busy = path.busy.wrapping_add(1);
    if path.first.is_null() {
        path.first = list;
    } else {
        // SAFETY: the lists in the mirror are ours.
        unsafe { (*path.last).Next = list };
    }
    path.last = list;
}

/// Takes all frames out of the mirror, and how many there are.
fn take_all(path: &mut Path) -> (*mut NET_BUFFER_LIST, u32) {
    let first = core::mem::replace(&mut path.first, ptr::null_mut());
    path.last = ptr::null_mut();
    // SAFETY: the lists in the mirror are ours.
    (first, unsafe { count(first) })
}

unsafe fn count(mut list: *mut NET_BUFFER_LIST) -> u32 {
    let mut count: u32 = 0;
    while !list.is_null() {
        count = count.wrapping_add(1);
        // SAFETY: ours, by contract.
        list = unsafe { (*list).Next };
    }
    count
}

/// Drops the frames in the mirror. A pause goes on to wait for something else: itself at least.
pub(crate) fn discard(path: &mut Path) {
    let (lists, count) = take_all(path);
    path.busy = path.busy.wrapping_sub(count);
    // SAFETY: they came out of the pool and are ours.
    unsafe { put_back(path, lists) };
}

unsafe fn put_back(path: &mut Path, mut lists: *mut NET_BUFFER_LIST) {
    while !lists.is_null() {
        // SAFETY: by contract.
        unsafe {
            let next = (*lists).Next;
            path.pool.put(lists);
            lists = next;
        }
    }
}

/// Sets the timer if there is something in the mirror and nobody has set it.
fn start_timer(adapter: &Adapter) {
    let set = adapter.path.with(|path| {
        let set = path.running && !path.first.is_null() && !path.timer_set;
        path.timer_set |= set;
        path.busy = path.busy.wrapping_add(u32::from(set));
        set
    });
    if set {
        let due = DELAY as LARGE_INTEGER;
        // SAFETY: the timer lives until halt, which waits for the pause, which waits for us.
        unsafe { NdisSetTimerObject(adapter.timer, due, 0, ptr::null_mut()) };
    }
}

/// The timer's routine, at DISPATCH_LEVEL: what is in the mirror comes back.
pub(crate) unsafe extern "efiapi" fn reflect(
    _specific1: *mut c_void,
    context: *mut c_void,
    _specific2: *mut c_void,
    _specific3: *mut c_void,
) {
    // SAFETY: the timer was allocated with the adapter as its context.
    let adapter = unsafe { adapter::of(context) };
    let (lists, number) = adapter.path.with(|path| {
        path.timer_set = false;
        take_all(path)
    });
    if !lists.is_null() {
        // SAFETY: the lists are ours.
        unsafe { count_received(adapter, lists) };
        let flags = NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL;
        // SAFETY: they are NDIS's until they are returned; no lock is held.
        unsafe { NdisMIndicateReceiveNetBufferLists(adapter.handle, lists, 0, number, flags) };
    }
    let complete = adapter.path.with(|path| path.done(1));
    adapter.complete_pause(complete);
}

unsafe fn count_received(adapter: &Adapter, mut list: *mut NET_BUFFER_LIST) {
    let counters = &adapter.counters;
    while !list.is_null() {
        // SAFETY: by contract.
        unsafe {
            let bytes = u64::from((*(*list).FirstNetBuffer).DataLength);
            counters.received.fetch_add(1, Ordering::Relaxed);
            counters.bytes_received.fetch_add(bytes, Ordering::Relaxed);
            list = (*list).Next;
        }
    }
}

/// MiniportReturnNetBufferLists.
pub(crate) unsafe extern "efiapi" fn return_lists(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
    // SAFETY: an adapter context; the lists are those that `reflect` indicated.
    unsafe {
        let adapter = adapter::of(context);
        let number = count(lists);
        let complete = adapter.path.with(|path| {
            put_back(path, lists);
            path.done(number)
        });
        adapter.complete_pause(complete);
    }
}
