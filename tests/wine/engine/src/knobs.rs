//! What a test sets: calls that fail or are the last, and a log of calls.
//!
//! Under `HKLM\SOFTWARE\NetcfgStandIn`: `Fail` (`<call>=<status in hex>`, or `<call>=kill`, which ends the
//! process at once; several as MULTI_SZ), `Store` (the folder that stands for the package in the driver
//! store), `Log` (a file), `Reboot` (the call whose success asks for a restart: `Install`, `DeInstall` or
//! `Apply`), `Referenced` (DWORD: another component needs what is to be removed), `Build` (DWORD, the build of
//! Windows that the stand-in is).

use std::fs::OpenOptions;
use std::io::Write;

use windows::Win32::Foundation::E_INVALIDARG;
use windows::Win32::NetworkManagement::NetManagement::NETCFG_S_REBOOT;
use windows::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
use windows::core::{Error, HRESULT, Result};
use windows_registry::{Key, LOCAL_MACHINE};

/// The exit code of a process that was ended.
const KILLED: u32 = 99;

const KEY: &str = r"SOFTWARE\NetcfgStandIn";

fn key() -> Option<Key> {
    LOCAL_MACHINE.options().read().write().open(KEY).ok()
}

/// Logs the call, and fails if it is to fail: once, or each time if the name ends with a star.
pub(crate) fn enter(call: &str) -> Result<()> {
    log(call);
    let Some(key) = key() else {
        return Ok(());
    };
    let list = key.get_multi_string("Fail").unwrap_or_default();
    for entry in &list {
        let Some((name, code)) = entry.split_once('=') else {
            continue;
        };
        let is_lasting = name.strip_suffix('*') == Some(call);
        if name != call && !is_lasting {
            continue;
        }
        if !is_lasting {
            let rest: Vec<&str> = list
                .iter()
                .map(String::as_str)
                .filter(|e| e != entry)
                .collect();
            key.set_multi_string("Fail", &rest)?;
        }
        if code == "kill" {
            log(&format!("{call} is the end"));
            // SAFETY: the pseudo handle of this process; nothing of it runs on.
            unsafe { TerminateProcess(GetCurrentProcess(), KILLED) }?;
        }
        log(&format!("{call} fails"));
        let code = u32::from_str_radix(code, 16).map_err(|_| Error::from_hresult(E_INVALIDARG))?;
        return Err(Error::from_hresult(HRESULT(code.cast_signed())));
    }
    Ok(())
}

/// Adds a line to the log.
pub(crate) fn log(line: &str) {
    let Some(path) = key().and_then(|key| key.get_string("Log").ok()) else {
        return;
    };
    if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
        // A test that reads the log notices that a line is missing.
        let _ = writeln!(file, "{line}");
    }
}

/// The folder with the files of packages.
pub(crate) fn store() -> String {
    let store = key().and_then(|key| key.get_string("Store").ok());
    store.unwrap_or_default()
}

/// The success of a call: `NETCFG_S_REBOOT`, which travels as an error value, if the test has named it.
pub(crate) fn succeed(call: &str) -> Result<()> {
    let named = key().and_then(|key| key.get_string("Reboot").ok());
    if named.is_some_and(|named| named == call) {
        return Err(Error::from_hresult(NETCFG_S_REBOOT));
    }
    Ok(())
}

/// Whether another component needs each that is to be removed.
pub(crate) fn is_referenced() -> bool {
    let value = key().and_then(|key| key.get_u32("Referenced").ok());
    value.is_some_and(|value| value != 0)
}

/// The build of Windows; the first that `vioprot.inf` serves, if nothing else is set.
pub(crate) fn build() -> u32 {
    let value = key().and_then(|key| key.get_u32("Build").ok());
    value.unwrap_or(17763)
}
