//! Threads, DPCs and interrupts: one run, seen from the first thread.

use std::cell::Cell;
use std::rc::Rc;

use ndis_host::sched::{self, BatonCell, DIRQL, DISPATCH_LEVEL, DpcId, PASSIVE_LEVEL};
use ndis_host::{Config, start};

static LOG: BatonCell<Vec<String>> = BatonCell::new(Vec::new());

fn log(text: impl Into<String>) {
    let text = text.into();
    LOG.with(|log| log.push(text));
}

fn take_log() -> Vec<String> {
    LOG.with(std::mem::take)
}

#[test]
fn the_machine_does_what_a_machine_does() {
    start(&Config {
        seed: 7,
        ram_bytes: 1 << 20,
        ..Config::default()
    })
    .unwrap();
    a_dpc_waits_until_the_level_is_lowered();
    an_interrupt_breaks_into_dispatch_level_code();
    a_queued_dpc_is_not_queued_again();
    a_removed_dpc_does_not_run();
    a_sleeper_sleeps_exactly_as_long_as_it_asked();
    a_wait_without_success_ends_at_its_time();
    a_cancelled_event_does_not_happen();
    a_thread_is_woken_by_a_dpc();
    a_spin_lock_holder_is_let_go_on_while_others_spin();
    a_woken_thread_may_run_while_the_waking_dpc_is_half_way();
    points_are_cheap();
}

fn a_dpc_waits_until_the_level_is_lowered() {
    let cpu = {
        sched::raise(DISPATCH_LEVEL);
        sched::current_cpu()
    };
    assert!(sched::queue_dpc(cpu, DpcId(1), || log(format!(
        "dpc at {}",
        sched::irql()
    ))));
    for _ in 0..1000 {
        sched::point();
    }
    log("still raised");
    sched::lower(PASSIVE_LEVEL);
    assert_eq!(take_log(), ["still raised", "dpc at 2"]);
}

fn an_interrupt_breaks_into_dispatch_level_code() {
    sched::raise(DISPATCH_LEVEL);
    sched::interrupt(sched::current_cpu(), DIRQL, || {
        log(format!("isr at {}", sched::irql()))
    });
    sched::point();
    log("after");
    sched::lower(PASSIVE_LEVEL);
    assert_eq!(take_log(), ["isr at 5", "after"]);
}

fn a_queued_dpc_is_not_queued_again() {
    sched::raise(DISPATCH_LEVEL);
    assert!(sched::queue_dpc(0, DpcId(2), || log("once")));
    assert!(!sched::queue_dpc(1, DpcId(2), || log("twice")));
    assert!(sched::is_dpc_active(DpcId(2)));
    sched::lower(PASSIVE_LEVEL);
    sched::wait("the DPC", || !sched::is_dpc_active(DpcId(2)), None);
    assert_eq!(take_log(), ["once"]);
}

fn a_removed_dpc_does_not_run() {
    sched::raise(DISPATCH_LEVEL);
    sched::queue_dpc(sched::current_cpu(), DpcId(3), || log("never"));
    assert!(sched::remove_dpc(DpcId(3)));
    assert!(!sched::remove_dpc(DpcId(3)));
    sched::lower(PASSIVE_LEVEL);
    sched::sleep(1000);
    assert_eq!(take_log(), [] as [&str; 0]);
}

fn a_sleeper_sleeps_exactly_as_long_as_it_asked() {
    let before = sched::now();
    sched::sleep(1_000_000);
    let slept = sched::now() - before;
    assert!((1_000_000..1_001_000).contains(&slept), "{slept}");
}

fn a_wait_without_success_ends_at_its_time() {
    assert!(!sched::wait("nothing", || false, Some(5_000)));
    assert!(sched::wait("something", || true, Some(0)));
    assert!(!sched::wait("nothing", || false, Some(0)));
}

fn a_cancelled_event_does_not_happen() {
    let event = sched::after(1_000, || log("never"));
    sched::after(2_000, || log("event"));
    assert!(sched::cancel(event));
    sched::sleep(10_000);
    assert!(!sched::cancel(event));
    assert_eq!(take_log(), ["event"]);
}

fn a_thread_is_woken_by_a_dpc() {
    for round in 0..200 {
        let done = Rc::new(Cell::new(false));
        let set = Rc::clone(&done);
        sched::after(100, move || {
            sched::queue_dpc(round % 2, DpcId(4), move || set.set(true));
        });
        assert!(sched::wait(
            "the DPC's flag",
            || done.get(),
            Some(1_000_000)
        ));
    }
}

fn a_spin_lock_holder_is_let_go_on_while_others_spin() {
    static HELD: BatonCell<bool> = BatonCell::new(false);
    static COUNT: BatonCell<u32> = BatonCell::new(0);

    let contend = || {
        for _ in 0..500 {
            let old = sched::raise(DISPATCH_LEVEL);
            sched::spin("the lock", || {
                HELD.with(|held| !std::mem::replace(held, true))
            });
            let seen = COUNT.with(|count| *count);
            sched::point();
            COUNT.with(|count| *count = seen + 1);
            HELD.with(|held| *held = false);
            sched::lower(old);
        }
    };
    let threads = ["a", "b", "c"].map(|name| sched::spawn(name, contend));
    threads.into_iter().for_each(sched::join);
    assert_eq!(COUNT.with(|count| *count), 1500);
}

fn a_woken_thread_may_run_while_the_waking_dpc_is_half_way() {
    static SET: BatonCell<bool> = BatonCell::new(false);
    static DPC_DONE: BatonCell<bool> = BatonCell::new(false);

    let mut woken_early = 0;
    for _ in 0..2000 {
        SET.with(|set| *set = false);
        DPC_DONE.with(|done| *done = false);
        sched::after(100, || {
            sched::queue_dpc(1, DpcId(5), || {
                SET.with(|set| *set = true);
                for _ in 0..10 {
                    sched::point();
                }
                DPC_DONE.with(|done| *done = true);
            });
        });
        sched::wait("SET", || SET.with(|set| *set), None);
        woken_early += u32::from(!DPC_DONE.with(|done| *done));
        sched::wait("the DPC", || DPC_DONE.with(|done| *done), None);
    }
    assert!(
        woken_early > 0,
        "the race that this scheduler exists for was never shown"
    );
}

fn points_are_cheap() {
    let points = 100_000_u32;
    let batch = || {
        let started = std::time::Instant::now();
        (0..points).for_each(|_| sched::point());
        started.elapsed() / points
    };
    // The quickest of many batches: what else the build machine does is not our cost.
    let each = (0..50).map(|_| batch()).min().unwrap();
    assert!(
        each < std::time::Duration::from_nanos(100),
        "a point costs {each:?}"
    );
}
