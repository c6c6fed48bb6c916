//! KeDelayExecutionThread.

use ndis_sys::{BOOLEAN, KPROCESSOR_MODE, LARGE_INTEGER, NTSTATUS, STATUS_SUCCESS};

use super::wait::refuse_held_locks;
use crate::ntoskrnl::{Table, time};
use crate::sched;

pub(super) fn exports() -> Table {
    exports! { "KeDelayExecutionThread" => ke_delay_execution_thread }
}

/// `KeDelayExecutionThread`: sleeps for, or until, a time; at least until the next tick, for any
/// time that is not zero. At APC or below (rule 84).
///
/// # Safety
///
/// `interval` must be readable.
unsafe extern "efiapi" fn ke_delay_execution_thread(
    _wait_mode: KPROCESSOR_MODE,
    _alertable: BOOLEAN,
    interval: *mut LARGE_INTEGER,
) -> NTSTATUS {
    sched::point();
    refuse_held_locks("KeDelayExecutionThread");
    // SAFETY: as the caller promises.
    let ns = time::relative_ns(unsafe { *interval });
    sched::sleep(ns);
    STATUS_SUCCESS
}
