//! NDIS's handlers of the miniport: registration, and the way to the adapter that each is about.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use ndis::Failed;
use ndis::chain::{Chain, ToComplete};
use ndis::irql::at_passive;
use ndis_sys as sys;
use sys::{NDIS_HANDLE, NDIS_STATUS, NET_BUFFER_LIST};

use crate::adapter::Adapter;
use crate::{driver, initialize, oids};

/// The NDIS version that we are written for: that of the oldest system we support (Windows 10 1809
/// and Server 2019 have 6.82).
const NDIS_VERSION: (u8, u8) = (6, 82);

/// Registers the miniport driver; NDIS writes its handle to `handle`.
///
/// # Safety
///
/// Called from DriverEntry with its arguments.
pub(crate) unsafe fn register(
    driver_object: *mut sys::DRIVER_OBJECT,
    registry_path: *mut sys::UNICODE_STRING,
    handle: *mut NDIS_HANDLE,
) -> Result<(), Failed> {
    let mut driver: sys::NDIS_MINIPORT_DRIVER_CHARACTERISTICS = sys::zeroed();
    driver.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
        sys::NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3,
        sys::NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3,
    );
    (driver.MajorNdisVersion, driver.MinorNdisVersion) = NDIS_VERSION;
    driver.MajorDriverVersion = 1;
    driver.InitializeHandlerEx = Some(initialize);
    driver.HaltHandlerEx = Some(halt);
    driver.UnloadHandler = Some(driver::unload);
    driver.PauseHandler = Some(pause);
    driver.RestartHandler = Some(restart);
    driver.OidRequestHandler = Some(oid_request);
    driver.CancelOidRequestHandler = Some(cancel_oid_request);
    driver.SendNetBufferListsHandler = Some(send);
    driver.CancelSendHandler = Some(cancel_send);
    driver.ReturnNetBufferListsHandler = Some(return_lists);
    driver.DevicePnPEventNotifyHandler = Some(pnp_event);
    driver.ShutdownHandlerEx = Some(shutdown);
    // SAFETY: in DriverEntry, by contract; NDIS copies the characteristics.
    Failed::check(unsafe {
        sys::NdisMRegisterMiniportDriver(
            driver_object,
            registry_path,
            ptr::null_mut(),
            &raw mut driver,
            handle,
        )
    })
}

/// Borrows the adapter of a handler.
///
/// # Safety
///
/// `context` is the adapter context that NDIS passes to a handler: the adapter lives from the end
/// of MiniportInitializeEx to the end of MiniportHaltEx, and NDIS calls no handler outside that.
unsafe fn adapter<'a>(context: NDIS_HANDLE) -> Option<&'a Adapter> {
    // SAFETY: by contract.
    unsafe { context.cast::<Adapter>().as_ref() }
}

unsafe extern "efiapi" fn initialize(
    miniport: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    parameters: *mut sys::NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes valid parameters for the call, at PASSIVE_LEVEL.
    unsafe {
        let Some(parameters) = parameters.as_ref() else {
            return sys::NDIS_STATUS_FAILURE;
        };
        at_passive(|at| initialize::initialize(miniport, parameters, &at))
    }
}

unsafe extern "efiapi" fn halt(context: NDIS_HANDLE, action: sys::NDIS_HALT_ACTION) {
    let Some(adapter) = NonNull::new(context.cast::<Adapter>()) else {
        return;
    };
    // SAFETY: at PASSIVE_LEVEL, for a paused adapter; NDIS uses the context no more.
    unsafe { at_passive(|at| Adapter::halt(adapter, action, &at)) };
}

unsafe extern "efiapi" fn pause(
    context: NDIS_HANDLE,
    _parameters: *mut sys::NDIS_MINIPORT_PAUSE_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: an adapter context.
    unsafe { adapter(context) }.map_or(sys::NDIS_STATUS_SUCCESS, Adapter::pause)
}

unsafe extern "efiapi" fn restart(
    context: NDIS_HANDLE,
    _parameters: *mut sys::NDIS_MINIPORT_RESTART_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: an adapter context.
    if let Some(adapter) = unsafe { adapter(context) } {
        adapter.restart();
    }
    sys::NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn oid_request(
    context: NDIS_HANDLE,
    request: *mut sys::NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    // SAFETY: an adapter context, and a request that lives until it is completed.
    match (unsafe { adapter(context) }, NonNull::new(request)) {
        // SAFETY: as above.
        (Some(adapter), Some(request)) => unsafe { oids::serve(adapter, request) },
        _ => sys::NDIS_STATUS_NOT_SUPPORTED,
    }
}

unsafe extern "efiapi" fn cancel_oid_request(context: NDIS_HANDLE, request_id: *mut c_void) {
    // SAFETY: an adapter context.
    if let Some(adapter) = unsafe { adapter(context) } {
        adapter.pair().cancel_request(request_id);
    }
}

unsafe extern "efiapi" fn send(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _port: u32,
    flags: u32,
) {
    // SAFETY: an adapter context; NDIS lends us the lists until we complete them.
    unsafe {
        if let Some(adapter) = adapter(context) {
            adapter.send(Chain::<ToComplete>::from_raw(lists), flags);
        }
    }
}

unsafe extern "efiapi" fn cancel_send(context: NDIS_HANDLE, id: *mut c_void) {
    // SAFETY: an adapter context.
    if let Some(adapter) = unsafe { adapter(context) } {
        adapter.cancel_sends(id);
    }
}

unsafe extern "efiapi" fn return_lists(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    // SAFETY: an adapter context; the lists are those that the adapter indicated.
    unsafe {
        if let Some(adapter) = adapter(context) {
            adapter.take_back(lists, flags);
        }
    }
}

unsafe extern "efiapi" fn pnp_event(context: NDIS_HANDLE, event: *mut sys::NET_DEVICE_PNP_EVENT) {
    // SAFETY: an adapter context, and a valid event.
    let (adapter, event) = unsafe { (adapter(context), event.as_ref()) };
    if let (Some(adapter), Some(event)) = (adapter, event)
        && event.DevicePnPEvent == sys::NdisDevicePnPEventSurpriseRemoved
    {
        adapter.surprise_removed();
    }
}

unsafe extern "efiapi" fn shutdown(context: NDIS_HANDLE, action: sys::NDIS_SHUTDOWN_ACTION) {
    // SAFETY: an adapter context.
    let Some(adapter) = (unsafe { adapter(context) }) else {
        return;
    };
    if action == sys::NdisShutdownPowerOff {
        // SAFETY: this shutdown, unlike that of a crash, comes at PASSIVE_LEVEL.
        unsafe { at_passive(|at| adapter.shut_down(Some(&at))) };
    } else {
        adapter.shut_down(None);
    }
}
