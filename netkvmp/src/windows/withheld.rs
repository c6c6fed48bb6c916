//! What the notify object has taken from virtual functions, as it has written it down; and what it is to
//! know of an upgrade.

use netcfg::names::{CLASS_NET, UPGRADING, VIOPROT, VIOPROT_SETTINGS, WITHHELD};
use netcfg::{Session, class};
use windows::Win32::Foundation::ERROR_FILE_NOT_FOUND;
use windows::core::{HRESULT, Result};
use windows_registry::{Key, LOCAL_MACHINE};

/// An adapter with the tokens of the paths that it has lost.
pub(super) struct Record {
    /// The instance identifier of the adapter, as the registry spells it.
    adapter: String,
    tokens: Vec<String>,
}

impl Record {
    /// What people call the adapter; its connection keeps the name while the device is away.
    pub(super) fn name(&self) -> String {
        let path = format!(
            r"SYSTEM\CurrentControlSet\Control\Network\{CLASS_NET}\{}\Connection",
            self.adapter
        );
        let name = LOCAL_MACHINE.open(path);
        match name.and_then(|key| key.get_string("Name")) {
            Ok(name) if !name.is_empty() => format!("{name} {}", self.adapter),
            _ => self.adapter.clone(),
        }
    }

    fn has(&self, token: &str) -> bool {
        self.tokens
            .iter()
            .any(|own| own.eq_ignore_ascii_case(token))
    }
}

fn key() -> Result<Key> {
    let path = format!(r"{VIOPROT_SETTINGS}\{WITHHELD}");
    LOCAL_MACHINE.options().read().write().open(path)
}

/// All records of adapters that have something to get back.
///
/// # Errors
///
/// They can't be read.
pub(super) fn read() -> Result<Vec<Record>> {
    let path = format!(r"{VIOPROT_SETTINGS}\{WITHHELD}");
    let key = match LOCAL_MACHINE.open(path) {
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        other => other?,
    };
    let mut records = Vec::new();
    for (adapter, value) in key.values()? {
        let tokens: Vec<String> = value.try_into().unwrap_or_default();
        if tokens.iter().any(|token| !token.is_empty()) {
            records.push(Record { adapter, tokens });
        }
    }
    Ok(records)
}

/// Enables the paths of `records` whose adapters are there; the records of those. VIOPROT, of which an
/// adapter may have lost a path as well, is gone.
///
/// # Errors
///
/// The engine fails, or a path can't be enabled.
pub(super) fn give_back(session: &Session<'_>, records: Vec<Record>) -> Result<Vec<Record>> {
    let adapters = session.components(&class::NET)?;
    let mut served = Vec::new();
    for record in records {
        let mut is_there = false;
        for adapter in &adapters {
            let instance = format!("{{{:?}}}", adapter.instance()?);
            if !instance.eq_ignore_ascii_case(&record.adapter) {
                continue;
            }
            is_there = true;
            for path in adapter.paths_above()? {
                let is_ours = path.owner()?.id()?.eq_ignore_ascii_case(VIOPROT);
                if !is_ours && record.has(&path.token()?) {
                    path.enable(true)?;
                }
            }
        }
        if is_there {
            served.push(record);
        }
    }
    Ok(served)
}

/// Drops the records of the adapters that have these names.
///
/// # Errors
///
/// The registry can't be written.
pub(super) fn forget(names: &[String]) -> Result<()> {
    for record in read()? {
        if names.contains(&record.name()) {
            key()?.remove_value(&record.adapter)?;
        }
    }
    Ok(())
}

/// Tells the notify object of the component that is removed next whether another comes at once, so that
/// functions need not get back what they lose again. The sign goes with the next start of the system.
///
/// # Errors
///
/// The registry can't be written.
pub(super) fn set_upgrading(on: bool) -> Result<()> {
    let path = format!(r"{VIOPROT_SETTINGS}\{UPGRADING}");
    if on {
        // This one stays: the notify object has keys below it that have to.
        LOCAL_MACHINE.create(VIOPROT_SETTINGS)?;
        let mut options = LOCAL_MACHINE.options();
        return options
            .create()
            .read()
            .write()
            .volatile()
            .open(path)
            .map(drop);
    }
    match LOCAL_MACHINE.remove_tree(path) {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}

fn is_missing(error: &windows::core::Error) -> bool {
    error.code() == HRESULT::from_win32(ERROR_FILE_NOT_FOUND.0)
}
