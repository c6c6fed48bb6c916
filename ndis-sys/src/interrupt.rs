//! Interrupts of a miniport: registration, the handlers, MSI-X table control, interrupt moderation.
//!
//! Handlers at DIRQL may touch nonpaged memory and registers, and call almost nothing.

use core::ffi::c_void;

use crate::{BOOLEAN, IO_INTERRUPT_MESSAGE_INFO, NDIS_HANDLE, NDIS_OBJECT_HEADER, impl_zeroed};

/// Entry points for interrupts. Type MINIPORT_INTERRUPT. After registration it tells what was
/// granted.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Line-based interrupt; required.
    pub InterruptHandler: Option<MINIPORT_ISR>,
    /// Its DPC; required.
    pub InterruptDpcHandler: Option<MINIPORT_INTERRUPT_DPC>,
    /// Disables it; optional.
    pub DisableInterruptHandler: Option<MINIPORT_DISABLE_INTERRUPT>,
    /// Enables it; optional.
    pub EnableInterruptHandler: Option<MINIPORT_ENABLE_INTERRUPT>,
    /// The driver can take messages.
    pub MsiSupported: BOOLEAN,
    /// Message interrupts exclude each other.
    pub MsiSyncWithAllMessages: BOOLEAN,
    /// Message interrupt; required with `MsiSupported`.
    pub MessageInterruptHandler: Option<MINIPORT_MESSAGE_INTERRUPT>,
    /// Its DPC; required with `MsiSupported`.
    pub MessageInterruptDpcHandler: Option<MINIPORT_MESSAGE_INTERRUPT_DPC>,
    /// Disables a message; optional.
    pub DisableMessageInterruptHandler: Option<MINIPORT_DISABLE_MESSAGE_INTERRUPT>,
    /// Enables a message; optional.
    pub EnableMessageInterruptHandler: Option<MINIPORT_ENABLE_MESSAGE_INTERRUPT>,
    /// Set by NDIS: line or messages.
    pub InterruptType: NDIS_INTERRUPT_TYPE,
    /// Set by NDIS: the messages, or null. Valid until deregistration.
    pub MessageInfoTable: *mut IO_INTERRUPT_MESSAGE_INFO,
}

/// Change of an MSI-X table entry.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MSIX_CONFIG_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// What to do.
    pub ConfigOperation: NDIS_MSIX_TABLE_OPERATION,
    /// Entry of the device's MSI-X table.
    pub TableEntry: u32,
    /// Message to put into the entry.
    pub MessageNumber: u32,
}

/// Data of `OID_GEN_INTERRUPT_MODERATION`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_INTERRUPT_MODERATION_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_` flags.
    pub Flags: u32,
    /// Whether interrupts are moderated.
    pub InterruptModeration: NDIS_INTERRUPT_MODERATION,
}

/// How much a DPC may indicate; its third parameter points to it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RECEIVE_THROTTLE_PARAMETERS {
    /// Most lists to indicate in this DPC.
    pub MaxNblsToIndicate: u32,
    /// Bit 0: set by the miniport if it has more; NDIS calls the DPC again.
    pub MoreNblsPending: u32,
}

/// `MaxNblsToIndicate` of a DPC that may indicate all it has; `MoreNblsPending` stays 0 then.
pub const NDIS_INDICATE_ALL_NBLS: u32 = 0xffff_ffff;

/// Line-based interrupt. Called at DIRQL, holding the interrupt's lock; returns whether the adapter
/// interrupted, asks for its DPC in `queue_default_interrupt_dpc`.
pub type MINIPORT_ISR = unsafe extern "efiapi" fn(
    miniport_interrupt_context: NDIS_HANDLE,
    queue_default_interrupt_dpc: *mut BOOLEAN,
    target_processors: *mut u32,
) -> BOOLEAN;

/// DPC of a line-based interrupt. Called at `DISPATCH_LEVEL`; `receive_throttle_parameters` points
/// to [`NDIS_RECEIVE_THROTTLE_PARAMETERS`].
pub type MINIPORT_INTERRUPT_DPC = unsafe extern "efiapi" fn(
    miniport_interrupt_context: NDIS_HANDLE,
    miniport_dpc_context: *mut c_void,
    receive_throttle_parameters: *mut c_void,
    ndis_reserved2: *mut c_void,
);

/// Disables the interrupt. Called at DIRQL.
pub type MINIPORT_DISABLE_INTERRUPT =
    unsafe extern "efiapi" fn(miniport_interrupt_context: NDIS_HANDLE);

/// Enables the interrupt. Called at DIRQL.
pub type MINIPORT_ENABLE_INTERRUPT =
    unsafe extern "efiapi" fn(miniport_interrupt_context: NDIS_HANDLE);

/// Message interrupt. Called at DIRQL; as [`MINIPORT_ISR`].
pub type MINIPORT_MESSAGE_INTERRUPT = unsafe extern "efiapi" fn(
    miniport_interrupt_context: NDIS_HANDLE,
    message_id: u32,
    queue_default_interrupt_dpc: *mut BOOLEAN,
    target_processors: *mut u32,
) -> BOOLEAN;

/// DPC of a message interrupt. Called at `DISPATCH_LEVEL`; as [`MINIPORT_INTERRUPT_DPC`].
pub type MINIPORT_MESSAGE_INTERRUPT_DPC = unsafe extern "efiapi" fn(
    miniport_interrupt_context: NDIS_HANDLE,
    message_id: u32,
    miniport_dpc_context: *mut c_void,
    receive_throttle_parameters: *mut c_void,
    ndis_reserved2: *mut c_void,
);

/// Disables a message. Called at DIRQL.
pub type MINIPORT_DISABLE_MESSAGE_INTERRUPT =
    unsafe extern "efiapi" fn(miniport_interrupt_context: NDIS_HANDLE, message_id: u32);

/// Enables a message. Called at DIRQL.
pub type MINIPORT_ENABLE_MESSAGE_INTERRUPT =
    unsafe extern "efiapi" fn(miniport_interrupt_context: NDIS_HANDLE, message_id: u32);

/// Runs at DIRQL, holding the interrupt's lock, for `NdisMSynchronizeWithInterruptEx`.
pub type MINIPORT_SYNCHRONIZE_INTERRUPT =
    unsafe extern "efiapi" fn(synchronize_context: NDIS_HANDLE) -> BOOLEAN;

/// Nullable [`MINIPORT_SYNCHRONIZE_INTERRUPT`].
pub type MINIPORT_SYNCHRONIZE_INTERRUPT_HANDLER = Option<MINIPORT_SYNCHRONIZE_INTERRUPT>;

/// Kind of interrupt granted.
pub type NDIS_INTERRUPT_TYPE = i32;

/// An interrupt line.
pub const NDIS_CONNECT_LINE_BASED: NDIS_INTERRUPT_TYPE = 1;

/// Messages.
pub const NDIS_CONNECT_MESSAGE_BASED: NDIS_INTERRUPT_TYPE = 2;

/// What to do with an MSI-X table entry.
pub type NDIS_MSIX_TABLE_CONFIG = i32;

/// Put a message into the entry.
pub const NdisMSIXTableConfigSetTableEntry: NDIS_MSIX_TABLE_CONFIG = 0;

/// Mask the entry.
pub const NdisMSIXTableConfigMaskTableEntry: NDIS_MSIX_TABLE_CONFIG = 1;

/// Unmask the entry.
pub const NdisMSIXTableConfigUnmaskTableEntry: NDIS_MSIX_TABLE_CONFIG = 2;

/// Number of operations.
pub const NdisMSIXTableConfigMax: NDIS_MSIX_TABLE_CONFIG = 3;

/// The same, by the name that the parameters use.
pub type NDIS_MSIX_TABLE_OPERATION = NDIS_MSIX_TABLE_CONFIG;

/// Whether interrupts are moderated.
pub type NDIS_INTERRUPT_MODERATION = i32;

/// Not known.
pub const NdisInterruptModerationUnknown: NDIS_INTERRUPT_MODERATION = 0;

/// Cannot be.
pub const NdisInterruptModerationNotSupported: NDIS_INTERRUPT_MODERATION = 1;

/// They are.
pub const NdisInterruptModerationEnabled: NDIS_INTERRUPT_MODERATION = 2;

/// They could be, but are not.
pub const NdisInterruptModerationDisabled: NDIS_INTERRUPT_MODERATION = 3;

/// A change takes effect after a reset.
pub const NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_RESET: u32 = 1;

/// A change takes effect after initialization.
pub const NDIS_INTERRUPT_MODERATION_CHANGE_NEEDS_REINITIALIZE: u32 = 2;

/// Revision 1 of
/// [`NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS`](crate::NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS).
pub const NDIS_MINIPORT_INTERRUPT_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_MSIX_CONFIG_PARAMETERS`](crate::NDIS_MSIX_CONFIG_PARAMETERS).
pub const NDIS_MSIX_CONFIG_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of
/// [`NDIS_INTERRUPT_MODERATION_PARAMETERS`](crate::NDIS_INTERRUPT_MODERATION_PARAMETERS).
pub const NDIS_INTERRUPT_MODERATION_PARAMETERS_REVISION_1: u8 = 1;

/// Bytes of
/// [`NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS`](crate::NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS) that
/// belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1: u16 = 0x60;

/// Bytes of [`NDIS_MSIX_CONFIG_PARAMETERS`](crate::NDIS_MSIX_CONFIG_PARAMETERS) that belong to
/// revision 1.
pub const NDIS_SIZEOF_MSIX_CONFIG_PARAMETERS_REVISION_1: u16 = 0x10;

/// Bytes of [`NDIS_INTERRUPT_MODERATION_PARAMETERS`](crate::NDIS_INTERRUPT_MODERATION_PARAMETERS)
/// that belong to revision 1.
pub const NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1: u16 = 0xc;

impl_zeroed! {
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
    NDIS_MSIX_CONFIG_PARAMETERS,
    NDIS_INTERRUPT_MODERATION_PARAMETERS,
    NDIS_RECEIVE_THROTTLE_PARAMETERS,
}
