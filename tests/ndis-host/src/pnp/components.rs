//! Protocol components: what the network configuration writes, and what it causes.
//!
//! `Linkage\Bind` of a protocol's service lists the adapters that it is bound to, as device names;
//! `Linkage\UpperBind` of an adapter's driver key lists the services above it. Both are kept in
//! step here, as INetCfg does when it applies a change.

use std::collections::BTreeSet;
use std::sync::Arc;

use ndis_sys::{NetEventBindList, NetEventReconfigure};

use super::binder;
use super::devices::{self, DeviceId};
use crate::inf::{Inf, Target};
use crate::ndis::api;
use crate::ndis::bindings::{bind, events};
use crate::ndis::native::{Protocol, ProtocolHandle};
use crate::ndis::protocols::{self, ProtocolDriver};
use crate::registry::{self, SERVICES, Value, utf16};
use crate::sched::{self, BatonCell};

/// A protocol component that is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolId(pub u32);

/// SERVICE_DISABLED.
const DISABLED: u32 = 4;
/// Longest time between the removal of a service and the end of its key.
const KEY_LIFE_NS: u64 = 3_000_000_000;

struct Component {
    id: ProtocolId,
    service: String,
    /// The component's own key, below Control\Network; empty for a native protocol.
    key: String,
    handle: Option<ProtocolHandle>,
    /// Devices whose path to this protocol is switched off.
    disabled: BTreeSet<DeviceId>,
    /// Devices that it is bound to, or would be.
    enabled: BTreeSet<DeviceId>,
}

static COMPONENTS: BatonCell<Vec<Component>> = BatonCell::new(Vec::new());
static COUNT: BatonCell<u32> = BatonCell::new(0);

fn add(service: &str, key: String) -> ProtocolId {
    let id = ProtocolId(COUNT.with(|count| {
        *count += 1;
        *count
    }));
    let service = service.to_owned();
    COMPONENTS.with(|components| {
        components.push(Component {
            id,
            service,
            key,
            handle: None,
            disabled: BTreeSet::new(),
            enabled: BTreeSet::new(),
        });
    });
    id
}

fn with<R>(id: ProtocolId, body: impl FnOnce(&mut Component) -> R) -> R {
    COMPONENTS.with(|components| {
        let component = components.iter_mut().find(|component| component.id == id);
        body(component.unwrap_or_else(|| panic!("protocol {id:?} is not installed")))
    })
}

/// Installs a protocol component from its INF: registry keys, binding paths to `adapters`, and
/// what follows for a protocol driver that is loaded. PASSIVE.
///
/// # Errors
///
/// When the INF has no model for `id`, or names no service.
pub fn install_protocol(inf: &Inf, id: &str, adapters: &[DeviceId]) -> anyhow::Result<ProtocolId> {
    let installed = registry::with(|registry| inf.install(id, &Target::default(), registry))?;
    let service = service_of(&installed.driver_key)
        .ok_or_else(|| anyhow::anyhow!(r"{id} has no Ndi\Service"))?;
    let component = add(&service, installed.driver_key);
    with(component, |component| {
        component.enabled.extend(adapters.iter().copied())
    });
    write_linkage(component);
    announce(component);
    Ok(component)
}

/// The service that a component's key names.
fn service_of(key: &str) -> Option<String> {
    let ndi = format!(r"{key}\Ndi");
    registry::with(|registry| {
        let value = registry.key(&ndi)?.value("Service")?;
        value.as_text().map(str::to_owned)
    })
}

/// Uninstalls a protocol component: unbinds, tells the protocol, removes its keys. PASSIVE.
///
/// The service is marked for deletion at once; its key vanishes some time later, as handles to it
/// are closed.
pub fn uninstall_protocol(protocol: ProtocolId) {
    binder::settle();
    let (service, key) = with(protocol, |c| (c.service.clone(), c.key.clone()));
    let early = sched::chance(2);
    if early {
        disable_service(&service);
    }
    let driver = protocols::by_name(&service);
    with(protocol, |component| component.enabled.clear());
    write_linkage(protocol);
    if let Some(driver) = driver {
        driver.bindings().into_iter().for_each(bind::unbind);
        if sched::chance(2) {
            driver.protocol.uninstall();
        }
    }
    disable_service(&service);
    registry::with(|registry| {
        registry.delete(&format!(r"{SERVICES}\{service}\Linkage"));
        registry.delete(&key);
    });
    COMPONENTS.with(|components| components.retain(|component| component.id != protocol));
    let path = format!(r"{SERVICES}\{service}");
    sched::after(sched::random_below(KEY_LIFE_NS), move || {
        registry::with(|registry| {
            let disabled = registry
                .key(&path)
                .and_then(|key| key.value("Start"))
                .cloned();
            if disabled == Some(Value::Dword(DISABLED)) {
                registry.delete(&path);
            }
        });
    });
}

fn disable_service(service: &str) {
    registry::with(|registry| {
        registry
            .create(&format!(r"{SERVICES}\{service}"))
            .set("Start", Value::Dword(DISABLED));
    });
}

/// Adds a native protocol that is bound to every device, now and later. PASSIVE.
///
/// # Panics
///
/// When a protocol of that name is registered.
pub fn add_native_protocol(service: &str, protocol: Arc<dyn Protocol>) -> ProtocolId {
    let all: Vec<_> = devices::all().iter().map(|device| device.id).collect();
    add_native_protocol_on(service, protocol, &all)
}

/// As [`add_native_protocol`], bound to these devices of those that there are. PASSIVE.
///
/// # Panics
///
/// When a protocol of that name is registered.
pub fn add_native_protocol_on(
    service: &str,
    protocol: Arc<dyn Protocol>,
    on: &[DeviceId],
) -> ProtocolId {
    let id = add(service, String::new());
    with(id, |component| component.enabled.extend(on));
    write_linkage(id);
    let handle = api::register_protocol(service, protocol);
    let handle = handle.unwrap_or_else(|status| panic!("{service} cannot register: {status:#x}"));
    with(id, |component| component.handle = Some(handle));
    id
}

/// The handle of a native protocol.
pub fn protocol_handle(protocol: ProtocolId) -> Option<ProtocolHandle> {
    with(protocol, |component| component.handle)
}

/// Removes a native protocol: it deregisters. PASSIVE.
pub fn remove_native_protocol(protocol: ProtocolId) {
    binder::settle();
    let (service, handle) = with(protocol, |c| (c.service.clone(), c.handle));
    with(protocol, |component| component.enabled.clear());
    write_linkage(protocol);
    if let Some(handle) = handle {
        api::deregister_protocol(handle);
    }
    registry::with(|registry| registry.delete(&format!(r"{SERVICES}\{service}")));
    COMPONENTS.with(|components| components.retain(|component| component.id != protocol));
}

/// Switches the binding path of a protocol to a device, as INetCfg or a notify object does.
/// Live, in the caller's thread. PASSIVE.
pub fn set_binding(protocol: ProtocolId, device: DeviceId, enabled: bool) {
    with(protocol, |component| {
        if enabled {
            component.disabled.remove(&device);
            component.enabled.insert(device);
        } else {
            component.enabled.remove(&device);
            component.disabled.insert(device);
        }
    });
    write_linkage(protocol);
    announce(protocol);
}

/// A device has come: native protocols without a say in it are bound to it.
pub(super) fn device_added(device: DeviceId) {
    let native: Vec<_> = COMPONENTS.with(|components| {
        let open = components.iter_mut().filter(|c| c.key.is_empty());
        open.filter(|c| !c.disabled.contains(&device))
            .map(|component| {
                component.enabled.insert(device);
                component.id
            })
            .collect()
    });
    native.into_iter().for_each(write_linkage);
}

/// Writes the binding paths of a component into the registry.
fn write_linkage(protocol: ProtocolId) {
    let (service, enabled) = with(protocol, |c| (c.service.clone(), c.enabled.clone()));
    let guids: Vec<_> = enabled
        .iter()
        .filter_map(|id| devices::find(*id))
        .map(|d| d.guid.clone())
        .collect();
    registry::with(|registry| {
        let key = registry.create(&format!(r"{SERVICES}\{service}\Linkage"));
        let list =
            |line: &dyn Fn(&String) -> String| Value::MultiSz(guids.iter().map(line).collect());
        key.set("Bind", list(&|guid| format!(r"\Device\{guid}")));
        key.set("Route", list(&|guid| format!("\"{guid}\"")));
        key.set("Export", list(&|guid| format!(r"\Device\{service}_{guid}")));
    });
    for device in devices::all() {
        write_upper_bind(
            &device.node.driver_key(),
            &service,
            enabled.contains(&device.id),
        );
    }
}

fn write_upper_bind(driver_key: &str, service: &str, bound: bool) {
    registry::with(|registry| {
        let key = registry.create(&format!(r"{driver_key}\Linkage"));
        let mut above = match key.value("UpperBind") {
            Some(Value::MultiSz(services)) => services.clone(),
            _ => Vec::new(),
        };
        above.retain(|other| !other.eq_ignore_ascii_case(service));
        if bound {
            above.push(service.to_owned());
        }
        key.set("UpperBind", Value::MultiSz(above));
    });
}

/// Tells a registered protocol that its configuration has changed, before or after the binds.
fn announce(protocol: ProtocolId) {
    let service = with(protocol, |component| component.service.clone());
    let Some(driver) = protocols::by_name(&service) else {
        return;
    };
    let (before, after) = (sched::chance(3), sched::chance(3));
    if before {
        send_bind_list(driver);
    }
    binder::apply(&service);
    if after {
        send_bind_list(driver);
    }
    if sched::chance(3) {
        events::deliver(driver, None, NetEventReconfigure, std::ptr::null_mut(), 0);
    }
}

/// NetEventBindList: the device names, each and the whole ended by a NUL.
fn send_bind_list(driver: &'static ProtocolDriver) {
    let names = binder::configured(&driver.name);
    let mut list: Vec<u16> = names.iter().flat_map(|name| utf16(name)).collect();
    list.push(0);
    let bytes = size_of_val(list.as_slice()) as u32;
    events::deliver(
        driver,
        None,
        NetEventBindList,
        list.as_mut_ptr().cast(),
        bytes,
    );
}
