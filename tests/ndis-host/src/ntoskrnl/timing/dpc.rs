//! Deferred procedure calls.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, KDEFERRED_ROUTINE, KDPC, NTSTATUS, PROCESSOR_NUMBER, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};

use crate::ndis::call::{Callback, callback};
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{KernelCallback, Table, enter, objects};
use crate::sched::{self, APC_LEVEL, BatonCell, DpcId, HIGH_LEVEL};
use crate::verifier;

/// Type of a DPC object in the kernel.
const TYPE: u8 = 19;
/// Importance of a DPC that nothing was said about.
const MEDIUM: u8 = 1;
/// Highest importance.
const MEDIUM_HIGH: u8 = 3;
/// Tells drivers' DPCs from those of NDIS.
const OF_DRIVER: u64 = 1 << 62;

pub(super) fn exports() -> Table {
    exports! {
        "KeInitializeDpc" => ke_initialize_dpc,
        "KeInsertQueueDpc" => ke_insert_queue_dpc,
        "KeRemoveQueueDpc" => ke_remove_queue_dpc,
        "KeSetImportanceDpc" => ke_set_importance_dpc,
        "KeSetTargetProcessorDpc" => ke_set_target_processor_dpc,
        "KeSetTargetProcessorDpcEx" => ke_set_target_processor_dpc_ex,
        "KeFlushQueuedDpcs" => ke_flush_queued_dpcs,
    }
}

/// The name by which the scheduler knows the DPC, or timer callback, at an address.
pub(super) fn id(address: usize) -> DpcId {
    DpcId(OF_DRIVER | address as u64)
}

/// `KeInitializeDpc`: makes a DPC. Any level.
///
/// # Safety
///
/// `dpc` must be writable.
unsafe extern "efiapi" fn ke_initialize_dpc(
    dpc: *mut KDPC,
    routine: Option<KDEFERRED_ROUTINE>,
    context: *mut c_void,
) {
    const CALL: &str = "KeInitializeDpc";
    enter(CALL, HIGH_LEVEL);
    objects::require_none(dpc.addr(), size_of::<KDPC>(), || {
        format!("{CALL} of the memory at {}", describe(dpc.addr()))
    });
    verifier::insist(215, routine.is_some(), || format!("{CALL}: no routine"));
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *dpc };
    value.Type = TYPE;
    value.Importance = MEDIUM;
    value.Number = 0;
    value.DpcListEntry.Next = std::ptr::null_mut();
    value.ProcessorHistory = 0;
    value.DeferredRoutine = routine;
    value.DeferredContext = context;
    value.SystemArgument1 = std::ptr::null_mut();
    value.SystemArgument2 = std::ptr::null_mut();
    value.DpcData = std::ptr::null_mut();
}

/// `KeInsertQueueDpc`: queues a DPC on its target, or on this processor; false when it is queued
/// already, and then nothing changes. Any level.
///
/// # Safety
///
/// `dpc` must point to a DPC, which stays valid until it has run.
unsafe extern "efiapi" fn ke_insert_queue_dpc(
    dpc: *mut KDPC,
    first: *mut c_void,
    second: *mut c_void,
) -> BOOLEAN {
    enter("KeInsertQueueDpc", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { check(dpc, "KeInsertQueueDpc") };
    // SAFETY: as the caller promises.
    BOOLEAN::from(unsafe { queue(dpc, first, second, sched::current_cpu()) })
}

/// Queues a DPC on its target, or on `cpu` if it has none; false when it is queued already.
///
/// # Safety
///
/// As above.
pub(super) unsafe fn queue(
    dpc: *mut KDPC,
    first: *mut c_void,
    second: *mut c_void,
    cpu: usize,
) -> bool {
    let address = dpc.expose_provenance();
    // SAFETY: as the caller promises.
    let target = unsafe { (*dpc).Number };
    let cpu = usize::from(target).checked_sub(1).unwrap_or(cpu);
    // SAFETY: the DPC stays valid until it has run.
    let is_new = sched::queue_dpc(cpu, id(address), move || unsafe { run(address) });
    if is_new {
        objects::hold(address, size_of::<KDPC>(), "a DPC that is queued");
        // SAFETY: as the caller promises.
        let value = unsafe { &mut *dpc };
        value.SystemArgument1 = first;
        value.SystemArgument2 = second;
        value.DpcData = (&raw mut *value).cast();
    }
    is_new
}

/// Calls the routine of a DPC; it may be queued again from here on, and its memory be freed.
///
/// # Safety
///
/// There must be a DPC at the address.
unsafe fn run(address: usize) {
    objects::let_go(address);
    let dpc: *mut KDPC = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *dpc };
    value.DpcData = std::ptr::null_mut();
    value.ProcessorHistory |= 1 << (sched::current_cpu() % 64);
    let KDPC {
        DeferredRoutine: Some(routine),
        DeferredContext: context,
        SystemArgument1: first,
        SystemArgument2: second,
        ..
    } = *value
    else {
        let place = describe(address);
        verifier::fatal(
            215,
            format!("the queued DPC at {place} has lost its routine"),
        );
    };
    callback(
        Callback::Kernel(KernelCallback::Dpc),
        address as u64,
        || {
            // SAFETY: the driver gave this routine and its arguments.
            sched::in_driver(|| unsafe { routine(dpc, context, first, second) })
        },
    );
}

/// `KeRemoveQueueDpc`: takes a DPC back; false when it was not queued. Any level.
///
/// # Safety
///
/// `dpc` must point to a DPC.
unsafe extern "efiapi" fn ke_remove_queue_dpc(dpc: *mut KDPC) -> BOOLEAN {
    enter("KeRemoveQueueDpc", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { check(dpc, "KeRemoveQueueDpc") };
    let was_queued = sched::remove_dpc(id(dpc.addr()));
    if was_queued {
        objects::let_go(dpc.addr());
        // SAFETY: as the caller promises.
        unsafe { (*dpc).DpcData = std::ptr::null_mut() };
    }
    BOOLEAN::from(was_queued)
}

/// `KeSetImportanceDpc`: where in the queue a DPC goes. The queue here is in order of arrival,
/// which the page allows for all that is not of high importance. Any level.
///
/// # Safety
///
/// `dpc` must point to a DPC.
unsafe extern "efiapi" fn ke_set_importance_dpc(dpc: *mut KDPC, importance: i32) {
    const CALL: &str = "KeSetImportanceDpc";
    enter(CALL, HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { check(dpc, CALL) };
    let known = u8::try_from(importance)
        .ok()
        .filter(|it| *it <= MEDIUM_HIGH);
    let Some(importance) = known else {
        verifier::fatal(215, format!("{CALL}: importance {importance}"));
    };
    // SAFETY: as the caller promises.
    unsafe { (*dpc).Importance = importance };
}

/// `KeSetTargetProcessorDpc`: the processor of group 0 on which a DPC runs. Any level.
///
/// # Safety
///
/// `dpc` must point to a DPC that is not queued.
unsafe extern "efiapi" fn ke_set_target_processor_dpc(dpc: *mut KDPC, number: i8) {
    const CALL: &str = "KeSetTargetProcessorDpc";
    enter(CALL, HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let is_set = unsafe { set_target(dpc, CALL, sched::cpu_of(0, number as u8)) };
    verifier::insist(215, is_set, || format!("{CALL}: no processor {number}"));
}

/// `KeSetTargetProcessorDpcEx`: the processor on which a DPC runs. Any level.
///
/// # Safety
///
/// `dpc` must point to a DPC that is not queued; `number` must be readable.
unsafe extern "efiapi" fn ke_set_target_processor_dpc_ex(
    dpc: *mut KDPC,
    number: *mut PROCESSOR_NUMBER,
) -> NTSTATUS {
    const CALL: &str = "KeSetTargetProcessorDpcEx";
    enter(CALL, HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let number = unsafe { *number };
    if number.Reserved != 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let cpu = sched::cpu_of(number.Group, number.Number);
    // SAFETY: as the caller promises.
    if unsafe { set_target(dpc, CALL, cpu) } {
        STATUS_SUCCESS
    } else {
        STATUS_INVALID_PARAMETER
    }
}

/// # Safety
///
/// `dpc` must point to a DPC.
unsafe fn set_target(dpc: *mut KDPC, routine: &str, cpu: Option<usize>) -> bool {
    // SAFETY: as the caller promises.
    unsafe { check(dpc, routine) };
    if let Some(cpu) = cpu {
        // SAFETY: as the caller promises.
        unsafe { (*dpc).Number = cpu as u16 + 1 };
    }
    cpu.is_some()
}

/// `KeFlushQueuedDpcs`: waits until every DPC that is queued now has run, on all processors. At
/// APC or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_flush_queued_dpcs() {
    static LEFT: BatonCell<usize> = BatonCell::new(0);
    static FLUSHES: BatonCell<u64> = BatonCell::new(0);
    enter("KeFlushQueuedDpcs", APC_LEVEL);
    // A mark at the end of each queue; marks of several flushes count together.
    for cpu in 0..sched::cpu_count() {
        let number = FLUSHES.with(|flushes| {
            *flushes += 1;
            *flushes
        });
        LEFT.with(|left| *left += 1);
        sched::queue_dpc(cpu, DpcId(OF_DRIVER | number), || {
            LEFT.with(|left| *left -= 1);
        });
    }
    sched::wait("KeFlushQueuedDpcs", || LEFT.with(|left| *left == 0), None);
}

/// Fatal breach of rule 215 when there is no DPC at the address.
///
/// # Safety
///
/// `dpc` must be readable.
unsafe fn check(dpc: *mut KDPC, routine: &str) {
    // SAFETY: as the caller promises.
    let kind = unsafe { (*dpc).Type };
    verifier::insist(215, kind == TYPE, || {
        format!("{routine}: no initialised DPC at {}", describe(dpc.addr()))
    });
}
