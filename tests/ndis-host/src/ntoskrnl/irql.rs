//! Interrupt levels.

use ndis_sys::KIRQL;

use crate::sched;

/// `KfRaiseIrql`: raises the level of this processor; returns the old one. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn kf_raise_irql(new_irql: KIRQL) -> KIRQL {
    sched::point();
    sched::raise(new_irql)
}

/// `KeLowerIrql`: lowers the level of this processor; what it held off runs now. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn ke_lower_irql(new_irql: KIRQL) {
    sched::point();
    sched::lower(new_irql);
}
