//! Status values of the kernel.

use crate::NTSTATUS;

/// Done.
pub const STATUS_SUCCESS: NTSTATUS = 0;

/// The wait ran out of time.
pub const STATUS_TIMEOUT: NTSTATUS = 0x102;

/// Goes on in the background.
pub const STATUS_PENDING: NTSTATUS = 0x103;

/// The wait was ended by an alert.
pub const STATUS_ALERTED: NTSTATUS = 0x101;

/// The wait was ended by a user's procedure call.
pub const STATUS_USER_APC: NTSTATUS = 0xc0;

/// The buffer holds only a part of the data.
pub const STATUS_BUFFER_OVERFLOW: NTSTATUS = 0x8000_0005_u32 as i32;

/// The enumeration is at its end.
pub const STATUS_NO_MORE_ENTRIES: NTSTATUS = 0x8000_001a_u32 as i32;

/// Failed without a better reason.
pub const STATUS_UNSUCCESSFUL: NTSTATUS = 0xc000_0001_u32 as i32;

/// Not implemented.
pub const STATUS_NOT_IMPLEMENTED: NTSTATUS = 0xc000_0002_u32 as i32;

/// The handle is not open.
pub const STATUS_INVALID_HANDLE: NTSTATUS = 0xc000_0008_u32 as i32;

/// A parameter is out of range.
pub const STATUS_INVALID_PARAMETER: NTSTATUS = 0xc000_000d_u32 as i32;

/// The device does not know this request or cannot do it now.
pub const STATUS_INVALID_DEVICE_REQUEST: NTSTATUS = 0xc000_0010_u32 as i32;

/// Not enough virtual memory.
pub const STATUS_NO_MEMORY: NTSTATUS = 0xc000_0017_u32 as i32;

/// Not allowed.
pub const STATUS_ACCESS_DENIED: NTSTATUS = 0xc000_0022_u32 as i32;

/// The buffer is too small for anything.
pub const STATUS_BUFFER_TOO_SMALL: NTSTATUS = 0xc000_0023_u32 as i32;

/// The object or value is of another type.
pub const STATUS_OBJECT_TYPE_MISMATCH: NTSTATUS = 0xc000_0024_u32 as i32;

/// The name is malformed.
pub const STATUS_OBJECT_NAME_INVALID: NTSTATUS = 0xc000_0033_u32 as i32;

/// No object of that name.
pub const STATUS_OBJECT_NAME_NOT_FOUND: NTSTATUS = 0xc000_0034_u32 as i32;

/// The object is being deleted.
pub const STATUS_DELETE_PENDING: NTSTATUS = 0xc000_0056_u32 as i32;

/// No such path to the object.
pub const STATUS_OBJECT_PATH_NOT_FOUND: NTSTATUS = 0xc000_003a_u32 as i32;

/// Not enough memory or other resources.
pub const STATUS_INSUFFICIENT_RESOURCES: NTSTATUS = 0xc000_009a_u32 as i32;

/// The device is not ready.
pub const STATUS_DEVICE_NOT_READY: NTSTATUS = 0xc000_00a3_u32 as i32;

/// The request is not supported.
pub const STATUS_NOT_SUPPORTED: NTSTATUS = 0xc000_00bb_u32 as i32;

/// The device's configuration is wrong.
pub const STATUS_DEVICE_CONFIGURATION_ERROR: NTSTATUS = 0xc000_0182_u32 as i32;

/// The request was cancelled.
pub const STATUS_CANCELLED: NTSTATUS = 0xc000_0120_u32 as i32;

/// Nothing there.
pub const STATUS_NOT_FOUND: NTSTATUS = 0xc000_0225_u32 as i32;

/// The device is gone.
pub const STATUS_DEVICE_REMOVED: NTSTATUS = 0xc000_02b6_u32 as i32;
