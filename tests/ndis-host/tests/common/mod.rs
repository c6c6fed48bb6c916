//! What the tests share: a small machine, and processes of their own for what ends one.

#![allow(dead_code, reason = "each test binary uses a part of this")]

pub(crate) mod pe;

use std::process::{Command, Output};

use ndis_host::{Config, ntoskrnl, verifier};

/// Tells a child process what to do wrong.
const ROLE: &str = "NDIS_HOST_TEST_ROLE";

/// What this process is to do wrong; `None` in the test itself.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Starts a machine with little memory.
pub(crate) fn start_small() {
    let config = Config {
        seed: 1,
        ram_bytes: 16 << 20,
        ..Config::default()
    };
    ndis_host::start(&config).unwrap();
}

/// Ends a child process with the exit code that it has earned.
pub(crate) fn finish() -> ! {
    std::process::exit(verifier::exit_code())
}

/// Runs `test` once per case, in a child with that role, which breaches the rule and says so.
pub(crate) fn expect_breaches(test: &str, cases: &[(&str, u16, &str)]) {
    for (role, rule, text) in cases {
        let output = run_as(test, role);
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        assert_eq!(code, Some(verifier::FAILED_EXIT), "{role}: {said}");
        let rule = format!("rule {rule} breached");
        assert!(
            said.contains(&rule) && said.contains(text),
            "{role}: {said}"
        );
    }
}

fn run_as(test: &str, role: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, role)
        .output()
        .unwrap()
}

/// The address of an export of ntoskrnl.exe.
pub(crate) fn export(name: &str) -> *const () {
    let exports = ntoskrnl::exports();
    let found = exports.iter().find(|(export, _)| *export == name);
    found.unwrap_or_else(|| panic!("{name} is not exported")).1
}

/// An export of ntoskrnl.exe as a function: `routine!(KeSetEvent: fn(*mut KEVENT, i32, u8) -> i32)`.
#[macro_export]
macro_rules! routine {
    ($name:ident: fn($($argument:ty),* $(,)?) $(-> $result:ty)?) => {{
        let address = $crate::common::export(stringify!($name));
        type Routine = unsafe extern "efiapi" fn($($argument),*) $(-> $result)?;
        // SAFETY: the export of that name is a routine of that type.
        unsafe { std::mem::transmute::<*const (), Routine>(address) }
    }};
}
