//! Interrupts of drivers that are not NDIS miniports, and calls on all processors.
//!
//! The devices of this machine are started by NDIS, which connects their interrupts itself
//! (NdisMRegisterInterruptEx). A driver that connects one by hand is told that its device has
//! none, as it would be for a device without interrupt resources.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, KIPI_BROADCAST_WORKER, KIRQL, KSYNCHRONIZE_ROUTINE, NTSTATUS, PASSIVE_LEVEL,
    STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_NOT_SUPPORTED,
};

use super::memory::describe;
use super::{KernelCallback, Table, enter};
use crate::ndis::call::{Callback, callback};
use crate::sched::{self, BatonCell, HIGH_LEVEL, Irql};
use crate::verifier;

/// Level of interrupts between processors.
const IPI_LEVEL: Irql = 14;
/// `CONNECT_FULLY_SPECIFIED`, the lowest version of the parameters.
const LOWEST_VERSION: u32 = 1;
/// `CONNECT_MESSAGE_BASED_PASSIVE`, the highest.
const HIGHEST_VERSION: u32 = 5;

pub(super) fn exports() -> Table {
    exports! {
        "IoConnectInterruptEx" => io_connect_interrupt_ex,
        "IoDisconnectInterruptEx" => io_disconnect_interrupt_ex,
        "KeSynchronizeExecution" => ke_synchronize_execution,
        "KeAcquireInterruptSpinLock" => ke_acquire_interrupt_spin_lock,
        "KeReleaseInterruptSpinLock" => ke_release_interrupt_spin_lock,
        "KeIpiGenericCall" => ke_ipi_generic_call,
    }
}

/// First fields of `IO_CONNECT_INTERRUPT_PARAMETERS`, alike in all versions.
#[repr(C)]
struct ConnectParameters {
    version: u32,
    device: *mut c_void,
}

/// `IoConnectInterruptEx`: STATUS_NOT_SUPPORTED for a version that is not known, which is replaced
/// by the highest one; STATUS_INVALID_PARAMETER without a device; STATUS_NOT_FOUND, because the
/// device has no interrupt of its own. At PASSIVE.
///
/// # Safety
///
/// `parameters` must point to such a structure.
unsafe extern "efiapi" fn io_connect_interrupt_ex(parameters: *mut c_void) -> NTSTATUS {
    enter("IoConnectInterruptEx", PASSIVE_LEVEL);
    // SAFETY: as the caller promises.
    let given = unsafe { &mut *parameters.cast::<ConnectParameters>() };
    if !(LOWEST_VERSION..=HIGHEST_VERSION).contains(&given.version) {
        given.version = HIGHEST_VERSION;
        return STATUS_NOT_SUPPORTED;
    }
    if given.device.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    STATUS_NOT_FOUND
}

/// `IoDisconnectInterruptEx`: no interrupt can have been connected, so this is a breach. At
/// PASSIVE.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn io_disconnect_interrupt_ex(parameters: *mut c_void) {
    enter("IoDisconnectInterruptEx", PASSIVE_LEVEL);
    refuse("IoDisconnectInterruptEx", parameters);
}

/// `KeSynchronizeExecution`: needs an interrupt that was connected, so it cannot be called. Any
/// level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_synchronize_execution(
    interrupt: *mut c_void,
    _routine: Option<KSYNCHRONIZE_ROUTINE>,
    _context: *mut c_void,
) -> BOOLEAN {
    enter("KeSynchronizeExecution", HIGH_LEVEL);
    refuse("KeSynchronizeExecution", interrupt)
}

/// `KeAcquireInterruptSpinLock`: as above.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_acquire_interrupt_spin_lock(interrupt: *mut c_void) -> KIRQL {
    enter("KeAcquireInterruptSpinLock", HIGH_LEVEL);
    refuse("KeAcquireInterruptSpinLock", interrupt)
}

/// `KeReleaseInterruptSpinLock`: as above.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_release_interrupt_spin_lock(interrupt: *mut c_void, _irql: KIRQL) {
    enter("KeReleaseInterruptSpinLock", HIGH_LEVEL);
    refuse("KeReleaseInterruptSpinLock", interrupt);
}

fn refuse(routine: &str, object: *mut c_void) -> ! {
    let place = describe(object.addr());
    verifier::fatal(
        215,
        format!("{routine}: no interrupt object at {place}: none was connected"),
    )
}

/// `KeIpiGenericCall`: calls a routine on every processor at the same time; returns what it
/// returned on this one. Below IPI_LEVEL.
///
/// # Safety
///
/// The routine must be one of this type.
unsafe extern "efiapi" fn ke_ipi_generic_call(
    routine: KIPI_BROADCAST_WORKER,
    argument: usize,
) -> usize {
    const CALL: &str = "KeIpiGenericCall";
    static LEFT: BatonCell<usize> = BatonCell::new(0);
    sched::point();
    let irql = sched::irql();
    verifier::insist(79, irql < IPI_LEVEL, || {
        format!("{CALL} called at level {irql}, which is not below IPI_LEVEL")
    });
    sched::raise(IPI_LEVEL - 1);
    // One broadcast at a time, as on Windows.
    sched::spin(CALL, || LEFT.with(|left| *left == 0));
    sched::raise(IPI_LEVEL);
    let run = move || {
        callback(Callback::Kernel(KernelCallback::Broadcast), 0, || {
            // SAFETY: the driver gave this routine and its argument.
            sched::in_driver(|| unsafe { routine(argument) })
        })
    };
    let me = sched::current_cpu();
    for cpu in (0..sched::cpu_count()).filter(|cpu| *cpu != me) {
        LEFT.with(|left| *left += 1);
        sched::interrupt(cpu, IPI_LEVEL, move || {
            run();
            LEFT.with(|left| *left -= 1);
        });
    }
    let result = run();
    sched::spin(CALL, || LEFT.with(|left| *left == 0));
    sched::lower(irql);
    result
}
