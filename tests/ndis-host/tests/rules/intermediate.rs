//! 1.A: an intermediate driver with a physical and a virtual edge (rules 8 and 17).

use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::pnp::{self, DeviceId};
use ndis_host::registry::{self, Value};
use ndis_sys::{
    DRIVER_OBJECT, NDIS_HALT_ACTION, NDIS_HANDLE, NDIS_INTERMEDIATE_DRIVER,
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2, NDIS_STATUS,
    NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_SUCCESS, NTSTATUS,
    NdisHaltDeviceInstanceDeInitialized, NdisInterfaceInternal, STATUS_SUCCESS, UNICODE_STRING,
    Zeroed,
};

use crate::native::hardware::{calls, ethernet};
use crate::native::linked::{self, import};
use crate::native::{breaks, holds};
use crate::protocol::register::characteristics;

static PHYSICAL: AtomicUsize = AtomicUsize::new(0);
static VIRTUAL: AtomicUsize = AtomicUsize::new(0);
static PROTOCOL: AtomicUsize = AtomicUsize::new(0);
/// The adapter of the virtual miniport, while it is initialized.
static ADAPTER: AtomicUsize = AtomicUsize::new(0);
/// IMDeviceInstanceContext, as MiniportInitializeEx found it.
static CONTEXT: AtomicUsize = AtomicUsize::new(0);
/// What MiniportHaltEx was called for.
static HALTED: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Whether the driver forgets its virtual edge when it unloads.
static FORGETFUL: AtomicUsize = AtomicUsize::new(0);

/// The driver's context area for its virtual miniport.
static AREA: u32 = 0;

fn handle(place: &AtomicUsize) -> NDIS_HANDLE {
    std::ptr::with_exposed_provenance_mut(place.load(Ordering::Relaxed))
}

fn area() -> NDIS_HANDLE {
    (&raw const AREA).cast_mut().cast()
}

unsafe extern "efiapi" fn enter(object: *mut DRIVER_OBJECT, path: *mut UNICODE_STRING) -> NTSTATUS {
    let mut physical = linked::miniport_characteristics();
    physical.UnloadHandler = Some(unload);
    let mut virtual_edge = physical;
    virtual_edge.Flags = NDIS_INTERMEDIATE_DRIVER;
    virtual_edge.InitializeHandlerEx = Some(initialize);
    virtual_edge.HaltHandlerEx = Some(halt);
    for (place, given) in [(&PHYSICAL, physical), (&VIRTUAL, virtual_edge)] {
        // SAFETY: the arguments are those of DriverEntry.
        match unsafe { linked::register_miniport(object, path, given) } {
            Ok(handle) => place.store(handle.addr(), Ordering::Relaxed),
            Err(status) => return status,
        }
    }
    register_protocol();
    let associate = import!(NdisIMAssociateMiniport: fn(NDIS_HANDLE, NDIS_HANDLE));
    // SAFETY: the handles are those of the registrations.
    unsafe { associate(handle(&VIRTUAL), handle(&PROTOCOL)) };
    STATUS_SUCCESS
}

fn register_protocol() {
    let register = import!(NdisRegisterProtocolDriver: fn(
        NDIS_HANDLE, *mut NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, *mut NDIS_HANDLE) -> NDIS_STATUS);
    let mut name: Vec<u16> = "LOWER".encode_utf16().collect();
    let mut given = characteristics(&mut name);
    let mut handle = std::ptr::null_mut();
    // SAFETY: the pointers are to locals.
    unsafe { register(std::ptr::null_mut(), &raw mut given, &raw mut handle) };
    PROTOCOL.store(handle.addr(), Ordering::Relaxed);
}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    let deregister = import!(NdisDeregisterProtocolDriver: fn(NDIS_HANDLE));
    // SAFETY: the handle is the one that registration returned.
    unsafe { deregister(handle(&PROTOCOL)) };
    linked::deregister(handle(&PHYSICAL));
    if FORGETFUL.load(Ordering::Relaxed) == 0 {
        linked::deregister(handle(&VIRTUAL));
    }
}

unsafe extern "efiapi" fn initialize(
    adapter: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    parameters: *mut NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS lends the parameters for the time of the call.
    let context = unsafe { (*parameters).IMDeviceInstanceContext };
    CONTEXT.store(context.addr(), Ordering::Relaxed);
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    // SAFETY: the union is all zero, so each member is valid.
    let given = unsafe { &mut all.RegistrationAttributes };
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES;
    given.Header.Revision = 2;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2;
    given.MiniportAdapterContext = area();
    given.InterfaceType = NdisInterfaceInternal;
    let status = calls::set_attributes(adapter, &mut all);
    assert_eq!(status, NDIS_STATUS_SUCCESS);
    let mut oids = ethernet().supported_oids;
    all.GeneralAttributes = ethernet().general(&mut oids);
    ADAPTER.store(adapter.addr(), Ordering::Relaxed);
    calls::set_attributes(adapter, &mut all)
}

unsafe extern "efiapi" fn halt(_context: NDIS_HANDLE, action: NDIS_HALT_ACTION) {
    HALTED.store(action as usize, Ordering::Relaxed);
}

/// Calls a routine with the name of a device.
fn with_name<R>(device: DeviceId, call: impl FnOnce(*mut UNICODE_STRING) -> R) -> R {
    let key = pnp::driver_key(device);
    let id = registry::with(|registry| registry.create(&key).value("NetCfgInstanceId").cloned());
    let Some(Value::Sz(id)) = id else {
        panic!("a device has an id");
    };
    let mut units: Vec<u16> = format!(r"\Device\{id}").encode_utf16().collect();
    let mut name = UNICODE_STRING::zeroed();
    name.Length = (units.len() * 2) as u16;
    name.MaximumLength = name.Length;
    name.Buffer = units.as_mut_ptr();
    call(&raw mut name)
}

fn ask_for(device: DeviceId) -> NDIS_STATUS {
    let call = import!(NdisIMInitializeDeviceInstanceEx: fn(
        NDIS_HANDLE, *mut UNICODE_STRING, NDIS_HANDLE) -> NDIS_STATUS);
    // SAFETY: the name is valid for the call.
    with_name(device, |name| unsafe {
        call(handle(&VIRTUAL), name, area())
    })
}

fn cancel(device: DeviceId) -> NDIS_STATUS {
    let call = import!(NdisIMCancelInitializeDeviceInstance: fn(
        NDIS_HANDLE, *mut UNICODE_STRING) -> NDIS_STATUS);
    // SAFETY: the name is valid for the call.
    with_name(device, |name| unsafe { call(handle(&VIRTUAL), name) })
}

fn take_down() -> NDIS_STATUS {
    let call = import!(NdisIMDeInitializeDeviceInstance: fn(NDIS_HANDLE) -> NDIS_STATUS);
    // SAFETY: NDIS checks the handle.
    unsafe { call(handle(&ADAPTER)) }
}

/// A life of the driver with one device, whose driver key says what kind of instance it is.
fn live(settings: &[(&str, Value)], body: impl FnOnce(DeviceId)) {
    let driver = pnp::load_linked_driver("test", enter).expect("it loads");
    pnp::settle();
    let device = pnp::add_root_device("an edge", settings, driver);
    body(device);
    pnp::remove_device(device);
    pnp::unload_driver(driver);
}

fn bring_up_and_down(device: DeviceId) {
    assert_eq!(ask_for(device), NDIS_STATUS_SUCCESS);
    pnp::settle();
    assert_eq!(CONTEXT.load(Ordering::Relaxed), area().addr());
    assert_eq!(ask_for(device), NDIS_STATUS_NOT_ACCEPTED);
    assert_eq!(cancel(device), NDIS_STATUS_FAILURE);
    assert_eq!(take_down(), NDIS_STATUS_SUCCESS);
    let action = HALTED.load(Ordering::Relaxed);
    assert_eq!(action, NdisHaltDeviceInstanceDeInitialized as usize);
    assert_eq!(take_down(), NDIS_STATUS_FAILURE);
}

fn of_virtual_kind() -> Vec<(&'static str, Value)> {
    vec![("IMMiniport", Value::Dword(1))]
}

#[test]
fn r008_holds_when_both_edges_are_deregistered() {
    holds!(|| live(&of_virtual_kind(), bring_up_and_down));
}

#[test]
fn r008_breaks_when_one_edge_is_deregistered() {
    FORGETFUL.store(1, Ordering::Relaxed);
    breaks!(8, || live(&of_virtual_kind(), bring_up_and_down));
}

/// It may have begun when the driver cancels it; then it is taken down.
#[test]
fn r017_holds_when_an_asked_for_instance_is_virtual() {
    holds!(|| live(&of_virtual_kind(), |device| {
        assert_eq!(ask_for(device), NDIS_STATUS_SUCCESS);
        let cancelled = cancel(device) == NDIS_STATUS_SUCCESS;
        pnp::settle();
        assert_eq!(pnp::adapter(device).is_none(), cancelled);
        if !cancelled {
            assert_eq!(take_down(), NDIS_STATUS_SUCCESS);
        }
    }));
}

#[test]
fn r017_breaks_when_an_asked_for_instance_is_physical() {
    breaks!(17, || live(&[], |device| {
        assert_eq!(ask_for(device), NDIS_STATUS_SUCCESS);
        let cancelled = cancel(device) == NDIS_STATUS_SUCCESS;
        pnp::settle();
        assert!(cancelled || pnp::adapter(device).is_none());
    }));
}
