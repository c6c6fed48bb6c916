//! One-shot timers that can be stopped for good.

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr;

use ndis_sys as sys;

use crate::irql::{Dispatch, Passive, at_dispatch};
use crate::memory::try_box;
use crate::quiesce::Quiesce;
use crate::{Failed, POOL_TAG};

struct State<T> {
    target: *const T,
    body: fn(&T, Dispatch<'_>),
    expirations: Quiesce,
}

/// Calls a function of a `T` at DISPATCH_LEVEL, some time after [`Timer::set`].
pub struct Timer<T> {
    object: sys::NDIS_HANDLE,
    state: Box<State<T>>,
}

// SAFETY: NDIS synchronises the timer object; the rest is atomic, and `T` is reached by shared
// reference from whatever CPU the timer expires on.
unsafe impl<T: Sync> Send for Timer<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Timer<T> {}

impl<T: Sync> Timer<T> {
    /// Makes a timer that is not set. `owner` is an adapter's or driver's handle.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// `target` outlives the timer; [`Timer::stop`] runs before the timer is dropped and before
    /// `owner` is gone.
    pub unsafe fn try_new(
        owner: sys::NDIS_HANDLE,
        target: *const T,
        body: fn(&T, Dispatch<'_>),
    ) -> Result<Self, Failed> {
        let state = try_box(State {
            target,
            body,
            expirations: Quiesce::uninitialized(),
        })?;
        // SAFETY: the state is in its box now, where it stays.
        unsafe { state.expirations.initialize() };
        let mut characteristics: sys::NDIS_TIMER_CHARACTERISTICS = sys::zeroed();
        characteristics.Header = crate::header(
            sys::NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
            sys::NDIS_TIMER_CHARACTERISTICS_REVISION_1,
            sys::NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
        );
        characteristics.AllocationTag = POOL_TAG;
        characteristics.TimerFunction = Some(expired::<T>);
        characteristics.FunctionContext = ptr::from_ref::<State<T>>(&state).cast_mut().cast();
        let mut object = ptr::null_mut();
        // SAFETY: the characteristics are copied; the context lives as long as the timer.
        let status = unsafe {
            sys::NdisAllocateTimerObject(owner, &raw mut characteristics, &raw mut object)
        };
        Failed::check(status)?;
        Ok(Self { object, state })
    }

    /// Lets the timer expire in `milliseconds`; a time set before no longer counts.
    /// IRQL <= DISPATCH_LEVEL. Without effect after [`Timer::stop`].
    pub fn set(&self, milliseconds: u32) {
        if !self.state.expirations.begin() {
            return;
        }
        let due = i64::from(milliseconds).saturating_mul(-10_000);
        // SAFETY: the object is live; 0 means one shot; a null context keeps the first one.
        let replaced =
            unsafe { sys::NdisSetTimerObject(self.object, due, 0, ptr::null_mut()) } != 0;
        if replaced {
            self.state.expirations.end();
        }
    }

    /// Takes a set time back. IRQL <= DISPATCH_LEVEL. The function may be running still.
    pub fn cancel(&self) {
        // SAFETY: the object is live.
        if unsafe { sys::NdisCancelTimerObject(self.object) } != 0 {
            self.state.expirations.end();
        }
    }

    /// Ends the timer's life: nothing is due or running on return, and nothing will be.
    pub fn stop(&self, at: &Passive<'_>) {
        self.state.expirations.stop();
        self.cancel();
        self.state.expirations.wait(at);
        // The function that ended the wait may not have returned.
        // SAFETY: at PASSIVE_LEVEL.
        unsafe { sys::KeFlushQueuedDpcs() };
    }
}

impl<T> Drop for Timer<T> {
    fn drop(&mut self) {
        // SAFETY: the timer was stopped, by `try_new`'s contract.
        unsafe { sys::NdisFreeTimerObject(self.object) };
    }
}

unsafe extern "efiapi" fn expired<T>(
    _system1: *mut c_void,
    context: *mut c_void,
    _system2: *mut c_void,
    _system3: *mut c_void,
) {
    // SAFETY: NDIS hands back the context of the characteristics, whose box the timer owns; the
    // timer is stopped, which waits for us, before it is dropped. Its target outlives it.
    let (state, target) = unsafe {
        let state = &*context.cast::<State<T>>();
        (state, &*state.target)
    };
    // SAFETY: timer functions run at DISPATCH_LEVEL (Microsoft Learn, "NDIS_TIMER_FUNCTION").
    unsafe { at_dispatch(|at| (state.body)(target, at)) };
    state.expirations.end();
}
