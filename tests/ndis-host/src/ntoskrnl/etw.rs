//! Event tracing: providers register and unregister; no session listens, so nothing is enabled.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::{BOOLEAN, GUID, NTSTATUS, STATUS_INVALID_HANDLE, STATUS_SUCCESS};

use super::{caller_of, enter};
use crate::sched::{BatonCell, HIGH_LEVEL, PASSIVE_LEVEL};
use crate::verifier;

/// A registration.
struct Provider {
    /// The driver that registered.
    owner: &'static str,
}

static PROVIDERS: BatonCell<BTreeMap<u64, Provider>> = BatonCell::new(BTreeMap::new());
static LAST: BatonCell<u64> = BatonCell::new(0);

/// The routines of this module: name and address.
pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("EtwRegister", register as *const ()),
        ("EtwUnregister", unregister as *const ()),
        ("EtwSetInformation", set_information as *const ()),
        ("EtwWrite", write as *const ()),
        ("EtwWriteTransfer", write as *const ()),
        ("EtwEventEnabled", is_enabled as *const ()),
        ("EtwProviderEnabled", is_enabled as *const ()),
        ("WmiTraceMessage", wmi_trace as *const ()),
        ("WmiQueryTraceInformation", wmi_query as *const ()),
    ]
}

/// Registrations that a driver has not undone: rule 14 (0xC4/DD).
pub(crate) fn leaks_of(owner: &str) -> usize {
    PROVIDERS.with(|providers| {
        providers
            .values()
            .filter(|provider| provider.owner == owner)
            .count()
    })
}

/// `EtwRegister`. At PASSIVE. Passes its return address on, which tells whose provider it is.
///
/// # Safety
///
/// `handle` can be written. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn register(
    _provider: *const GUID,
    _callback: *const c_void,
    _context: *mut c_void,
    _handle: *mut u64,
) -> NTSTATUS {
    std::arch::naked_asm!("mov rcx, [rsp]", "jmp {}", sym register_for)
}

unsafe extern "efiapi" fn register_for(
    caller: usize,
    _callback: *const c_void,
    _context: *mut c_void,
    handle: *mut u64,
) -> NTSTATUS {
    enter("EtwRegister", PASSIVE_LEVEL);
    let number = LAST.with(|last| {
        *last += 1;
        *last
    });
    let (owner, _) = caller_of(caller);
    PROVIDERS.with(|providers| providers.insert(number, Provider { owner }));
    // SAFETY: by contract.
    unsafe { handle.write(number) };
    STATUS_SUCCESS
}

/// `EtwUnregister`. At PASSIVE.
unsafe extern "efiapi" fn unregister(handle: u64) -> NTSTATUS {
    enter("EtwUnregister", PASSIVE_LEVEL);
    if PROVIDERS.with(|providers| providers.remove(&handle).is_some()) {
        return STATUS_SUCCESS;
    }
    verifier::breach(
        14,
        format!("EtwUnregister of {handle:#x}, which is not registered"),
    );
    STATUS_INVALID_HANDLE
}

fn is_registered(call: &str, handle: u64) -> NTSTATUS {
    if PROVIDERS.with(|providers| providers.contains_key(&handle)) {
        return STATUS_SUCCESS;
    }
    verifier::note(format!("{call} with {handle:#x}, which is not registered"));
    STATUS_INVALID_HANDLE
}

/// `EtwSetInformation`. At PASSIVE.
unsafe extern "efiapi" fn set_information(
    handle: u64,
    _class: u32,
    _information: *const c_void,
    _length: u32,
) -> NTSTATUS {
    enter("EtwSetInformation", PASSIVE_LEVEL);
    is_registered("EtwSetInformation", handle)
}

/// `EtwWrite`, `EtwWriteTransfer`: an event that no session wants. Any level.
unsafe extern "efiapi" fn write(handle: u64, _descriptor: *const c_void) -> NTSTATUS {
    enter("EtwWrite", HIGH_LEVEL);
    is_registered("EtwWrite", handle)
}

/// `EtwEventEnabled`, `EtwProviderEnabled`: no session listens. Any level.
unsafe extern "efiapi" fn is_enabled(_handle: u64, _what: usize) -> BOOLEAN {
    enter("EtwEventEnabled", HIGH_LEVEL);
    0
}

/// `WmiTraceMessage`: no logger is there to be given, so a call has a wrong handle. Any level.
unsafe extern "efiapi" fn wmi_trace(_logger: u64) -> NTSTATUS {
    enter("WmiTraceMessage", HIGH_LEVEL);
    STATUS_INVALID_HANDLE
}

/// `WmiQueryTraceInformation`: there is no logger. At PASSIVE.
unsafe extern "efiapi" fn wmi_query(_class: u32) -> NTSTATUS {
    enter("WmiQueryTraceInformation", PASSIVE_LEVEL);
    STATUS_INVALID_HANDLE
}
