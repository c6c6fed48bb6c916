//! Deliberate faults of the driver, each of which the judge has to find, for the right reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process;

/// How a fault shows.
#[derive(Clone, Copy)]
enum Shows {
    /// In every run.
    Always,
    /// In one of the runs at least: it takes two CPUs that meet.
    Sometimes,
}

use Shows::{Always, Sometimes};

/// A fault, what it is run in, and the rules of which the first breach has to name one.
struct Row {
    mutant: &'static str,
    case: &'static str,
    shows: Shows,
    rules: &'static [u16],
}

const fn row(mutant: &'static str, case: &'static str, shows: Shows, rules: &'static [u16]) -> Row {
    Row {
        mutant,
        case,
        shows,
        rules,
    }
}

const ROWS: [Row; 15] = [
    row("complete_above_dispatch", "boot", Always, &[79]),
    row("complete_twice", "boot", Always, &[114]),
    row("forget_source_handle", "boot", Always, &[130]),
    row("indicate_while_paused", "boot", Always, &[58]),
    row("keep_a_vf_receive", "vf_comes_and_goes", Always, &[308]),
    row("keep_interrupt", "boot", Always, &[64]),
    row("keep_sg_list", "boot", Always, &[148]),
    row("leak_pool", "boot", Always, &[14]),
    row("leak_shared_memory", "boot", Always, &[145]),
    row("leave_filter_open", "vf_comes_and_goes", Always, &[238]),
    row("lose_a_send", "boot", Always, &[116]),
    row("pause_without_waiting", "pause_storm", Sometimes, &[55, 56]),
    row("reset_a_removed_device", "adapter_surprise", Always, &[67]),
    row("skip_deregister_miniport", "boot", Always, &[14]),
    row("skip_source_handle_restore", "vf_first", Always, &[99]),
];

const ALWAYS_SEEDS: std::ops::RangeInclusive<u64> = 1..=2;
const SOMETIMES_SEEDS: std::ops::RangeInclusive<u64> = 1..=8;

#[test]
fn every_fault_is_found_for_the_right_reason() {
    let missed: Vec<String> = ROWS.iter().filter_map(|row| check(row).err()).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// Runs a fault over its seeds.
fn check(row: &Row) -> Result<(), String> {
    let seeds = match row.shows {
        Always => ALWAYS_SEEDS,
        Sometimes => SOMETIMES_SEEDS,
    };
    let runs = seeds.clone().count();
    let mut found = 0;
    for seed in seeds {
        found += usize::from(found_by(row, seed)?);
    }
    let enough = match row.shows {
        Always => found == runs,
        Sometimes => found > 0,
    };
    if enough {
        return Ok(());
    }
    let Row { mutant, case, .. } = row;
    Err(format!(
        "{mutant}: found by {found} of {runs} runs of {case}"
    ))
}

/// Whether one run finds a fault.
fn found_by(row: &Row, seed: u64) -> Result<bool, String> {
    let Row {
        mutant,
        case,
        rules,
        ..
    } = row;
    let ended = process::scenario(case, seed, &process::mutant(mutant));
    if ended.status.success() {
        return Ok(false);
    }
    match ended.rules().first() {
        Some(first) if rules.contains(first) => Ok(true),
        first => Err(format!(
            "{mutant}: {case}, seed {seed} fails by rule {first:?}, not by one of {rules:?}:\n{}",
            ended.last_words()
        )),
    }
}

/// A fault ends the migration with a report that says so.
#[test]
fn a_fault_makes_the_migration_fail() {
    let report = failed_migration("skip_source_handle_restore");
    assert!(report["contract_breaches"].as_u64() > Some(0), "{report}");
    let report = failed_migration("leak_pool");
    assert_eq!(
        (&report["contract_breaches"], &report["pool_leaks"]),
        (&0.into(), &1.into())
    );
}

/// A fault that stops the machine half-way is reported like any other.
#[test]
fn a_fault_that_stops_the_machine_is_reported_too() {
    let report = failed_migration("keep_a_vf_receive");
    assert!(report["contract_breaches"].as_u64() > Some(0), "{report}");
    assert_eq!(report["stream_intact"], false);
    assert!(
        report["phases"]
            .as_array()
            .is_some_and(|phases| !phases.is_empty()),
        "{report}"
    );
}

fn failed_migration(mutant: &str) -> Value {
    let ended = process::migrate(1, &process::mutant(mutant), &["--json"]);
    assert!(!ended.status.success(), "{mutant} passes");
    let report: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{mutant}: {error}: {}", ended.stdout));
    assert_eq!(report["verdict"], "fail");
    report
}

#[test]
fn every_fault_in_the_sources_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|row| row.mutant.to_owned()).collect();
    assert_eq!(rows.len(), ROWS.len(), "a fault has two rows");
    assert_eq!(rows, faults_in_the_sources());
}

/// What stands in `mutant = "…"` in the sources of the driver.
fn faults_in_the_sources() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates = ["ndis-sys", "ndis", "virtio-net", "vioprot", "netkvm"];
    let files = crates
        .iter()
        .flat_map(|name| rust_files(&root.join(name).join("src")));
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        found.extend(text.split("mutant").skip(1).filter_map(named));
    }
    found
}

/// The name in the rest of a condition, however rustfmt spaced it.
fn named(rest: &str) -> Option<String> {
    let value = rest
        .trim_start()
        .strip_prefix('=')?
        .trim_start()
        .strip_prefix('"')?;
    Some(value.split_once('"')?.0.to_owned())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a source folder can be read");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_files(&path),
            Some(extension) if extension == "rs" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}
