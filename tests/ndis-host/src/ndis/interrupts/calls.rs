//! What drivers call about their interrupts.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, FALSE, GROUP_AFFINITY, KAFFINITY, MINIPORT_SYNCHRONIZE_INTERRUPT, NDIS_HANDLE,
    NDIS_MSIX_CONFIG_PARAMETERS, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_MSIX_CONFIG_PARAMETERS_REVISION_1, NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS, NdisMSIXTableConfigMaskTableEntry,
    NdisMSIXTableConfigSetTableEntry, NdisMSIXTableConfigUnmaskTableEntry, TRUE, Zeroed,
};

use super::{Interrupt, Source, of_adapter};
use crate::ndis::adapter::{self, AdapterState};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::node::TableChange;
use crate::ndis::{handles, header};
use crate::sched::{self, DIRQL, DISPATCH_LEVEL};
use crate::verifier;

/// Microsoft Learn, NdisMSynchronizeWithInterruptEx function (ndis.h). IRQL <= DIRQL.
///
/// # Safety
///
/// `function` is a routine for `context`.
pub(crate) unsafe extern "efiapi" fn synchronize(
    interrupt_handle: NDIS_HANDLE,
    message: u32,
    function: Option<MINIPORT_SYNCHRONIZE_INTERRUPT>,
    context: *mut c_void,
) -> BOOLEAN {
    const CALL: &str = "NdisMSynchronizeWithInterruptEx";
    import(CALL, Level::Any);
    let interrupt = resolve(CALL, interrupt_handle, message);
    let irql = sched::irql();
    verifier::insist(79, irql <= DIRQL, || {
        format!("{CALL} called at level {irql}, above the interrupt's")
    });
    let Some(function) = function else {
        verifier::fatal(199, format!("{CALL}: no function"));
    };
    let old = sched::raise(DIRQL);
    interrupt.lock();
    let result = callback(Callback::SynchronizeInterrupt, interrupt.handle, || {
        // SAFETY: the caller's contract.
        sched::in_driver(|| unsafe { function(context) })
    });
    interrupt.unlock();
    sched::lower(old);
    if result != FALSE { TRUE } else { FALSE }
}

/// The interrupt of a handle, whose message exists.
fn resolve(call: &str, interrupt_handle: NDIS_HANDLE, message: u32) -> &'static Interrupt {
    let interrupt: &'static Interrupt = handles::resolve(interrupt_handle, call);
    let count = interrupt.source.count();
    verifier::insist(199, (message as usize) < count, || {
        format!("{call}: message {message} of {count}")
    });
    interrupt
}

/// Microsoft Learn, NdisMQueueDpcEx function (ndis.h): the CPUs on which it was queued. Any IRQL.
///
/// # Safety
///
/// `targets` points to a group affinity.
pub(crate) unsafe extern "efiapi" fn queue_dpc_ex(
    interrupt_handle: NDIS_HANDLE,
    message: u32,
    targets: *mut GROUP_AFFINITY,
    context: *mut c_void,
) -> KAFFINITY {
    const CALL: &str = "NdisMQueueDpcEx";
    import(CALL, Level::Any);
    let interrupt = resolve(CALL, interrupt_handle, message);
    // SAFETY: the caller's contract.
    let targets = unsafe { *targets };
    queue(CALL, interrupt, message, targets, context)
}

/// Microsoft Learn, NdisMQueueDpc function (ndis.h): the CPUs on which it was queued. Any IRQL.
pub(crate) unsafe extern "efiapi" fn queue_dpc(
    interrupt_handle: NDIS_HANDLE,
    message: u32,
    targets: u32,
    context: *mut c_void,
) -> u32 {
    const CALL: &str = "NdisMQueueDpc";
    import(CALL, Level::Any);
    let interrupt = resolve(CALL, interrupt_handle, message);
    // The mask is older than processor groups: it names processors of group 0.
    let mut first_group = GROUP_AFFINITY::zeroed();
    first_group.Mask = targets as KAFFINITY;
    queue(CALL, interrupt, message, first_group, context) as u32
}

fn queue(
    call: &str,
    interrupt: &'static Interrupt,
    message: u32,
    targets: GROUP_AFFINITY,
    context: *mut c_void,
) -> KAFFINITY {
    let there = sched::mask_of(targets.Group);
    let mask = targets.Mask as u64;
    verifier::require(197, mask != 0 && mask & !there == 0, || {
        let group = targets.Group;
        format!("{call}: mask {mask:#x} of group {group}, whose processors are {there:#x}")
    });
    let context = context.expose_provenance();
    let wanted = sched::cpus_in(targets.Group, mask);
    let queued = wanted.filter(|cpu| interrupt.queue(*cpu, message, context));
    queued.fold(0, |mask, cpu| mask | 1 << sched::number_in_group(cpu))
}

/// Microsoft Learn, NdisMConfigMSIXTableEntry function (ndis.h). IRQL <= DISPATCH_LEVEL to set an
/// entry, any to mask or unmask one.
///
/// # Safety
///
/// `parameters` points to the structure that its header says.
pub(crate) unsafe extern "efiapi" fn configure_entry(
    adapter_handle: NDIS_HANDLE,
    parameters: *mut NDIS_MSIX_CONFIG_PARAMETERS,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMConfigMSIXTableEntry";
    import(CALL, Level::Any);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let phase = adapter.phase();
    verifier::require(203, phase != AdapterState::Halted, || {
        format!("{CALL} called on an adapter that is {phase:?}")
    });
    // SAFETY: the caller's contract.
    let given = unsafe { *parameters };
    let least = NDIS_SIZEOF_MSIX_CONFIG_PARAMETERS_REVISION_1;
    header::check(CALL, given.Header, NDIS_OBJECT_TYPE_DEFAULT, &[(1, least)]);
    let irql = sched::irql();
    let sets = given.ConfigOperation == NdisMSIXTableConfigSetTableEntry;
    verifier::insist(79, !sets || irql <= DISPATCH_LEVEL, || {
        format!("{CALL} sets an entry at level {irql}")
    });
    let has_messages = of_adapter(adapter.handle)
        .is_some_and(|interrupt| matches!(interrupt.source, Source::Messages(_)));
    if !has_messages {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    let change = match given.ConfigOperation {
        NdisMSIXTableConfigSetTableEntry => TableChange::Message(given.MessageNumber as usize),
        NdisMSIXTableConfigMaskTableEntry => TableChange::Mask,
        NdisMSIXTableConfigUnmaskTableEntry => TableChange::Unmask,
        _ => return NDIS_STATUS_INVALID_PARAMETER,
    };
    if adapter
        .node
        .change_message(given.TableEntry as usize, change)
    {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_INVALID_PARAMETER
    }
}
