//! Components and bindings in the registry.
//!
//! Components are where Windows has them, `Control\Network\{class}\{instance}`; which paths are enabled
//! is in a key of our own; `Linkage` of the services is written as Windows does.

use std::collections::BTreeMap;

use windows::Win32::Foundation::{E_INVALIDARG, ERROR_FILE_NOT_FOUND};
use windows::core::{Error, GUID, HRESULT, Result};
use windows_registry::{Key, LOCAL_MACHINE};

use crate::analysis::Edges;

pub(crate) const NETWORK: &str = r"SYSTEM\CurrentControlSet\Control\Network";
const BINDINGS: &str = r"SOFTWARE\NetcfgStandIn\Bindings";
const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";

/// The classes of components: adapters, protocols, clients, services.
pub(crate) const CLASSES: [GUID; 4] = [
    netcfg::class::NET,
    netcfg::class::NETTRANS,
    GUID::from_u128(0x4d36e973_e325_11ce_bfc1_08002be10318),
    GUID::from_u128(0x4d36e974_e325_11ce_bfc1_08002be10318),
];

/// What the registry says of a component.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) class: GUID,
    pub(crate) instance: GUID,
    pub(crate) id: String,
    pub(crate) description: String,
    /// The device instance path of an adapter.
    pub(crate) pnp_id: Option<String>,
    pub(crate) service: String,
    pub(crate) edges: Edges,
    /// The notify object.
    pub(crate) class_id: Option<GUID>,
    /// The install section of the INF, and the INF.
    pub(crate) section: Option<(String, String)>,
    /// Bindings have been looked for before.
    pub(crate) is_bound: bool,
}

pub(crate) fn braced(guid: &GUID) -> String {
    format!("{{{guid:?}}}")
}

/// Reads `{xxxxxxxx-xxxx-...}`.
pub(crate) fn parse(text: &str) -> Option<GUID> {
    let digits: String = text.trim_matches(['{', '}']).split('-').collect();
    let is_whole = digits.len() == 32;
    let value = u128::from_str_radix(&digits, 16).ok();
    value.filter(|_| is_whole).map(GUID::from_u128)
}

pub(crate) fn path_of(class: &GUID, instance: &GUID) -> String {
    format!(r"{NETWORK}\{}\{}", braced(class), braced(instance))
}

/// All components, of all classes.
pub(crate) fn read_all() -> Vec<Record> {
    let mut all = Vec::new();
    for class in CLASSES {
        let Ok(key) = LOCAL_MACHINE.open(format!(r"{NETWORK}\{}", braced(&class))) else {
            continue;
        };
        let names: Vec<String> = key.keys().into_iter().flatten().collect();
        let instances = names.iter().filter_map(|name| parse(name));
        all.extend(instances.filter_map(|instance| read(class, instance).ok()));
    }
    all
}

/// One component.
pub(crate) fn read(class: GUID, instance: GUID) -> Result<Record> {
    let key = LOCAL_MACHINE.open(path_of(&class, &instance))?;
    let text = |key: &Key, name: &str| key.get_string(name).ok();
    let ndi = key.open("Ndi").ok();
    let in_ndi = |name| ndi.as_ref().and_then(|ndi| text(ndi, name));
    let interfaces = ndi.as_ref().and_then(|ndi| ndi.open("Interfaces").ok());
    let range = |name| {
        let all = interfaces.as_ref().and_then(|key| text(key, name));
        let tokens = all.unwrap_or_default();
        let tokens = tokens.split(',').map(|token| token.trim().to_owned());
        tokens.filter(|token| !token.is_empty()).collect()
    };
    let connection = key.open("Connection").ok();
    Ok(Record {
        class,
        instance,
        id: key.get_string("ComponentId")?,
        description: text(&key, "Description").unwrap_or_default(),
        pnp_id: connection.and_then(|key| text(&key, "PnpInstanceID")),
        service: in_ndi("Service").unwrap_or_default(),
        edges: Edges {
            upper: range("UpperRange"),
            lower: range("LowerRange"),
            is_adapter: class == netcfg::class::NET,
        },
        class_id: in_ndi("ClsID").and_then(|text| parse(&text)),
        section: text(&key, "InfPath").zip(text(&key, "InfSection")),
        is_bound: key.get_u32("Bound").is_ok(),
    })
}

/// Notes that bindings of the component have been looked for.
pub(crate) fn mark_bound(record: &Record) -> Result<()> {
    let path = path_of(&record.class, &record.instance);
    let key = LOCAL_MACHINE.options().read().write().open(path)?;
    key.set_u32("Bound", 1)
}

/// Path tokens, with whether they are enabled.
pub(crate) fn bindings() -> BTreeMap<String, bool> {
    let Ok(key) = LOCAL_MACHINE.open(BINDINGS) else {
        return BTreeMap::new();
    };
    let values: Vec<_> = key.values().into_iter().flatten().collect();
    let entry = |(token, value): (String, windows_registry::Value)| {
        Some((token, u32::try_from(value).ok()? != 0))
    };
    values.into_iter().filter_map(entry).collect()
}

/// Writes all bindings in place of what there was.
pub(crate) fn keep_bindings(all: &BTreeMap<String, bool>) -> Result<()> {
    remove(BINDINGS)?;
    let key = LOCAL_MACHINE.create(BINDINGS)?;
    for (token, enabled) in all {
        key.set_u32(token, u32::from(*enabled))?;
    }
    Ok(())
}

/// Writes a service's `Linkage`: the devices that it is bound to, and those where that is disabled.
pub(crate) fn keep_linkage(service: &str, bound: &[String], disabled: &[String]) -> Result<()> {
    let path = format!(r"{SERVICES}\{service}");
    if LOCAL_MACHINE.open(&path).is_err() {
        // Components without a service entry, as a test makes them, have no binding list.
        return Ok(());
    }
    let linkage = LOCAL_MACHINE.create(format!(r"{path}\Linkage"))?;
    linkage.set_multi_string("Bind", &borrowed(bound))?;
    let off = linkage.create("Disabled")?;
    off.set_multi_string("Bind", &borrowed(disabled))
}

fn borrowed(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

/// Removes a key with all below it; that there is none is well.
pub(crate) fn remove(path: &str) -> Result<()> {
    match LOCAL_MACHINE.remove_tree(path) {
        Err(error) if error.code() == HRESULT::from_win32(ERROR_FILE_NOT_FOUND.0) => Ok(()),
        other => other,
    }
}

/// The error for what a caller should not have asked.
pub(crate) fn invalid() -> Error {
    Error::from_hresult(E_INVALIDARG)
}
