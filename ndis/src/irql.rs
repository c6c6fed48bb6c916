//! Proof, in the type system, of the interrupt level that the current CPU runs at.
//!
//! A token belongs to one CPU and one scope: it is neither `Send` nor `Sync`, and the callback
//! that made it ends its lifetime. Waiting functions ask for [`Passive`], ring work for
//! [`Dispatch`].

use core::marker::PhantomData;

use ndis_sys as sys;

type OnThisCpu<'irql> = PhantomData<(&'irql (), *mut ())>;

/// Proof of `PASSIVE_LEVEL`.
pub struct Passive<'irql>(OnThisCpu<'irql>);

/// Proof of `DISPATCH_LEVEL`.
#[derive(Clone, Copy)]
pub struct Dispatch<'irql>(OnThisCpu<'irql>);

/// Enters a callback that NDIS documents as running at `PASSIVE_LEVEL`.
///
/// # Safety
///
/// The current CPU is at `PASSIVE_LEVEL`, and stays there until `body` returns.
pub unsafe fn at_passive<R>(body: impl for<'i> FnOnce(Passive<'i>) -> R) -> R {
    body(Passive(PhantomData))
}

/// Enters a callback that NDIS documents as running at exactly `DISPATCH_LEVEL`.
///
/// # Safety
///
/// The current CPU is at `DISPATCH_LEVEL`, and stays there until `body` returns.
pub unsafe fn at_dispatch<R>(body: impl for<'i> FnOnce(Dispatch<'i>) -> R) -> R {
    body(Dispatch(PhantomData))
}

/// Runs `body` at `DISPATCH_LEVEL`, raising the level if need be and restoring it on return.
///
/// # Safety
///
/// The current CPU is at or below `DISPATCH_LEVEL`. No [`Passive`] token is in use inside `body`.
pub unsafe fn raised<R>(body: impl for<'i> FnOnce(Dispatch<'i>) -> R) -> R {
    // SAFETY: DISPATCH_LEVEL is not below the current level, by this function's contract.
    let old = unsafe { sys::KfRaiseIrql(sys::DISPATCH_LEVEL) };
    let result = body(Dispatch(PhantomData));
    // SAFETY: `old` is the level that KfRaiseIrql returned above, on the same CPU.
    unsafe { sys::KeLowerIrql(old) };
    result
}
