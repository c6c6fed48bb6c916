//! Processors: their groups and numbers, and the affinity of threads.

use ndis_sys::{
    ALL_PROCESSOR_GROUPS, GROUP_AFFINITY, KAFFINITY, NTSTATUS, PROCESSOR_NUMBER,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS, Zeroed,
};

use super::{Table, enter};
use crate::sched::{self, DISPATCH_LEVEL, HIGH_LEVEL};

/// What `KeGetProcessorIndexFromNumber` says of a processor that is not there.
const INVALID_INDEX: u32 = u32::MAX;

/// The routines of this module.
pub(super) fn exports() -> Table {
    exports! {
        "KeGetCurrentProcessorNumberEx" => ke_get_current_processor_number_ex,
        "KeGetProcessorIndexFromNumber" => ke_get_processor_index_from_number,
        "KeGetProcessorNumberFromIndex" => ke_get_processor_number_from_index,
        "KeQueryActiveGroupCount" => ke_query_active_group_count,
        "KeQueryActiveProcessorCount" => ke_query_active_processor_count,
        "KeQueryActiveProcessorCountEx" => ke_query_active_processor_count_ex,
        "KeQueryActiveProcessors" => ke_query_active_processors,
        "KeQueryHighestNodeNumber" => ke_query_highest_node_number,
        "KeQueryMaximumProcessorCountEx" => ke_query_maximum_processor_count_ex,
        "KeRevertToUserAffinityThreadEx" => ke_revert_to_user_affinity_thread_ex,
        "KeRevertToUserGroupAffinityThread" => ke_revert_to_user_group_affinity_thread,
        "KeSetSystemAffinityThreadEx" => ke_set_system_affinity_thread_ex,
        "KeSetSystemGroupAffinityThread" => ke_set_system_group_affinity_thread,
    }
}

/// A CPU as its group and its number there.
pub(crate) fn number_of(cpu: usize) -> PROCESSOR_NUMBER {
    PROCESSOR_NUMBER {
        Group: sched::group_of(cpu),
        Number: sched::number_in_group(cpu),
        Reserved: 0,
    }
}

/// How many processors a group has, or all groups; 0 for a group that is not there. All that can
/// be there are active: none are added while the machine runs.
pub(crate) fn count_of(group: u16) -> u32 {
    let count = match group {
        ALL_PROCESSOR_GROUPS => sched::cpu_count(),
        _ => sched::cpus_of(group),
    };
    count as u32
}

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
        // SAFETY: the caller promises that it is writable.
        unsafe { number.write(number_of(index)) };
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
    count_of(group)
}

/// `KeQueryActiveProcessorCountEx`: how many processors of a group, or of all, are active; 0 for a
/// group that is not there. Any level.
unsafe extern "efiapi" fn ke_query_active_processor_count_ex(group: u16) -> u32 {
    enter("KeQueryActiveProcessorCountEx", HIGH_LEVEL);
    count_of(group)
}

/// `KeQueryActiveProcessorCount`: how many processors group 0 has, and which. Any level.
///
/// # Safety
///
/// `active` must be null or writable.
unsafe extern "efiapi" fn ke_query_active_processor_count(active: *mut KAFFINITY) -> u32 {
    enter("KeQueryActiveProcessorCount", HIGH_LEVEL);
    if !active.is_null() {
        // SAFETY: the caller promises that it is writable.
        unsafe { active.write(sched::mask_of(0) as KAFFINITY) };
    }
    count_of(0)
}

/// `KeQueryActiveProcessors`: which processors group 0 has. Any level.
unsafe extern "efiapi" fn ke_query_active_processors() -> KAFFINITY {
    enter("KeQueryActiveProcessors", HIGH_LEVEL);
    sched::mask_of(0) as KAFFINITY
}

/// `KeQueryActiveGroupCount`: how many groups there are. Any level.
unsafe extern "efiapi" fn ke_query_active_group_count() -> u16 {
    enter("KeQueryActiveGroupCount", HIGH_LEVEL);
    sched::groups()
}

/// `KeQueryHighestNodeNumber`: all processors are of one node, 0. Any level.
unsafe extern "efiapi" fn ke_query_highest_node_number() -> u16 {
    enter("KeQueryHighestNodeNumber", HIGH_LEVEL);
    0
}

/// `KeGetProcessorIndexFromNumber`: the index of a processor, or an invalid one. Any level.
///
/// # Safety
///
/// `number` must be readable.
unsafe extern "efiapi" fn ke_get_processor_index_from_number(number: *mut PROCESSOR_NUMBER) -> u32 {
    enter("KeGetProcessorIndexFromNumber", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let number = unsafe { *number };
    let known = (number.Reserved == 0)
        .then(|| sched::cpu_of(number.Group, number.Number))
        .flatten();
    known.map_or(INVALID_INDEX, |cpu| cpu as u32)
}

/// `KeGetProcessorNumberFromIndex`: group and number of a processor; STATUS_INVALID_PARAMETER when
/// there is none of this index. Any level.
///
/// # Safety
///
/// `number` must be writable.
unsafe extern "efiapi" fn ke_get_processor_number_from_index(
    index: u32,
    number: *mut PROCESSOR_NUMBER,
) -> NTSTATUS {
    enter("KeGetProcessorNumberFromIndex", HIGH_LEVEL);
    let cpu = index as usize;
    if cpu >= sched::cpu_count() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: as the caller promises.
    unsafe { number.write(number_of(cpu)) };
    STATUS_SUCCESS
}

/// Lets the calling thread run on the processors of `mask` in `group` only, if they exist; returns
/// what it was restricted to before.
fn restrict(group: u16, mask: u64) -> (u16, u64) {
    let exists = mask != 0 && mask & !sched::mask_of(group) == 0;
    let before = sched::affinity();
    if exists {
        sched::set_affinity(Some((group, mask)));
    }
    before.unwrap_or((0, 0))
}

/// `KeSetSystemAffinityThreadEx`: restricts the calling thread to processors of group 0; returns
/// the restriction before, 0 for none. Without effect for a mask with processors that are not
/// there. At DISPATCH or below; at DISPATCH the thread moves when the level is lowered.
unsafe extern "efiapi" fn ke_set_system_affinity_thread_ex(affinity: KAFFINITY) -> KAFFINITY {
    enter("KeSetSystemAffinityThreadEx", DISPATCH_LEVEL);
    restrict(0, affinity as u64).1 as KAFFINITY
}

/// `KeRevertToUserAffinityThreadEx`: restores what `KeSetSystemAffinityThreadEx` returned. At
/// DISPATCH or below.
unsafe extern "efiapi" fn ke_revert_to_user_affinity_thread_ex(affinity: KAFFINITY) {
    enter("KeRevertToUserAffinityThreadEx", DISPATCH_LEVEL);
    revert(0, affinity as u64);
}

fn revert(group: u16, mask: u64) {
    match mask {
        0 => sched::set_affinity(None),
        _ => {
            restrict(group, mask);
        }
    }
}

/// `KeSetSystemGroupAffinityThread`: restricts the calling thread to processors of a group; stores
/// the restriction before, all zero for none or when the new one is invalid. At DISPATCH or below.
///
/// # Safety
///
/// `affinity` must be readable, `previous` null or writable.
unsafe extern "efiapi" fn ke_set_system_group_affinity_thread(
    affinity: *mut GROUP_AFFINITY,
    previous: *mut GROUP_AFFINITY,
) {
    enter("KeSetSystemGroupAffinityThread", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let wanted = unsafe { *affinity };
    let (group, mask) = if wanted.Reserved == [0; 3] {
        restrict(wanted.Group, wanted.Mask as u64)
    } else {
        (0, 0)
    };
    if !previous.is_null() {
        let mut answer = GROUP_AFFINITY::zeroed();
        answer.Group = group;
        answer.Mask = mask as KAFFINITY;
        // SAFETY: as the caller promises.
        unsafe { previous.write(answer) };
    }
}

/// `KeRevertToUserGroupAffinityThread`: restores what `KeSetSystemGroupAffinityThread` stored. At
/// DISPATCH or below.
///
/// # Safety
///
/// `previous` must be readable.
unsafe extern "efiapi" fn ke_revert_to_user_group_affinity_thread(previous: *mut GROUP_AFFINITY) {
    enter("KeRevertToUserGroupAffinityThread", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let previous = unsafe { *previous };
    revert(previous.Group, previous.Mask as u64);
}
