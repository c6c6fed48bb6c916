//! Registration of protocol drivers: rules 225 to 228.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::pnp;
use ndis_host::registry::{self, Value};
use ndis_sys::{
    DRIVER_OBJECT, NDIS_BIND_PARAMETERS, NDIS_HANDLE,
    NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_OID_REQUEST,
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
    NDIS_STATUS, NDIS_STATUS_INDICATION, NDIS_STATUS_NOT_RECOGNIZED, NDIS_STATUS_SUCCESS,
    NET_BUFFER_LIST, NET_PNP_EVENT_NOTIFICATION, NTSTATUS, STATUS_SUCCESS, UNICODE_STRING, Zeroed,
};

use crate::native::linked::import;
use crate::native::{breaks, holds};

static PROTOCOL: AtomicUsize = AtomicUsize::new(0);
/// What the driver does wrong.
static FAULT: AtomicUsize = AtomicUsize::new(0);

const NONE: usize = 0;
const NO_NAME: usize = 1;
const NO_BIND: usize = 2;
const NO_STATUS: usize = 3;
const OLD_REVISION: usize = 4;
const DEREGISTER_IN_EVENT: usize = 5;

unsafe extern "efiapi" fn enter(
    object: *mut DRIVER_OBJECT,
    _path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let register = import!(NdisRegisterProtocolDriver: fn(
        NDIS_HANDLE, *mut NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, *mut NDIS_HANDLE) -> NDIS_STATUS);
    let mut name: Vec<u16> = "LINKED".encode_utf16().collect();
    let mut given = characteristics(&mut name);
    match FAULT.load(Ordering::Relaxed) {
        NO_NAME => given.Name.Length = 0,
        NO_BIND => given.BindAdapterHandlerEx = None,
        NO_STATUS => given.StatusHandlerEx = None,
        OLD_REVISION => given.Header.Revision = 1,
        _ => {}
    }
    let mut handle = std::ptr::null_mut();
    // SAFETY: the pointers are to locals; the object is DriverEntry's.
    unsafe {
        let status = register(std::ptr::null_mut(), &raw mut given, &raw mut handle);
        PROTOCOL.store(handle.addr(), Ordering::Relaxed);
        (*object).DriverUnload = Some(unload);
        if status == NDIS_STATUS_SUCCESS {
            STATUS_SUCCESS
        } else {
            status
        }
    }
}

/// Characteristics with every mandatory handler; binds are refused.
pub(crate) fn characteristics(name: &mut [u16]) -> NDIS_PROTOCOL_DRIVER_CHARACTERISTICS {
    let mut given = NDIS_PROTOCOL_DRIVER_CHARACTERISTICS::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS;
    given.Header.Revision = 2;
    given.Header.Size = NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2;
    given.MajorNdisVersion = 6;
    given.MinorNdisVersion = 80;
    given.Name.Length = (name.len() * 2) as u16;
    given.Name.MaximumLength = given.Name.Length;
    given.Name.Buffer = name.as_mut_ptr();
    given.BindAdapterHandlerEx = Some(bind);
    given.UnbindAdapterHandlerEx = Some(unbind);
    given.OpenAdapterCompleteHandlerEx = Some(open_complete);
    given.CloseAdapterCompleteHandlerEx = Some(close_complete);
    given.NetPnPEventHandler = Some(event);
    given.OidRequestCompleteHandler = Some(oid_complete);
    given.StatusHandlerEx = Some(status);
    given.ReceiveNetBufferListsHandler = Some(receive);
    given.SendNetBufferListsCompleteHandler = Some(send_complete);
    given
}

fn deregister() {
    let deregister = import!(NdisDeregisterProtocolDriver: fn(NDIS_HANDLE));
    let handle = std::ptr::without_provenance_mut(PROTOCOL.load(Ordering::Relaxed));
    // SAFETY: the handle is the one that registration returned.
    unsafe { deregister(handle) }
}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    if FAULT.load(Ordering::Relaxed) != DEREGISTER_IN_EVENT {
        deregister();
    }
}

unsafe extern "efiapi" fn bind(
    _context: NDIS_HANDLE,
    _bind: NDIS_HANDLE,
    _parameters: *mut NDIS_BIND_PARAMETERS,
) -> NDIS_STATUS {
    NDIS_STATUS_NOT_RECOGNIZED
}

unsafe extern "efiapi" fn unbind(_unbind: NDIS_HANDLE, _context: NDIS_HANDLE) -> NDIS_STATUS {
    NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn open_complete(_context: NDIS_HANDLE, _status: NDIS_STATUS) {}

unsafe extern "efiapi" fn close_complete(_context: NDIS_HANDLE) {}

unsafe extern "efiapi" fn event(
    _context: NDIS_HANDLE,
    _event: *mut NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS {
    if FAULT.load(Ordering::Relaxed) == DEREGISTER_IN_EVENT {
        deregister();
    }
    NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn oid_complete(
    _context: NDIS_HANDLE,
    _request: *mut NDIS_OID_REQUEST,
    _status: NDIS_STATUS,
) {
}

unsafe extern "efiapi" fn status(_context: NDIS_HANDLE, _status: *mut NDIS_STATUS_INDICATION) {}

unsafe extern "efiapi" fn receive(
    _context: NDIS_HANDLE,
    _nbls: *mut NET_BUFFER_LIST,
    _port: u32,
    _count: u32,
    _flags: u32,
) {
}

unsafe extern "efiapi" fn send_complete(
    _context: NDIS_HANDLE,
    _nbls: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
}

/// Loads the driver with a fault, and unloads it if it loads.
fn load_with(fault: usize) {
    FAULT.store(fault, Ordering::Relaxed);
    if let Ok(driver) = pnp::load_linked_driver("LINKED", enter) {
        pnp::settle();
        pnp::unload_driver(driver);
    }
}

/// Keeps 225 to 228.
#[test]
fn r225_holds_when_a_protocol_registers_and_deregisters() {
    holds!(|| load_with(NONE));
}

#[test]
fn r225_breaks_when_a_protocol_has_no_name() {
    breaks!(225, || load_with(NO_NAME));
}

#[test]
fn r225_breaks_when_the_revision_is_that_of_ndis_6_0() {
    breaks!(225, || load_with(OLD_REVISION));
}

#[test]
fn r226_breaks_when_a_protocol_cannot_bind() {
    breaks!(226, || load_with(NO_BIND));
}

#[test]
fn r226_breaks_when_a_protocol_hears_no_status() {
    breaks!(226, || load_with(NO_STATUS));
}

#[test]
fn r228_breaks_when_a_protocol_deregisters_in_an_event() {
    breaks!(228, || {
        // A protocol that is configured for something is told when its binds are complete.
        let key = format!(r"{}\LINKED\Linkage", registry::SERVICES);
        let adapters = Value::MultiSz(vec![r"\Device\none".to_owned()]);
        registry::with(|registry| registry.create(&key).set("Bind", adapters));
        load_with(DEREGISTER_IN_EVENT);
    });
}
