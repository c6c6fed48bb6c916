//! The driver image on QEMU's device, in each ring layout and with each kind of interrupt.
//!
//! Each life is a process of its own, and one runs at a time: QEMU and the driver live in real time.
//! `cargo xtask test qemu` builds the image, says where it is, and runs this.

use qemu_host::alone;
use qemu_host::life::{Part, Report};

/// With chains of 32 frames, a doorbell for each chain and some for good measure.
const MOST_DOORBELLS: f64 = 40.0;
/// Commands of a boot.
const MOST_COMMANDS: u64 = 20;

/// Runs the program under test; what it says.
fn run(arguments: &[&str]) -> String {
    alone::run(env!("CARGO_BIN_EXE_qemu_life"), arguments)
}

/// Lives with these arguments, and holds the cost against the bars.
fn live(arguments: &[&str]) -> Report {
    let said = run(arguments);
    let report: Report = serde_json::from_str(&said).expect("the program prints its report");
    let Report {
        boot,
        traffic,
        chains,
        ..
    } = &report;
    println!("{}: QEMU {}", arguments.join(" "), report.qemu_version);
    println!("  {:<8} {}", "part", columns());
    for (name, part) in [("boot", boot), ("traffic", traffic), ("chains", chains)] {
        println!("  {name:<8} {}", row(part));
    }
    let doorbells = chains.per_thousand_sent(chains.transmit_doorbells);
    assert!(
        doorbells <= MOST_DOORBELLS,
        "{doorbells:.1} doorbells per 1000 frames in chains"
    );
    assert!(boot.commands <= MOST_COMMANDS, "{boot:?}");
    report
}

fn columns() -> &'static str {
    "  sent  received  doorbells/1000 sent  rx doorbells/1000  messages/1000  pin  commands/1000  commands  reads      s"
}

fn row(part: &Part) -> String {
    let frames = (part.frames_from_guest + part.frames_to_guest).max(1) as f64;
    let per_thousand = |count: u64| count as f64 * 1000.0 / frames;
    format!(
        "{:>6}  {:>8}  {:>19.1}  {:>17.1}  {:>13.1}  {:>3}  {:>13.1}  {:>8}  {:>5}  {:>5.2}",
        part.frames_from_guest,
        part.frames_to_guest,
        part.per_thousand_sent(part.transmit_doorbells),
        per_thousand(part.receive_doorbells),
        per_thousand(part.messages),
        part.pin_asserted,
        per_thousand(part.commands),
        part.commands,
        part.register_reads,
        part.seconds,
    )
}

/// Both layouts with at most so many messages: none asserts the pin, some do not.
fn live_in_both_rings(messages: &str, more: &[&str]) {
    for ring in ["split", "packed"] {
        let mut arguments = vec!["--ring", ring, "--messages", messages];
        arguments.extend(more);
        let report = live(&arguments);
        let (sent, asserted) = (report.traffic.messages, report.traffic.pin_asserted);
        if messages == "0" {
            assert!(sent == 0 && asserted > 0, "{report:?}");
        } else {
            assert!(sent > 0 && asserted == 0, "{report:?}");
        }
    }
}

#[test]
fn a_vector_for_each_queue() {
    live_in_both_rings("4", &[]);
}

#[test]
fn two_vectors() {
    live_in_both_rings("2", &["--seed", "2"]);
}

#[test]
fn one_vector() {
    live_in_both_rings("1", &["--seed", "3"]);
}

#[test]
fn the_interrupt_pin() {
    live_in_both_rings("0", &["--seed", "4"]);
}

/// QEMU serves doorbells itself, instead of by a thread that is woken.
#[test]
fn doorbells_without_ioeventfd() {
    for ring in ["split", "packed"] {
        run(&["--ring", ring, "--property", "ioeventfd=off"]);
    }
}

/// As long as it runs, a scenario of the embedded device passes on QEMU's as well.
fn passes(case: &str) {
    for ring in ["split", "packed"] {
        run(&["--ring", ring, "--case", case]);
    }
}

#[test]
fn the_system_sleeps() {
    passes("sleep_resume");
}

#[test]
fn a_standby_without_a_primary() {
    passes("boot_standby_grace");
}
