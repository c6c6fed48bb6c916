//! Interrupt levels.

use ndis_sys::KIRQL;

use super::{Table, locks};
use crate::sched::{self, DISPATCH_LEVEL};
use crate::verifier;

pub(super) fn exports() -> Table {
    exports! {
        "KeLowerIrql" => ke_lower_irql,
        "KeRaiseIrqlToDpcLevel" => ke_raise_irql_to_dpc_level,
        "KfRaiseIrql" => kf_raise_irql,
    }
}

/// `KfRaiseIrql`: raises the level of this processor; returns the old one. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn kf_raise_irql(new_irql: KIRQL) -> KIRQL {
    sched::point();
    sched::raise(new_irql)
}

/// `KeRaiseIrqlToDpcLevel`: raises the level of this processor to DISPATCH; returns the old one. At
/// DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_raise_irql_to_dpc_level() -> KIRQL {
    sched::point();
    sched::raise(DISPATCH_LEVEL)
}

/// `KeLowerIrql`: lowers the level of this processor; what it held off runs now. Any level. Below
/// DISPATCH no spin lock may be held.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_lower_irql(new_irql: KIRQL) {
    sched::point();
    let keeps_level = new_irql >= DISPATCH_LEVEL || sched::irql() < DISPATCH_LEVEL;
    verifier::require(210, keeps_level || locks::locks_held() == 0, || {
        format!("level lowered to {new_irql} with a spin lock held")
    });
    sched::lower(new_irql);
}
