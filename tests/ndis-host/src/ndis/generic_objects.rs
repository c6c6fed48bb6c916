//! Generic objects: NDIS handles for components that have no other.

use std::collections::BTreeMap;
use std::ptr;

use ndis_sys::{DRIVER_OBJECT, NDIS_GENERIC_OBJECT, NDIS_OBJECT_TYPE_DEFAULT, Zeroed};

use crate::ndis::call::{Level, import};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::nbl::piece::Piece;
use crate::ndis::{faults, header};
use crate::sched::BatonCell;
use crate::verifier;

static OBJECTS: BatonCell<BTreeMap<usize, (Piece, ModuleId)>> = BatonCell::new(BTreeMap::new());

/// Microsoft Learn, NdisAllocateGenericObject function (ndis.h): `size` bytes behind the object
/// are the caller's. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `driver` is null or points to a driver object.
pub(crate) unsafe extern "efiapi" fn allocate(
    driver: *mut DRIVER_OBJECT,
    tag: u32,
    size: u16,
) -> *mut NDIS_GENERIC_OBJECT {
    const CALL: &str = "NdisAllocateGenericObject";
    import(CALL, Level::UpToDispatch);
    verifier::require(218, tag != 0, || format!("{CALL}: the tag is zero"));
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let length = size_of::<NDIS_GENERIC_OBJECT>() + usize::from(size);
    let Some(piece) = Piece::allocate(length, "a generic object") else {
        return ptr::null_mut();
    };
    let module = if driver.is_null() {
        modules::UNKNOWN
    } else {
        // SAFETY: the caller's contract.
        modules::of_code(unsafe { (*driver).DriverStart }.addr())
    };
    let object: *mut NDIS_GENERIC_OBJECT = piece.pointer().cast();
    let mut value = NDIS_GENERIC_OBJECT::zeroed();
    let least = size_of::<NDIS_GENERIC_OBJECT>() as u16;
    value.Header = header::make(NDIS_OBJECT_TYPE_DEFAULT, 1, least);
    value.DriverObject = driver;
    // SAFETY: the piece is fresh, aligned and long enough.
    unsafe { object.write(value) };
    OBJECTS.with(|objects| objects.insert(object.addr(), (piece, module)));
    object
}

/// Microsoft Learn, NdisFreeGenericObject function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(object: *mut NDIS_GENERIC_OBJECT) {
    const CALL: &str = "NdisFreeGenericObject";
    import(CALL, Level::UpToDispatch);
    let Some((piece, _)) = OBJECTS.with(|objects| objects.remove(&object.addr())) else {
        verifier::fatal(
            218,
            format!("{CALL}: {object:p} is not allocated (freed before?)"),
        );
    };
    piece.release(CALL);
}

/// The module behind an object that is used as an NDIS handle.
pub(crate) fn module_of(handle: u64) -> Option<ModuleId> {
    let address = usize::try_from(handle).ok()?;
    OBJECTS.with(|objects| objects.get(&address).map(|(_, module)| *module))
}

/// Objects that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    OBJECTS.with(|objects| {
        let of_module = objects.iter().filter(|(_, (_, owner))| *owner == module);
        of_module
            .map(|(address, _)| format!("generic object {address:#x}"))
            .collect()
    })
}
