//! Compares what `src` declares with what the WDK's headers declare (the tables in `abi`).
//!
//! The script parses the sources, looks up every record, field, constant, callback and import in
//! the tables, and stops the build where one is missing there or has another shape. Numbers that
//! only the compiler knows (sizes, offsets, constant values) become assertions in
//! `OUT_DIR/assertions.rs`, which `lib.rs` includes; `OUT_DIR/declared.rs` carries the same facts
//! as data for `tests/abi.rs`.

mod compare;
mod emit;
mod exceptions;
mod rust_source;
mod shapes;
mod tables;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use rust_source::Source;
use tables::{Arch, Tables};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(messages) => {
            for message in messages {
                println!("cargo::error={message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Vec<String>> {
    let one = |message: String| vec![message];
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR").map_err(one)?);
    let out = PathBuf::from(variable("OUT_DIR").map_err(one)?);
    let arch = Arch::from_cargo(&variable("CARGO_CFG_TARGET_ARCH").map_err(one)?).map_err(one)?;
    let sources = root.join("src");
    let abi = abi_folder(&root);
    for watched in [&sources, &abi, &root.join("build")] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }

    let tables = Tables::read(&abi, arch).map_err(one)?;
    let source = Source::read(&sources).map_err(one)?;
    let findings = compare::compare(&source, &tables)?;

    write(&out.join("assertions.rs"), &emit::assertions(&findings)).map_err(one)?;
    write(&out.join("declared.rs"), &emit::declared(&findings)).map_err(one)
}

/// The tables' folder; `NDIS_SYS_ABI` names another one, for the test that hands in wrong tables.
fn abi_folder(root: &Path) -> PathBuf {
    println!("cargo::rerun-if-env-changed=NDIS_SYS_ABI");
    env::var_os("NDIS_SYS_ABI").map_or_else(|| root.join("abi"), PathBuf::from)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
