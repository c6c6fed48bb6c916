//! The adapters of the configuration.

use std::collections::HashMap;

use netcfg::names::{CLASS_NET, VIOPROT};
use netcfg::{Component, Session, class, interfaces};
use windows::core::{GUID, Result};
use windows_registry::LOCAL_MACHINE;

use crate::pairs::Adapter;

const CLASS: &str = r"SYSTEM\CurrentControlSet\Control\Class";

/// All adapters, as far as they can be read.
pub(super) fn all(session: &Session<'_>) -> Result<Vec<Adapter>> {
    let interfaces = interfaces::by_instance();
    let drivers = drivers();
    let adapters = session.components(&class::NET)?;
    let describe = |component: &Component| {
        let name = component.display_name().unwrap_or_default();
        let instance = component.instance().ok()?;
        Some(Adapter {
            name,
            pnp_id: component.pnp_id().ok()?,
            interface: interfaces.get(&instance).copied(),
            driver: drivers.get(&instance).cloned(),
            vioprot: vioprot(component).ok()?,
        })
    };
    Ok(adapters.iter().filter_map(describe).collect())
}

/// Whether VIOPROT's path to this adapter is enabled; `None` if there is none.
fn vioprot(adapter: &Component) -> Result<Option<bool>> {
    for path in adapter.paths_above()? {
        if path.owner()?.id()?.eq_ignore_ascii_case(VIOPROT) {
            return path.is_enabled().map(Some);
        }
    }
    Ok(None)
}

/// Versions of the drivers by instance identifier, from the driver keys.
fn drivers() -> HashMap<GUID, String> {
    let Ok(class) = LOCAL_MACHINE.open(format!(r"{CLASS}\{CLASS_NET}")) else {
        return HashMap::new();
    };
    let version = |name: String| {
        let key = class.open(name).ok()?;
        let instance = key.get_string("NetCfgInstanceId").ok()?;
        let instance = GUID::try_from(instance.trim_matches(['{', '}'])).ok()?;
        Some((instance, key.get_string("DriverVersion").ok()?))
    };
    class
        .keys()
        .into_iter()
        .flatten()
        .filter_map(version)
        .collect()
}
