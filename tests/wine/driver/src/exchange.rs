//! Requests, completed at once with what the table says.

use core::ffi::c_void;
use core::slice;

use ndis_sys::{DEVICE_OBJECT, IO_STACK_LOCATION, IRP, NTSTATUS, STATUS_SUCCESS};

use crate::{NOT_IN_THE_TABLE, table};

#[cfg_attr(
    windows,
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Gives a request back to the I/O manager. Up to DISPATCH_LEVEL.
    fn IofCompleteRequest(irp: *mut IRP, priority_boost: i8);
}

/// A program opens the device, or closes its handle.
pub(crate) unsafe extern "efiapi" fn nod(_: *mut DEVICE_OBJECT, irp: *mut c_void) -> NTSTATUS {
    // SAFETY: the I/O manager has given us the request.
    unsafe { complete(irp.cast(), STATUS_SUCCESS, 0) }
}

/// A program asks.
pub(crate) unsafe extern "efiapi" fn control(_: *mut DEVICE_OBJECT, irp: *mut c_void) -> NTSTATUS {
    let irp: *mut IRP = irp.cast();
    // SAFETY: the I/O manager has given us the request, whose current location is ours.
    let (location, buffer): (IO_STACK_LOCATION, *mut u8) = unsafe {
        let place = irp.byte_add(IRP::CURRENT_STACK_LOCATION);
        let location: *const IO_STACK_LOCATION = *place.cast();
        (*location, (*irp).SystemBuffer.cast())
    };
    // SAFETY: the buffer holds the input, which is read below for the last time.
    let input = unsafe { bytes(buffer, location.InputBufferLength) };
    let mut answered = (NOT_IN_THE_TABLE, 0);
    if let Some(name) = table::Name::of(location.IoControlCode, location.OutputBufferLength, input)
    {
        // SAFETY: the buffer has this room for output, and the input is not used any more.
        let output = unsafe { bytes(buffer, location.OutputBufferLength) };
        match table::answer(&name, output) {
            Some(answer) => answered = answer,
            None => table::note(&name),
        }
    }
    let (status, written) = answered;
    // SAFETY: as above, and no slice of its buffer is used any more.
    unsafe { complete(irp, status, written) }
}

/// The beginning of the system's buffer, in which input and output share one place.
///
/// # Safety
///
/// `buffer` is null, or a request's that is not completed yet, and has `length` bytes. While the slice is
/// used there is no other.
unsafe fn bytes<'a>(buffer: *mut u8, length: u32) -> &'a mut [u8] {
    if buffer.is_null() {
        return &mut [];
    }
    // SAFETY: our caller's contract; the I/O manager has filled the buffer.
    unsafe { slice::from_raw_parts_mut(buffer, length as usize) }
}

/// Completes a request with a status and so many bytes of output.
///
/// # Safety
///
/// The request is ours, and is not used again.
unsafe fn complete(irp: *mut IRP, status: NTSTATUS, written: usize) -> NTSTATUS {
    // SAFETY: our caller's contract.
    unsafe {
        (*irp).IoStatus.Status = status;
        (*irp).IoStatus.Information = written;
        IofCompleteRequest(irp, 0);
    }
    status
}
