//! I/O request packets, as far as the control device of a network driver sees them.

use core::ffi::c_void;

use crate::{
    BOOLEAN, DEVICE_OBJECT, DRIVER_DISPATCH, GUID, KIRQL, KPROCESSOR_MODE, MDL, NDIS_OBJECT_HEADER,
    NDIS_STRING, NTSTATUS, UNICODE_STRING, impl_zeroed,
};

/// Result of a request (Microsoft Learn, IO_STATUS_BLOCK).
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct IO_STATUS_BLOCK {
    /// Status of the request.
    pub Status: NTSTATUS,
    /// Depends on the request: bytes that were transferred, mostly.
    pub Information: usize,
}

/// An I/O request packet (Microsoft Learn, IRP). Its stack locations follow it in memory.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct IRP {
    /// `IO_TYPE_IRP`.
    pub Type: i16,
    /// Bytes of the packet with its stack locations.
    pub Size: u16,
    /// The caller's buffer, for a device that does direct I/O.
    pub MdlAddress: *mut MDL,
    /// `IRP_` flags.
    pub Flags: u32,
    /// Input and output, for a device that does buffered I/O.
    #[doc(alias = "AssociatedIrp.SystemBuffer")]
    pub SystemBuffer: *mut c_void,
    _thread_list: [usize; 2],
    /// Result, which the driver sets before it completes the request.
    pub IoStatus: IO_STATUS_BLOCK,
    /// Whether the request comes from user mode.
    pub RequestorMode: KPROCESSOR_MODE,
    /// Whether a lower driver has marked the request pending.
    pub PendingReturned: BOOLEAN,
    /// Stack locations there are.
    pub StackCount: i8,
    /// Number of the current one, counted from 1; one more than there are at the beginning.
    pub CurrentLocation: i8,
    /// The request has been cancelled.
    pub Cancel: BOOLEAN,
    /// Level at which the cancel spin lock was taken.
    pub CancelIrql: KIRQL,
    /// For the I/O manager.
    pub ApcEnvironment: i8,
    /// For the I/O manager.
    pub AllocationFlags: u8,
    /// Where the result is copied to.
    pub UserIosb: *mut IO_STATUS_BLOCK,
    /// Signalled at completion, or null.
    pub UserEvent: *mut c_void,
    _overlay: [usize; 2],
    /// Called when the request is cancelled, or null.
    pub CancelRoutine: *mut c_void,
    /// The caller's output buffer, for a device that does neither.
    pub UserBuffer: *mut c_void,
    _driver_context: [usize; 4],
    _thread: [usize; 4],
    /// The current stack location: what `IoGetCurrentIrpStackLocation` of the headers reads. The
    /// tables do not go that deep.
    _current_stack_location: *mut IO_STACK_LOCATION,
    _rest: [usize; 2],
}

impl IRP {
    /// Offset of the pointer to the current stack location (`Tail.Overlay`, wdm.h).
    pub const CURRENT_STACK_LOCATION: usize = 184;
}

const _: () =
    assert!(core::mem::offset_of!(IRP, _current_stack_location) == IRP::CURRENT_STACK_LOCATION);

/// What one driver of a stack is asked to do (Microsoft Learn, IO_STACK_LOCATION).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_STACK_LOCATION {
    /// `IRP_MJ_` number.
    pub MajorFunction: u8,
    /// `IRP_MN_` number.
    pub MinorFunction: u8,
    /// `SL_` flags of the request.
    pub Flags: u8,
    /// `SL_` flags of the location.
    pub Control: u8,
    _before_parameters: u32,
    /// Bytes of the output buffer; other requests have their first parameter here.
    #[doc(alias = "Parameters.DeviceIoControl.OutputBufferLength")]
    pub OutputBufferLength: u32,
    _before_input: u32,
    /// Bytes of the input buffer.
    #[doc(alias = "Parameters.DeviceIoControl.InputBufferLength")]
    pub InputBufferLength: u32,
    _before_code: u32,
    /// The control code.
    #[doc(alias = "Parameters.DeviceIoControl.IoControlCode")]
    pub IoControlCode: u32,
    _after_code: u32,
    /// The caller's input buffer, for a device that does neither buffered nor direct I/O.
    #[doc(alias = "Parameters.DeviceIoControl.Type3InputBuffer")]
    pub Type3InputBuffer: *mut c_void,
    /// The device that is asked.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// The open file, or null.
    pub FileObject: *mut c_void,
    /// Called at completion, or null.
    pub CompletionRoutine: *mut c_void,
    /// Its context.
    pub Context: *mut c_void,
}

impl IO_STACK_LOCATION {
    /// Offset, in what `FileObject` points to, of the UNICODE_STRING `FileName`: the part of the name
    /// behind that of the device (Microsoft Learn, FILE_OBJECT; wdm.h). The tables do not have that record.
    pub const FILE_NAME: usize = 88;
}

/// A control device (Microsoft Learn, NDIS_DEVICE_OBJECT_ATTRIBUTES).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_DEVICE_OBJECT_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `\Device\...`.
    pub DeviceName: *mut NDIS_STRING,
    /// `\DosDevices\...`, for programs.
    pub SymbolicName: *mut NDIS_STRING,
    /// Dispatch routines by `IRP_MJ_` number, `IRP_MJ_MAXIMUM_FUNCTION + 1` of them.
    pub MajorFunctions: *mut Option<DRIVER_DISPATCH>,
    /// Bytes of device extension.
    pub ExtensionSize: u32,
    /// Who may open it, or null.
    pub DefaultSDDLString: *const UNICODE_STRING,
    /// Class of the device, or null.
    pub DeviceClassGuid: *const GUID,
}

/// Type of a request packet.
pub const IO_TYPE_IRP: i16 = 6;

/// The driver has kept the request.
pub const SL_PENDING_RETURNED: u8 = 1;

/// Call the completion routine when the request was cancelled.
pub const SL_INVOKE_ON_CANCEL: u8 = 0x20;

/// Call the completion routine when the request succeeded.
pub const SL_INVOKE_ON_SUCCESS: u8 = 0x40;

/// Call the completion routine when the request failed.
pub const SL_INVOKE_ON_ERROR: u8 = 0x80;

/// Revision of [`NDIS_DEVICE_OBJECT_ATTRIBUTES`].
pub const NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1: u8 = 1;

/// Size of [`NDIS_DEVICE_OBJECT_ATTRIBUTES`], revision 1.
pub const NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1: u16 = 0x38;

impl_zeroed! {
    IO_STATUS_BLOCK,
    IRP,
    IO_STACK_LOCATION,
    NDIS_DEVICE_OBJECT_ATTRIBUTES,
}
