//! What programs ask of the driver, over its control device.
//!
//! The device is there while the driver has an adapter. PnP unloads a driver only after that has no device
//! left (Microsoft Learn, "Using Control Device Objects"), so the last adapter takes it along; a program
//! that has it open then keeps it until it closes its file.

use alloc::boxed::Box;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use control_device::{DEVICE, LINK, QUERY_ADAPTERS, SECURITY, Written};
use ndis::Failed;
use ndis::control_device::{ControlDevice, Names, Outcome, Request, Serve, utf16};
use ndis::event::PassiveLock;
use ndis::irql::Passive;
use ndis::lock::SpinLock;
use ndis::memory::try_box;
use ndis::work::Work;
use ndis_sys as sys;
use vioprot::edge::EDGE;

use crate::driver;

static DEVICE_NAME: [u16; DEVICE.len() + 1] = utf16(DEVICE);
static LINK_NAME: [u16; LINK.len() + 1] = utf16(LINK);
static WHO_MAY: [u16; SECURITY.len() + 1] = utf16(SECURITY);

/// The reason of an event log entry: there is no control device. Detail: the status.
const NO_DEVICE: u32 = 0x30c;

static DESK: Desk = Desk {
    device: PassiveLock::uninitialized(None),
    users: SpinLock::new(Users {
        adapters: 0,
        files: 0,
    }),
    closing: AtomicPtr::new(ptr::null_mut()),
};

/// The control device and who needs it. Lock order: device, users.
struct Desk {
    device: PassiveLock<Option<ControlDevice<Self>>>,
    users: SpinLock<Users>,
    /// Takes the device away after a program has closed the last file; set from [`start`] to [`stop`].
    closing: AtomicPtr<Work<Self>>,
}

struct Users {
    adapters: u32,
    files: u32,
}

impl Users {
    const fn are_none(&self) -> bool {
        self.adapters == 0 && (self.files == 0 || cfg!(mutant = "forget_open_files"))
    }
}

/// Prepares what the device needs, which is not there yet.
///
/// # Errors
///
/// No memory.
///
/// # Safety
///
/// Called once, from DriverEntry, with the miniport driver registered; [`stop`] is called before that is
/// deregistered.
pub(crate) unsafe fn start(driver: sys::NDIS_HANDLE) -> Result<(), Failed> {
    // SAFETY: a static, which nobody uses yet; `stop` stops and drops the work.
    let work = unsafe {
        DESK.device.initialize();
        try_box(Work::try_new(driver, &raw const DESK, Desk::settle)?)?
    };
    DESK.closing.store(Box::into_raw(work), Ordering::Release);
    Ok(())
}

/// Undoes [`start`].
///
/// # Safety
///
/// Called from DriverUnload or a failing DriverEntry, with no adapter left, and so without a device.
pub(crate) unsafe fn stop(at: &Passive<'_>) {
    if cfg!(mutant = "leave_control_device") {
        *DESK.device.lock(at) = None;
    }
    let work = DESK.closing.swap(ptr::null_mut(), Ordering::AcqRel);
    if !work.is_null() {
        // SAFETY: `start` put it there, and the swap takes it once.
        let work = unsafe { Box::from_raw(work) };
        // It may have taken the device away just now, and so let us be unloaded.
        work.stop(at);
    }
}

/// An adapter has come up: programs may ask.
///
/// Without the device, whose name another copy of this driver may have, the adapter works all the same:
/// traffic matters more than what is said of it.
pub(crate) fn adapter_comes(miniport: sys::NDIS_HANDLE, at: &Passive<'_>) {
    let mut device = DESK.device.lock(at);
    DESK.with_users(|users| users.adapters = users.adapters.saturating_add(1));
    if device.is_some() {
        return;
    }
    let names = Names {
        device: &DEVICE_NAME,
        link: &LINK_NAME,
        security: &WHO_MAY,
    };
    // SAFETY: the miniport driver is registered while it has an adapter; the device is dropped at
    // PASSIVE_LEVEL when it has no file.
    match unsafe { ControlDevice::try_new(driver::handle(), &names, at) } {
        Ok(made) => *device = Some(made),
        Err(failed) => {
            let code = sys::NDIS_ERROR_CODE_DRIVER_FAILURE;
            let detail = failed.0.cast_unsigned();
            // SAFETY: the adapter is in its initialization.
            unsafe { ndis::event_log::write(miniport, code, NO_DEVICE, detail) };
        }
    }
}

/// An adapter that came goes.
pub(crate) fn adapter_goes(at: &Passive<'_>) {
    DESK.with_users(|users| users.adapters = users.adapters.saturating_sub(1));
    if !cfg!(mutant = "leave_control_device") {
        DESK.settle(at);
    }
}

impl Desk {
    fn with_users<R>(&self, act: impl FnOnce(&mut Users) -> R) -> R {
        // SAFETY: at PASSIVE_LEVEL, by all callers; a leaf lock.
        act(&mut *unsafe { self.users.lock() })
    }

    /// Takes the device away if nobody needs it.
    fn settle(&self, at: &Passive<'_>) {
        let mut device = self.device.lock(at);
        if self.with_users(|users| users.are_none()) {
            *device = None;
        }
    }
}

impl Serve for Desk {
    fn open(_at: &Passive<'_>) -> bool {
        DESK.with_users(|users| {
            let may = users.adapters > 0;
            users.files = users.files.saturating_add(u32::from(may));
            may
        })
    }

    fn close(_at: &Passive<'_>) {
        let was_last = DESK.with_users(|users| {
            users.files = users.files.saturating_sub(1);
            users.are_none()
        });
        // SAFETY: the driver is not unloaded while its device has a file.
        if was_last && let Some(work) = unsafe { DESK.closing.load(Ordering::Acquire).as_ref() } {
            work.ask();
        }
    }

    fn control(mut request: Request<'_>, at: &Passive<'_>) -> Outcome {
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
