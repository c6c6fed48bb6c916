//! The adapters of the configuration.

use std::collections::HashMap;
use std::{ptr, slice};

use netcfg::names::{CLASS_NET, VIOPROT};
use netcfg::{Component, Session, class};
use windows::Win32::NetworkManagement::IpHelper::{
    FreeMibTable, GetIfTable2, MIB_IF_ROW2, MIB_IF_TABLE2,
};
use windows::core::{GUID, Result};
use windows_registry::LOCAL_MACHINE;

use crate::pairs::Adapter;

const CLASS: &str = r"SYSTEM\CurrentControlSet\Control\Class";

/// All adapters, as far as they can be read.
pub(super) fn all(session: &Session<'_>) -> Result<Vec<Adapter>> {
    let macs = macs();
    let drivers = drivers();
    let adapters = session.components(&class::NET)?;
    let describe = |component: &Component| {
        let name = component.display_name().unwrap_or_default();
        let instance = component.instance().ok()?;
        Some(Adapter {
            name,
            pnp_id: component.pnp_id().ok()?,
            mac: macs.get(&instance).copied(),
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

/// Addresses by instance identifier.
fn macs() -> HashMap<GUID, [u8; 6]> {
    let mut table: *mut MIB_IF_TABLE2 = ptr::null_mut();
    // SAFETY: `table` is a place for one pointer, which is ours to free on success.
    let status = unsafe { GetIfTable2(&raw mut table) };
    if status.is_err() || table.is_null() {
        return HashMap::new();
    }
    // SAFETY: on success `table` points to a table with `NumEntries` rows behind its head, reached
    // through a raw pointer to the first.
    let rows = unsafe {
        let count = usize::try_from((*table).NumEntries).unwrap_or(0);
        slice::from_raw_parts((&raw const (*table).Table).cast::<MIB_IF_ROW2>(), count)
    };
    let mac = |row: &MIB_IF_ROW2| {
        let length = usize::try_from(row.PhysicalAddressLength).ok()?;
        let mac = row.PhysicalAddress.get(..length)?.try_into().ok()?;
        Some((row.InterfaceGuid, mac))
    };
    let macs = rows.iter().filter_map(mac).collect();
    // SAFETY: the table is ours, and `rows` is not used any more.
    unsafe { FreeMibTable(table.cast()) };
    macs
}
