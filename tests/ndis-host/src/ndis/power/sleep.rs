//! The system sleeps and resumes: one adapter's part in it (diagram 2.5 of the rules).

use std::sync::Arc;

use ndis_sys::{
    NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND, NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
    NDIS_PAUSE_LOW_POWER, NDIS_STATUS, NET_DEVICE_POWER_STATE,
    NdisDevicePnPEventPowerProfileChanged, NdisHaltDevicePoweredDown, NetDeviceStateD0,
    NetDeviceStateD3, NetEventQueryPower, NetEventSetPower, OID_GEN_CURRENT_LOOKAHEAD,
};

use super::{PowerState, idle, judge, requests};
use crate::ndis::adapter::attributes::Declared;
use crate::ndis::adapter::{Adapter, AdapterState};
use crate::ndis::bindings::{Binding, events};
use crate::ndis::native::Miniport;
use crate::ndis::{filter, oid, stack, status};
use crate::sched;
use crate::verifier;

/// Takes an adapter to low power; its device may lose its power then. IRQL = PASSIVE_LEVEL.
pub(crate) fn sleep(adapter: &'static Adapter) {
    idle::wake(adapter);
    let _stack = adapter.own_stack();
    let bindings = adapter.bindings();
    if sched::chance(2) {
        for binding in bindings.iter().rev() {
            tell_power(binding, NetEventQueryPower, NetDeviceStateD3);
        }
    }
    for binding in bindings.iter().rev() {
        tell_power(binding, NetEventSetPower, NetDeviceStateD3);
        binding.state.with(|state| state.asleep = true);
    }
    if !is_power_aware(adapter) {
        stack::pause(adapter, NDIS_PAUSE_LOW_POWER);
        adapter.close_for_halt();
        adapter.halt(NdisHaltDevicePoweredDown);
        set_power(adapter, PowerState::Halted);
        return;
    }
    if !may_stay_running(adapter) {
        stack::pause(adapter, NDIS_PAUSE_LOW_POWER);
    }
    requests::set_low_power(adapter);
}

/// Takes an adapter whose device has its power back to D0. `make` is asked for a miniport if the
/// last one was halted. IRQL = PASSIVE_LEVEL.
///
/// # Errors
///
/// The miniport did not come back: its failure. A halted one stays halted, any other is Paused.
pub(crate) fn resume(
    adapter: &'static Adapter,
    make: impl FnOnce() -> Option<Arc<dyn Miniport>>,
) -> Result<(), NDIS_STATUS> {
    let _stack = adapter.own_stack();
    let link = adapter.state.with(|state| state.link.is_up());
    match adapter.state.with(|state| state.power) {
        PowerState::On => return Ok(()),
        PowerState::Halted => initialize_again(adapter, make)?,
        PowerState::Low => {
            requests::set_full_power(adapter)?;
            adapter.notify(NdisDevicePnPEventPowerProfileChanged);
        }
    }
    restore_settings(adapter);
    if adapter.phase() == AdapterState::Paused {
        stack::restart(adapter);
        judge::restarted(adapter);
    }
    if adapter.state.with(|state| state.link.is_up()) != link {
        status::tell_link(adapter);
    }
    for binding in adapter.bindings() {
        binding.state.with(|state| state.asleep = false);
        tell_power(binding, NetEventSetPower, NetDeviceStateD0);
    }
    Ok(())
}

fn initialize_again(
    adapter: &'static Adapter,
    make: impl FnOnce() -> Option<Arc<dyn Miniport>>,
) -> Result<(), NDIS_STATUS> {
    let miniport = make().ok_or(ndis_sys::NDIS_STATUS_FAILURE)?;
    adapter.miniport.replace(miniport);
    adapter.state.with(|state| {
        state.declared = Declared::default();
        state.filter = filter::Merged::default();
        state.reset.open();
    });
    adapter.initialize()?;
    set_power(adapter, PowerState::On);
    Ok(())
}

/// What the bindings had set before the sleep: a halted miniport knows nothing of it.
fn restore_settings(adapter: &'static Adapter) {
    filter::refresh(adapter);
    let bindings = adapter.bindings().into_iter();
    let wanted = bindings.map(|binding| binding.state.with(|state| state.lookahead));
    let (wanted, has) = (
        wanted.max().unwrap_or(0),
        adapter.state.with(|state| state.filter.lookahead),
    );
    if wanted != has {
        let turn = adapter.take_oid_turn();
        oid::sets::set(
            adapter,
            &turn,
            OID_GEN_CURRENT_LOOKAHEAD,
            &wanted.to_le_bytes(),
        );
        adapter.state.with(|state| state.filter.lookahead = wanted);
    }
}

pub(super) fn set_power(adapter: &'static Adapter, power: PowerState) {
    adapter.state.with(|state| state.power = power);
    verifier::note(format!("power of {} is {power:?}", adapter.name));
}

/// NetEventQueryPower or NetEventSetPower, answered.
fn tell_power(binding: &'static Binding, code: i32, mut power: NET_DEVICE_POWER_STATE) {
    let length = size_of::<NET_DEVICE_POWER_STATE>() as u32;
    let buffer = (&raw mut power).cast();
    events::deliver(binding.protocol, Some(binding), code, buffer, length);
}

fn flags(adapter: &'static Adapter) -> u32 {
    let registration = adapter.state.with(|state| state.declared.registration);
    registration.map_or(0, |given| given.AttributeFlags)
}

/// Rule 259: a miniport that says nothing about power is halted.
fn is_power_aware(adapter: &'static Adapter) -> bool {
    flags(adapter) & NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND != 0
        || adapter.state.with(|state| state.declared.power.is_some())
}

/// Rules 257 and 258: whether the stack is not paused for low power.
fn may_stay_running(adapter: &'static Adapter) -> bool {
    flags(adapter) & NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND != 0
        && adapter
            .bindings()
            .iter()
            .all(|binding| binding.protocol.is_at_least(6, 30))
}
