//! The driver's handlers: they follow the plan.

use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use ndis_sys::{
    BOOLEAN, DRIVER_OBJECT, IO_INTERRUPT_MESSAGE_INFO, NDIS_HALT_ACTION, NDIS_HANDLE,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS, NTSTATUS,
    SCATTER_GATHER_LIST, STATUS_SUCCESS, UNICODE_STRING,
};

use super::{HARDWARE, Hardware, Plan, Step, card, change, hardware, lock, plan, steps};
use crate::native::linked;

/// Steps that have been done.
static DONE: Mutex<Vec<Step>> = Mutex::new(Vec::new());
static LINE_CALLS: AtomicU32 = AtomicU32::new(0);
static MESSAGE_CALLS: AtomicU32 = AtomicU32::new(0);
/// The list that the driver got last.
static LIST: Mutex<Option<usize>> = Mutex::new(None);

/// How often the line's service routine was called.
pub(crate) fn line_calls() -> u32 {
    LINE_CALLS.load(Ordering::Relaxed)
}

/// How often a message's service routine was called.
pub(crate) fn message_calls() -> u32 {
    MESSAGE_CALLS.load(Ordering::Relaxed)
}

/// Address and number of messages of the table that NDIS gave.
pub(crate) fn bounds_of_message_table(hardware: &Hardware) -> Option<u32> {
    let table: *const IO_INTERRUPT_MESSAGE_INFO =
        std::ptr::with_exposed_provenance(hardware.message_table);
    // SAFETY: NDIS's table lives until the interrupt is deregistered.
    unsafe { table.as_ref() }.map(|table| table.MessageCount)
}

/// MiniportProcessSGList.
pub(super) fn list_arrived(list: *mut SCATTER_GATHER_LIST, _context: *mut c_void) {
    *lock(&LIST) = Some(list.expose_provenance());
}

/// Takes the list that arrived.
pub(crate) fn take_list() -> Option<usize> {
    lock(&LIST).take()
}

pub(crate) unsafe extern "efiapi" fn driver_entry(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let plan = plan();
    let mut given = linked::miniport_characteristics();
    given.InitializeHandlerEx = Some(initialize);
    given.HaltHandlerEx = Some(halt);
    given.SetOptionsHandler = plan.set_options.map(|_| set_options as _);
    (plan.characteristics)(&mut given);
    // SAFETY: the arguments are those of DriverEntry.
    match unsafe { linked::register_miniport(object, path, given) } {
        Ok(_) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

unsafe extern "efiapi" fn set_options(driver: NDIS_HANDLE, _context: NDIS_HANDLE) -> NDIS_STATUS {
    if let Some(set_options) = plan().set_options {
        set_options(driver);
    }
    NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn initialize(
    adapter: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    let plan = plan();
    *lock(&HARDWARE) = Some(Hardware {
        adapter: adapter.addr(),
        ..Hardware::default()
    });
    lock(&DONE).clear();
    // SAFETY: NDIS lends the parameters for the time of the call.
    let parameters = unsafe { &mut *parameters };
    (plan.init_parameters)(parameters);
    change(|hardware| {
        hardware.init_revision = parameters.Header.Revision;
        hardware.init_size = parameters.Header.Size;
    });
    steps::read_resources(parameters);
    for step in &plan.steps {
        if !step.run() {
            undo(&plan);
            return NDIS_STATUS_FAILURE;
        }
        lock(&DONE).push(*step);
    }
    if plan.result != NDIS_STATUS_SUCCESS {
        undo(&plan);
    }
    plan.result
}

/// Undoes what was done, the last first.
fn undo(plan: &Plan) {
    let done = std::mem::take(&mut *lock(&DONE));
    for step in done.into_iter().rev() {
        if !plan.forgotten.contains(&step) {
            step.undo();
        }
    }
}

unsafe extern "efiapi" fn halt(_context: NDIS_HANDLE, _action: NDIS_HALT_ACTION) {
    let plan = plan();
    (plan.halting)(&hardware());
    undo(&plan);
    change(|hardware| hardware.registers = 0);
}

/// Whether the card interrupts: its status register says so, once.
fn is_own() -> bool {
    let hardware = hardware();
    hardware.registers != 0 && hardware.read_word(card::STATUS) != 0
}

/// What a service routine answers and asks for.
fn answer(own: bool, queue_dpc: *mut BOOLEAN, targets: *mut u32) -> BOOLEAN {
    let (recognized, wants_dpc) = (plan().answer)(own);
    // SAFETY: NDIS passes pointers to its own variables.
    unsafe {
        queue_dpc.write(wants_dpc.into());
        targets.write(0);
    }
    recognized.into()
}

pub(super) unsafe extern "efiapi" fn line_interrupt(
    _context: NDIS_HANDLE,
    queue_dpc: *mut BOOLEAN,
    targets: *mut u32,
) -> BOOLEAN {
    LINE_CALLS.fetch_add(1, Ordering::Relaxed);
    answer(is_own(), queue_dpc, targets)
}

pub(super) unsafe extern "efiapi" fn message_interrupt(
    _context: NDIS_HANDLE,
    _message: u32,
    queue_dpc: *mut BOOLEAN,
    targets: *mut u32,
) -> BOOLEAN {
    MESSAGE_CALLS.fetch_add(1, Ordering::Relaxed);
    answer(true, queue_dpc, targets)
}

pub(super) unsafe extern "efiapi" fn line_dpc(
    _context: NDIS_HANDLE,
    _dpc_context: *mut c_void,
    throttle: *mut c_void,
    _reserved: *mut c_void,
) {
    (plan().in_dpc)(&hardware());
    // SAFETY: NDIS passes its own parameters, which nobody else uses meanwhile.
    (plan().throttled)(unsafe { &mut *throttle.cast() });
}

pub(super) unsafe extern "efiapi" fn message_dpc(
    _context: NDIS_HANDLE,
    _message: u32,
    _dpc_context: *mut c_void,
    throttle: *mut c_void,
    _reserved: *mut c_void,
) {
    (plan().in_dpc)(&hardware());
    // SAFETY: NDIS passes its own parameters, which nobody else uses meanwhile.
    (plan().throttled)(unsafe { &mut *throttle.cast() });
}
