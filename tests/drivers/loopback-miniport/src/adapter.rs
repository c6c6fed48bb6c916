//! An adapter's life.
//!
//! `busy` counts what a pause has to wait for: one for the running data path itself, one for each
//! frame on its way back, one for a timer that is set. Whoever takes it to zero completes the
//! pause.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64};

use ndis_sys::{
    KeFlushQueuedDpcs, NDIS_HALT_ACTION, NDIS_HANDLE, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
    NDIS_TIMER_CHARACTERISTICS, NDIS_TIMER_CHARACTERISTICS_REVISION_1, NET_BUFFER_LIST,
    NdisAllocateMemoryWithTagPriority, NdisAllocateTimerObject, NdisCancelTimerObject,
    NdisFreeMemory, NdisFreeTimerObject, NdisMPauseComplete, NormalPoolPriority, Zeroed,
};

use crate::lock::Locked;
use crate::pool::Pool;
use crate::{TAG, attributes, mirror};

/// An adapter; its address is the context that NDIS passes to every handler.
pub(crate) struct Adapter {
    pub(crate) handle: NDIS_HANDLE,
    /// Lets the frames out of the mirror.
    pub(crate) timer: NDIS_HANDLE,
    pub(crate) mac: [u8; 6],
    pub(crate) filter: AtomicU32,
    pub(crate) counters: Counters,
    pub(crate) path: Locked<Path>,
}

/// Frames that went each way and their bytes, those that found no buffer, those that were no
/// frames.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) no_buffer: AtomicU64,
    pub(crate) errors: AtomicU64,
}

/// The data path.
pub(crate) struct Path {
    pub(crate) running: bool,
    pub(crate) pausing: bool,
    pub(crate) busy: u32,
    /// The timer is set, and its routine has not begun.
    pub(crate) timer_set: bool,
    /// Frames in the mirror, the oldest first.
    pub(crate) first: *mut NET_BUFFER_LIST,
    pub(crate) last: *mut NET_BUFFER_LIST,
    pub(crate) pool: Pool,
}

// SAFETY: the lists are ours; a lock orders their users.
unsafe impl Send for Path {}

impl Path {
    const fn new(pool: Pool) -> Self {
        Self {
            running: false,
            pausing: false,
            busy: 0,
            timer_set: false,
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            pool,
        }
    }

    /// Ends `count` of what a pause waits for; whether that completes a pause that is pending.
    #[must_use]
    pub(crate) fn done(&mut self, count: u32) -> bool {
        self.busy = self.busy.wrapping_sub(count);
        let complete = self.busy == 0 && self.pausing;
        self.pausing &= !complete;
        complete
    }
}

/// The adapter of a handler.
///
/// # Safety
///
/// `context` is what NDIS passes to a handler: an adapter between initialization and halt.
pub(crate) unsafe fn of<'a>(context: NDIS_HANDLE) -> &'a Adapter {
    // SAFETY: by contract.
    unsafe { &*context.cast::<Adapter>() }
}

impl Adapter {
    /// Tells NDIS that the pause it waits for is complete, if it is.
    pub(crate) fn complete_pause(&self, complete: bool) {
        if complete {
            // SAFETY: a pause is pending, and nothing is out.
            unsafe { NdisMPauseComplete(self.handle) }
        }
    }
}

/// MiniportInitializeEx.
pub(crate) unsafe extern "efiapi" fn initialize(
    handle: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    let size = size_of::<Adapter>() as u32;
    // SAFETY: an adapter handle; the level is PASSIVE.
    let memory =
        unsafe { NdisAllocateMemoryWithTagPriority(handle, size, TAG, NormalPoolPriority) };
    if memory.is_null() {
        return NDIS_STATUS_RESOURCES;
    }
    let adapter: *mut Adapter = memory.cast();
    // SAFETY: the parameters are valid for the call; `memory` is as long as an adapter, and pool
    // memory is aligned to 16.
    let status = unsafe {
        let number = (*parameters).IfIndex;
        adapter.write(Adapter {
            handle,
            timer: ptr::null_mut(),
            mac: address(number),
            filter: AtomicU32::new(0),
            counters: Counters::default(),
            path: Locked::new(Path::new(Pool::EMPTY)),
        });
        set_up(adapter)
    };
    if status != NDIS_STATUS_SUCCESS {
        // SAFETY: nothing of NDIS refers to it: handlers are not called after a failure.
        unsafe { take_down(adapter) };
    }
    status
}

/// A locally administered address that differs from adapter to adapter.
fn address(number: u32) -> [u8; 6] {
    let [_, b, c, d] = number.to_be_bytes();
    [0x02, 0x4c, 0x4d, b, c, d]
}

/// Declares the adapter and gets its resources.
unsafe fn set_up(adapter: *mut Adapter) -> NDIS_STATUS {
    // SAFETY: the adapter is ours alone until this returns; each call gets what its page asks for.
    unsafe {
        let handle = (*adapter).handle;
        let status = attributes::register(handle, adapter.cast());
        if status != NDIS_STATUS_SUCCESS {
            return status;
        }
        let Some(pool) = Pool::fill(handle) else {
            return NDIS_STATUS_RESOURCES;
        };
        (*adapter).path = Locked::new(Path::new(pool));
        let status = make_timer(adapter);
        if status != NDIS_STATUS_SUCCESS {
            return status;
        }
        attributes::set_general(handle, (*adapter).mac)
    }
}

unsafe fn make_timer(adapter: *mut Adapter) -> NDIS_STATUS {
    let mut given = NDIS_TIMER_CHARACTERISTICS::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
        Revision: NDIS_TIMER_CHARACTERISTICS_REVISION_1,
        Size: NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
    };
    given.AllocationTag = TAG;
    given.TimerFunction = Some(mirror::reflect);
    given.FunctionContext = adapter.cast::<c_void>();
    // SAFETY: the adapter outlives its timer.
    unsafe { NdisAllocateTimerObject((*adapter).handle, &raw mut given, &raw mut (*adapter).timer) }
}

/// Frees an adapter and what it has.
unsafe fn take_down(adapter: *mut Adapter) {
    // SAFETY: the data path is at rest, or never ran.
    unsafe {
        if !(*adapter).timer.is_null() {
            NdisFreeTimerObject((*adapter).timer);
        }
        let mut pool = (*adapter)
            .path
            .with(|path| core::mem::replace(&mut path.pool, Pool::EMPTY));
        pool.empty();
        NdisFreeMemory(adapter.cast(), 0, 0);
    }
}

/// MiniportHaltEx.
pub(crate) unsafe extern "efiapi" fn halt(context: NDIS_HANDLE, _action: NDIS_HALT_ACTION) {
    // SAFETY: a paused adapter, which NDIS uses no more. The timer is not set, but its routine may
    // have completed the pause and not have returned.
    unsafe {
        KeFlushQueuedDpcs();
        take_down(context.cast());
    }
}

/// MiniportPause. Frames that are still in the mirror are lost, as on a cable that is pulled.
pub(crate) unsafe extern "efiapi" fn pause(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_PAUSE_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: an adapter context.
    let adapter = unsafe { of(context) };
    let timer_set = adapter.path.with(|path| {
        path.running = false;
        mirror::discard(path);
        path.timer_set
    });
    // SAFETY: the timer lives until halt. False: its routine has begun or will.
    let cancelled = timer_set && unsafe { NdisCancelTimerObject(adapter.timer) } != 0;
    let pending = adapter.path.with(|path| {
        if cancelled {
            path.timer_set = false;
        }
        let ended = 1 + u32::from(cancelled);
        path.busy = path.busy.wrapping_sub(ended);
        path.pausing = path.busy != 0;
        path.pausing
    });
    if pending {
        NDIS_STATUS_PENDING
    } else {
        NDIS_STATUS_SUCCESS
    }
}

/// MiniportRestart.
pub(crate) unsafe extern "efiapi" fn restart(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_RESTART_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: an adapter context.
    let adapter = unsafe { of(context) };
    adapter.path.with(|path| {
        path.running = true;
        path.busy = 1;
    });
    NDIS_STATUS_SUCCESS
}
