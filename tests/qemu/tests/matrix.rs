//! The driver image on each device of the matrix, see `qemu_host::matrix`.
//!
//! Each entry is a short life in a process of its own, and one runs at a time: QEMU and the driver live in
//! real time. `cargo xtask test qemu` builds the image, says where it is, and runs this. Entries with a TAP
//! device fail for who is not root.

use std::process::Output;
use std::time::Instant;

use qemu_host::alone;
use qemu_host::life::Report;
use qemu_host::matrix::{Entry, GROUPS};

/// Lives the entries of a group, and says all that is wrong with any.
fn live(name: &str) {
    let group = GROUPS.iter().find(|group| group.name == name);
    let entries = (group.expect("a group of the matrix").entries)();
    let mut wrong = Vec::new();
    for (seed, entry) in (1..).zip(&entries) {
        let started = Instant::now();
        let findings = findings(entry, seed);
        let verdict = if findings.is_empty() { "pass" } else { "FAIL" };
        let seconds = started.elapsed().as_secs_f64();
        println!("{verdict}  {seconds:>5.2} s  {name}: {}", entry.name);
        for finding in findings {
            wrong.push(format!("{}: {finding}", entry.name));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

fn findings(entry: &Entry, seed: u64) -> Vec<String> {
    let (own, seed) = (entry.arguments(), seed.to_string());
    let own = own.iter().map(String::as_str);
    let arguments: Vec<&str> = own.chain(["--seed", &seed]).collect();
    let Output {
        status,
        stdout,
        stderr,
    } = alone::start(env!("CARGO_BIN_EXE_qemu_life"), &arguments);
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        return vec![format!("{:?}: {status}\n{said}", entry.arguments())];
    }
    let report: Report = serde_json::from_slice(&stdout).expect("the program prints its report");
    entry.findings(&report)
}

#[test]
fn every_combination_of_what_rings_can_do() {
    live("rings");
}

#[test]
fn vectors_for_all_for_some_and_for_none() {
    live("vectors");
}

#[test]
fn transitional_and_legacy_devices() {
    live("interfaces");
}

#[test]
fn the_mtu_that_the_device_names() {
    live("mtu");
}

#[test]
fn devices_that_lack_something() {
    live("offers");
}

#[test]
fn devices_on_a_tap_that_lack_something() {
    live("offers_of_a_tap");
}

#[test]
fn rings_of_other_sizes() {
    live("queue_sizes");
}

#[test]
fn what_the_driver_does_not_do_yet_it_does_not_claim() {
    live("not_there_yet");
}

#[test]
fn what_the_driver_does_not_do_yet_on_a_tap_it_does_not_claim() {
    live("not_there_yet_on_a_tap");
}
