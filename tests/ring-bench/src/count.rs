//! Runs cases for the counts that are exact: those of the device model, and those of callgrind.
//!
//! [`ring_bench_mark`] divides what callgrind reports into parts, in the order of the cases.

use serde::Serialize;

use crate::case::{Case, DriverName, QUEUE, Series};
use crate::lane::{Counters, lane};

/// Packets that are counted, in each case.
pub const PACKETS: u32 = 8 * QUEUE as u32;

/// Where callgrind ends a part of its profile: each case has a part to warm up, and one that counts.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn ring_bench_mark() {
    std::hint::black_box(());
}

/// The counts of one case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Whose.
    pub driver: DriverName,
    /// Of what.
    #[serde(flatten)]
    pub case: Case,
    /// Packets that the other numbers are for.
    pub packets: u64,
    /// Doorbells.
    pub doorbells: u64,
    /// Interrupts.
    pub interrupts: u64,
    /// Descriptors.
    pub descriptors: u64,
    /// Allocations by the driver.
    pub allocations: u64,
    /// Payload bytes that somebody had to copy.
    pub bytes_copied: u64,
}

/// Runs all cases of a series, with a device that polls or one that sleeps after each batch.
#[must_use]
pub fn run(series: Series, polls: bool) -> Vec<Row> {
    series
        .cases()
        .map(|case| row(series.driver, case, polls))
        .collect()
}

fn row(driver: DriverName, case: Case, polls: bool) -> Row {
    let mut lane = lane(driver, case, polls);
    let batches = PACKETS / case.batch;
    // Once around the ring and a bit, so that the state is the one that lasts.
    for _ in 0..batches / 4 {
        lane.step();
    }
    let before = lane.counters();
    ring_bench_mark();
    for _ in 0..batches {
        lane.step();
    }
    ring_bench_mark();
    counted(driver, case, &before, &lane.counters())
}

fn counted(driver: DriverName, case: Case, before: &Counters, after: &Counters) -> Row {
    let seen = after.seen.since(&before.seen);
    Row {
        driver,
        case,
        packets: seen.packets,
        doorbells: after.doorbells - before.doorbells,
        interrupts: seen.interrupts,
        descriptors: seen.descriptors,
        allocations: after.allocations - before.allocations,
        bytes_copied: seen.copied,
    }
}
