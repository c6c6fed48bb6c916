//! Messages to the administrator, in the system event log.

use ndis_sys as sys;

/// Writes an entry: one of NDIS's error codes, which has a text in the system, and two numbers
/// that say which of our reasons it was and what it was about. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `miniport` is an adapter's handle, from the registration attributes until MiniportHaltEx
/// returns.
pub unsafe fn write(miniport: sys::NDIS_HANDLE, code: u32, reason: u32, detail: u32) {
    // SAFETY: two values follow, as the count says.
    unsafe { sys::NdisWriteErrorLogEntry(miniport, code, 2, reason, detail) };
}
