//! Reader/writer locks of NDIS.

use core::ffi::c_void;

use crate::{KIRQL, KSPIN_LOCK, impl_zeroed};

/// How a lock of `NdisAllocateRWLock` was taken; on the stack of whoever holds it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LOCK_STATE_EX {
    /// Level before the lock was taken.
    pub OldIrql: KIRQL,
    /// Belongs to NDIS.
    pub LockState: u8,
    /// Belongs to NDIS.
    pub Flags: u8,
}

/// How an [`NDIS_RW_LOCK`] was taken; on the stack of whoever holds it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LOCK_STATE {
    /// Belongs to NDIS.
    pub LockState: u16,
    /// Level before the lock was taken.
    pub OldIrql: KIRQL,
}

/// Reader/writer lock from before NDIS 6.20, in the driver's memory.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RW_LOCK {
    /// Held by the writer.
    pub SpinLock: KSPIN_LOCK,
    /// Belongs to NDIS.
    pub Context: *mut c_void,
    /// Readers by processor.
    pub RefCountEx: [u32; 256],
}

/// The caller is at `DISPATCH_LEVEL`.
pub const NDIS_RWL_AT_DISPATCH_LEVEL: u8 = 1;

impl_zeroed! {
    LOCK_STATE_EX,
    LOCK_STATE,
    NDIS_RW_LOCK,
}
