//! Which protocol is offered which adapter, and when.
//!
//! The registry decides: a protocol is offered the adapters that its service's `Linkage\Bind`
//! lists at that time. It is asked when a protocol registers, when an adapter has started, when a
//! protocol re-enumerates, and when the configuration changes. Binds run in system threads, by
//! seed also inside of the call that caused them.

use ndis_sys::{NDIS_STATUS_SUCCESS, NetEventBindsComplete};

use super::devices::{self, Device};
use crate::ndis::adapter::{self, Adapter};
use crate::ndis::bindings::{bind, events};
use crate::ndis::handles;
use crate::ndis::protocols::{self, ProtocolDriver};
use crate::registry::{self, SERVICES, Value};
use crate::sched::{self, BatonCell};
use crate::verifier;

/// Jobs that are queued or running.
static JOBS: BatonCell<usize> = BatonCell::new(0);
/// Protocols that deregister: no bind may begin.
static LEAVING: BatonCell<Vec<u64>> = BatonCell::new(Vec::new());

/// Waits until no bind or unbind is queued or running. PASSIVE.
pub fn settle() {
    sched::wait("the binds", || JOBS.with(|jobs| *jobs == 0), None);
}

/// Runs a job in a system thread.
pub(super) fn run_later(name: &str, job: impl FnOnce() + Send + 'static) {
    JOBS.with(|jobs| *jobs += 1);
    sched::spawn(name, move || {
        job();
        JOBS.with(|jobs| *jobs -= 1);
    });
}

/// The adapters that a protocol is configured for, as device names.
pub(super) fn configured(protocol: &str) -> Vec<String> {
    let key = format!(r"{SERVICES}\{protocol}\Linkage");
    let bind = registry::with(|registry| {
        registry
            .key(&key)
            .and_then(|key| key.value("Bind"))
            .cloned()
    });
    match bind {
        Some(Value::MultiSz(names)) => names,
        _ => Vec::new(),
    }
}

/// Whether the registry says that a protocol is bound to an adapter.
pub(super) fn is_configured(protocol: &str, adapter: &str) -> bool {
    configured(protocol)
        .iter()
        .any(|name| name.eq_ignore_ascii_case(adapter))
}

/// A protocol has registered: binds come inside of the call or soon after, by seed.
pub(super) fn protocol_registered(protocol: &'static ProtocolDriver) {
    let announce = sched::chance(2) || !configured(&protocol.name).is_empty();
    let job = move || {
        offer_all(protocol);
        if announce && is_registered(protocol) {
            events::deliver(
                protocol,
                None,
                NetEventBindsComplete,
                std::ptr::null_mut(),
                0,
            );
        }
    };
    if sched::chance(2) {
        job();
    } else {
        run_later("binds of a new protocol", job);
    }
}

/// A protocol deregisters.
pub(super) fn protocol_gone(protocol: &'static ProtocolDriver) {
    LEAVING.with(|leaving| leaving.push(protocol.handle));
}

fn is_registered(protocol: &'static ProtocolDriver) -> bool {
    handles::lookup::<ProtocolDriver>(protocol.handle).is_some()
        && !LEAVING.with(|leaving| leaving.contains(&protocol.handle))
}

/// A protocol asks for its adapters again.
pub(super) fn re_enumerate(protocol: &'static ProtocolDriver) {
    if sched::chance(2) {
        offer_all(protocol);
    } else {
        run_later("binds on request", move || offer_all(protocol));
    }
}

/// Offers a protocol every started adapter that it is configured for and not bound to.
pub(super) fn offer_all(protocol: &'static ProtocolDriver) {
    for name in configured(&protocol.name) {
        if let Some(adapter) = adapter::by_name(&name) {
            offer(protocol, adapter);
        }
    }
}

fn offer(protocol: &'static ProtocolDriver, adapter: &'static Adapter) {
    let alive = handles::lookup::<Adapter>(adapter.handle).is_some();
    if !alive || !is_registered(protocol) || !is_configured(&protocol.name, &adapter.name) {
        return;
    }
    let status = bind::bind(protocol, adapter);
    if status != NDIS_STATUS_SUCCESS {
        let (name, device) = (&protocol.name, &adapter.name);
        verifier::note(format!("{name} refuses {device}: {status:#x}"));
    }
}

/// An adapter has started: it is restarted, and offered to the protocols.
pub(super) fn device_started(device: &'static Device) {
    run_later("binds of a new adapter", move || {
        let Some(adapter) = device.adapter() else {
            return;
        };
        for protocol in protocols::all() {
            if is_configured(&protocol.name, &adapter.name) {
                offer(protocol, adapter);
            }
        }
        start_flow(adapter);
    });
}

/// Starts the data path of an adapter that nobody was bound to, and so nobody has started.
fn start_flow(adapter: &'static Adapter) {
    let _stack = adapter.own_stack();
    if handles::lookup::<Adapter>(adapter.handle).is_some() {
        crate::ndis::stack::restart(adapter);
    }
}

/// Takes off what is bound and no longer configured, and offers what is configured and not bound.
pub(super) fn apply(protocol: &str) {
    let Some(protocol) = protocols::by_name(protocol) else {
        return;
    };
    for binding in protocol.bindings() {
        if !is_configured(&protocol.name, &binding.adapter.name) {
            bind::unbind(binding);
        }
    }
    offer_all(protocol);
}

/// The device behind an adapter that is started.
pub(super) fn device_of(adapter: &'static Adapter) -> Option<&'static Device> {
    devices::of_adapter(adapter.handle)
}
