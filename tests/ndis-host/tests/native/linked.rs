//! Drivers that are linked into the test: they call exports as an image does.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ndis_sys::{
    DRIVER_OBJECT, NDIS_DRIVER_OPTIONAL_HANDLERS, NDIS_HALT_ACTION, NDIS_HANDLE,
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_PNP_CHARACTERISTICS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS, NDIS_OID_REQUEST, NDIS_SHUTDOWN_ACTION,
    NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3,
    NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NET_DEVICE_PNP_EVENT,
    UNICODE_STRING, Zeroed,
};

/// A routine that ntoskrnl.exe or ndis.sys exports, as a function of the given type:
/// `import!(NdisMSleep: fn(u32))`.
macro_rules! import {
    ($name:ident : fn($($argument:ty),* $(,)?) $(-> $result:ty)?) => {{
        let address = ndis_host::export(stringify!($name));
        // SAFETY: the type is that of the routine's page.
        unsafe {
            std::mem::transmute::<*const (), unsafe extern "efiapi" fn($($argument),*) $(-> $result)?>(
                address,
            )
        }
    }};
}
pub(crate) use import;

static DRIVER: AtomicUsize = AtomicUsize::new(0);
static DEREGISTER: AtomicBool = AtomicBool::new(true);

/// Whether the default Unload handler deregisters the miniport driver.
pub(crate) fn deregister_at_unload(yes: bool) {
    DEREGISTER.store(yes, Ordering::Relaxed);
}

/// The handle of the miniport driver that registered last.
pub(crate) fn miniport_driver() -> NDIS_HANDLE {
    std::ptr::without_provenance_mut(DRIVER.load(Ordering::Relaxed))
}

/// NdisMRegisterMiniportDriver.
///
/// # Safety
///
/// `object` and `path` are those that DriverEntry got.
pub(crate) unsafe fn register_miniport(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
    mut characteristics: NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
) -> Result<NDIS_HANDLE, NDIS_STATUS> {
    // SAFETY: the caller's contract.
    unsafe { register_miniport_at(object, path, &mut characteristics) }
}

/// NdisMRegisterMiniportDriver with characteristics of the caller's.
///
/// # Safety
///
/// As [`register_miniport`].
pub(crate) unsafe fn register_miniport_at(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
    characteristics: &mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
) -> Result<NDIS_HANDLE, NDIS_STATUS> {
    type Characteristics = NDIS_MINIPORT_DRIVER_CHARACTERISTICS;
    let register = import!(NdisMRegisterMiniportDriver: fn(
        *mut DRIVER_OBJECT,
        *mut UNICODE_STRING,
        NDIS_HANDLE,
        *mut Characteristics,
        *mut NDIS_HANDLE,
    ) -> NDIS_STATUS);
    let mut handle: NDIS_HANDLE = std::ptr::null_mut();
    let context = std::ptr::null_mut();
    // SAFETY: the caller's contract; the other pointers are to locals.
    let status = unsafe { register(object, path, context, characteristics, &raw mut handle) };
    DRIVER.store(handle.addr(), Ordering::Relaxed);
    if status == NDIS_STATUS_SUCCESS {
        Ok(handle)
    } else {
        Err(status)
    }
}

/// Characteristics of NDIS 6.80 with every mandatory handler; adapters refuse to initialize.
pub(crate) fn miniport_characteristics() -> NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
    let mut given = NDIS_MINIPORT_DRIVER_CHARACTERISTICS::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS;
    given.Header.Revision = 3;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3;
    given.MajorNdisVersion = 6;
    given.MinorNdisVersion = 80;
    given.InitializeHandlerEx = Some(initialize);
    given.HaltHandlerEx = Some(halt);
    given.UnloadHandler = Some(unload);
    given.PauseHandler = Some(pause);
    given.RestartHandler = Some(restart);
    given.OidRequestHandler = Some(oid_request);
    given.SendNetBufferListsHandler = Some(send);
    given.ReturnNetBufferListsHandler = Some(return_nbls);
    given.CancelSendHandler = Some(cancel);
    given.DevicePnPEventNotifyHandler = Some(pnp_event);
    given.ShutdownHandlerEx = Some(shutdown);
    given.CancelOidRequestHandler = Some(cancel);
    given
}

unsafe extern "efiapi" fn initialize(
    _adapter: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    NDIS_STATUS_FAILURE
}

unsafe extern "efiapi" fn halt(_context: NDIS_HANDLE, _action: NDIS_HALT_ACTION) {}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    if DEREGISTER.load(Ordering::Relaxed) {
        deregister(miniport_driver());
    }
}

/// NdisMDeregisterMiniportDriver.
pub(crate) fn deregister(driver: NDIS_HANDLE) {
    let call = import!(NdisMDeregisterMiniportDriver: fn(NDIS_HANDLE));
    // SAFETY: the host checks the handle.
    unsafe { call(driver) }
}

/// NdisSetOptionalHandlers with PnP handlers, whose header is filled in.
pub(crate) fn set_pnp_handlers(
    driver: NDIS_HANDLE,
    mut handlers: NDIS_MINIPORT_PNP_CHARACTERISTICS,
) {
    type Handlers = NDIS_DRIVER_OPTIONAL_HANDLERS;
    let call = import!(NdisSetOptionalHandlers: fn(NDIS_HANDLE, *mut Handlers) -> NDIS_STATUS);
    handlers.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS;
    handlers.Header.Revision = 1;
    handlers.Header.Size = NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1;
    // SAFETY: the handlers are what their header says.
    unsafe { call(driver, (&raw mut handlers).cast()) };
}

unsafe extern "efiapi" fn pause(
    _context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_PAUSE_PARAMETERS,
) -> NDIS_STATUS {
    NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn restart(
    _context: NDIS_HANDLE,
    _parameters: *mut NDIS_MINIPORT_RESTART_PARAMETERS,
) -> NDIS_STATUS {
    NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn oid_request(
    _context: NDIS_HANDLE,
    _request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    NDIS_STATUS_NOT_SUPPORTED
}

unsafe extern "efiapi" fn send(
    _context: NDIS_HANDLE,
    _nbls: *mut NET_BUFFER_LIST,
    _port: u32,
    _flags: u32,
) {
}

unsafe extern "efiapi" fn return_nbls(
    _context: NDIS_HANDLE,
    _nbls: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
}

unsafe extern "efiapi" fn cancel(_context: NDIS_HANDLE, _id: *mut c_void) {}

unsafe extern "efiapi" fn pnp_event(_context: NDIS_HANDLE, _event: *mut NET_DEVICE_PNP_EVENT) {}

unsafe extern "efiapi" fn shutdown(_context: NDIS_HANDLE, _action: NDIS_SHUTDOWN_ACTION) {}
