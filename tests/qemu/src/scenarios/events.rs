//! What QEMU tells of, and what it says it has.

use anyhow::{Result, ensure};
use qapi::qmp::{self, PciDeviceInfo};

use crate::monitor::{Monitor, Told};
use crate::process::{self, CardOptions};
use crate::rig;

/// The names of events, and what each is about.
#[must_use]
pub fn names(told: &[Told]) -> Vec<String> {
    told.iter().map(|one| rig::name(&one.event)).collect()
}

/// These came, in this order, whatever came in between.
///
/// # Errors
///
/// They did not.
pub fn expect_order(told: &[String], wanted: &[&str]) -> Result<()> {
    let mut told_now = told.iter();
    for name in wanted {
        ensure!(
            told_now.any(|one| one == name),
            "{name} is not where it should be in {told:?}"
        );
    }
    Ok(())
}

/// None of these came.
///
/// # Errors
///
/// One did.
pub fn expect_none(told: &[String], unwanted: &[&str]) -> Result<()> {
    for name in unwanted {
        let found = told.iter().any(|one| one.starts_with(name));
        ensure!(!found, "{name} in {told:?}");
    }
    Ok(())
}

/// How often this came.
#[must_use]
pub fn count(told: &[String], name: &str) -> usize {
    told.iter().filter(|one| *one == name).count()
}

/// Whether QEMU has a card in a slot, with this address.
///
/// # Errors
///
/// It does not answer.
pub fn is_visible(monitor: &mut Monitor, card: &CardOptions) -> Result<bool> {
    let buses = monitor.execute(&qmp::query_pci {})?;
    if !buses.iter().any(|bus| has(&bus.devices, &card.id)) {
        return Ok(false);
    }
    let path = format!("/machine/peripheral/{}", card.id);
    let property = "mac".to_owned();
    let mac = monitor.execute(&qmp::qom_get { path, property })?;
    let wanted = process::address(card.mac);
    Ok(mac.as_str() == Some(&wanted))
}

fn has(devices: &[PciDeviceInfo], id: &str) -> bool {
    devices.iter().any(|device| {
        let behind = device.pci_bridge.as_ref();
        let behind = behind.and_then(|bridge| bridge.devices.as_deref());
        device.qdev_id == id || behind.is_some_and(|devices| has(devices, id))
    })
}
