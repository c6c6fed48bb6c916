//! What programs ask of the driver, over its control device.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use control_device::{DEVICE, LINK, QUERY_ADAPTERS, SECURITY, Written};
use ndis::control_device::{ControlDevice, Names, Outcome, Serve, utf16};
use ndis::irql::Passive;
use ndis_sys as sys;
use vioprot::edge::EDGE;

static DEVICE_NAME: [u16; DEVICE.len() + 1] = utf16(DEVICE);
static LINK_NAME: [u16; LINK.len() + 1] = utf16(LINK);
static WHO_MAY: [u16; SECURITY.len() + 1] = utf16(SECURITY);

/// The device's handle; null without one.
static HANDLE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Lets programs ask. A driver that can't have the device, because its name is taken, does without:
/// traffic matters more than what is said of it.
///
/// # Safety
///
/// Called once, from DriverEntry, with the handle of the registered miniport driver; [`stop`] is
/// called before that is deregistered.
pub(crate) unsafe fn start(driver: sys::NDIS_HANDLE, at: &Passive<'_>) {
    let names = Names {
        device: &DEVICE_NAME,
        link: &LINK_NAME,
        security: &WHO_MAY,
    };
    // SAFETY: by contract.
    if let Ok(device) = unsafe { ControlDevice::<Adapters>::try_new(driver, &names, at) } {
        HANDLE.store(device.into_handle(), Ordering::Release);
    }
}

/// Takes the device away. The driver is not unloaded, and this not called, while a program has it
/// open.
///
/// # Safety
///
/// Called from DriverUnload or a failing DriverEntry.
pub(crate) unsafe fn stop(_at: &Passive<'_>) {
    let handle = HANDLE.swap(ptr::null_mut(), Ordering::AcqRel);
    if !handle.is_null() && !cfg!(mutant = "leave_control_device") {
        // SAFETY: `start` put it there, and the swap takes it once.
        drop(unsafe { ControlDevice::<Adapters>::from_handle(handle) });
    }
}

/// The device's requests.
struct Adapters;

impl Serve for Adapters {
    fn control(mut request: ndis::control_device::Request<'_>, at: &Passive<'_>) -> Outcome {
        if request.code != QUERY_ADAPTERS {
            return Outcome::failed(sys::STATUS_INVALID_DEVICE_REQUEST);
        }
        if !control_device::Request::is_answerable(request.input()) {
            return Outcome::failed(sys::STATUS_INVALID_PARAMETER);
        }
        let room = request.output();
        let written = EDGE.describe(at, |is_installed, records| {
            control_device::write(room, is_installed, records)
        });
        match written {
            Written::All(bytes) => Outcome {
                status: sys::STATUS_SUCCESS,
                bytes,
            },
            Written::Part(bytes) => Outcome {
                status: sys::STATUS_BUFFER_OVERFLOW,
                bytes,
            },
            Written::Nothing => Outcome::failed(sys::STATUS_BUFFER_TOO_SMALL),
        }
    }
}
