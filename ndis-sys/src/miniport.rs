//! The miniport driver: its entry points, registration, and the parameters that NDIS hands to them.

use core::ffi::c_void;

use crate::{
    BOOLEAN, DRIVER_OBJECT, NDIS_HALT_ACTION, NDIS_HANDLE, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_OBJECT_HEADER,
    NDIS_OID_REQUEST, NDIS_PORT_NUMBER, NDIS_SHUTDOWN_ACTION, NDIS_STATUS, NET_BUFFER_LIST,
    NET_DEVICE_PNP_EVENT, impl_zeroed,
};

/// Entry points of a miniport driver. Type MINIPORT_DRIVER_CHARACTERISTICS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// NDIS version that the driver is written for, major.
    pub MajorNdisVersion: u8,
    /// NDIS version that the driver is written for, minor.
    pub MinorNdisVersion: u8,
    /// Version of the driver, major.
    pub MajorDriverVersion: u8,
    /// Version of the driver, minor.
    pub MinorDriverVersion: u8,
    /// `NDIS_INTERMEDIATE_DRIVER`, `NDIS_WDM_DRIVER` or 0.
    pub Flags: u32,
    /// Registers optional services; optional.
    pub SetOptionsHandler: Option<SET_OPTIONS>,
    /// Brings an adapter up.
    pub InitializeHandlerEx: Option<MINIPORT_INITIALIZE>,
    /// Takes an adapter down.
    pub HaltHandlerEx: Option<MINIPORT_HALT>,
    /// Called before the driver is unloaded.
    pub UnloadHandler: Option<MINIPORT_UNLOAD>,
    /// Stops the data path.
    pub PauseHandler: Option<MINIPORT_PAUSE>,
    /// Starts the data path.
    pub RestartHandler: Option<MINIPORT_RESTART>,
    /// Takes an OID request.
    pub OidRequestHandler: Option<MINIPORT_OID_REQUEST>,
    /// Takes frames to send.
    pub SendNetBufferListsHandler: Option<MINIPORT_SEND_NET_BUFFER_LISTS>,
    /// Takes back frames that were indicated.
    pub ReturnNetBufferListsHandler: Option<MINIPORT_RETURN_NET_BUFFER_LISTS>,
    /// Cancels queued sends.
    pub CancelSendHandler: Option<MINIPORT_CANCEL_SEND>,
    /// Asks whether the adapter hangs; optional.
    pub CheckForHangHandlerEx: Option<MINIPORT_CHECK_FOR_HANG>,
    /// Resets the adapter; optional, with `CheckForHangHandlerEx`.
    pub ResetHandlerEx: Option<MINIPORT_RESET>,
    /// Tells of removal and power events.
    pub DevicePnPEventNotifyHandler: Option<MINIPORT_DEVICE_PNP_EVENT_NOTIFY>,
    /// Quiets the hardware at shutdown or crash.
    pub ShutdownHandlerEx: Option<MINIPORT_SHUTDOWN>,
    /// Cancels an OID request.
    pub CancelOidRequestHandler: Option<MINIPORT_CANCEL_OID_REQUEST>,
    /// Takes a direct OID request; optional. Revision 2.
    pub DirectOidRequestHandler: Option<MINIPORT_DIRECT_OID_REQUEST>,
    /// Cancels one; optional. Revision 2.
    pub CancelDirectOidRequestHandler: Option<MINIPORT_CANCEL_DIRECT_OID_REQUEST>,
    /// Takes a synchronous OID request; optional. Revision 3.
    pub SynchronousOidRequestHandler: Option<MINIPORT_SYNCHRONOUS_OID_REQUEST>,
}

/// PnP entry points that a miniport adds from `SetOptionsHandler`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_PNP_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// A device appears; before resources are assigned.
    pub MiniportAddDeviceHandler: Option<MINIPORT_ADD_DEVICE>,
    /// Undoes the former.
    pub MiniportRemoveDeviceHandler: Option<MINIPORT_REMOVE_DEVICE>,
    /// May change the resources to ask for.
    pub MiniportFilterResourceRequirementsHandler: Option<MINIPORT_PNP_IRP>,
    /// The device starts with its resources.
    pub MiniportStartDeviceHandler: Option<MINIPORT_PNP_IRP>,
    /// Reserved.
    pub Flags: u32,
}

/// Entry points for selective suspend, which a miniport adds from `SetOptionsHandler`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_SS_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// The adapter is idle and may go to low power.
    pub IdleNotificationHandler: Option<MINIPORT_IDLE_NOTIFICATION>,
    /// It is needed again.
    pub CancelIdleNotificationHandler: Option<MINIPORT_CANCEL_IDLE_NOTIFICATION>,
}

/// Header by which `NdisSetOptionalHandlers` knows the structure that it is given.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_DRIVER_OPTIONAL_HANDLERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
}

/// Registers optional services of a driver. Called at `PASSIVE_LEVEL`, from within the driver's
/// registration.
pub type SET_OPTIONS = unsafe extern "efiapi" fn(
    ndis_driver_handle: NDIS_HANDLE,
    driver_context: NDIS_HANDLE,
) -> NDIS_STATUS;

/// Brings an adapter up: sets its attributes, gets its resources. Called at `PASSIVE_LEVEL`; the
/// adapter is paused afterwards (Microsoft Learn, MINIPORT_INITIALIZE).
pub type MINIPORT_INITIALIZE = unsafe extern "efiapi" fn(
    ndis_miniport_handle: NDIS_HANDLE,
    miniport_driver_context: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS;

/// Takes an adapter down and frees all that `MINIPORT_INITIALIZE` got. Called at `PASSIVE_LEVEL`,
/// on a paused adapter or after a surprise removal.
pub type MINIPORT_HALT =
    unsafe extern "efiapi" fn(miniport_adapter_context: NDIS_HANDLE, halt_action: NDIS_HALT_ACTION);

/// Deregisters the driver. Called at `PASSIVE_LEVEL`, after all adapters are halted.
pub type MINIPORT_UNLOAD = unsafe extern "efiapi" fn(driver_object: *mut DRIVER_OBJECT);

/// Stops the data path. Called at `PASSIVE_LEVEL`; done when all lists are back, by return or by
/// `NdisMPauseComplete`.
pub type MINIPORT_PAUSE = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_PAUSE_PARAMETERS,
) -> NDIS_STATUS;

/// Starts the data path. Called at `PASSIVE_LEVEL`; may complete later by `NdisMRestartComplete`.
pub type MINIPORT_RESTART = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_RESTART_PARAMETERS,
) -> NDIS_STATUS;

/// Takes an OID request. Called at `PASSIVE_LEVEL`, one at a time per adapter;
/// `NDIS_STATUS_PENDING` is followed by `NdisMOidRequestComplete`.
pub type MINIPORT_OID_REQUEST = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    oid_request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS;

/// Asks to end the OID request with this identifier soon. Called at up to `DISPATCH_LEVEL`.
pub type MINIPORT_CANCEL_OID_REQUEST =
    unsafe extern "efiapi" fn(miniport_adapter_context: NDIS_HANDLE, request_id: *mut c_void);

/// Takes an OID request that is not serialized. Called at up to `DISPATCH_LEVEL`.
pub type MINIPORT_DIRECT_OID_REQUEST = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    oid_request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS;

/// Asks to end a direct OID request soon. Called at up to `DISPATCH_LEVEL`.
pub type MINIPORT_CANCEL_DIRECT_OID_REQUEST =
    unsafe extern "efiapi" fn(miniport_adapter_context: NDIS_HANDLE, request_id: *mut c_void);

/// Takes an OID request and answers it before it returns. Called at up to `DISPATCH_LEVEL`.
pub type MINIPORT_SYNCHRONOUS_OID_REQUEST = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    oid_request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS;

/// Takes ownership of a chain of lists to send. Called at up to `DISPATCH_LEVEL`, on several
/// processors at once; each list goes back once by `NdisMSendNetBufferListsComplete`.
pub type MINIPORT_SEND_NET_BUFFER_LISTS = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    net_buffer_list: *mut NET_BUFFER_LIST,
    port_number: NDIS_PORT_NUMBER,
    send_flags: u32,
);

/// Gives lists back that were indicated without `NDIS_RECEIVE_FLAGS_RESOURCES`. Called at up to
/// `DISPATCH_LEVEL`.
pub type MINIPORT_RETURN_NET_BUFFER_LISTS = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    net_buffer_lists: *mut NET_BUFFER_LIST,
    return_flags: u32,
);

/// Asks to complete waiting sends with this cancel identifier. Called at up to `DISPATCH_LEVEL`.
pub type MINIPORT_CANCEL_SEND =
    unsafe extern "efiapi" fn(miniport_adapter_context: NDIS_HANDLE, cancel_id: *mut c_void);

/// Asks every few seconds whether the adapter hangs; nonzero leads to a reset. Called at
/// `PASSIVE_LEVEL`.
pub type MINIPORT_CHECK_FOR_HANG =
    unsafe extern "efiapi" fn(miniport_adapter_context: NDIS_HANDLE) -> BOOLEAN;

/// Resets the hardware. Called at up to `DISPATCH_LEVEL`; may complete later by
/// `NdisMResetComplete`.
pub type MINIPORT_RESET = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    addressing_reset: *mut BOOLEAN,
) -> NDIS_STATUS;

/// Offers to suspend an idle adapter. Called at `PASSIVE_LEVEL`; pends until
/// `NdisMIdleNotificationComplete`, or fails.
pub type MINIPORT_IDLE_NOTIFICATION = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    force_idle: BOOLEAN,
) -> NDIS_STATUS;

/// Takes the offer back. Called at `PASSIVE_LEVEL`.
pub type MINIPORT_CANCEL_IDLE_NOTIFICATION =
    unsafe extern "efiapi" fn(miniport_adapter_context: NDIS_HANDLE);

/// Tells of a PnP or power event. Called at `PASSIVE_LEVEL`.
pub type MINIPORT_DEVICE_PNP_EVENT_NOTIFY = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    net_device_pnp_event: *mut NET_DEVICE_PNP_EVENT,
);

/// Quiets the hardware; frees nothing. Called at `PASSIVE_LEVEL`, or at `HIGH_LEVEL` when the
/// system crashes.
pub type MINIPORT_SHUTDOWN = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    shutdown_action: NDIS_SHUTDOWN_ACTION,
);

/// A device is about to be started. Called at `PASSIVE_LEVEL`.
pub type MINIPORT_ADD_DEVICE = unsafe extern "efiapi" fn(
    ndis_miniport_handle: NDIS_HANDLE,
    miniport_driver_context: NDIS_HANDLE,
) -> NDIS_STATUS;

/// Undoes `MINIPORT_ADD_DEVICE`. Called at `PASSIVE_LEVEL`.
pub type MINIPORT_REMOVE_DEVICE =
    unsafe extern "efiapi" fn(miniport_add_device_context: NDIS_HANDLE);

/// Sees a PnP request for the device's resources or its start. Called at `PASSIVE_LEVEL`.
pub type MINIPORT_PNP_IRP = unsafe extern "efiapi" fn(
    miniport_add_device_context: NDIS_HANDLE,
    irp: *mut c_void,
) -> NDIS_STATUS;

/// The driver registers as a miniport.
pub const NDIS_MINIPORT_DRIVER: u32 = 1;

/// The miniport is the upper edge of an intermediate driver.
pub const NDIS_INTERMEDIATE_DRIVER: u32 = 1;

/// The miniport has a WDM lower edge.
pub const NDIS_WDM_DRIVER: u32 = 2;

/// Revision 1 of
/// [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS).
pub const NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Revision 2 of
/// [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS).
pub const NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2: u8 = 2;

/// Revision 3 of
/// [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS).
pub const NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3: u8 = 3;

/// Revision 1 of [`NDIS_MINIPORT_PNP_CHARACTERISTICS`](crate::NDIS_MINIPORT_PNP_CHARACTERISTICS).
pub const NDIS_MINIPORT_PNP_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_MINIPORT_SS_CHARACTERISTICS`](crate::NDIS_MINIPORT_SS_CHARACTERISTICS).
pub const NDIS_MINIPORT_SS_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_MINIPORT_SS_CHARACTERISTICS`](crate::NDIS_MINIPORT_SS_CHARACTERISTICS) that
/// belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_SS_CHARACTERISTICS_REVISION_1: u16 = 0x18;

/// Bytes of [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS)
/// that belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1: u16 = 0x88;

/// Bytes of [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS)
/// that belong to revision 2.
pub const NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2: u16 = 0x98;

/// Bytes of [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS)
/// that belong to revision 3.
pub const NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3: u16 = 0xa0;

/// Bytes of [`NDIS_MINIPORT_PNP_CHARACTERISTICS`](crate::NDIS_MINIPORT_PNP_CHARACTERISTICS) that
/// belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1: u16 = 0x2c;

impl_zeroed! {
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_PNP_CHARACTERISTICS,
    NDIS_MINIPORT_SS_CHARACTERISTICS,
    NDIS_DRIVER_OPTIONAL_HANDLERS,
}
