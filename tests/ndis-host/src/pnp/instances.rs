//! Virtual devices of intermediate drivers: started and halted when their driver asks.

use ndis_sys::NdisHaltDeviceInstanceDeInitialized;

use super::devices::{self, Device};
use super::{added, binder, life};
use crate::ndis::adapter::Adapter;
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::{call, intermediate};
use crate::verifier;

fn by_name(name: &str) -> Option<&'static Device> {
    let all = devices::all().into_iter();
    let mut named = all.filter(|device| device.name().eq_ignore_ascii_case(name));
    named.next()
}

/// Whether the device of a name is started.
pub(crate) fn is_started(name: &str) -> bool {
    by_name(name).is_some_and(|device| device.adapter().is_some())
}

/// The registration that drives the device of a name.
pub(crate) fn registration_of(name: &str) -> Option<&'static MiniportDriver> {
    added::registration(by_name(name)?)
}

/// Starts a device for its driver, unless that has changed its mind by then.
pub(crate) fn start_virtual(name: String) {
    binder::run_later("start of a virtual miniport", move || {
        let Some(device) = by_name(&name).filter(|device| device.adapter().is_none()) else {
            return;
        };
        if !intermediate::begin(&name) {
            return;
        }
        if let Err(status) = life::start_device(device.id) {
            verifier::note(format!("{name} does not start: {status:#x}"));
        }
    });
}

/// Unbinds what is bound to a virtual miniport and halts it; false when it is not up.
pub(crate) fn halt_virtual(adapter: &'static Adapter) -> bool {
    // A caller that runs in a callback may itself be a part of a bind.
    if call::innermost().is_none() {
        binder::settle();
    }
    let Some(device) = devices::of_adapter(adapter.handle) else {
        return false;
    };
    life::take_down(device, adapter, NdisHaltDeviceInstanceDeInitialized);
    true
}
