//! Suite `core`: the device core under tools that find what its own tests can't: callgrind, which counts
//! what a packet costs, loom, Miri, and fuzzing with a hostile device.

use std::{fs, thread};

use anyhow::{Context, Result};

use super::nightly;
use super::tally::Tally;
use crate::bench::ring;
use crate::tool::Tool;
use crate::workspace::Workspace;

/// The package.
const CORE: &str = "virtio-net";
/// What the names of tests have in common that come near unsafe code: a day would not do for all.
const UNSAFE: [&str; 7] = [
    "queue",
    "memory",
    "hostile::",
    "in_order",
    "control_slots",
    "control::slots",
    "dma",
];
/// Version of cargo-fuzz that the suite installs.
const CARGO_FUZZ: &str = "0.13.1";
/// The fuzz targets, and the longest input of each in bytes.
const TARGETS: [(&str, u32); 3] = [("header", 2048), ("rings", 1024), ("control", 1024)];
/// Time for each, s.
const FUZZED_S: u32 = 20;

/// Runs the suite.
///
/// # Errors
///
/// The nightly toolchain or cargo-fuzz is missing and can't be added.
pub(super) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    tally.check("costs at the ring", ring::check(workspace));
    nightly::require(&["rust-src", "miri"])?;
    // Miri takes minutes on one processor: the others have the rest meanwhile.
    thread::scope(|scope| {
        let interpreted = scope.spawn(|| {
            let mut tally = Tally::default();
            tally.cargo_test("miri", miri(workspace));
            tally
        });
        tally.cargo_test("loom", loom(workspace));
        let fuzzed = fuzz_all(workspace, tally);
        match interpreted.join() {
            Ok(found) => tally.add(found),
            Err(_) => tally.fail("miri"),
        }
        fuzzed
    })
}

fn fuzz_all(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    require_cargo_fuzz(workspace)?;
    for (target, max_len) in TARGETS {
        let fuzzed = fuzz(workspace, target, max_len);
        tally.check(&format!("fuzz {target}, {FUZZED_S} s"), fuzzed);
    }
    Ok(())
}

/// What two sides that run at the same time may see, in every order.
fn loom(workspace: &Workspace) -> Tool {
    workspace
        .cargo("test")
        .args(["--release", "--package", CORE, "--test", "loom_handshake"])
        .arg("--target-dir")
        .arg(workspace.target.join("loom"))
        .env("RUSTFLAGS", "--cfg loom")
}

/// The tests of the modules that have unsafe code, as far as they need no memory map and no thousands
/// of cases.
fn miri(workspace: &Workspace) -> Tool {
    nightly::cargo(&["miri", "test", "--manifest-path"])
        .arg(workspace.root.join("Cargo.toml"))
        .args(["--package", CORE])
        .arg("--target-dir")
        .arg(workspace.target.join("miri"))
        .args(["--lib", "--test", "suite", "--"])
        .args(UNSAFE)
        .env("MIRIFLAGS", "-Zmiri-permissive-provenance")
}

fn require_cargo_fuzz(workspace: &Workspace) -> Result<()> {
    let there = Tool::new(workspace.target.join("tools-bin/bin/cargo-fuzz"))
        .arg("--version")
        .output();
    if there.is_ok_and(|version| version.trim().ends_with(CARGO_FUZZ)) {
        return Ok(());
    }
    Tool::cargo("install")
        .args(["cargo-fuzz", "--locked", "--version", CARGO_FUZZ, "--root"])
        .arg(workspace.target.join("tools-bin"))
        .run()
}

/// Fuzzes for a short, fixed time, from the corpus that is kept. What is found beyond that goes to the
/// target folder.
fn fuzz(workspace: &Workspace, target: &str, max_len: u32) -> Result<()> {
    let folder = workspace.root.join("virtio-net/fuzz");
    let found = workspace.target.join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
    Tool::new("rustup")
        .args(["run", nightly::TOOLCHAIN])
        .arg(workspace.target.join("tools-bin/bin/cargo-fuzz"))
        .args(["run", "--fuzz-dir"])
        .arg(&folder)
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz"))
        .arg(target)
        .arg(&found)
        .arg(folder.join("corpus").join(target))
        .args(["--", "-seed=1", "-verbosity=0"])
        .arg(format!("-max_total_time={FUZZED_S}"))
        .arg(format!("-max_len={max_len}"))
        .run()
}
