//! What a program in user mode does with a device: opens it, controls it, closes it.
//!
//! For tests and scenarios. Everything runs in the caller's thread, at PASSIVE.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    DEVICE_OBJECT, IO_STACK_LOCATION, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_CREATE,
    IRP_MJ_DEVICE_CONTROL, NTSTATUS, STATUS_ACCESS_DENIED, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_PENDING, STATUS_SUCCESS, UNICODE_STRING, UserMode,
};

use super::security::{READ, WRITE, Who};
use super::{devices, irp, names, requests};
use crate::ndis::text::OwnedString;
use crate::sched::{self, PASSIVE_LEVEL};
use crate::verifier;
use crate::verifier::SECOND_NS;

/// Low bits of a control code: how buffers are passed.
const METHOD: u32 = 3;
const METHOD_BUFFERED: u32 = 0;
/// Where a control code has the rights that a file must have.
const ACCESS_SHIFT: u32 = 14;
const ACCESS: u32 = 3;
/// The two highest bits of a status that is an error (Microsoft Learn, "Defining New NTSTATUS Values").
const SEVERITY_SHIFT: u32 = 30;
const SEVERITY_ERROR: u32 = 3;
/// Time after which a program is cancelled that waits for an answer.
const PATIENCE_NS: u64 = 30 * SECOND_NS;

/// An open device.
#[derive(Debug)]
pub struct File {
    device: usize,
    /// The rights that it was opened with.
    rights: u32,
    object: FileObject,
}

/// A FILE_OBJECT, as far as drivers here look at one: its name.
#[derive(Debug)]
struct FileObject {
    /// What the last words of `object` point to.
    _name: OwnedString,
    object: Box<[u64]>,
}

impl FileObject {
    /// Words of a FILE_OBJECT (wdm.h).
    const WORDS: usize = 27;

    fn new(name: &str) -> Self {
        let mut name = OwnedString::new(name);
        let mut object = vec![0_u64; Self::WORDS].into_boxed_slice();
        let place = object.as_mut_ptr();
        // SAFETY: the name's place is inside the object, and aligned.
        unsafe {
            let place = place.byte_add(IO_STACK_LOCATION::FILE_NAME);
            place.cast::<UNICODE_STRING>().write(name.as_raw());
        }
        Self {
            _name: name,
            object,
        }
    }
}

/// Opens a device by its name or a link to it, `\\.\Name`, as an administrator, with all rights that
/// there are for one.
///
/// # Errors
///
/// As for [`open_as`].
pub fn open(name: &str) -> Result<File, NTSTATUS> {
    open_as(name, Who::Administrator)
}

/// Opens a device with all rights that `who` has.
///
/// # Errors
///
/// There is no such device, there are no rights, or its driver refuses.
pub fn open_as(name: &str, who: Who) -> Result<File, NTSTATUS> {
    let found = names::resolve_inside(name);
    let Some((device, inside)) = found.filter(|(device, _)| devices::is_live(*device)) else {
        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
    };
    let mut rights = devices::open_file(device, who);
    if !inside.is_empty() {
        // No device here has FILE_DEVICE_SECURE_OPEN, and NDIS's are not said to have it.
        rights = READ | WRITE;
    }
    let file = File {
        device,
        rights,
        object: FileObject::new(inside),
    };
    let status = match rights {
        0 => STATUS_ACCESS_DENIED,
        _ => file.ask(IRP_MJ_CREATE, 0, &[], 0).0,
    };
    if status != STATUS_SUCCESS {
        devices::begin_close(device);
        devices::end_close(device);
        return Err(status);
    }
    Ok(file)
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
        // The I/O manager looks at this before the driver sees the request.
        let wanted = code >> ACCESS_SHIFT & ACCESS;
        if wanted & !self.rights != 0 {
            return (STATUS_ACCESS_DENIED, Vec::new());
        }
        let (status, information, bytes) = self.ask(IRP_MJ_DEVICE_CONTROL, code, input, room);
        verifier::require(15, information <= room, || {
            format!("control {code:#x}: {information} bytes in a buffer of {room}")
        });
        // A warning brings its data as success does.
        let is_error = status.cast_unsigned() >> SEVERITY_SHIFT == SEVERITY_ERROR;
        let count = if is_error { 0 } else { information.min(room) };
        (status, bytes[..count].to_vec())
    }

    /// CloseHandle.
    pub fn close(self) {
        let _ = self.ask(IRP_MJ_CLEANUP, 0, &[], 0);
        devices::begin_close(self.device);
        let _ = self.ask(IRP_MJ_CLOSE, 0, &[], 0);
        devices::end_close(self.device);
    }

    /// Sends a request and waits for its end.
    fn ask(&self, major: u8, code: u32, input: &[u8], room: usize) -> (NTSTATUS, usize, Vec<u8>) {
        assert_eq!(sched::irql(), PASSIVE_LEVEL, "a program runs at PASSIVE");
        let device: *mut DEVICE_OBJECT = ptr::with_exposed_provenance_mut(self.device);
        // The system buffer holds the input first and the output afterwards; there is none for
        // neither.
        let mut buffer = input.to_vec();
        buffer.resize(room.max(input.len()), 0xcd);
        let system_buffer = if buffer.is_empty() {
            ptr::null_mut()
        } else {
            buffer.as_mut_ptr().cast::<c_void>()
        };
        // SAFETY: the device is live while it is referenced; buffer and packet live until the
        // request is complete, and the file object until the file is closed.
        unsafe {
            let request = irp::allocate((*device).StackSize, "a program");
            (*request).RequestorMode = UserMode;
            (*request).SystemBuffer = system_buffer;
            requests::describe_control(request, major, code, input.len() as u32, room as u32);
            let location = irp::location(request, (*request).CurrentLocation - 1);
            (*location).FileObject = self.object.object.as_ptr().cast_mut().cast();
            let status = requests::send(device, request);
            wait(request, status);
            let result = (*request).IoStatus;
            requests::forget(request);
            irp::free(request);
            (result.Status, result.Information, buffer)
        }
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
