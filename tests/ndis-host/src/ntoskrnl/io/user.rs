//! What a program in user mode does with a device: opens it, controls it, closes it.
//!
//! For tests and scenarios. Everything runs in the caller's thread, at PASSIVE.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    DEVICE_OBJECT, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL,
    NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PENDING, STATUS_SUCCESS, UserMode,
};

use super::{devices, irp, names, requests};
use crate::sched::{self, PASSIVE_LEVEL};
use crate::verifier;
use crate::verifier::SECOND_NS;

/// Low bits of a control code: how buffers are passed.
const METHOD: u32 = 3;
const METHOD_BUFFERED: u32 = 0;
/// Time after which a program is cancelled that waits for an answer.
const PATIENCE_NS: u64 = 30 * SECOND_NS;

/// An open device.
#[derive(Debug)]
pub struct File {
    device: usize,
}

/// Opens a device by its name or a link to it, `\\.\Name`.
///
/// # Errors
///
/// There is no such device, or its driver refuses.
pub fn open(name: &str) -> Result<File, NTSTATUS> {
    let found = names::resolve(name);
    let Some(device) = found.filter(|device| devices::is_live(*device)) else {
        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
    };
    devices::reference(device, true);
    let (status, _, _) = ask(device, IRP_MJ_CREATE, 0, &[], 0);
    if status != STATUS_SUCCESS {
        devices::reference(device, false);
        return Err(status);
    }
    Ok(File { device })
}

impl File {
    /// DeviceIoControl with a buffered code: the status and the bytes that came back.
    ///
    /// # Panics
    ///
    /// When the code asks for direct I/O or raw pointers: programs do not do that here.
    #[must_use]
    pub fn control(&self, code: u32, input: &[u8], room: usize) -> (NTSTATUS, Vec<u8>) {
        assert!(
            code & METHOD == METHOD_BUFFERED,
            "{code:#x} is not buffered"
        );
        let (status, information, bytes) =
            ask(self.device, IRP_MJ_DEVICE_CONTROL, code, input, room);
        verifier::require(15, information <= room, || {
            format!("control {code:#x}: {information} bytes in a buffer of {room}")
        });
        let count = if status >= 0 {
            information.min(room)
        } else {
            0
        };
        (status, bytes[..count].to_vec())
    }

    /// CloseHandle.
    pub fn close(self) {
        for major in [IRP_MJ_CLEANUP, IRP_MJ_CLOSE] {
            let _ = ask(self.device, major, 0, &[], 0);
        }
        devices::reference(self.device, false);
    }
}

/// Sends a request and waits for its end.
fn ask(
    device: usize,
    major: u8,
    code: u32,
    input: &[u8],
    room: usize,
) -> (NTSTATUS, usize, Vec<u8>) {
    assert_eq!(sched::irql(), PASSIVE_LEVEL, "a program runs at PASSIVE");
    let device: *mut DEVICE_OBJECT = ptr::with_exposed_provenance_mut(device);
    // The system buffer holds the input first and the output afterwards.
    let mut buffer = input.to_vec();
    buffer.resize(room.max(input.len()).max(1), 0xcd);
    // SAFETY: the device is live while it is referenced; buffer and packet live until the request
    // is complete.
    unsafe {
        let request = irp::allocate((*device).StackSize, "a program");
        (*request).RequestorMode = UserMode;
        (*request).SystemBuffer = buffer.as_mut_ptr().cast::<c_void>();
        requests::describe_control(request, major, code, input.len() as u32, room as u32);
        let status = requests::send(device, request);
        wait(request, status);
        let result = (*request).IoStatus;
        requests::forget(request);
        irp::free(request);
        (result.Status, result.Information, buffer)
    }
}

/// A dispatch routine has returned `status`: waits until the request is complete.
unsafe fn wait(request: *mut IRP, status: NTSTATUS) {
    if status != STATUS_PENDING {
        verifier::insist(15, requests::is_completed(request), || {
            format!("a dispatch routine returned {status:#x} and did not complete its request")
        });
        return;
    }
    let ended = || requests::is_completed(request);
    if sched::wait("the end of a request", ended, Some(PATIENCE_NS)) {
        return;
    }
    // SAFETY: the packet is live.
    unsafe { requests::cancel(request) };
    let ended = sched::wait("the end of a cancelled request", ended, Some(PATIENCE_NS));
    verifier::insist(15, ended, || "a cancelled request does not end".to_owned());
}
