//! What a module must have released when it unloads (rule 14).

use super::modules::{self, ModuleId};
use super::nbl::{mdl, pool};
use super::{config, control_device, drivers, memory_calls, protocols, timers, work_items};
use crate::ntoskrnl::{etw, io};
use crate::verifier;

/// Reports everything that a module still has, as a breach of rule 14. Its driver object is at
/// `driver_object`.
pub(crate) fn report(module: ModuleId, driver_object: usize) {
    config::report_leaks_of_module(module);
    let control_devices = control_device::leaks_of(module);
    verifier::require(15, control_devices.is_empty(), || {
        format!(
            "{} unloads and leaves {}",
            modules::name(module),
            control_devices.join(", ")
        )
    });
    let registrations = drivers::of_module(module)
        .iter()
        .map(|_| "its miniport driver registration".to_owned())
        .chain(
            protocols::of_module(module)
                .iter()
                .map(|protocol| format!("its protocol registration {}", protocol.name)),
        )
        .collect();
    let left = [
        registrations,
        pool::leaks_of_module(module),
        mdl::leaks_of(module),
        timers::leaks_of_module(module),
        work_items::leaks_of_module(module),
        memory_calls::leaks_of(module),
        etw_leaks(module),
        io::leaks_of(driver_object, &modules::name(module)),
    ]
    .concat();
    verifier::require(14, left.is_empty(), || {
        format!(
            "{} unloads and leaves {}",
            modules::name(module),
            left.join(", ")
        )
    });
}

/// Event providers that are registered still.
fn etw_leaks(module: ModuleId) -> Vec<String> {
    match etw::leaks_of(&modules::name(module)) {
        0 => Vec::new(),
        count => vec![format!("{count} event tracing providers (0xC4/DD)")],
    }
}
