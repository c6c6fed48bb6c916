//! The export table, and routines that are looked up by name.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::UNICODE_STRING;

use super::{
    debug, enter, event, irql, memory, os, pool, processor, registry, spin_lock, text, time,
};
use crate::sched::{BatonCell, PASSIVE_LEVEL};

/// Build from which on `ExAllocatePool2` is there (Windows 10 2004).
const POOL2_BUILD: u32 = 19041;

/// Routines of other modules that can be looked up.
static PUBLISHED: BatonCell<BTreeMap<&'static str, usize>> = BatonCell::new(BTreeMap::new());

/// What ntoskrnl.exe of the oldest supported Windows exports: what a driver may import.
pub fn exports() -> Vec<(&'static str, *const ())> {
    let mut all = memory_exports();
    all.extend(locking_exports());
    all.extend(system_exports());
    all
}

fn memory_exports() -> Vec<(&'static str, *const ())> {
    vec![
        (
            "ExAllocatePoolWithTag",
            pool::ex_allocate_pool_with_tag as *const (),
        ),
        (
            "ExFreePoolWithTag",
            pool::ex_free_pool_with_tag as *const (),
        ),
        (
            "MmMapLockedPagesSpecifyCache",
            memory::mm_map_locked_pages_specify_cache as *const (),
        ),
        ("memcmp", memory::memcmp as *const ()),
        ("memcpy", memory::memcpy as *const ()),
        ("memmove", memory::memmove as *const ()),
        ("memset", memory::memset as *const ()),
    ]
}

fn locking_exports() -> Vec<(&'static str, *const ())> {
    use spin_lock::{
        ke_acquire_spin_lock_at_dpc_level, ke_acquire_spin_lock_raise_to_dpc, ke_release_spin_lock,
        ke_release_spin_lock_from_dpc_level,
    };
    vec![
        (
            "KeAcquireSpinLockAtDpcLevel",
            ke_acquire_spin_lock_at_dpc_level as *const (),
        ),
        (
            "KeAcquireSpinLockRaiseToDpc",
            ke_acquire_spin_lock_raise_to_dpc as *const (),
        ),
        ("KeClearEvent", event::ke_clear_event as *const ()),
        ("KeInitializeEvent", event::ke_initialize_event as *const ()),
        ("KeLowerIrql", irql::ke_lower_irql as *const ()),
        ("KeReadStateEvent", event::ke_read_state_event as *const ()),
        ("KeReleaseSpinLock", ke_release_spin_lock as *const ()),
        (
            "KeReleaseSpinLockFromDpcLevel",
            ke_release_spin_lock_from_dpc_level as *const (),
        ),
        ("KeResetEvent", event::ke_reset_event as *const ()),
        ("KeSetEvent", event::ke_set_event as *const ()),
        (
            "KeWaitForSingleObject",
            event::ke_wait_for_single_object as *const (),
        ),
        ("KfRaiseIrql", irql::kf_raise_irql as *const ()),
    ]
}

fn system_exports() -> Vec<(&'static str, *const ())> {
    let current = processor::ke_get_current_processor_number_ex as *const ();
    let maximum = processor::ke_query_maximum_processor_count_ex as *const ();
    vec![
        ("DbgPrintEx", debug::dbg_print_ex as *const ()),
        ("KeBugCheckEx", debug::ke_bug_check_ex as *const ()),
        ("KeGetCurrentProcessorNumberEx", current),
        ("KeQueryMaximumProcessorCountEx", maximum),
        (
            "KeQueryPerformanceCounter",
            time::ke_query_performance_counter as *const (),
        ),
        (
            "KeStallExecutionProcessor",
            time::ke_stall_execution_processor as *const (),
        ),
        (
            "MmGetSystemRoutineAddress",
            mm_get_system_routine_address as *const (),
        ),
        (
            "RtlCheckRegistryKey",
            registry::rtl_check_registry_key as *const (),
        ),
        (
            "RtlInitUnicodeString",
            text::rtl_init_unicode_string as *const (),
        ),
        ("ZwClose", registry::zw_close as *const ()),
        ("ZwOpenKey", registry::zw_open_key as *const ()),
        ("ZwQueryValueKey", registry::zw_query_value_key as *const ()),
    ]
}

/// Makes routines of other modules known to [`routine_address`].
pub fn publish_routines(routines: &[(&'static str, usize)]) {
    PUBLISHED.with(|published| published.extend(routines.iter().copied()));
}

/// The address of a routine that this Windows has.
pub fn routine_address(name: &str) -> Option<usize> {
    let newer: &[(&str, u32, *const ())] = &[(
        "ExAllocatePool2",
        POOL2_BUILD,
        pool::ex_allocate_pool2 as *const (),
    )];
    let newer = newer
        .iter()
        .find(|(newer, build, _)| *newer == name && *build <= os().build);
    if let Some((_, _, address)) = newer {
        return Some(address.addr());
    }
    let exported = exports()
        .into_iter()
        .find(|(exported, _)| *exported == name);
    let exported = exported.map(|(_, address)| address.addr());
    exported.or_else(|| PUBLISHED.with(|published| published.get(name).copied()))
}

/// `MmGetSystemRoutineAddress`: the address of a routine, null when there is none. At PASSIVE.
///
/// # Safety
///
/// `name` must be readable.
unsafe extern "efiapi" fn mm_get_system_routine_address(name: *mut UNICODE_STRING) -> *mut c_void {
    enter("MmGetSystemRoutineAddress", PASSIVE_LEVEL);
    // SAFETY: as the caller promises.
    let name = unsafe { text::read(name) };
    routine_address(&name).map_or(std::ptr::null_mut(), |address| address as *mut c_void)
}
