//! The export table, and routines that are looked up by name.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::UNICODE_STRING;

use super::{
    Table, crt, debug, enter, etw, interrupt, io, irql, locks, memory, mm, processor, reg, rtl,
    sync, text, thread, timing,
};
use crate::sched::{self, BatonCell, PASSIVE_LEVEL};

/// Routines of other modules that can be looked up.
static PUBLISHED: BatonCell<BTreeMap<&'static str, usize>> = BatonCell::new(BTreeMap::new());

/// What ntoskrnl.exe of this Windows exports: what a driver may import.
pub fn exports() -> Table {
    let parts = [
        memory::exports(),
        mm::exports(),
        mm::newer_exports(),
        irql::exports(),
        locks::exports(),
        sync::exports(),
        timing::exports(),
        thread::exports(),
        interrupt::exports(),
        processor::exports(),
        system_exports(),
        crt::exports(),
        debug::exports(),
        etw::exports(),
        io::exports(),
        reg::exports(),
        rtl::exports(),
    ];
    parts.concat()
}

fn system_exports() -> Table {
    exports! {
        "DbgPrintEx" => debug::dbg_print_ex,
        "KeBugCheckEx" => debug::ke_bug_check_ex,
        "MmGetSystemRoutineAddress" => mm_get_system_routine_address,
        "RtlInitUnicodeString" => text::rtl_init_unicode_string,
    }
}

/// Makes routines of other modules known to [`routine_address`].
pub fn publish_routines(routines: &[(&'static str, usize)]) {
    PUBLISHED.with(|published| published.extend(routines.iter().copied()));
}

/// The address by which drivers call a routine that this Windows has.
pub fn routine_address(name: &str) -> Option<usize> {
    find_routine(name).map(sched::gate)
}

fn find_routine(name: &str) -> Option<usize> {
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
