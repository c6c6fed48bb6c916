//! Every driver before its device: what it sends arrives, what it receives goes round.

use ring_bench::allocations::{self, Counting};
use ring_bench::case::{Case, Direction, DriverName, QUEUE, Ring, Series};
use ring_bench::lane::{Counters, lane};
use ring_bench::time::{self, Effort};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Packets: three times around the ring, so that wrap counters turn.
const PACKETS: u64 = 3 * QUEUE as u64;

fn all() -> impl Iterator<Item = (DriverName, Case)> {
    let here = Series::all().filter(|series| series.driver != DriverName::Dpdk);
    here.flat_map(|series| series.cases().map(move |case| (series.driver, case)))
}

/// What `PACKETS` packets count, after one batch to get going.
fn counted(driver: DriverName, case: Case, polls: bool) -> Counters {
    let mut lane = lane(driver, case, polls);
    lane.step();
    let before = lane.counters();
    for _ in 0..PACKETS / u64::from(case.batch) {
        lane.step();
    }
    let after = lane.counters();
    Counters {
        seen: after.seen.since(&before.seen),
        doorbells: after.doorbells - before.doorbells,
        allocations: after.allocations - before.allocations,
    }
}

#[test]
fn all_packets_arrive_whole_and_uncopied() {
    for (driver, case) in all() {
        let seen = counted(driver, case, false).seen;
        assert_eq!(seen.packets, PACKETS, "{driver:?} {case:?}");
        assert_eq!(
            seen.bytes,
            PACKETS * u64::from(case.bytes),
            "{driver:?} {case:?}"
        );
        assert_eq!(seen.descriptors, PACKETS, "{driver:?} {case:?}");
        assert_eq!(seen.copied, 0, "{driver:?} {case:?}");
    }
}

#[test]
fn every_packet_is_sent_as_often_as_every_other() {
    let sends = |case: &Case| case.direction == Direction::Tx;
    for (driver, case) in all().filter(|(_, case)| sends(case)) {
        let once: u64 = (0..QUEUE as u64).sum();
        let sum = counted(driver, case, false).seen.sum;
        assert_eq!(sum, 3 * once, "{driver:?} {case:?}");
    }
}

#[test]
fn a_device_that_polls_hears_nothing_and_one_that_sleeps_is_woken_once() {
    let in_batches = |(driver, _): &(DriverName, Case)| *driver != DriverName::VirtioDrivers;
    for (driver, case) in all().filter(in_batches) {
        let doorbells = counted(driver, case, true).doorbells;
        assert_eq!(doorbells, 0, "{driver:?} {case:?}");

        // With indices, a device that still has buffers does not ask to hear of more.
        let is_asked = case.direction == Direction::Tx || !case.event_idx;
        let batches = PACKETS / u64::from(case.batch);
        let doorbells = counted(driver, case, false).doorbells;
        assert_eq!(
            doorbells,
            u64::from(is_asked) * batches,
            "{driver:?} {case:?}"
        );
    }
}

#[test]
fn no_driver_is_interrupted_while_it_polls() {
    // virtio-drivers asks for an interrupt with each packet once indices are negotiated.
    let polls = |(driver, case): &(DriverName, Case)| {
        *driver != DriverName::VirtioDrivers || !case.event_idx
    };
    for (driver, case) in all().filter(polls) {
        assert_eq!(
            counted(driver, case, false).seen.interrupts,
            0,
            "{driver:?} {case:?}"
        );
    }
}

#[test]
fn no_driver_allocates_for_a_packet() {
    for (driver, case) in all() {
        assert_eq!(
            counted(driver, case, false).allocations,
            0,
            "{driver:?} {case:?}"
        );
    }
}

#[test]
fn an_allocation_is_counted() {
    let before = allocations::count();
    let vector = std::hint::black_box(vec![1_u8; 100]);
    assert_eq!(allocations::count(), before + 1);
    drop(vector);
    assert_eq!(allocations::count(), before + 1);
}

#[test]
fn the_clock_compares_every_driver_with_the_floor_of_its_case() {
    let effort = Effort {
        rounds: 3,
        batches: 2,
    };
    let mut told = 0;
    let rows = time::run(&[DriverName::Netkvm], effort, || told += 1);
    let floors = rows.iter().filter(|row| row.driver == DriverName::Floor);
    assert!(floors.clone().all(|row| row.ratio == 1.0));
    let cases = time::cases(&[DriverName::Netkvm]);
    assert_eq!(floors.count(), cases.len());
    assert_eq!((told, rows.len()), (cases.len(), 2 * cases.len()));
    assert!(cases.iter().any(|case| case.ring == Ring::Split));
}
