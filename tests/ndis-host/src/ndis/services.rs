//! The routines of ndis.sys for memory, time, work items, events, locks and information.

use super::{event_log, events, generic_objects, memory_calls, misc, rw_locks, timers, work_items};

/// Name and address of each routine.
pub(crate) fn table() -> Vec<(&'static str, usize)> {
    [memory(), work(), locks(), information()].concat()
}

macro_rules! routines {
    ($($name:literal => $routine:path,)*) => {
        vec![$(($name, $routine as *const () as usize),)*]
    };
}

fn memory() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAllocateMemoryWithTag" => memory_calls::allocate_with_tag,
        "NdisAllocateMemoryWithTagPriority" => memory_calls::allocate,
        "NdisFreeMemory" => memory_calls::free,
        "NdisFreeMemoryWithTag" => memory_calls::free_with_tag,
        "NdisFreeMemoryWithTagPriority" => memory_calls::free_with_tag_priority,
        "NdisAllocateGenericObject" => generic_objects::allocate,
        "NdisFreeGenericObject" => generic_objects::free,
        "NdisInitializeString" => misc::initialize_string,
    }
}

fn work() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAllocateTimerObject" => timers::allocate,
        "NdisSetTimerObject" => timers::set,
        "NdisSetCoalescableTimerObject" => timers::set_coalescable,
        "NdisCancelTimerObject" => timers::cancel,
        "NdisFreeTimerObject" => timers::free,
        "NdisAllocateIoWorkItem" => work_items::allocate,
        "NdisQueueIoWorkItem" => work_items::queue,
        "NdisFreeIoWorkItem" => work_items::free,
        "NdisInitializeEvent" => events::initialize,
        "NdisSetEvent" => events::set,
        "NdisResetEvent" => events::reset,
        "NdisWaitEvent" => events::wait,
        "NdisMSleep" => misc::sleep,
    }
}

fn locks() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisAllocateRWLock" => rw_locks::allocate,
        "NdisFreeRWLock" => rw_locks::free,
        "NdisAcquireRWLockRead" => rw_locks::acquire_read,
        "NdisAcquireRWLockWrite" => rw_locks::acquire_write,
        "NdisReleaseRWLock" => rw_locks::release,
        "NdisInitializeReadWriteLock" => rw_locks::initialize_old,
        "NdisAcquireReadWriteLock" => rw_locks::acquire_old,
        "NdisReleaseReadWriteLock" => rw_locks::release_old,
        "NdisDprAcquireReadWriteLock" => rw_locks::acquire_old_dpr,
        "NdisDprReleaseReadWriteLock" => rw_locks::release_old_dpr,
    }
}

fn information() -> Vec<(&'static str, usize)> {
    routines! {
        "NdisGetVersion" => misc::version,
        "NdisGetRoutineAddress" => misc::routine_address,
        "NdisGetSystemUpTimeEx" => misc::up_time,
        "NdisGetHypervisorInfo" => misc::hypervisor_info,
        "NdisGetSharedDataAlignment" => misc::shared_data_alignment,
        "NdisWriteErrorLogEntry" => event_log::write,
        "NdisWriteEventLogEntry" => event_log::write_event,
    }
}
