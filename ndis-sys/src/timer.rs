//! Timer objects, work items and events.

use core::ffi::c_void;

use crate::{KEVENT, NDIS_HANDLE, NDIS_OBJECT_HEADER, impl_zeroed};

/// What a timer calls. Type TIMER_CHARACTERISTICS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_TIMER_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Tag of the timer's memory.
    pub AllocationTag: u32,
    /// What to call.
    pub TimerFunction: Option<NDIS_TIMER_FUNCTION>,
    /// Its context, unless `NdisSetTimerObject` gives another.
    pub FunctionContext: *mut c_void,
}

/// Event to wait for at `PASSIVE_LEVEL`. Lives in nonpaged memory.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_EVENT {
    /// The kernel's event.
    pub Event: KEVENT,
}

/// A timer has expired. Called at `DISPATCH_LEVEL`; only `function_context` is the driver's.
pub type NDIS_TIMER_FUNCTION = unsafe extern "efiapi" fn(
    system_specific1: *mut c_void,
    function_context: *mut c_void,
    system_specific2: *mut c_void,
    system_specific3: *mut c_void,
);

/// Does deferred work. Called at `PASSIVE_LEVEL`, in a system thread.
pub type NDIS_IO_WORKITEM_FUNCTION = unsafe extern "efiapi" fn(
    work_item_context: *mut c_void,
    ndis_io_work_item_handle: NDIS_HANDLE,
);

/// Nullable [`NDIS_IO_WORKITEM_FUNCTION`].
pub type NDIS_IO_WORKITEM_ROUTINE = Option<NDIS_IO_WORKITEM_FUNCTION>;

/// Revision 1 of [`NDIS_TIMER_CHARACTERISTICS`](crate::NDIS_TIMER_CHARACTERISTICS).
pub const NDIS_TIMER_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_TIMER_CHARACTERISTICS`](crate::NDIS_TIMER_CHARACTERISTICS) that belong to
/// revision 1.
pub const NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1: u16 = 0x18;

impl_zeroed! {
    NDIS_TIMER_CHARACTERISTICS,
    NDIS_EVENT,
}
