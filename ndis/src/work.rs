//! Work to be done at PASSIVE_LEVEL, asked for at any level up to DISPATCH_LEVEL.

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

use ndis_sys as sys;

use crate::Failed;
use crate::irql::{Passive, at_passive};
use crate::memory::try_box;
use crate::quiesce::Quiesce;

/// Nothing to do.
const IDLE: u8 = 0;
/// Asked for, and not begun. Also while the work runs and was asked for again.
const WANTED: u8 = 1;
/// Running, and not asked for since it began.
const RUNNING: u8 = 2;

struct State<T> {
    target: *const T,
    body: fn(&T, &Passive<'_>),
    phase: AtomicU8,
    runs: Quiesce,
}

/// Calls a function of a `T` at PASSIVE_LEVEL, in a system thread, once for any number of
/// requests made before it begins.
pub struct Work<T> {
    item: sys::NDIS_HANDLE,
    state: Box<State<T>>,
}

// SAFETY: the phase is atomic and guards the work item; `T` is reached by shared reference from
// the worker thread.
unsafe impl<T: Sync> Send for Work<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Work<T> {}

impl<T: Sync> Work<T> {
    /// Makes a work item. `owner` is an adapter's or miniport driver's handle: NDIS gives
    /// protocols none.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// `target` outlives the work; [`Work::stop`] runs before the value is dropped and before
    /// `owner` is gone.
    pub unsafe fn try_new(
        owner: sys::NDIS_HANDLE,
        target: *const T,
        body: fn(&T, &Passive<'_>),
    ) -> Result<Self, Failed> {
        let phase = AtomicU8::new(IDLE);
        let state = try_box(State {
            target,
            body,
            phase,
            runs: Quiesce::uninitialized(),
        })?;
        // SAFETY: the state is in its box now, where it stays.
        unsafe { state.runs.initialize() };
        // SAFETY: the handle is a live adapter or driver, by contract.
        let item = unsafe { sys::NdisAllocateIoWorkItem(owner) };
        if item.is_null() {
            Err(Failed::RESOURCES)
        } else {
            Ok(Self { item, state })
        }
    }

    /// Asks for the work. IRQL <= DISPATCH_LEVEL. Without effect after [`Work::stop`].
    pub fn ask(&self) {
        if self.state.phase.swap(WANTED, Ordering::SeqCst) == IDLE && self.state.runs.begin() {
            let context = ptr::from_ref::<State<T>>(&self.state).cast_mut();
            // SAFETY: the item is not queued: only the step out of IDLE comes here, and the
            // routine makes the step back, once it has begun.
            unsafe { sys::NdisQueueIoWorkItem(self.item, Some(run::<T>), context.cast()) };
        }
    }

    /// Ends it: nothing is queued or running on return, and nothing will be.
    pub fn stop(&self, at: &Passive<'_>) {
        self.state.runs.stop();
        self.state.runs.wait(at);
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        // SAFETY: the item is neither queued nor running: it was stopped, by `try_new`'s contract.
        unsafe { sys::NdisFreeIoWorkItem(self.item) };
    }
}

unsafe extern "efiapi" fn run<T>(context: *mut c_void, _item: sys::NDIS_HANDLE) {
    // SAFETY: the context is the state that the Work owns; it is stopped, which waits for us,
    // before it is dropped. Its target outlives it.
    let (state, target) = unsafe {
        let state = &*context.cast::<State<T>>();
        (state, &*state.target)
    };
    while advance(&state.phase, WANTED, RUNNING) {
        // SAFETY: work items run at PASSIVE_LEVEL (Microsoft Learn, "NDIS_IO_WORKITEM_FUNCTION").
        unsafe { at_passive(|at| (state.body)(target, &at)) };
        if advance(&state.phase, RUNNING, IDLE) {
            break;
        }
    }
    state.runs.end();
}

fn advance(phase: &AtomicU8, from: u8, to: u8) -> bool {
    phase
        .compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}
