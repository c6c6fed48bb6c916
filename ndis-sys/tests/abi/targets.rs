//! The crate as compiled for the Windows targets: there the compile-time assertions compare with
//! the tables of that architecture.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::abi_folder;

/// Runs `cargo check` on this crate in a target folder of the test's own.
fn check(target: &str, abi: &Path) -> Output {
    // One folder per target: parallel tests do not wait for each other's lock.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("check-{target}"));
    Command::new(env!("CARGO"))
        .args([
            "check",
            "--quiet",
            "--offline",
            "--package",
            "ndis-sys",
            "--target",
            target,
        ])
        .arg("--target-dir")
        .arg(folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("NDIS_SYS_ABI", abi)
        .output()
        .expect("cargo can be started")
}

fn must_pass(target: &str) {
    let output = check(target, &abi_folder());
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{target}: {messages}");
}

#[test]
fn it_compiles_for_windows_on_x64() {
    must_pass("x86_64-pc-windows-msvc");
}

#[test]
fn it_compiles_for_windows_on_arm64() {
    must_pass("aarch64-pc-windows-msvc");
}

/// The same crate against a table in which one offset is wrong.
#[test]
fn a_wrong_table_stops_the_build() {
    let wrong = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wrong-abi");
    fs::create_dir_all(&wrong).expect("a folder can be made");
    for entry in fs::read_dir(abi_folder()).expect("the tables are there") {
        let path = entry.expect("the tables are there").path();
        fs::copy(&path, wrong.join(path.file_name().expect("a file"))).expect("a copy");
    }
    let records = wrong.join("records.csv");
    let right = fs::read_to_string(&records).expect("the table is text");
    let changed = right.replacen(
        "_NET_BUFFER_LIST,,,,SourceHandle,NDIS_HANDLE,120,,",
        "_NET_BUFFER_LIST,,,,SourceHandle,NDIS_HANDLE,124,,",
        1,
    );
    assert_ne!(right, changed);
    fs::write(&records, changed).expect("the table can be written");

    let output = check("x86_64-unknown-linux-gnu", &wrong);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        messages.contains("offset_of!(NET_BUFFER_LIST, SourceHandle), 124"),
        "{messages}"
    );
}
