//! Whether the race detector would see a lock that is missing. Only `cargo xtask test tsan` runs
//! this, on a build with ThreadSanitizer: elsewhere a data race is nothing to try out.

use std::cell::UnsafeCell;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::sched;

/// Tells the child process to race.
const RACE: &str = "NDIS_HOST_RACE";
const TEST: &str = "a_missing_lock_is_seen";

/// Memory that two threads write without a lock.
struct Unguarded(UnsafeCell<u64>);

// SAFETY: none: that is what the test is about.
unsafe impl Sync for Unguarded {}

static COUNT: Unguarded = Unguarded(UnsafeCell::new(0));

#[test]
fn a_missing_lock_is_seen() {
    if std::env::var_os(RACE).is_some() {
        race();
        return;
    }
    let program = std::env::current_exe().expect("the test binary");
    let output = Command::new(program)
        .args([TEST, "--exact", "--nocapture"])
        .env(RACE, "yes")
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the race was not seen:\n{said}");
    assert!(said.contains("ThreadSanitizer: data race"), "{said}");
}

/// Driver code of two threads counts in the same place, at the same time.
fn race() {
    let config = ndis_host::Config {
        ram_bytes: 1 << 20,
        ..ndis_host::Config::free_running()
    };
    ndis_host::start(&config).expect("the machine starts");
    // Two that run one after the other are no race: the baton passes between them. Where they meet,
    // nothing is to order them either, so the meeting is a relaxed one.
    let here = Arc::new(AtomicUsize::new(0));
    let count = move |here: &AtomicUsize| {
        sched::in_driver(|| {
            here.fetch_add(1, Ordering::Relaxed);
            while here.load(Ordering::Relaxed) < 2 {
                std::thread::yield_now();
            }
            for _ in 0..10_000 {
                // SAFETY: there is none; the detector has to object.
                unsafe { *COUNT.0.get() += 1 };
            }
        });
    };
    let threads = ["one", "other"].map(|name| {
        let here = Arc::clone(&here);
        sched::spawn(name, move || count(&here))
    });
    threads.into_iter().for_each(sched::join);
}
