//! DriverEntry, the handlers that NDIS calls, unload.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use ndis_sys::{
    DRIVER_OBJECT, NDIS_HANDLE, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_SHUTDOWN_ACTION,
    NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2, NET_DEVICE_PNP_EVENT, NTSTATUS,
    NdisMDeregisterMiniportDriver, NdisMRegisterMiniportDriver, UNICODE_STRING, Zeroed,
};

use crate::{adapter, mirror, oids};

static DRIVER: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The image's entry point.
///
/// # Safety
///
/// Called by the I/O manager at PASSIVE_LEVEL, once, with valid arguments.
#[expect(
    unreachable_pub,
    reason = "the image's entry point, which the linker knows by name"
)]
// SAFETY: no other item of this image exports the name.
#[unsafe(no_mangle)]
pub unsafe extern "efiapi" fn DriverEntry(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut given = characteristics();
    let (context, handle) = (ptr::null_mut(), DRIVER.as_ptr());
    // SAFETY: the arguments of DriverEntry; NDIS copies the characteristics, and writes the
    // handle before it calls any handler.
    unsafe { NdisMRegisterMiniportDriver(object, path, context, &raw mut given, handle) }
}

/// NDIS 6.30, as a driver of Windows 8 declares itself.
fn characteristics() -> NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
    let mut given = NDIS_MINIPORT_DRIVER_CHARACTERISTICS::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
        Revision: NDIS_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
        Size: NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
    };
    (given.MajorNdisVersion, given.MinorNdisVersion) = (6, 30);
    given.MajorDriverVersion = 1;
    given.InitializeHandlerEx = Some(adapter::initialize);
    given.HaltHandlerEx = Some(adapter::halt);
    given.UnloadHandler = Some(unload);
    given.PauseHandler = Some(adapter::pause);
    given.RestartHandler = Some(adapter::restart);
    given.OidRequestHandler = Some(oids::request);
    given.SendNetBufferListsHandler = Some(mirror::send);
    given.ReturnNetBufferListsHandler = Some(mirror::return_lists);
    // Sends and OID requests are complete when their calls return: there is nothing to cancel.
    given.CancelSendHandler = Some(cancel);
    given.CancelOidRequestHandler = Some(cancel);
    given.DevicePnPEventNotifyHandler = Some(pnp_event);
    given.ShutdownHandlerEx = Some(shutdown);
    given
}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    let driver = DRIVER.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: registered by DriverEntry; no adapter is left.
    unsafe { NdisMDeregisterMiniportDriver(driver) }
}

unsafe extern "efiapi" fn cancel(_adapter: NDIS_HANDLE, _id: *mut c_void) {}

/// Without hardware there is nothing that an event could change.
unsafe extern "efiapi" fn pnp_event(_adapter: NDIS_HANDLE, _event: *mut NET_DEVICE_PNP_EVENT) {}

unsafe extern "efiapi" fn shutdown(_adapter: NDIS_HANDLE, _action: NDIS_SHUTDOWN_ACTION) {}
