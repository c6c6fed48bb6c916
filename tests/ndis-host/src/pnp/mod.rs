//! The PnP manager: drivers, devices, protocol components, and the order in which things happen.
//!
//! It does what Windows does around NDIS: loads images and calls DriverEntry, gives devices their
//! resources and starts them, decides from the registry which protocol is offered which adapter,
//! removes devices in order or by surprise, and unloads drivers, whose leaks it reports. The
//! orders are those of section 2 of the rules. Everything here runs at PASSIVE, in the caller's
//! thread or in a system thread.

mod added;
mod binder;
mod change;
mod components;
mod device_objects;
mod devices;
mod drivers;
mod instances;
mod life;
mod native;
mod pci;
mod power;
mod register_judge;
mod slot;

use crate::ndis::adapter::Adapter;
use crate::ndis::modules::ModuleId;
use crate::ndis::protocols::ProtocolDriver;

pub use binder::settle;
pub use change::{cancel_removal, cancel_stop, rebalance_device, update_driver};
pub use components::{
    ProtocolId, add_native_protocol, add_native_protocol_on, install_protocol, protocol_handle,
    remove_native_protocol, set_binding, uninstall_protocol,
};
pub(crate) use devices::driver_key_of_object;
pub use devices::{DeviceId, adapter, driver_key, set_parameter};
pub use drivers::{
    DriverId, driver_range, load_driver, load_driver_file, load_linked_driver, unload_driver,
};
pub(crate) use instances::{halt_virtual, is_started, registration_of, start_virtual};
pub use life::{
    bugcheck_all, crash, disable_device, enable_device, pause_stack, query_and_cancel_removal,
    remove_device, restart_stack, shut_down_all, start_device, stop_device, surprise_remove_device,
    unplug_device,
};
pub use native::{add_native_device, add_root_device};
pub use pci::{add_pci_device, limit_messages};
pub use power::{
    resume_device, resume_system, sleep_device, sleep_system, suspend_idle, wake_idle,
};

/// NDIS tells that a protocol has registered: its binds are due.
pub(crate) fn on_protocol_registered(protocol: &'static ProtocolDriver) {
    binder::protocol_registered(protocol);
}

/// NDIS tells that a protocol deregisters: no bind may begin any more.
pub(crate) fn on_protocol_deregistering(protocol: &'static ProtocolDriver) {
    binder::protocol_gone(protocol);
}

/// NDIS tells that a protocol wants its bindings looked at again.
pub(crate) fn re_enumerate(protocol: &'static ProtocolDriver) {
    binder::re_enumerate(protocol);
}

/// NDIS tells that a miniport has given its device up.
pub(crate) fn on_miniport_failed(adapter: &'static Adapter) {
    life::miniport_failed(adapter);
}

/// The service that a module was loaded for.
pub(crate) fn service_of(module: ModuleId) -> Option<String> {
    drivers::service_of(module)
}
