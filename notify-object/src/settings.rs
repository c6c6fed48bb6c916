//! What the registry keeps for us, under `HKLM\SYSTEM\CurrentControlSet\Control\VioProt`.
//!
//! | value | type | |
//! |---|---|---|
//! | `NoDefaults` | DWORD | not 0: the built-in list of virtual functions does not count |
//! | `Supported` | MULTI_SZ | more of them, as `ven_XXXX&dev_XXXX` |
//! | `MatchByMac` | DWORD | 0: only the lists count, not the address |
//! | `Withheld\{adapter}` | MULTI_SZ | ours: tokens of the binding paths that the adapter gets back |
//! | `Upgrading` | key | netkvmp's: VIOPROT is removed only to be installed again |

use netcfg::names::{UPGRADING, VIOPROT_SETTINGS as KEY, WITHHELD};
use windows_registry::{LOCAL_MACHINE, Result};

use crate::policy::Policy;
use crate::vf_list::VfList;
use crate::withheld::Withheld;

/// Tells whether netkvmp installs a newer VIOPROT as soon as this one is gone.
pub(crate) fn is_upgrading() -> bool {
    LOCAL_MACHINE.open(format!(r"{KEY}\{UPGRADING}")).is_ok()
}

/// The rules as they are set. What is missing, or of another type, has its default.
pub(crate) fn policy() -> Policy {
    let key = LOCAL_MACHINE.open(KEY).ok();
    let flag = |name, default: bool| {
        let value = key.as_ref().and_then(|key| key.get_u32(name).ok());
        value.map_or(default, |value| value != 0)
    };
    let supported = key.as_ref().map(|key| key.get_multi_string("Supported"));
    let supported = supported.and_then(Result::ok).unwrap_or_default();
    let list = VfList::new(!flag("NoDefaults", false), supported);
    Policy::new(list, flag("MatchByMac", true))
}

/// What was withheld before.
pub(crate) fn withheld() -> Withheld {
    let mut withheld = Withheld::default();
    let Ok(key) = LOCAL_MACHINE.open(format!(r"{KEY}\{WITHHELD}")) else {
        return withheld;
    };
    for (adapter, value) in key.values().into_iter().flatten() {
        withheld.claim(&adapter);
        let tokens: Vec<String> = value.try_into().unwrap_or_default();
        for token in tokens.iter().filter(|token| !token.is_empty()) {
            withheld.add(&adapter, token);
        }
    }
    withheld
}

/// Writes what is withheld in place of what was.
///
/// # Errors
///
/// The registry can't be written.
pub(crate) fn keep(withheld: &Withheld) -> Result<()> {
    // Without the key there is nothing to remove, and nothing to say about it.
    if let Ok(key) = LOCAL_MACHINE.options().read().write().open(KEY) {
        let _ = key.remove_tree(WITHHELD);
    }
    if withheld.entries().next().is_none() {
        return Ok(());
    }
    let key = LOCAL_MACHINE.create(format!(r"{KEY}\{WITHHELD}"))?;
    for (adapter, tokens) in withheld.entries() {
        key.set_multi_string(adapter, &tokens)?;
    }
    Ok(())
}
