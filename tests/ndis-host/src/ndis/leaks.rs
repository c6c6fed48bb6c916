//! What a module must have released when it unloads (rule 14).

use super::modules::{self, ModuleId};
use super::nbl::{mdl, pool};
use super::{drivers, memory_calls, protocols, timers, work_items};
use crate::verifier;

/// Reports everything of NDIS that a module still has, each as a breach of rule 14.
pub(crate) fn report(module: ModuleId) {
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
