//! Everything that a test compares, in lines: bindings as the engine lists them, binding lists of the
//! services, what is registered, what the notify object has kept.

use netcfg::{Apartment, Session};
use windows::core::Result;
use windows_registry::LOCAL_MACHINE;

use super::{NETWORK, all_paths};

const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";
const WITHHELD: &str = r"SYSTEM\CurrentControlSet\Control\VioProt\Withheld";
const CLASS: &str = r"SOFTWARE\Classes\CLSID\{F69513F1-8E1A-4F35-82D9-046406970E6D}";

/// Prints the lines.
pub(super) fn print() -> Result<()> {
    bindings()?;
    components();
    if LOCAL_MACHINE.open(format!(r"{SERVICES}\vioprot")).is_ok() {
        println!("service vioprot");
    }
    if LOCAL_MACHINE.open(CLASS).is_ok() {
        println!("class registered");
    }
    linkage("vioprot");
    withheld();
    Ok(())
}

fn bindings() -> Result<()> {
    let apartment = Apartment::enter()?;
    let mut session = Session::open(&apartment)?;
    session.initialize()?;
    for path in all_paths(&session)? {
        let state = if path.is_enabled()? { "on" } else { "off" };
        println!("{} {state}", path.token()?);
    }
    Ok(())
}

fn components() {
    let Ok(key) = LOCAL_MACHINE.open(format!(r"{NETWORK}\{}", netcfg::names::CLASS_NETTRANS))
    else {
        return;
    };
    for name in key.keys().into_iter().flatten() {
        let id = key
            .open(&name)
            .and_then(|key| key.get_string("ComponentId"));
        println!(
            "component {}",
            id.unwrap_or_else(|_| format!("without identifier {name}"))
        );
    }
}

fn linkage(service: &str) {
    let bind = LOCAL_MACHINE
        .open(format!(r"{SERVICES}\{service}\Linkage"))
        .and_then(|key| key.get_multi_string("Bind"));
    for device in bind
        .into_iter()
        .flatten()
        .filter(|device| !device.is_empty())
    {
        println!("linkage {service} {device}");
    }
}

fn withheld() {
    let Ok(key) = LOCAL_MACHINE.open(WITHHELD) else {
        return;
    };
    for (adapter, value) in key.values().into_iter().flatten() {
        let owners: Vec<String> = value.try_into().unwrap_or_default();
        println!("withheld {adapter} {}", owners.join(","));
    }
}
