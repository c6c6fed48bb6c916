//! Clocks, all of which follow virtual time.

use ndis_sys::LARGE_INTEGER;

use crate::ntoskrnl::{Table, enter, locks};
use crate::sched::HIGH_LEVEL;
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

/// How long a time of a timer or a wait is from now, ns: negative ones are relative, others are
/// system times.
pub(in crate::ntoskrnl) fn relative_ns(time: LARGE_INTEGER) -> u64 {
    let units = match u64::try_from(time) {
        Ok(absolute) => absolute.saturating_sub(system_time()),
        Err(_) => time.unsigned_abs(),
    };
    units.saturating_mul(100)
}

pub(super) fn exports() -> Table {
    exports! {
        "KeQueryPerformanceCounter" => ke_query_performance_counter,
        "KeQueryTimeIncrement" => ke_query_time_increment,
        "KeQueryInterruptTimePrecise" => ke_query_interrupt_time_precise,
        "KeQuerySystemTimePrecise" => ke_query_system_time_precise,
        "KeQueryUnbiasedInterruptTime" => ke_query_unbiased_interrupt_time,
        "KeStallExecutionProcessor" => ke_stall_execution_processor,
    }
}

/// `KeQueryPerformanceCounter`: the counter, and its frequency if asked for. Any level.
///
/// # Safety
///
/// `frequency` must be null or writable.
unsafe extern "efiapi" fn ke_query_performance_counter(
    frequency: *mut LARGE_INTEGER,
) -> LARGE_INTEGER {
    sched::point();
    if !frequency.is_null() {
        // SAFETY: the caller promises that it is writable.
        unsafe { frequency.write(FREQUENCY) };
    }
    interrupt_time() as LARGE_INTEGER
}

/// `KeQueryTimeIncrement`: time between two clock ticks, in units of 100 ns. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_query_time_increment() -> u32 {
    enter("KeQueryTimeIncrement", HIGH_LEVEL);
    TICK as u32
}

/// `KeQueryInterruptTimePrecise`: time since the machine was started, in units of 100 ns, and the
/// performance counter at that time. Any level.
///
/// # Safety
///
/// `counter` must be writable.
unsafe extern "efiapi" fn ke_query_interrupt_time_precise(counter: *mut u64) -> u64 {
    enter("KeQueryInterruptTimePrecise", HIGH_LEVEL);
    let time = interrupt_time();
    // SAFETY: as the caller promises.
    unsafe { counter.write(time) };
    time
}

/// `KeQuerySystemTimePrecise`: system time in units of 100 ns since 1601. Any level.
///
/// # Safety
///
/// `time` must be writable.
unsafe extern "efiapi" fn ke_query_system_time_precise(time: *mut LARGE_INTEGER) {
    enter("KeQuerySystemTimePrecise", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { time.write(system_time() as LARGE_INTEGER) };
}

/// `KeQueryUnbiasedInterruptTime`: time that the machine has worked since it was started, in units
/// of 100 ns. Virtual time does not pass while it sleeps, so this is the interrupt time. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_query_unbiased_interrupt_time() -> u64 {
    enter("KeQueryUnbiasedInterruptTime", HIGH_LEVEL);
    interrupt_time()
}

/// `KeStallExecutionProcessor`: waits busily; 50 us at most (rule 209). Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(crate) unsafe extern "efiapi" fn ke_stall_execution_processor(micro_seconds: u32) {
    if micro_seconds > LONGEST_STALL_US {
        verifier::breach(
            209,
            format!("stalls for {micro_seconds} us, {LONGEST_STALL_US} at most"),
        );
    }
    let ns = u64::from(micro_seconds) * 1000;
    locks::stalled(ns);
    sched::spend(ns);
}
