//! The same seed gives the same run; another seed gives another one; a deadlock is reported.
//!
//! There is one machine per process, so each run is a child process: this test binary again, told
//! by an environment variable what to do.

use std::process::{Command, Output};

use ndis_host::sched::{self, BatonCell, DISPATCH_LEVEL, DpcId};
use ndis_host::{Config, start};

const ROLE: &str = "NDIS_HOST_TEST_ROLE";

static TRACE: BatonCell<Vec<(u64, char)>> = BatonCell::new(Vec::new());

#[test]
fn the_seed_decides_the_run() {
    match std::env::var(ROLE).ok().as_deref() {
        Some("deadlock") => run_into_a_deadlock(),
        Some("sleep at dispatch") => sleep_at_dispatch(),
        Some(seed) => print_trace(seed.parse().unwrap()),
        None => compare_runs(),
    }
}

fn compare_runs() {
    let first = child("1");
    assert!(first.status.success());
    assert_eq!(text(&first), text(&child("1")), "one seed, two runs");
    assert_ne!(text(&first), text(&child("2")), "two seeds, one run");

    let deadlock = child("deadlock");
    assert_eq!(deadlock.status.code(), Some(3));
    let report = String::from_utf8(deadlock.stderr).unwrap();
    assert!(report.contains("rule 85"), "{report}");
    assert!(report.contains("\"main\" waits for the answer"), "{report}");
    assert!(
        report.contains("\"helper\" waits for the question"),
        "{report}"
    );

    let sleeper = child("sleep at dispatch");
    assert_eq!(sleeper.status.code(), Some(3));
    assert!(
        String::from_utf8(sleeper.stderr)
            .unwrap()
            .contains("rule 84")
    );
}

fn child(role: &str) -> Output {
    let binary = std::env::current_exe().unwrap();
    let arguments = ["--exact", "the_seed_decides_the_run", "--nocapture"];
    Command::new(binary)
        .args(arguments)
        .env(ROLE, role)
        .output()
        .unwrap()
}

/// The trace, without what the test harness prints around it.
fn text(output: &Output) -> String {
    let all = String::from_utf8_lossy(&output.stdout);
    all.lines()
        .find(|line| line.starts_with("trace"))
        .expect("a trace")
        .to_owned()
}

fn begin(seed: u64) {
    start(&Config {
        seed,
        ram_bytes: 1 << 20,
        ..Config::default()
    })
    .unwrap();
}

fn print_trace(seed: u64) {
    begin(seed);
    let note = |who: char| TRACE.with(|trace| trace.push((sched::now(), who)));
    let threads = ['a', 'b', 'c'].map(|who| {
        sched::spawn(&who.to_string(), move || {
            for round in 0..200 {
                sched::point();
                note(who);
                let id = DpcId(u64::from(u32::from(who)));
                sched::queue_dpc(round % 2, id, move || note(who.to_ascii_uppercase()));
                if sched::chance(10) {
                    sched::sleep(sched::random_below(1000));
                }
            }
        })
    });
    threads.into_iter().for_each(sched::join);
    println!("trace {:?}", TRACE.with(std::mem::take));
}

fn run_into_a_deadlock() {
    begin(1);
    sched::spawn("helper", || {
        sched::wait("the question", || false, None);
    });
    sched::wait("the answer", || false, None);
}

fn sleep_at_dispatch() {
    begin(1);
    sched::raise(DISPATCH_LEVEL);
    sched::sleep(1);
}
