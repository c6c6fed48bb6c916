//! Sleep, hibernation and resume of the machine, and what selective suspend needs of it.

use ndis_sys::{NDIS_STATUS, NdisHaltDeviceFailed, NdisHaltDeviceSurpriseRemoved};

use super::binder;
use super::devices::{self, Device, DeviceId};
use super::life;
use crate::ndis::adapter::{Adapter, AdapterState};
use crate::ndis::power;
use crate::sched;
use crate::verifier;

/// The system goes to sleep, or hibernates: every started device does, in an order of the seed's
/// choice. PASSIVE; returns when all are in low power.
///
/// While it sleeps the caller may change what hibernation lets change: devices, and what they
/// offer.
pub fn sleep_system() {
    binder::settle();
    shuffled().into_iter().for_each(sleep_device);
}

/// The system resumes: every sleeping device does, in an order of the seed's choice. PASSIVE;
/// [`super::settle`] waits for the binds that follow.
pub fn resume_system() {
    for device in shuffled() {
        // A failure has been noted; the device is as if it had failed to start.
        let _ = resume_device(device);
    }
}

/// Takes a device to low power, as the system's sleep or the loss of its link does. PASSIVE.
pub fn sleep_device(device: DeviceId) {
    binder::settle();
    let device = devices::get(device);
    let Some(adapter) = device.adapter() else {
        return;
    };
    power::sleep(adapter);
    device.node.power_off();
    device.state.with(|state| state.asleep = true);
}

/// Takes a device back to D0. PASSIVE.
///
/// A device whose hardware has gone meanwhile is removed, as by surprise; its driver may or may
/// not be asked to bring it up before that.
///
/// # Errors
///
/// The miniport does not come back: its failure. The device is stopped then.
pub fn resume_device(device: DeviceId) -> Result<(), NDIS_STATUS> {
    let Some(device) = devices::find(device) else {
        return Ok(());
    };
    if !device.state.with(|state| state.asleep) {
        return Ok(());
    }
    let Some(adapter) = device.adapter() else {
        return Ok(());
    };
    let gone = device.node.is_gone();
    if gone && sched::chance(2) {
        device.state.with(|state| state.asleep = false);
        life::surprise_remove_device(device.id);
        return Ok(());
    }
    device.node.power_on();
    let resumed = power::resume(adapter, || {
        device.new_miniport().map(|(_, miniport)| miniport)
    });
    device.state.with(|state| state.asleep = false);
    match resumed {
        Ok(()) if gone => life::surprise_remove_device(device.id),
        Ok(()) => binder::device_started(device),
        Err(status) => give_up(device, adapter, status, gone),
    }
    resumed.or(if gone { Ok(()) } else { resumed })
}

/// A miniport that does not come back is taken down, and its bindings with it.
fn give_up(device: &'static Device, adapter: &'static Adapter, status: NDIS_STATUS, gone: bool) {
    verifier::note(format!("{} does not resume: {status:#x}", adapter.name));
    let action = if gone {
        NdisHaltDeviceSurpriseRemoved
    } else {
        NdisHaltDeviceFailed
    };
    let halted = adapter.phase() == AdapterState::Halted;
    if !halted && gone {
        adapter.state.with(|state| state.surprise_removed = true);
    }
    life::take_down(device, adapter, action);
    if gone {
        devices::forget(device.id);
    }
}

/// Devices in an order of the seed's choice.
fn shuffled() -> Vec<DeviceId> {
    let mut left: Vec<_> = devices::all().iter().map(|device| device.id).collect();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        order.push(left.swap_remove(sched::random_below(left.len() as u64) as usize));
    }
    order
}

/// NDIS finds the adapter of a device idle and suspends it, unless its miniport does not want
/// that or can't; `force`: it must. True: it is in low power. PASSIVE.
pub fn suspend_idle(device: DeviceId, force: bool) -> bool {
    devices::get(device)
        .adapter()
        .is_some_and(|adapter| power::idle::suspend(adapter, force))
}

/// The adapter of a device that was suspended is needed again: returns when it is in D0. PASSIVE.
pub fn wake_idle(device: DeviceId) {
    if let Some(adapter) = devices::get(device).adapter() {
        power::idle::wake(adapter);
    }
}
