//! DriverEntry, unload, and what the whole driver shares.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use ndis::Failed;
use ndis::irql::{Passive, at_passive};
use ndis_sys as sys;
use sys::{DRIVER_OBJECT, NTSTATUS, UNICODE_STRING};
use vioprot::edge::EDGE;

use crate::{miniport, query};

/// The service that names this image a second time, for the protocol component's sake. It is never
/// started; should it be, the image must not run twice (`docs/protocol-installation.md`).
const PROTOCOL_SERVICE: &str = "vioprot";

/// The miniport driver's handle: null until DriverEntry has registered it.
static DRIVER: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(ptr::null_mut());

/// The handle that NDIS gave the miniport driver.
pub(crate) fn handle() -> sys::NDIS_HANDLE {
    DRIVER.load(Ordering::Acquire)
}

/// The image's entry point.
///
/// # Safety
///
/// Called by the I/O manager at PASSIVE_LEVEL, once, with a driver object and a registry path that
/// are valid for the call.
#[expect(
    unreachable_pub,
    reason = "the image's entry point, which the linker knows by name"
)]
// SAFETY: no other item of this image exports the name.
#[unsafe(no_mangle)]
pub unsafe extern "efiapi" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    registry_path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: by the contract above.
    unsafe {
        if is_protocol_service(registry_path) {
            return sys::STATUS_NOT_SUPPORTED;
        }
        at_passive(|at| start(driver, registry_path, &at))
            .map_or_else(|failed| failed.0, |()| sys::STATUS_SUCCESS)
    }
}

/// Registers miniport and protocol.
///
/// # Safety
///
/// The arguments are those of DriverEntry.
unsafe fn start(
    driver: *mut DRIVER_OBJECT,
    registry_path: *mut UNICODE_STRING,
    at: &Passive<'_>,
) -> Result<(), Failed> {
    // SAFETY: in DriverEntry, by contract.
    unsafe { miniport::register(driver, registry_path, DRIVER.as_ptr())? };
    // SAFETY: in DriverEntry, with the miniport driver registered; `unload` stops both.
    let started = unsafe {
        EDGE.start(handle(), at)
            .and_then(|()| query::start(handle()))
    };
    if started.is_err() {
        // SAFETY: as for `unload`, which NDIS will not call now; nothing is left to unbind.
        unsafe { stop(at) };
    }
    started
}

/// MiniportDriverUnload: no adapter is left.
pub(crate) unsafe extern "efiapi" fn unload(_driver: *mut DRIVER_OBJECT) {
    // SAFETY: this handler runs at PASSIVE_LEVEL, after the last halt.
    unsafe { at_passive(|at| stop(&at)) };
}

/// Deregisters protocol and miniport.
///
/// # Safety
///
/// Called once after a successful registration, from DriverEntry or unload, with no adapter left.
unsafe fn stop(at: &Passive<'_>) {
    // SAFETY: by contract.
    unsafe {
        query::stop(at);
        EDGE.stop(at);
        let driver = DRIVER.swap(ptr::null_mut(), Ordering::AcqRel);
        if !driver.is_null() && !cfg!(mutant = "skip_deregister_miniport") {
            sys::NdisMDeregisterMiniportDriver(driver);
        }
    }
}

/// Whether the path's last component is [`PROTOCOL_SERVICE`].
///
/// # Safety
///
/// `path` is null or a valid string.
unsafe fn is_protocol_service(path: *const UNICODE_STRING) -> bool {
    // SAFETY: by contract.
    let Some(path) = (unsafe { path.as_ref() }) else {
        return false;
    };
    if path.Buffer.is_null() {
        return false;
    }
    // SAFETY: the buffer has `Length` bytes, by the type's definition.
    let units = unsafe { core::slice::from_raw_parts(path.Buffer, usize::from(path.Length) / 2) };
    let name = units
        .rsplit(|unit| *unit == u16::from(b'\\'))
        .next()
        .unwrap_or_default();
    name.len() == PROTOCOL_SERVICE.len()
        && name
            .iter()
            .zip(PROTOCOL_SERVICE.bytes())
            .all(|(unit, byte)| {
                u8::try_from(*unit).is_ok_and(|unit| unit.eq_ignore_ascii_case(&byte))
            })
}
