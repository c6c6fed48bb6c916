//! What we note in a send while it is ours, and its way from arrival to completion.
//!
//! While a list is ours, its MiniportReserved fields and those of its frames are too (Microsoft
//! Learn, "NET_BUFFER_LIST structure"). They hold:
//!
//! ```text
//! list  [0] frames that are not finished     [1] the status it will complete with
//! frame [0] its mapping   [1] its list   [2] how far the mapping is   [3] its adapter
//! ```

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ndis::chain::{Chain, Nbl, ToComplete};
use ndis::dma::Mapping;
use ndis::irql::Dispatch;
use ndis_sys as sys;
use sys::{NET_BUFFER, NET_BUFFER_LIST};

use crate::adapter::Adapter;

/// Frames up to this length are copied.
const COPY_LIMIT: usize = 256;

/// The frame needs no mapping.
pub(super) const COPY: usize = 0;
/// NDIS was asked for a mapping, and the asking call has not returned.
pub(super) const ASKING: usize = 1;
/// The asking call has returned without one: it will come.
pub(super) const AWAITED: usize = 2;
/// Mapped.
pub(super) const MAPPED: usize = 3;
/// Can't be mapped or copied.
pub(super) const FAILED: usize = 4;

/// Notes in a list and its frames what we need to know of them, and asks for mappings.
pub(super) fn prepare(adapter: &Adapter, list: &mut Nbl<ToComplete>, at: Dispatch<'_>) {
    let count = list.frames().count();
    let raw = list.as_ptr();
    let fields = list.fields_mut();
    fields.MiniportReserved = [ptr::without_provenance_mut(count), ptr::null_mut()];
    for frame in list.frames() {
        let buffer = frame.as_ptr();
        let small = frame.len() <= COPY_LIMIT;
        let how = if small { COPY } else { ASKING };
        // SAFETY: the frame is ours, and nobody else looks at it before the mapping is asked for.
        unsafe {
            (*buffer).MiniportReserved = [
                ptr::null_mut(),
                raw.cast(),
                ptr::without_provenance_mut(how),
                ptr::from_ref(adapter).cast_mut().cast(),
            ];
        }
        if small {
            continue;
        }
        // SAFETY: the list is ours until its frames are finished, and no lock is held.
        let asked = unsafe { adapter.bus_master().map(frame, buffer.cast(), at) };
        let next = if asked.is_ok() { AWAITED } else { FAILED };
        // When the mapping came inside the call the word says MAPPED already.
        let _ =
            state_word(buffer).compare_exchange(ASKING, next, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// MiniportProcessSGList: a frame's mapping is here, inside the asking call or later.
pub(crate) unsafe extern "efiapi" fn mapped(
    _device: *mut sys::DEVICE_OBJECT,
    _reserved: *mut c_void,
    list: *mut sys::SCATTER_GATHER_LIST,
    context: *mut c_void,
) {
    let buffer = context.cast::<NET_BUFFER>();
    word(buffer, 0).store(list.cast(), Ordering::Release);
    // SAFETY: `prepare` wrote the adapter there; the frame is not finished before it is mapped.
    let adapter = unsafe {
        word(buffer, 3)
            .load(Ordering::Relaxed)
            .cast::<Adapter>()
            .as_ref()
    };
    let Some(adapter) = adapter else { return };
    // Once the frame is marked as mapped, another CPU may send and finish it.
    adapter.take_more();
    if state_word(buffer).swap(MAPPED, Ordering::AcqRel) == AWAITED {
        // SAFETY: this handler runs at DISPATCH_LEVEL (Microsoft Learn, "MINIPORT_PROCESS_SG_LIST").
        unsafe { ndis::irql::at_dispatch(|at| adapter.reap_transmit(at)) };
    }
    adapter.settle(1);
}

/// A frame is done: frees its mapping; when it was its list's last, the list is finished.
pub(super) fn finish(
    adapter: &Adapter,
    buffer: *mut NET_BUFFER,
    finished: &mut Chain<ToComplete>,
    at: Dispatch<'_>,
) {
    if buffer.is_null() {
        return;
    }
    unmap(adapter, buffer, at);
    let list = word(buffer, 1)
        .load(Ordering::Relaxed)
        .cast::<NET_BUFFER_LIST>();
    let Some(mut list) = NonNull::new(list) else {
        return;
    };
    // SAFETY: the list is ours until its last frame is finished, which is now or later.
    let fields = unsafe { list.as_mut() };
    let left = fields.MiniportReserved.map(|value| value.addr());
    let [count, status] = left;
    let count = count.saturating_sub(1);
    fields.MiniportReserved = [
        ptr::without_provenance_mut(count),
        ptr::without_provenance_mut(status),
    ];
    if count == 0 {
        fields.Status = status as u32 as sys::NDIS_STATUS;
        // SAFETY: all frames of the list are finished, and it is in no chain.
        finished.push(unsafe { Nbl::from_raw(list) });
    }
}

/// Notes with what status a frame's list will complete, and that the frame failed.
pub(super) fn fail(buffer: *mut NET_BUFFER, status: sys::NDIS_STATUS) {
    if buffer.is_null() {
        return;
    }
    state_word(buffer).store(FAILED, Ordering::Release);
    let list = word(buffer, 1)
        .load(Ordering::Relaxed)
        .cast::<NET_BUFFER_LIST>();
    // SAFETY: the list is ours until its last frame is finished; the queue's lock is held.
    if let Some(fields) = unsafe { list.as_mut() } {
        let [_, worst] = &mut fields.MiniportReserved;
        *worst = ptr::without_provenance_mut(status.cast_unsigned() as usize);
    }
}

pub(super) fn unmap(adapter: &Adapter, buffer: *mut NET_BUFFER, at: Dispatch<'_>) {
    let mapping = word(buffer, 0).swap(ptr::null_mut(), Ordering::AcqRel);
    if let Some(mapping) = NonNull::new(mapping.cast())
        && !cfg!(mutant = "keep_sg_list")
    {
        // SAFETY: the frame's own mapping, taken out of it just now.
        unsafe { adapter.bus_master().unmap(Mapping(mapping), buffer, at) };
    }
}

/// The frame's mapping, if it has one.
pub(super) fn mapping_of(buffer: *mut NET_BUFFER) -> Option<Mapping> {
    NonNull::new(word(buffer, 0).load(Ordering::Acquire).cast()).map(Mapping)
}

/// Whether no mapping of the list's frames is on its way.
pub(super) fn is_settled(list: &Nbl<ToComplete>) -> bool {
    list.frames()
        .all(|frame| !matches!(status_word(frame.as_ptr()), ASKING | AWAITED))
}

/// One of a frame's MiniportReserved fields, which two CPUs may look at while a mapping is due.
fn word<'a>(buffer: *mut NET_BUFFER, index: usize) -> &'a AtomicPtr<c_void> {
    // SAFETY: the frame is ours, and so are these four fields; they are pointers, as aligned.
    unsafe {
        let words = (&raw mut (*buffer).MiniportReserved).cast::<*mut c_void>();
        AtomicPtr::from_ptr(words.wrapping_add(index.min(3)))
    }
}

/// How far the frame's mapping is.
fn state_word<'a>(buffer: *mut NET_BUFFER) -> &'a AtomicUsize {
    // SAFETY: as for `word`; the field holds a number.
    unsafe {
        let words = (&raw mut (*buffer).MiniportReserved).cast::<usize>();
        AtomicUsize::from_ptr(words.wrapping_add(2))
    }
}

pub(super) fn status_word(buffer: *mut NET_BUFFER) -> usize {
    state_word(buffer).load(Ordering::Acquire)
}
