//! DriverEntry, the handlers that NDIS calls, unload.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use ndis_sys::{
    DRIVER_OBJECT, NDIS_HANDLE, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
    NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2, NDIS_STATUS_INDICATION, NTSTATUS,
    NdisDeregisterProtocolDriver, NdisRegisterProtocolDriver, UNICODE_STRING, Zeroed,
};

use crate::{binding, traffic, wait};

/// `LIGHTPROTO`: the name of the service, by which NDIS finds the bindings.
const NAME: [u16; 10] = {
    let ascii = *b"LIGHTPROTO";
    let mut name = [0; 10];
    let mut at = 0;
    while at < name.len() {
        name[at] = ascii[at] as u16;
        at += 1;
    }
    name
};

static PROTOCOL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The handle of the registered protocol. Bindings come when it has been written: NDIS writes it
/// before it calls any handler.
pub(crate) fn protocol() -> NDIS_HANDLE {
    PROTOCOL.load(Ordering::Acquire)
}

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
    _path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut name = NAME;
    let mut given = characteristics(&mut name);
    // SAFETY: the object is the one of this driver; NDIS copies the characteristics.
    unsafe {
        (*object).DriverUnload = Some(unload);
        NdisRegisterProtocolDriver(ptr::null_mut(), &raw mut given, PROTOCOL.as_ptr())
    }
}

fn characteristics(name: &mut [u16; NAME.len()]) -> NDIS_PROTOCOL_DRIVER_CHARACTERISTICS {
    let mut given = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS,
        Revision: NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
        Size: NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
    };
    (given.MajorNdisVersion, given.MinorNdisVersion) = (6, 20);
    given.MajorDriverVersion = 1;
    let bytes = size_of_val(name) as u16;
    given.Name = UNICODE_STRING {
        Length: bytes,
        MaximumLength: bytes,
        Buffer: name.as_mut_ptr(),
    };
    given.BindAdapterHandlerEx = Some(binding::bind);
    given.UnbindAdapterHandlerEx = Some(binding::unbind);
    given.OpenAdapterCompleteHandlerEx = Some(wait::open_complete);
    given.CloseAdapterCompleteHandlerEx = Some(wait::close_complete);
    given.OidRequestCompleteHandler = Some(wait::oid_complete);
    given.NetPnPEventHandler = Some(binding::net_pnp_event);
    given.StatusHandlerEx = Some(status);
    given.ReceiveNetBufferListsHandler = Some(traffic::receive);
    given.SendNetBufferListsCompleteHandler = Some(traffic::send_complete);
    given
}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    let protocol = PROTOCOL.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: registered by DriverEntry; bindings that are left are unbound inside of the call.
    unsafe { NdisDeregisterProtocolDriver(protocol) }
}

/// No status is of interest.
unsafe extern "efiapi" fn status(_binding: NDIS_HANDLE, _indication: *mut NDIS_STATUS_INDICATION) {}
