//! Runs a program of this package on the driver image.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Characters of a report that are shown when a program fails.
const MOST_SHOWN: usize = 2000;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `program`, alone; what it says. It has to succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let image = std::env::var_os("NETKVM_SYS");
    assert!(
        image.is_some(),
        "NETKVM_SYS is not set: run these tests with `cargo xtask test qemu`"
    );
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
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
