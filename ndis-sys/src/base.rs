//! Names of the WDK for plain integers and handles, and the zero value of C records.
//!
//! C enums are `i32` with constants: a value that the header does not list is a value all the same.

use core::ffi::c_void;

use crate::UNICODE_STRING;

/// C's `BOOLEAN`: 0 is false, all else true.
pub type BOOLEAN = u8;

/// Status of the kernel; negative values are errors. Compare with the `STATUS_` constants.
pub type NTSTATUS = i32;

/// Status of NDIS; `NDIS_STATUS_SUCCESS` and `NDIS_STATUS_PENDING` are not errors.
pub type NDIS_STATUS = i32;

/// Opaque handle that NDIS or a driver hands out; never dereferenced by its receiver.
pub type NDIS_HANDLE = *mut c_void;

/// Opaque handle of the object manager.
pub type HANDLE = *mut c_void;

/// C's union of two halves and a 64-bit number, of which drivers use the number.
pub type LARGE_INTEGER = i64;

/// Physical or logical bus address.
pub type PHYSICAL_ADDRESS = i64;

/// Logical bus address, as a device uses it.
pub type NDIS_PHYSICAL_ADDRESS = PHYSICAL_ADDRESS;

/// Interrupt request level.
pub type KIRQL = u8;

/// Set of processors of one group, one bit each.
pub type KAFFINITY = usize;

/// Spin lock; 0 when free.
pub type KSPIN_LOCK = usize;

/// Scheduling priority or priority boost.
pub type KPRIORITY = i32;

/// `KernelMode` or `UserMode`.
pub type KPROCESSOR_MODE = i8;

/// Access rights asked for when an object is opened.
pub type ACCESS_MASK = u32;

/// Counted UTF-16 string; on Windows NT the same as [`UNICODE_STRING`].
pub type NDIS_STRING = UNICODE_STRING;

/// Object identifier, one of the `OID_` constants.
pub type NDIS_OID = u32;

/// Number of an NDIS port; 0 is the default port.
pub type NDIS_PORT_NUMBER = u32;

/// Index of a network interface, unique while it is present.
pub type NET_IFINDEX = u32;

/// Interface type as IANA numbers them (`IF_TYPE_`).
pub type NET_IFTYPE = u16;

/// Number of the network compartment that an interface belongs to.
pub type NET_IF_COMPARTMENT_ID = u32;

/// `NET_LUID_LH` as one number: 24 bits reserved, 24 bits index, 16 bits interface type.
pub type NET_LUID = u64;

/// EtherType in host order.
pub type NET_FRAME_TYPE = u16;

/// Number of a NIC switch; 0 is the default switch.
pub type NDIS_NIC_SWITCH_ID = u32;

/// Number of a virtual port of a NIC switch; 0 is the default port.
pub type NDIS_NIC_SWITCH_VPORT_ID = u32;

/// Number of a receive queue; 0 is the default queue.
pub type NDIS_RECEIVE_QUEUE_ID = u32;

/// NUMA node that memory should come from.
pub type NODE_REQUIREMENT = u32;

/// C's `TRUE`.
pub const TRUE: BOOLEAN = 1;
/// C's `FALSE`.
pub const FALSE: BOOLEAN = 0;

/// C records for which all bytes zero is a valid value.
///
/// # Safety
///
/// Implement it only for types that are valid when every byte is zero: integers, raw pointers,
/// `Option` of a function pointer, and records of those.
pub unsafe trait Zeroed: Sized {
    /// Returns the record with every byte zero.
    #[must_use]
    fn zeroed() -> Self {
        zeroed()
    }
}

/// Returns `T` with every byte zero; usable in constants, where [`Zeroed::zeroed`] is not.
#[must_use]
pub const fn zeroed<T: Zeroed>() -> T {
    // SAFETY: `T: Zeroed` promises that all-zero bytes are a valid `T`.
    unsafe { core::mem::zeroed() }
}

/// Implements [`Zeroed`] for C records whose fields are integers, raw pointers, nullable function
/// pointers, or such records again.
macro_rules! impl_zeroed {
    ($($record:ident),+ $(,)?) => {
        $(
            // SAFETY: the record consists of integers, raw pointers and nullable function pointers.
            unsafe impl $crate::Zeroed for $record {}
        )+
    };
}
pub(crate) use impl_zeroed;
