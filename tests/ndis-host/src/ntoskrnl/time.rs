//! Clocks, all of which follow virtual time.

use ndis_sys::LARGE_INTEGER;

use crate::{sched, verifier};

/// System time at the start of the machine: 1 January 2026, in units of 100 ns since 1601.
const START: u64 = 134_116_992_000_000_000;
/// Time that the machine has been up when the run starts, in units of 100 ns: it is booted.
const UP: u64 = 600_000_000;
/// Time between two clock ticks, in units of 100 ns.
const TICK: u64 = 156_250;
/// Counts per second of the performance counter.
const FREQUENCY: i64 = 10_000_000;
/// Longest busy wait that the documentation allows, microseconds.
const LONGEST_STALL_US: u32 = 50;

/// System time (UTC) in units of 100 ns since 1601.
pub fn system_time() -> u64 {
    START + sched::now() / 100
}

/// Time since the machine was started, in units of 100 ns.
pub fn interrupt_time() -> u64 {
    UP + sched::now() / 100
}

/// Number of clock ticks since the machine was started.
pub fn tick_count() -> u64 {
    interrupt_time() / TICK
}

/// `KeQueryPerformanceCounter`: the counter, and its frequency if asked for. Any level.
///
/// # Safety
///
/// `frequency` must be null or writable.
pub(super) unsafe extern "efiapi" fn ke_query_performance_counter(
    frequency: *mut LARGE_INTEGER,
) -> LARGE_INTEGER {
    sched::point();
    if !frequency.is_null() {
        // SAFETY: the caller promises that it is writable.
        unsafe { frequency.write(FREQUENCY) };
    }
    interrupt_time() as LARGE_INTEGER
}

/// `KeStallExecutionProcessor`: waits busily; 50 us at most (rule 209). Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn ke_stall_execution_processor(micro_seconds: u32) {
    if micro_seconds > LONGEST_STALL_US {
        verifier::breach(
            209,
            format!("stalls for {micro_seconds} us, {LONGEST_STALL_US} at most"),
        );
    }
    sched::spend(u64::from(micro_seconds) * 1000);
}
