//! 1.M: timers, work items, events, locks, memory: what the kernel does.

mod compat;
pub(crate) mod locks;
mod mdl;
mod objects;
mod pool;
pub(crate) mod waits;

use std::ffi::c_void;

use ndis_sys::{NonPagedPoolNx, POOL_TYPE};

/// Calls a routine of the kernel: `call!(KeSetEvent: fn(*mut KEVENT, i32, u8) -> i32; event, 0, 0)`.
macro_rules! call {
    ($name:ident: fn($($argument:ty),* $(,)?) $(-> $result:ty)?; $($value:expr),* $(,)?) => {{
        let routine = $crate::native::linked::import!($name: fn($($argument),*) $(-> $result)?);
        // SAFETY: the test passes what the routine's page asks for, but for the fault that it is
        // about.
        unsafe { routine($($value),*) }
    }};
}
pub(crate) use call;

/// A tag.
pub(crate) const TAG: u32 = u32::from_le_bytes(*b"Test");

/// A place that lives for ever, with all bytes zero.
pub(crate) fn place<T: ndis_sys::Zeroed>() -> *mut T {
    Box::leak(Box::new(T::zeroed()))
}

/// A block of pool.
pub(crate) fn allocate(kind: POOL_TYPE, bytes: usize) -> *mut u8 {
    call!(ExAllocatePoolWithTag: fn(POOL_TYPE, usize, u32) -> *mut c_void; kind, bytes, TAG).cast()
}

/// A block of nonpaged pool as an object.
pub(crate) fn allocate_object<T>() -> *mut T {
    allocate(NonPagedPoolNx, size_of::<T>()).cast()
}

/// Frees a block of pool.
pub(crate) fn free<T>(block: *mut T) {
    call!(ExFreePoolWithTag: fn(*mut c_void, u32); block.cast(), TAG);
}

/// KfRaiseIrql.
pub(crate) fn raise(level: u8) -> u8 {
    call!(KfRaiseIrql: fn(u8) -> u8; level)
}

/// KeLowerIrql.
pub(crate) fn lower(level: u8) {
    call!(KeLowerIrql: fn(u8); level);
}
