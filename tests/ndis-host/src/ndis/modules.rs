//! Modules: whose code it is that called NDIS.
//!
//! An image, or a native driver of the host, is a module. What it allocates is charged to it,
//! found through the NDIS handle that it allocated with or through the address of a handler, and
//! must be gone when it unloads.

use crate::image;
use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::Binding;
use crate::ndis::control_device::ControlDevice;
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::generic_objects;
use crate::ndis::handles;
use crate::ndis::protocols::ProtocolDriver;
use crate::sched::BatonCell;

/// Names a module; the number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModuleId(pub(crate) u32);

/// Nobody can be charged: the handle was null or is none that leads to a module.
pub(crate) const UNKNOWN: ModuleId = ModuleId(0);

/// Names of the modules; the index plus one is the number.
static NAMES: BatonCell<Vec<String>> = BatonCell::new(Vec::new());

/// Adds a module; a name that comes again belongs to the latest.
pub(crate) fn add(name: &str) -> ModuleId {
    NAMES.with(|names| {
        names.push(name.to_owned());
        ModuleId(names.len() as u32)
    })
}

/// The module of a native driver: the one of that name, if there is one already. A driver that is
/// a miniport and a protocol at once uses one name for both.
pub(crate) fn native(name: &str) -> ModuleId {
    let known = NAMES.with(|names| names.iter().rposition(|known| known == name));
    known.map_or_else(|| add(name), |index| ModuleId(index as u32 + 1))
}

/// The name of a module.
pub(crate) fn name(module: ModuleId) -> String {
    let index = (module.0 as usize).wrapping_sub(1);
    NAMES
        .with(|names| names.get(index).cloned())
        .unwrap_or_else(|| "unknown module".to_owned())
}

/// The driver that is linked into this program and was loaded last.
static LINKED: BatonCell<ModuleId> = BatonCell::new(UNKNOWN);

/// Makes `module` the owner of all code that is in no image; `None`: nobody is.
pub(crate) fn own_linked_code(module: Option<ModuleId>) {
    LINKED.with(|linked| *linked = module.unwrap_or(UNKNOWN));
}

/// The module whose image holds a code address, or the linked driver.
pub(crate) fn of_code(address: usize) -> ModuleId {
    let Some((image, _)) = image::owner_of(address) else {
        return LINKED.with(|linked| *linked);
    };
    let index = NAMES.with(|names| names.iter().rposition(|name| name == image));
    index.map_or(UNKNOWN, |index| ModuleId(index as u32 + 1))
}

/// The module behind an adapter, driver, protocol, binding or device handle, or a generic object.
pub(crate) fn of_handle(handle: u64) -> ModuleId {
    if let Some(adapter) = handles::lookup::<Adapter>(handle) {
        return adapter.driver.module;
    }
    if let Some(driver) = handles::lookup::<MiniportDriver>(handle) {
        return driver.module;
    }
    if let Some(protocol) = handles::lookup::<ProtocolDriver>(handle) {
        return protocol.module;
    }
    if let Some(binding) = handles::lookup::<Binding>(handle) {
        return binding.protocol.module;
    }
    if let Some(device) = handles::lookup::<ControlDevice>(handle) {
        return device.module;
    }
    generic_objects::module_of(handle).unwrap_or(UNKNOWN)
}

/// Whether something charged to `owner` may be used by `user`: an unknown one is given the
/// benefit of the doubt.
pub(crate) fn matches(owner: ModuleId, user: ModuleId) -> bool {
    owner == user || owner == UNKNOWN || user == UNKNOWN
}
