//! Processors: one group.

use ndis_sys::{ALL_PROCESSOR_GROUPS, PROCESSOR_NUMBER};

use crate::sched;

/// `KeGetCurrentProcessorNumberEx`: the index of this processor. Any level.
///
/// # Safety
///
/// `number` must be null or writable.
pub(super) unsafe extern "efiapi" fn ke_get_current_processor_number_ex(
    number: *mut PROCESSOR_NUMBER,
) -> u32 {
    sched::point();
    let index = sched::current_cpu();
    if !number.is_null() {
        let answer = PROCESSOR_NUMBER {
            Group: 0,
            Number: index as u8,
            Reserved: 0,
        };
        // SAFETY: the caller promises that it is writable.
        unsafe { number.write(answer) };
    }
    index as u32
}

/// `KeQueryMaximumProcessorCountEx`: how many processors a group, or all groups, can have; 0 for a
/// group that is not there. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn ke_query_maximum_processor_count_ex(group: u16) -> u32 {
    sched::point();
    match group {
        0 | ALL_PROCESSOR_GROUPS => sched::cpu_count() as u32,
        _ => 0,
    }
}
