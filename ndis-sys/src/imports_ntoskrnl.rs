//! Functions that the driver imports from `ntoskrnl.exe`.
//!
//! The declarations exist on every target, so that code that calls them can be checked anywhere;
//! only a Windows target links them.

use core::ffi::{c_char, c_void};

use crate::{
    ACCESS_MASK, BOOLEAN, EVENT_TYPE, HANDLE, IRP, KEVENT, KEY_VALUE_INFORMATION_CLASS, KIRQL,
    KPRIORITY, KPROCESSOR_MODE, KSPIN_LOCK, KWAIT_REASON, LARGE_INTEGER, MDL, MEMORY_CACHING_TYPE,
    NTSTATUS, OBJECT_ATTRIBUTES, POOL_TYPE, PROCESSOR_NUMBER, UNICODE_STRING,
};

#[cfg_attr(
    windows,
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Completes a request; the packet is not the driver's any more. Up to `DISPATCH_LEVEL`.
    pub fn IofCompleteRequest(irp: *mut IRP, priority_boost: i8);

    /// Allocates kernel memory, null if there is none. Up to `DISPATCH_LEVEL` for nonpaged pool.
    pub fn ExAllocatePoolWithTag(
        pool_type: POOL_TYPE,
        number_of_bytes: usize,
        tag: u32,
    ) -> *mut c_void;

    /// Frees kernel memory with the tag that it was allocated with. Up to `DISPATCH_LEVEL` for
    /// nonpaged pool.
    pub fn ExFreePoolWithTag(p: *mut c_void, tag: u32);

    /// Keeps normal kernel procedure calls, and with them suspension, from the current thread. Up to
    /// `APC_LEVEL`.
    pub fn KeEnterCriticalRegion();

    /// Ends what the last [`KeEnterCriticalRegion`] of the thread began. Up to `APC_LEVEL`.
    pub fn KeLeaveCriticalRegion();

    /// Raises to `DISPATCH_LEVEL`, acquires a spin lock, returns the former level. Up to
    /// `DISPATCH_LEVEL`.
    pub fn KeAcquireSpinLockRaiseToDpc(spin_lock: *mut KSPIN_LOCK) -> KIRQL;

    /// Releases a spin lock and lowers to the level that its acquisition returned. At
    /// `DISPATCH_LEVEL`.
    pub fn KeReleaseSpinLock(spin_lock: *mut KSPIN_LOCK, new_irql: KIRQL);

    /// Acquires a spin lock. At `DISPATCH_LEVEL` or above.
    pub fn KeAcquireSpinLockAtDpcLevel(spin_lock: *mut KSPIN_LOCK);

    /// Releases a spin lock, stays at the level. At `DISPATCH_LEVEL` or above.
    pub fn KeReleaseSpinLockFromDpcLevel(spin_lock: *mut KSPIN_LOCK);

    /// Returns when every DPC that was queued, on whichever CPU, has run to its end. At
    /// `PASSIVE_LEVEL`.
    pub fn KeFlushQueuedDpcs();

    /// Initializes an event. Any level.
    pub fn KeInitializeEvent(event: *mut KEVENT, kind: EVENT_TYPE, state: BOOLEAN);

    /// Signals an event, returns its former state. Up to `DISPATCH_LEVEL`, with `wait` false.
    pub fn KeSetEvent(event: *mut KEVENT, increment: KPRIORITY, wait: BOOLEAN) -> i32;

    /// Resets an event. Up to `DISPATCH_LEVEL`.
    pub fn KeClearEvent(event: *mut KEVENT);

    /// Resets an event, returns its former state. Up to `DISPATCH_LEVEL`.
    pub fn KeResetEvent(event: *mut KEVENT) -> i32;

    /// Reads an event's state. Up to `DISPATCH_LEVEL`.
    pub fn KeReadStateEvent(event: *mut KEVENT) -> i32;

    /// Waits for an object; the timeout counts 100 ns, negative from now, null for ever. Up to
    /// `APC_LEVEL`, or `DISPATCH_LEVEL` with a timeout of 0.
    pub fn KeWaitForSingleObject(
        object: *mut c_void,
        wait_reason: KWAIT_REASON,
        wait_mode: KPROCESSOR_MODE,
        alertable: BOOLEAN,
        timeout: *mut LARGE_INTEGER,
    ) -> NTSTATUS;

    /// Stops the system. Any level.
    pub fn KeBugCheckEx(
        bug_check_code: u32,
        bug_check_parameter1: usize,
        bug_check_parameter2: usize,
        bug_check_parameter3: usize,
        bug_check_parameter4: usize,
    ) -> !;

    /// Returns the index of the processor that runs this, and its group number unless null. Any
    /// level.
    pub fn KeGetCurrentProcessorNumberEx(proc_number: *mut PROCESSOR_NUMBER) -> u32;

    /// Returns how many processors a group, or the system with `ALL_PROCESSOR_GROUPS`, can have.
    /// Any level.
    pub fn KeQueryMaximumProcessorCountEx(group_number: u16) -> u32;

    /// Returns the performance counter, and its frequency in Hz unless null. Any level.
    pub fn KeQueryPerformanceCounter(performance_frequency: *mut LARGE_INTEGER) -> LARGE_INTEGER;

    /// Raises the level, returns the former one.
    pub fn KfRaiseIrql(new_irql: KIRQL) -> KIRQL;

    /// Lowers the level to what a raise returned.
    pub fn KeLowerIrql(new_irql: KIRQL);

    /// Keeps the processor busy for some microseconds, at most 50. Any level.
    pub fn KeStallExecutionProcessor(micro_seconds: u32);

    /// Maps the pages of an MDL; null on failure unless `bug_check_on_failure`. Up to
    /// `DISPATCH_LEVEL` for kernel mode.
    pub fn MmMapLockedPagesSpecifyCache(
        memory_descriptor_list: *mut MDL,
        access_mode: KPROCESSOR_MODE,
        cache_type: MEMORY_CACHING_TYPE,
        requested_address: *mut c_void,
        bug_check_on_failure: u32,
        priority: u32,
    ) -> *mut c_void;

    /// Returns the address of a routine of the kernel, null if this version does not have it. At
    /// `PASSIVE_LEVEL`.
    pub fn MmGetSystemRoutineAddress(system_routine_name: *mut UNICODE_STRING) -> *mut c_void;

    /// Makes a counted string of a terminated one; no copy. Any level, if the text is resident.
    pub fn RtlInitUnicodeString(destination_string: *mut UNICODE_STRING, source_string: *const u16);

    /// Tells whether a registry key exists. At `PASSIVE_LEVEL`.
    pub fn RtlCheckRegistryKey(relative_to: u32, path: *mut u16) -> NTSTATUS;

    /// Opens a registry key; the handle is closed by `ZwClose`. At `PASSIVE_LEVEL`.
    pub fn ZwOpenKey(
        key_handle: *mut HANDLE,
        desired_access: ACCESS_MASK,
        object_attributes: *mut OBJECT_ATTRIBUTES,
    ) -> NTSTATUS;

    /// Reads a registry value. At `PASSIVE_LEVEL`.
    pub fn ZwQueryValueKey(
        key_handle: HANDLE,
        value_name: *mut UNICODE_STRING,
        key_value_information_class: KEY_VALUE_INFORMATION_CLASS,
        key_value_information: *mut c_void,
        length: u32,
        result_length: *mut u32,
    ) -> NTSTATUS;

    /// Closes a handle. At `PASSIVE_LEVEL`.
    pub fn ZwClose(handle: HANDLE) -> NTSTATUS;
}

#[cfg_attr(
    windows,
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "C" {
    /// Prints to the kernel debugger. Any level, for formats without wide text.
    pub fn DbgPrintEx(component_id: u32, level: u32, format: *const c_char, ...) -> u32;

    /// Copies bytes between ranges that do not overlap. Any level, if both are resident.
    pub fn memcpy(destination: *mut c_void, source: *const c_void, count: usize) -> *mut c_void;

    /// Copies bytes between ranges that may overlap. Any level, if both are resident.
    pub fn memmove(destination: *mut c_void, source: *const c_void, count: usize) -> *mut c_void;

    /// Fills bytes. Any level, if they are resident.
    pub fn memset(destination: *mut c_void, value: i32, count: usize) -> *mut c_void;

    /// Compares bytes. Any level, if they are resident.
    pub fn memcmp(left: *const c_void, right: *const c_void, count: usize) -> i32;
}
