//! The migration: what it reports, and that it passes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process;

/// Bytes of the streamed file.
const SIZE: usize = 3_000_000;

/// A file of made-up bytes, in the folder that cargo has for tests.
fn payload(name: &str, size: usize) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect();
    fs::write(&path, bytes).expect("the folder can be written to");
    path
}

fn passes(seeds: impl IntoIterator<Item = u64>, file: &Path) {
    let image = process::image();
    let file = file.to_str().expect("cargo's folder has a plain name");
    for seed in seeds {
        let ended = process::migrate(seed, &image, &["--file", file]);
        let told = &ended.stdout;
        assert!(
            ended.status.success(),
            "seed {seed}:\n{told}\n{}",
            ended.last_words()
        );
        assert!(told.ends_with("verdict: pass\n"), "seed {seed}:\n{told}");
    }
}

#[test]
fn twenty_seeds_pass() {
    passes(1..=20, &payload("twenty_seeds.bin", SIZE));
}

/// Without pauses between the bytes: the queues are full when the paths switch.
#[test]
fn a_large_file_passes() {
    passes(21..=22, &payload("large.bin", 60_000_000));
}

#[test]
fn a_file_of_a_few_bytes_passes() {
    passes(23..=24, &payload("few_bytes.bin", 5_000));
}

#[test]
fn the_image_itself_is_streamed_when_no_file_is_named() {
    let image = process::image();
    let ended = process::migrate(25, &image, &["--json"]);
    assert!(ended.status.success(), "{}", ended.last_words());
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    let size = fs::metadata(&image).expect("the image is there").len();
    let bytes = report["phases"].as_array().map(|phases| {
        let bytes = phases.iter().filter_map(|phase| phase["bytes"].as_u64());
        bytes.sum::<u64>()
    });
    assert_eq!(bytes, Some(2 * size), "{report}");
}

#[test]
fn the_report_has_its_shape() {
    let file = payload("shape.bin", SIZE);
    let file = file.to_str().expect("cargo's folder has a plain name");
    let ended = process::migrate(26, &process::image(), &["--json", "--file", file]);
    assert!(ended.status.success(), "{}", ended.last_words());
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(report["backend"], "embedded");
    assert_eq!(report["arch"], "x86_64");
    assert_eq!(report["verdict"], "pass");
    assert_eq!(report["stream_intact"], true);
    for count in ["link_down_events", "contract_breaches", "pool_leaks"] {
        assert_eq!(report[count], 0, "{count}");
    }
    let phases = report["phases"].as_array().expect("phases");
    let paths: Vec<_> = phases
        .iter()
        .map(|phase| (&phase["name"], &phase["path"]))
        .collect();
    let expected = [
        ("vf", "vf"),
        ("vf-withdrawn", "virtio"),
        ("virtio", "virtio"),
        ("vf-back", "vf"),
    ];
    assert_eq!(paths.len(), expected.len());
    for ((name, path), (expected_name, expected_path)) in paths.iter().zip(expected) {
        assert_eq!(
            (*name, *path),
            (&Value::from(expected_name), &Value::from(expected_path))
        );
    }
    for phase in phases {
        assert!(phase["bytes"].as_u64() > Some(0), "{phase}");
        assert!(phase["frames"].as_u64() > Some(0), "{phase}");
        assert_eq!(
            (&phase["lost"], &phase["duplicated"]),
            (&Value::from(0), &Value::from(0))
        );
        assert!(
            phase["blackout_ms"].as_f64().is_some_and(|ms| ms < 5.0),
            "{phase}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let file = payload("same_seed.bin", SIZE);
    let file = file.to_str().expect("cargo's folder has a plain name");
    let image = process::image();
    let told = |seed| process::migrate(seed, &image, &["--json", "--file", file]).stdout;
    let first = told(27);
    assert!(!first.is_empty());
    assert_eq!(first, told(27));
    assert_ne!(first, told(28), "another seed is another run");
}

#[test]
fn a_plot_is_drawn() {
    let svg = Path::new(env!("CARGO_TARGET_TMPDIR")).join("migration.svg");
    // What an earlier run left must not count.
    let _ = fs::remove_file(&svg);
    let name = svg.to_str().expect("cargo's folder has a plain name");
    let ended = process::migrate(29, &process::image(), &["--plot", name]);
    assert!(ended.status.success(), "{}", ended.last_words());
    let drawn = fs::read_to_string(&svg).expect("the picture is there");
    assert!(
        drawn.starts_with("<svg") && drawn.contains("vf-withdrawn"),
        "{drawn:.200}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let ended = process::migrate(1, &process::image(), &["--file", "no/such/file"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("no/such/file"), "{}", ended.stderr);
}

#[test]
fn an_empty_file_is_refused() {
    let file = payload("empty.bin", 0);
    let file = file.to_str().expect("cargo's folder has a plain name");
    let ended = process::migrate(1, &process::image(), &["--file", file]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended.stderr.contains("nothing to stream"),
        "{}",
        ended.stderr
    );
}
