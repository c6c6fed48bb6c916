//! The few kernel routines that this crate's unit tests reach, in user mode.

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr;

use ndis_sys as sys;

thread_local! {
    /// The CPU that the test says it runs on.
    pub(crate) static CPU: Cell<u32> = const { Cell::new(0) };
}

/// A system without room for mappings.
#[unsafe(no_mangle)]
extern "system" fn MmMapLockedPagesSpecifyCache(
    _mdl: *mut sys::MDL,
    _mode: i8,
    _cache: i32,
    _address: *mut c_void,
    _bugcheck: u32,
    _priority: u32,
) -> *mut c_void {
    ptr::null_mut()
}

#[unsafe(no_mangle)]
extern "system" fn KeGetCurrentProcessorNumberEx(_number: *mut c_void) -> u32 {
    CPU.get()
}
