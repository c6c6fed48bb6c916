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

/// What shows that a fault was found for the right reason.
#[derive(Clone, Copy)]
enum Reason {
    /// The first breach is of one of these rules.
    Rules(&'static [u16]),
    /// No rule: the scenario's own expectation fails, with this in its text.
    Says(&'static str),
}

use Reason::{Rules, Says};

/// A fault, what it is run in, and the reason for which it has to fail.
struct Row {
    mutant: &'static str,
    case: &'static str,
    shows: Shows,
    reason: Reason,
}

const fn row(mutant: &'static str, case: &'static str, shows: Shows, reason: Reason) -> Row {
    Row {
        mutant,
        case,
        shows,
        reason,
    }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("announce_nothing", "quiet_guest", Always, Says("no ping was answered")),
    row("bounce_link", "cycle", Always, Says("the link went down")),
    row("cancelled_as_sent", "cancelled_sends", Sometimes, Says("sends lost")),
    row("close_filter_under_vf", "filter_follows", Always, Says("frames lost")),
    row("complete_above_dispatch", "boot", Always, Rules(&[79])),
    row("complete_pause_twice", "pause_storm", Sometimes, Rules(&[55])),
    row("complete_twice", "boot", Always, Rules(&[114])),
    row("count_virtio_only", "cycle", Always, Says("the statistics count")),
    row("drain_without_end", "flood", Sometimes, Rules(&[308])),
    row("forget_open_files", "query_while_it_changes", Sometimes, Rules(&[15])),
    row("forget_doorbell", "boot", Always, Rules(&[116])),
    row("forget_progress", "telling_doorbells", Always, Says("device misused: doorbell")),
    row("forget_source_handle", "boot", Always, Rules(&[130])),
    row("forget_vf_filter", "cycle", Always, Says("the VF to take over")),
    row("grant_no_grace", "boot_standby_grace", Sometimes, Says("the link is up")),
    row("ignore_removal", "adapter_surprise", Sometimes, Rules(&[308])),
    row("indicate_while_paused", "boot_on_line", Sometimes, Rules(&[58])),
    row("keep_a_reference", "cycle", Always, Rules(&[85, 308])),
    row("keep_a_shown_receive", "vf_first", Always, Rules(&[99])),
    row("keep_a_vf_receive", "vf_comes_and_goes", Always, Rules(&[308])),
    row("keep_interrupt", "boot", Always, Rules(&[64])),
    row("keep_refusal", "query_tells_reasons", Always, Says("and not Virtio because of NoVf")),
    row("keep_sg_list", "boot", Always, Rules(&[148])),
    row("keep_timers", "cycle", Always, Rules(&[206])),
    row("leak_context", "cycle", Always, Rules(&[91])),
    row("leak_pool", "boot", Always, Rules(&[14])),
    row("leak_shared_memory", "boot", Always, Rules(&[145])),
    row("leave_control_device", "boot", Always, Rules(&[15])),
    row("leave_filter_open", "vf_comes_and_goes", Always, Rules(&[238])),
    row("leave_without_draining", "slow_vf_goes", Sometimes, Says("reordered")),
    row("long_legacy_header", "boot_on_legacy", Sometimes, Says("the end of the traffic")),
    row("lose_a_send", "boot", Always, Rules(&[116])),
    row("never_acknowledge", "announcement_asked_for", Always, Says("the acknowledgement")),
    row("pause_without_waiting", "pause_storm", Sometimes, Rules(&[55, 56])),
    row("post_readable_buffer", "boot", Always, Says("the end of the traffic")),
    row("reset_a_removed_device", "adapter_surprise", Always, Rules(&[67])),
    row("return_as_if_at_dispatch", "vf_first", Always, Rules(&[82])),
    row("skip_deregister_miniport", "boot", Always, Rules(&[14])),
    row("skip_source_handle_restore", "vf_first", Always, Rules(&[99])),
    row("take_long_frames", "frames_too_long", Always, Rules(&[131])),
    row("take_scattered_frames", "device_scatters", Always, Rules(&[131])),
];

const ALWAYS_SEEDS: std::ops::RangeInclusive<u64> = 1..=2;
const SOMETIMES_SEEDS: std::ops::RangeInclusive<u64> = 1..=10;

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
        reason,
        ..
    } = row;
    let ended = process::scenario(case, seed, &process::mutant(mutant));
    if ended.status.success() {
        return Ok(false);
    }
    let first = ended.rules().first().copied();
    let (is_right, wanted) = match reason {
        Rules(rules) => (
            first.is_some_and(|rule| rules.contains(&rule)),
            format!("one of the rules {rules:?}"),
        ),
        Says(text) => (
            first.is_none() && ended.stderr.contains(text),
            format!("\"{text}\""),
        ),
    };
    if is_right {
        return Ok(true);
    }
    Err(format!(
        "{mutant}: {case}, seed {seed} fails by rule {first:?}, not by {wanted}:\n{}",
        ended.last_words()
    ))
}

/// An exploration that knows nothing of a fault finds it, whatever case its seeds draw.
#[test]
fn every_fault_is_found_by_an_exploration() {
    let missed = ROWS.iter().filter(|row| {
        let image = process::mutant(row.mutant);
        let ended = process::explore(&image, &["--seeds", "0..2000", "--json"]);
        println!("{}: {}", row.mutant, ended.stdout.trim_end());
        ended.status.code() != Some(1)
    });
    let missed: Vec<_> = missed.map(|row| row.mutant).collect();
    assert!(missed.is_empty(), "not found in 2000 seeds: {missed:?}");
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
