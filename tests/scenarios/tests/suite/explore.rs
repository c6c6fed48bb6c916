//! The program that explores: what it finds, how it says so, and what it makes of a schedule.

use serde_json::Value;

use crate::process::{self, Ended};

fn report(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ended.stdout, ended.stderr))
}

#[test]
fn seeds_that_all_pass_are_counted() {
    let ended = process::explore(&process::image(), &["--seeds", "0..40", "--json"]);
    assert!(ended.status.success(), "{}", ended.stdout);
    let report = report(&ended);
    assert_eq!(report["passed"], 40);
    assert_eq!(report["failure"], Value::Null);
    let by_case = report["passed_by_case"].as_object().expect("an object");
    assert!(by_case.len() > 5, "{by_case:?}");
}

#[test]
fn a_run_that_does_not_end_is_ended() {
    let args = ["--case", "boot", "--seeds", "1", "--limit", "0", "--json"];
    let ended = process::explore(&process::image(), &args);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(report(&ended)["failure"]["end"], "time-out");
}

#[test]
fn the_first_failing_seed_is_found_however_many_run_at_a_time() {
    let image = process::mutant("leave_filter_open");
    let found = |jobs: &str| {
        let args = ["--seeds", "0..300", "--jobs", jobs, "--json"];
        let ended = process::explore(&image, &args);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        let failure = report(&ended)["failure"].clone();
        (failure["seed"].clone(), failure["what"].clone())
    };
    assert_eq!(found("1"), found("4"));
}

#[test]
fn a_schedule_is_reduced_and_still_fails() {
    let image = process::mutant("pause_without_waiting");
    let args = ["--case", "pause_storm", "--seeds", "0..8", "--json"];
    let shrunk = process::explore(&image, &[&args[..], &["--shrink"]].concat());
    let failure = report(&shrunk)["failure"].clone();
    let reduced = &failure["reduced"];
    let choices = reduced["choices"].as_str().expect("a list");
    let left = choices.split_terminator(',').count() as u64;
    let before = reduced["choices_before"].as_u64().expect("a number");
    assert!(left < before, "{left} of {before} choices are left");

    let seed = failure["seed"].to_string();
    let again = [
        "--case",
        "pause_storm",
        "--seeds",
        &seed,
        "--only",
        choices,
        "--json",
    ];
    let again = report(&process::explore(&image, &again))["failure"].clone();
    assert_eq!(again["rule"], failure["rule"]);
    let command = reduced["replay"].as_str().expect("a command");
    assert!(
        command.starts_with(&format!(
            "cargo xtask explore --seeds {seed} --case pause_storm"
        )),
        "{command}"
    );
}

#[test]
fn an_unknown_case_is_named_with_those_that_there_are() {
    let ended = process::explore(&process::image(), &["--case", "no_such_case"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        ended.stderr.contains("there are: boot,"),
        "{}",
        ended.stderr
    );
}
