//! Control devices: a device object of a miniport driver that programs open (rule 15).

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    DEVICE_OBJECT, FILE_DEVICE_NETWORK, IRP_MJ_MAXIMUM_FUNCTION, NDIS_DEVICE_OBJECT_ATTRIBUTES,
    NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1, NDIS_HANDLE,
    NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES, NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use crate::ndis::call::{Level, import};
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::ModuleId;
use crate::ndis::{faults, header, text};
use crate::ntoskrnl::io::security::Security;
use crate::ntoskrnl::io::{devices, names};
use crate::sched::BatonCell;
use crate::verifier;

/// A control device.
pub(crate) struct ControlDevice {
    handle: u64,
    pub(crate) module: ModuleId,
    object: usize,
    link: String,
    /// Memory of the driver's, apart from the device extension, which is NDIS's.
    reserved: usize,
}

impl Object for ControlDevice {
    const KIND: Kind = Kind::ControlDevice;
}

static DEVICES: BatonCell<Vec<&'static ControlDevice>> = BatonCell::new(Vec::new());

/// The routines of this module: name and address.
pub(super) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        ("NdisRegisterDeviceEx", register as *const () as usize),
        ("NdisDeregisterDeviceEx", deregister as *const () as usize),
        (
            "NdisGetDeviceReservedExtension",
            reserved_extension as *const () as usize,
        ),
    ]
}

/// Microsoft Learn, NdisRegisterDeviceEx function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The attributes are valid; `object` and `device_handle` can be written.
unsafe extern "efiapi" fn register(
    ndis_handle: NDIS_HANDLE,
    attributes: *mut NDIS_DEVICE_OBJECT_ATTRIBUTES,
    object: *mut *mut DEVICE_OBJECT,
    device_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisRegisterDeviceEx";
    import(CALL, Level::Passive);
    let driver: &'static MiniportDriver = handles::resolve(ndis_handle, CALL);
    // SAFETY: by contract, here and below.
    let given = unsafe { *attributes };
    header::check(
        CALL,
        given.Header,
        NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES,
        &[(
            NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
            NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
        )],
    );
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    // SAFETY: as above.
    unsafe {
        let Some(made) = make(driver, &given) else {
            return NDIS_STATUS_FAILURE;
        };
        object.write(ptr::with_exposed_provenance_mut(made.object));
        device_handle.write(handles::raw(made.handle));
    }
    NDIS_STATUS_SUCCESS
}

/// Makes device and link; `None` when a name is taken, or the security descriptor is none.
unsafe fn make(
    driver: &'static MiniportDriver,
    given: &NDIS_DEVICE_OBJECT_ATTRIBUTES,
) -> Option<&'static ControlDevice> {
    // SAFETY: the strings and the table are valid, by the caller's contract.
    let (name, link, dispatch) = unsafe {
        (
            text::read(given.DeviceName),
            text::read(given.SymbolicName),
            dispatch_table(given),
        )
    };
    let security = if given.DefaultSDDLString.is_null() {
        None
    } else {
        // SAFETY: as above.
        let text = unsafe { text::read(given.DefaultSDDLString.cast_mut()) };
        Some(Security::parse(&text)?)
    };
    let owner = driver.handlers.as_ref()?.driver_object;
    let owner = ptr::with_exposed_provenance_mut(owner);
    // SAFETY: the driver's object lives as long as its image.
    let object =
        unsafe { devices::create(owner, 0, &name, FILE_DEVICE_NETWORK, 0, Some(dispatch)) };
    let object = object.ok()?;
    if let Some(security) = security {
        devices::secure(object, security);
    }
    if !names::link(&link, &name) {
        // SAFETY: made just now.
        unsafe { devices::delete(object, "NdisRegisterDeviceEx") };
        return None;
    }
    let words = (given.ExtensionSize as usize).div_ceil(16).max(1);
    let reserved: &mut [u128] = Box::leak(vec![0_u128; words].into_boxed_slice());
    let device = handles::create(|handle| ControlDevice {
        handle,
        module: driver.module,
        object: object.expose_provenance(),
        link,
        reserved: reserved.as_mut_ptr().expose_provenance(),
    });
    DEVICES.with(|devices| devices.push(device));
    Some(device)
}

/// The driver's dispatch routines. A request without one fails, as NDIS has it.
unsafe fn dispatch_table(given: &NDIS_DEVICE_OBJECT_ATTRIBUTES) -> Box<devices::Dispatch> {
    let mut table: Box<devices::Dispatch> = Box::new([None; IRP_MJ_MAXIMUM_FUNCTION as usize + 1]);
    for (index, entry) in table.iter_mut().enumerate() {
        // SAFETY: the table has an entry for each major function, by the attributes' contract.
        *entry = unsafe { given.MajorFunctions.add(index).read() };
    }
    table
}

/// Microsoft Learn, NdisDeregisterDeviceEx function (ndis.h). IRQL = PASSIVE_LEVEL.
unsafe extern "efiapi" fn deregister(device_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisDeregisterDeviceEx";
    import(CALL, Level::Passive);
    let device: &'static ControlDevice = handles::resolve(device_handle, CALL);
    // Said of its predecessor, NdisMDeregisterDevice (Windows DDK, NDIS 5.1).
    verifier::require(15, !devices::is_open(device.object), || {
        format!("{CALL}: a program has {} open", device.link)
    });
    names::unlink(&device.link);
    // SAFETY: registration made it, and the handle was live.
    unsafe { devices::delete(ptr::with_exposed_provenance_mut(device.object), CALL) };
    DEVICES.with(|devices| devices.retain(|other| other.handle != device.handle));
    handles::close(device.handle, CALL);
}

/// Microsoft Learn, NdisGetDeviceReservedExtension function (ndis.h). Any IRQL.
unsafe extern "efiapi" fn reserved_extension(object: *mut DEVICE_OBJECT) -> *mut c_void {
    const CALL: &str = "NdisGetDeviceReservedExtension";
    import(CALL, Level::Any);
    let found = DEVICES.with(|devices| {
        let of_object = devices.iter().find(|device| device.object == object.addr());
        of_object.map(|device| device.reserved)
    });
    verifier::require(15, found.is_some(), || {
        format!("{CALL}: {object:p} is no control device")
    });
    ptr::with_exposed_provenance_mut(found.unwrap_or(0))
}

/// Control devices of a module, in words: rule 15.
pub(crate) fn leaks_of(module: ModuleId) -> Vec<String> {
    DEVICES.with(|devices| {
        let own = devices.iter().filter(|device| device.module == module);
        own.map(|device| format!("its control device {}", device.link))
            .collect()
    })
}
