//! Versions, times, sleeping, processor counts, and routines found by name.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{LARGE_INTEGER, NDIS_STRING};

use crate::ndis::call::{Level, import};
use crate::ndis::text;
use crate::{ntoskrnl, sched, verifier};

/// Microsoft Learn, NdisGetVersion function (ndis.h): major version in the upper half.
/// IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn version() -> u32 {
    import("NdisGetVersion", Level::UpToDispatch);
    let os = ntoskrnl::os();
    u32::from(os.ndis_major) << 16 | u32::from(os.ndis_minor)
}

/// Microsoft Learn, NdisGetRoutineAddress function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `name` points to a valid string.
pub(crate) unsafe extern "efiapi" fn routine_address(name: *mut NDIS_STRING) -> *mut c_void {
    import("NdisGetRoutineAddress", Level::Passive);
    // SAFETY: the caller's contract.
    let name = unsafe { text::read(name) };
    let exports = super::exports();
    let found = exports
        .iter()
        .find(|(export, _)| *export == name)
        .map(|(_, address)| *address);
    found.map_or(ptr::null_mut(), |address| {
        ptr::with_exposed_provenance_mut(sched::gate(address))
    })
}

/// Microsoft Learn, NdisGetSystemUpTimeEx function (ndis.h): milliseconds. Any IRQL.
///
/// # Safety
///
/// `up_time` points to a LARGE_INTEGER.
pub(crate) unsafe extern "efiapi" fn up_time(up_time: *mut LARGE_INTEGER) {
    import("NdisGetSystemUpTimeEx", Level::Any);
    // SAFETY: the caller's contract.
    unsafe { *up_time = (sched::now() / 1_000_000) as i64 };
}

/// Microsoft Learn, NdisMSleep function (ndis.h): at least that many microseconds.
/// IRQL < DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn sleep(microseconds: u32) {
    const CALL: &str = "NdisMSleep";
    let irql = sched::irql();
    verifier::insist(84, irql < sched::DISPATCH_LEVEL, || {
        format!("{CALL} called at level {irql}")
    });
    import(CALL, Level::UpToApc);
    sched::sleep(u64::from(microseconds) * 1000);
}
