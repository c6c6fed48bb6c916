//! The system's clock, and sleeping.

use ndis_sys as sys;

use crate::irql::Passive;

/// Milliseconds since the system started, in steps of the clock tick (10 to 16 ms). Any IRQL.
#[must_use]
pub fn uptime_ms() -> u64 {
    let mut uptime = 0;
    // SAFETY: the pointer is to a local.
    unsafe { sys::NdisGetSystemUpTimeEx(&raw mut uptime) };
    uptime.cast_unsigned()
}

/// Sleeps for `microseconds` or, as the clock ticks, somewhat longer.
pub fn sleep_us(microseconds: u32, _at: &Passive<'_>) {
    // SAFETY: the token proves PASSIVE_LEVEL.
    unsafe { sys::NdisMSleep(microseconds) };
}
