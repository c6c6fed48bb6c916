//! Configuration parameters of an adapter, as NDIS reads them from the registry.
//!
//! What a configuration returns stays valid until it is closed.

use core::ffi::c_void;

use crate::{NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_STRING, impl_zeroed};

/// Whose configuration to open. Type CONFIGURATION_OBJECT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_CONFIGURATION_OBJECT {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// The adapter or driver.
    pub NdisHandle: NDIS_HANDLE,
    /// Reserved.
    pub Flags: u32,
}

/// A setting. Belongs to NDIS until the configuration is closed.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_CONFIGURATION_PARAMETER {
    /// Which part of `ParameterData` is meant.
    pub ParameterType: NDIS_PARAMETER_TYPE,
    /// The value.
    pub ParameterData: NDIS_CONFIGURATION_PARAMETER_DATA,
}

/// The value, by parameter type.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_CONFIGURATION_PARAMETER.ParameterData")]
pub union NDIS_CONFIGURATION_PARAMETER_DATA {
    /// For `NdisParameterInteger` and `NdisParameterHexInteger`.
    pub IntegerData: u32,
    /// For `NdisParameterString` and `NdisParameterMultiString`.
    pub StringData: NDIS_STRING,
    /// For `NdisParameterBinary`.
    pub BinaryData: BINARY_DATA,
}

/// Counted bytes.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_CONFIGURATION_PARAMETER.ParameterData.BinaryData")]
pub struct BINARY_DATA {
    /// Bytes at `Buffer`.
    pub Length: u16,
    /// The bytes.
    pub Buffer: *mut c_void,
}

/// Type of a setting.
pub type NDIS_PARAMETER_TYPE = i32;

/// Number, in the registry as a number or as decimal text.
pub const NdisParameterInteger: NDIS_PARAMETER_TYPE = 0;

/// Number, in the registry as a number or as hexadecimal text.
pub const NdisParameterHexInteger: NDIS_PARAMETER_TYPE = 1;

/// Text.
pub const NdisParameterString: NDIS_PARAMETER_TYPE = 2;

/// List of texts.
pub const NdisParameterMultiString: NDIS_PARAMETER_TYPE = 3;

/// Bytes.
pub const NdisParameterBinary: NDIS_PARAMETER_TYPE = 4;

/// Revision 1 of [`NDIS_CONFIGURATION_OBJECT`](crate::NDIS_CONFIGURATION_OBJECT).
pub const NDIS_CONFIGURATION_OBJECT_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_CONFIGURATION_OBJECT`](crate::NDIS_CONFIGURATION_OBJECT) that belong to revision
/// 1.
pub const NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1: u16 = 0x14;

impl_zeroed! {
    NDIS_CONFIGURATION_OBJECT,
    NDIS_CONFIGURATION_PARAMETER,
    NDIS_CONFIGURATION_PARAMETER_DATA,
    BINARY_DATA,
}
