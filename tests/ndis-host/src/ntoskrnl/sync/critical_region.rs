//! Critical and guarded regions: asynchronous procedure calls are held off.
//!
//! There are none of those here, so the regions are counted, and compared at the end of a thread.

use std::collections::BTreeMap;

use ndis_sys::BOOLEAN;

use crate::ntoskrnl::{Table, enter};
use crate::sched::{self, APC_LEVEL, BatonCell, HIGH_LEVEL, ThreadId};
use crate::verifier;

/// How many regions each thread is in.
static REGIONS: BatonCell<BTreeMap<ThreadId, u32>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "KeEnterCriticalRegion" => ke_enter_critical_region,
        "KeLeaveCriticalRegion" => ke_leave_critical_region,
        "KeEnterGuardedRegion" => ke_enter_guarded_region,
        "KeLeaveGuardedRegion" => ke_leave_guarded_region,
        "KeAreApcsDisabled" => ke_are_apcs_disabled,
    }
}

/// Whether the calling thread holds procedure calls off: by a region, or by its level.
pub(super) fn apcs_are_off() -> bool {
    let me = sched::current_thread();
    sched::irql() >= APC_LEVEL || REGIONS.with(|regions| regions.contains_key(&me))
}

/// A thread leaves all regions before it ends.
pub(super) fn check_end_of_thread() {
    let me = sched::current_thread();
    let left = REGIONS.with(|regions| regions.remove(&me));
    verifier::insist(215, left.is_none(), || {
        format!("a thread ends in {} critical regions", left.unwrap_or(0))
    });
}

fn enter_region() {
    let me = sched::current_thread();
    REGIONS.with(|regions| *regions.entry(me).or_insert(0) += 1);
}

fn leave_region(routine: &str) {
    let me = sched::current_thread();
    let was_inside = REGIONS.with(|regions| {
        let Some(depth) = regions.get_mut(&me) else {
            return false;
        };
        *depth -= 1;
        if *depth == 0 {
            regions.remove(&me);
        }
        true
    });
    verifier::insist(215, was_inside, || {
        format!("{routine} without having entered a region")
    });
}

/// `KeEnterCriticalRegion`: holds off normal kernel procedure calls. At APC or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_enter_critical_region() {
    enter("KeEnterCriticalRegion", APC_LEVEL);
    enter_region();
}

/// `KeLeaveCriticalRegion`: the end of that. At APC or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_leave_critical_region() {
    enter("KeLeaveCriticalRegion", APC_LEVEL);
    leave_region("KeLeaveCriticalRegion");
}

/// `KeEnterGuardedRegion`: holds off all procedure calls. At APC or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_enter_guarded_region() {
    enter("KeEnterGuardedRegion", APC_LEVEL);
    enter_region();
}

/// `KeLeaveGuardedRegion`: the end of that. At APC or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_leave_guarded_region() {
    enter("KeLeaveGuardedRegion", APC_LEVEL);
    leave_region("KeLeaveGuardedRegion");
}

/// `KeAreApcsDisabled`: whether the calling thread is in a region. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_are_apcs_disabled() -> BOOLEAN {
    enter("KeAreApcsDisabled", HIGH_LEVEL);
    BOOLEAN::from(apcs_are_off())
}
