//! Poll objects: the data path in calls that NDIS makes (NDIS 6.85, poll.h).

use core::ffi::c_void;

use crate::{BOOLEAN, NDIS_OBJECT_HEADER, NET_BUFFER_LIST, impl_zeroed};

/// What a Poll object calls. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_POLL_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Arms and disarms the interrupt. Mandatory.
    pub SetPollNotificationHandler: Option<NDIS_SET_POLL_NOTIFICATION>,
    /// Does a round of work. Mandatory.
    pub PollHandler: Option<NDIS_POLL>,
}

/// One round of polling.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_POLL_DATA {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Sends that are complete.
    pub Transmit: NDIS_POLL_TRANSMIT_DATA,
    /// Frames that came.
    pub Receive: NDIS_POLL_RECEIVE_DATA,
}

/// Sends that a round of polling completes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_POLL_TRANSMIT_DATA {
    /// How many may be completed.
    pub MaxNblsToComplete: u32,
    /// Zero.
    pub Reserved1: [u32; 3],
    /// The NBLs.
    pub CompletedNblChain: *mut NET_BUFFER_LIST,
    /// How many they are.
    pub NumberOfCompletedNbls: u32,
    /// How many are complete and were left.
    pub NumberOfRemainingNbls: u32,
    /// As of `NdisMSendNetBufferListsComplete`.
    pub SendCompleteFlags: u32,
    /// Zero.
    pub Reserved2: u32,
    /// Zero.
    pub Reserved3: [*mut c_void; 4],
}

/// Frames that a round of polling indicates.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_POLL_RECEIVE_DATA {
    /// How many may be indicated.
    pub MaxNblsToIndicate: u32,
    /// Zero.
    pub Reserved1: [u32; 3],
    /// The NBLs.
    pub IndicatedNblChain: *mut NET_BUFFER_LIST,
    /// How many they are.
    pub NumberOfIndicatedNbls: u32,
    /// How many came and were left.
    pub NumberOfRemainingNbls: u32,
    /// Some of the flags of `NdisMIndicateReceiveNetBufferLists`.
    pub Flags: u32,
    /// Zero.
    pub Reserved2: u32,
    /// Zero.
    pub Reserved3: [*mut c_void; 4],
}

/// Whether the interrupt of a Poll object is to be armed.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_POLL_NOTIFICATION {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Whether.
    pub Enabled: BOOLEAN,
}

/// A round of polling. IRQL <= `DISPATCH_LEVEL`; never two at a time on one object.
pub type NDIS_POLL = unsafe extern "efiapi" fn(context: *mut c_void, data: *mut NDIS_POLL_DATA);

/// Arms or disarms the interrupt. IRQL <= `DISPATCH_LEVEL`.
pub type NDIS_SET_POLL_NOTIFICATION =
    unsafe extern "efiapi" fn(context: *mut c_void, notification: *mut NDIS_POLL_NOTIFICATION);

/// As many as there are, or a count that nobody knows.
pub const NDIS_ANY_NUMBER_OF_NBLS: u32 = u32::MAX;

/// Revision 1 of [`NDIS_POLL_CHARACTERISTICS`].
pub const NDIS_POLL_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_POLL_CHARACTERISTICS`] that belong to revision 1.
pub const NDIS_SIZEOF_NDIS_POLL_CHARACTERISTICS_REVISION_1: u16 = 0x18;

/// Revision 1 of [`NDIS_POLL_DATA`].
pub const NDIS_POLL_DATA_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_POLL_DATA`] that belong to revision 1.
pub const NDIS_SIZEOF_NDIS_POLL_DATA_REVISION_1: u16 = 0x98;

/// Revision 1 of [`NDIS_POLL_NOTIFICATION`].
pub const NDIS_POLL_NOTIFICATION_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_POLL_NOTIFICATION`] that belong to revision 1.
pub const NDIS_SIZEOF_NDIS_POLL_NOTIFICATION_REVISION_1: u16 = 5;

impl_zeroed! {
    NDIS_POLL_CHARACTERISTICS,
    NDIS_POLL_DATA,
    NDIS_POLL_TRANSMIT_DATA,
    NDIS_POLL_RECEIVE_DATA,
    NDIS_POLL_NOTIFICATION,
}
