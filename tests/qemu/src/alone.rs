//! For the tests: runs a program of this package on the driver image, one at a time. QEMU and the driver
//! live in real time.

use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// Characters of a report that are shown when a program fails.
const MOST_SHOWN: usize = 2000;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `program`, alone; how it ended and what it said.
///
/// # Panics
///
/// When the image is not named, or the program can't be started.
#[must_use]
pub fn start(program: &str, arguments: &[&str]) -> Output {
    let image = std::env::var_os("NETKVM_SYS");
    assert!(
        image.is_some(),
        "NETKVM_SYS is not set: run these tests with `cargo xtask test qemu`"
    );
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started")
}

/// Runs `program`, alone; what it says.
///
/// # Panics
///
/// As [`start`], and when the program does not succeed.
#[must_use]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = start(program, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{}{}",
        output.status,
        said.chars().take(MOST_SHOWN).collect::<String>(),
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
