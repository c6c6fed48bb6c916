//! The registry, as far as a driver reads it by itself.

use core::mem::offset_of;

use static_assertions::const_assert_eq;

use crate::{ACCESS_MASK, impl_zeroed};

/// A registry value as `ZwQueryValueKey` returns it with `KeyValuePartialInformation`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KEY_VALUE_PARTIAL_INFORMATION {
    /// Reserved.
    pub TitleIndex: u32,
    /// `REG_` type of the value.
    pub Type: u32,
    /// Bytes of `Data`.
    pub DataLength: u32,
    /// The value, `DataLength` bytes, of which C declares one.
    pub Data: [u8; 1],
}
const_assert_eq!(size_of::<KEY_VALUE_PARTIAL_INFORMATION>(), 16);
const_assert_eq!(offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Data), 12);

/// What `ZwQueryValueKey` is to return.
pub type KEY_VALUE_INFORMATION_CLASS = i32;
/// Name and type.
pub const KeyValueBasicInformation: KEY_VALUE_INFORMATION_CLASS = 0;
/// Name, type and data.
pub const KeyValueFullInformation: KEY_VALUE_INFORMATION_CLASS = 1;
/// Type and data.
pub const KeyValuePartialInformation: KEY_VALUE_INFORMATION_CLASS = 2;

/// Access right: read values of a key.
pub const KEY_QUERY_VALUE: ACCESS_MASK = 0x1;
/// Access right: read a key.
pub const KEY_READ: ACCESS_MASK = 0x2_0019;
/// Value type: terminated text.
pub const REG_SZ: u32 = 1;
/// Value type: bytes.
pub const REG_BINARY: u32 = 3;
/// Value type: 32-bit number.
pub const REG_DWORD: u32 = 4;
/// Value type: list of terminated texts.
pub const REG_MULTI_SZ: u32 = 7;
/// The path of `RtlCheckRegistryKey` is complete.
pub const RTL_REGISTRY_ABSOLUTE: u32 = 0;
/// The path of `RtlCheckRegistryKey` is relative to the services' key.
pub const RTL_REGISTRY_SERVICES: u32 = 1;

impl_zeroed! {
    KEY_VALUE_PARTIAL_INFORMATION,
}
