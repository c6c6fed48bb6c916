//! What a module must have released when it unloads (rule 14).

use super::modules::{self, ModuleId};
use super::nbl::{mdl, net_buffer, piece, pool};
use super::oid::clone;
use super::{
    config, control_device, drivers, generic_objects, intermediate, memory_calls, protocols,
    rw_locks, timers, work_items,
};
use crate::ntoskrnl::{etw, io};
use crate::verifier;

/// Reports everything that a module still has, as a breach of rule 14. Its driver object is at
/// `driver_object`.
pub(crate) fn report(module: ModuleId, driver_object: usize) {
    piece::check_resting();
    config::report_leaks_of_module(module);
    let nbls = pool::live_of_module(module);
    verifier::require(93, nbls.is_empty(), || {
        let first = &nbls[0];
        format!(
            "{} unloads and leaves {} NBLs; one is {first} (7C/27)",
            modules::name(module),
            nbls.len()
        )
    });
    let control_devices = control_device::leaks_of(module);
    verifier::require(15, control_devices.is_empty(), || {
        format!(
            "{} unloads and leaves {}",
            modules::name(module),
            control_devices.join(", ")
        )
    });
    let mut edges = drivers::of_module(module);
    if intermediate::is_combined(module) && edges.len() == 1 {
        edges.clear();
        let name = modules::name(module);
        verifier::breach(
            8,
            format!("{name} has registered two miniport edges, and deregistered one"),
        );
    }
    let registrations = edges
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
        net_buffer::leaks_of_module(module),
        mdl::leaks_of_module(module),
        timers::leaks_of_module(module),
        work_items::leaks_of_module(module),
        memory_calls::leaks_of_module(module),
        rw_locks::leaks_of_module(module),
        generic_objects::leaks_of_module(module),
        etw_leaks(module),
        io::leaks_of(driver_object, &modules::name(module)),
        clone::leaks_of(module),
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
