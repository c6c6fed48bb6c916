//! The life of a device: start, stop, orderly and surprise removal, shutdown.

use ndis_sys::{
    NDIS_HALT_ACTION, NDIS_PAUSE_ATTACH_FILTER, NDIS_PAUSE_MINIPORT_DEVICE_REMOVE, NDIS_STATUS,
    NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS, NdisDevicePnPEventQueryRemoved,
    NdisDevicePnPEventQueryStopped, NdisDevicePnPEventSurpriseRemoved, NdisHaltDeviceDisabled,
    NdisHaltDeviceFailed, NdisHaltDeviceStopped, NdisHaltDeviceSurpriseRemoved,
    NdisShutdownBugCheck, NdisShutdownPowerOff, NetEventCancelRemoveDevice,
    NetEventQueryRemoveDevice,
};

use super::added;
use super::binder;
use super::devices::{self, Device, DeviceId};
use crate::ndis::adapter::{self, Adapter, AdapterState};
use crate::ndis::bindings::{bind, events};
use crate::ndis::node::Access;
use crate::ndis::{config, stack};
use crate::ntoskrnl::io::notifications;
use crate::sched;
use crate::verifier;

/// Starts a device: MiniportInitializeEx; then, in the background, binds and restart (2.2, 2.3).
/// PASSIVE; [`super::settle`] waits for the background.
///
/// # Errors
///
/// What MiniportInitializeEx fails with; FAILURE when a media keyword is missing (rule 30) or the
/// device has no driver.
pub fn start_device(device: DeviceId) -> Result<(), NDIS_STATUS> {
    let device = devices::get(device);
    assert!(
        device.adapter().is_none(),
        "device {:?} is started already",
        device.id
    );
    let key = device.node.driver_key();
    let keywords = ["*IfType", "*MediaType", "*PhysicalMediaType"];
    if let Some(missing) = keywords
        .iter()
        .find(|name| config::integer(&key, name).is_none())
    {
        verifier::breach(30, format!("the driver key {key} has no {missing}"));
        return Err(NDIS_STATUS_FAILURE);
    }
    device.node.set_access(Access::Free);
    device.node.set_powered(true);
    let adapter =
        added::adapter_for_start(device).inspect_err(|_| device.node.set_powered(false))?;
    adapter::enlist(adapter);
    adapter.initialize().inspect_err(|_| {
        adapter::forget(adapter, "a failed MiniportInitializeEx");
        device.node.set_powered(false);
    })?;
    device.state.with(|state| state.adapter = Some(adapter));
    binder::device_started(device);
    Ok(())
}

/// Stops a device, as for a rebalance of resources (2.6). PASSIVE.
pub fn stop_device(device: DeviceId) {
    binder::settle();
    let device = devices::get(device);
    let Some(adapter) = device.adapter() else {
        return;
    };
    adapter.notify(NdisDevicePnPEventQueryStopped);
    query_remove(adapter);
    take_down(device, adapter, NdisHaltDeviceStopped);
}

/// Disables a device (2.6): it stays installed. PASSIVE.
pub fn disable_device(device: DeviceId) {
    binder::settle();
    let device = devices::get(device);
    let Some(adapter) = device.adapter() else {
        return;
    };
    adapter.notify(NdisDevicePnPEventQueryRemoved);
    query_remove(adapter);
    take_down(device, adapter, NdisHaltDeviceDisabled);
}

/// Enables a disabled device. PASSIVE.
///
/// # Errors
///
/// As [`start_device`].
pub fn enable_device(device: DeviceId) -> Result<(), NDIS_STATUS> {
    start_device(device)
}

/// Removes a device in order (2.6); its hardware goes. PASSIVE.
pub fn remove_device(device: DeviceId) {
    disable_device(device);
    devices::get(device).node.unplug();
    devices::forget(device);
}

/// Takes the hardware of a device away, and tells nobody. PnP finds out at
/// [`super::resume_device`] where the device sleeps, and else at [`surprise_remove_device`]. May be
/// called by a world event, also by one that comes after the device was removed.
pub fn unplug_device(device: DeviceId) {
    let Some(device) = devices::find(device) else {
        return;
    };
    device.node.unplug();
    device.state.with(|state| state.vanished = true);
}

/// Removes a device without notice (2.7): its hardware is gone before anybody knows. PASSIVE.
pub fn surprise_remove_device(device: DeviceId) {
    let device = devices::get(device);
    device.node.unplug();
    device.state.with(|state| state.vanished = true);
    // For a while only the hardware is gone; drivers go on.
    sched::sleep(sched::random_below(3_000_000));
    binder::settle();
    if let Some(adapter) = device.adapter() {
        adapter.state.with(|state| state.surprise_removed = true);
        if adapter.phase() != AdapterState::Halted {
            adapter.notify(NdisDevicePnPEventSurpriseRemoved);
            device.node.set_access(Access::Leaving);
        }
        take_down(device, adapter, NdisHaltDeviceSurpriseRemoved);
    }
    devices::forget(device.id);
}

/// The protocols are asked; a refusal is overridden (rule 253).
pub(super) fn query_remove(adapter: &'static Adapter) {
    for binding in adapter.bindings() {
        let (code, none) = (NetEventQueryRemoveDevice, std::ptr::null_mut());
        let status = events::deliver(binding.protocol, Some(binding), code, none, 0);
        if status != NDIS_STATUS_SUCCESS {
            verifier::note(format!(
                "{} refuses the removal: {status:#x}",
                binding.describe()
            ));
        }
    }
}

/// Asks whether a device may be removed, and lets it stay (2.6): QueryRemoveDevice, then
/// CancelRemoveDevice. PASSIVE.
pub fn query_and_cancel_removal(device: DeviceId) {
    binder::settle();
    let Some(adapter) = devices::get(device).adapter() else {
        return;
    };
    let _stack = adapter.own_stack();
    adapter.notify(NdisDevicePnPEventQueryRemoved);
    query_remove(adapter);
    for binding in adapter.bindings() {
        let (code, none) = (NetEventCancelRemoveDevice, std::ptr::null_mut());
        events::deliver(binding.protocol, Some(binding), code, none, 0);
    }
}

/// Pause, unbind, halt: the order is fixed by the pages.
///
/// An adapter that is halted already, for low power, is only unbound.
pub(super) fn take_down(
    device: &'static Device,
    adapter: &'static Adapter,
    action: NDIS_HALT_ACTION,
) {
    let stack_guard = adapter.own_stack();
    // Somebody else, a miniport that gave up say, may have been first.
    if device.adapter().is_none() {
        return;
    }
    stack::pause(adapter, NDIS_PAUSE_MINIPORT_DEVICE_REMOVE);
    for binding in adapter.bindings().into_iter().rev() {
        bind::call_unbind(binding);
    }
    adapter.close_for_halt();
    device.state.with(|state| state.adapter = None);
    if action == NdisHaltDeviceSurpriseRemoved {
        device.node.set_access(Access::Gone);
    }
    if adapter.phase() != AdapterState::Halted {
        adapter.halt(action);
    }
    adapter::forget(adapter, "MiniportHaltEx");
    device.node.set_powered(false);
    drop(stack_guard);
}

/// Brings the stack above a device to rest, as for a filter that attaches (2.4). PASSIVE.
pub fn pause_stack(device: DeviceId) {
    if let Some(adapter) = devices::get(device).adapter() {
        let _stack = adapter.own_stack();
        stack::pause(adapter, NDIS_PAUSE_ATTACH_FILTER);
    }
}

/// Restarts a stack that [`pause_stack`] brought to rest. PASSIVE.
pub fn restart_stack(device: DeviceId) {
    if let Some(adapter) = devices::get(device).adapter() {
        let _stack = adapter.own_stack();
        stack::restart(adapter);
    }
}

/// A miniport has called NdisMRemoveMiniport: its device is removed in a system thread.
pub(super) fn miniport_failed(adapter: &'static Adapter) {
    sched::spawn("removal of a failed device", move || {
        binder::settle();
        let Some(device) = binder::device_of(adapter) else {
            return;
        };
        take_down(device, adapter, NdisHaltDeviceFailed);
    });
}

/// MiniportShutdownEx of every adapter: the system powers off. PASSIVE; nothing comes after it.
pub fn shut_down_all() {
    for adapter in adapter::all() {
        adapter.shut_down(NdisShutdownPowerOff);
    }
}

/// The system crashes now, wherever it is: a processor raises to HIGH_LEVEL and stops all others,
/// and MiniportShutdownEx of every adapter that asked for it is called there. `end` says what is
/// left to be said; then the process ends with its exit code.
pub fn crash(end: impl FnOnce() -> i32 + 'static) {
    let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
    sched::interrupt(cpu, sched::HIGH_LEVEL, move || {
        verifier::note("the system crashes");
        sched::alone(bugcheck_all);
        std::process::exit(end())
    });
}

/// MiniportShutdownEx of every adapter that asked for it, at HIGH_LEVEL: the system crashes.
/// Nothing comes after it.
pub fn bugcheck_all() {
    for adapter in adapter::all() {
        if adapter.wants_bugcheck_callback() {
            adapter.shut_down(NdisShutdownBugCheck);
        }
    }
    notifications::call_bug_check_callbacks();
}
