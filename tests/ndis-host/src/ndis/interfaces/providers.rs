//! Interface providers: their registration, their interfaces, and the interface stack.

use std::collections::BTreeSet;
use std::ffi::c_void;

use ndis_sys::{
    IF_MAX_PHYS_ADDRESS_LENGTH, NDIS_HANDLE, NDIS_IF_PROVIDER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_SIZEOF_IF_PROVIDER_CHARACTERISTICS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_INTERFACE_NOT_FOUND, NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS, NET_IF_INFORMATION, NET_IFINDEX, NET_LUID,
};

use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::{faults, header};
use crate::sched::{self, BatonCell};
use crate::verifier;

/// NDIS_STATUS_DUPLICATE_OBJECTID is not declared for drivers here: STATUS_DUPLICATE_OBJECTID.
const DUPLICATE: NDIS_STATUS = 0xc000_022a_u32 as NDIS_STATUS;
/// Interface indexes of providers' interfaces begin here; those of adapters are below.
const FIRST_INDEX: NET_IFINDEX = 0x0001_0000;

/// A registered provider.
pub(crate) struct Provider {
    handle: u64,
    characteristics: NDIS_IF_PROVIDER_CHARACTERISTICS,
}

// SAFETY: the characteristics are function pointers; the baton orders their users.
unsafe impl Send for Provider {}
// SAFETY: as above.
unsafe impl Sync for Provider {}

impl Object for Provider {
    const KIND: Kind = Kind::InterfaceProvider;
}

struct Interface {
    provider: &'static Provider,
    luid: NET_LUID,
    index: NET_IFINDEX,
    context: usize,
}

static INTERFACES: BatonCell<Vec<Interface>> = BatonCell::new(Vec::new());
static NEXT_INDEX: BatonCell<NET_IFINDEX> = BatonCell::new(FIRST_INDEX);
/// Pairs of a higher and a lower interface.
static STACK: BatonCell<BTreeSet<(NET_IFINDEX, NET_IFINDEX)>> = BatonCell::new(BTreeSet::new());

/// Microsoft Learn, NdisIfRegisterProvider function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn register(
    characteristics: *mut NDIS_IF_PROVIDER_CHARACTERISTICS,
    _context: NDIS_HANDLE,
    provider_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisIfRegisterProvider";
    import(CALL, Level::Passive);
    // SAFETY: the caller's contract.
    let characteristics = unsafe { *characteristics };
    header::check(
        CALL,
        characteristics.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(1, NDIS_SIZEOF_IF_PROVIDER_CHARACTERISTICS_REVISION_1)],
    );
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let provider = handles::create(|handle| Provider {
        handle,
        characteristics,
    });
    // SAFETY: the caller's contract.
    unsafe { *provider_handle = handles::raw(provider.handle) };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisIfDeregisterProvider function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// The provider has deregistered its interfaces before.
pub(crate) unsafe extern "efiapi" fn deregister(provider_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisIfDeregisterProvider";
    import(CALL, Level::Passive);
    let provider: &'static Provider = handles::resolve(provider_handle, CALL);
    let left = INTERFACES.with(|interfaces| {
        let mut of_provider = interfaces.iter();
        of_provider.any(|interface| interface.provider.handle == provider.handle)
    });
    verifier::require(14, !left, || {
        format!("{CALL}: interfaces of the provider are still registered")
    });
    handles::close(provider.handle, CALL);
}

/// Microsoft Learn, NdisIfRegisterInterface function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn register_interface(
    provider_handle: NDIS_HANDLE,
    luid: NET_LUID,
    context: NDIS_HANDLE,
    information: *mut NET_IF_INFORMATION,
    index: *mut NET_IFINDEX,
) -> NDIS_STATUS {
    const CALL: &str = "NdisIfRegisterInterface";
    import(CALL, Level::Passive);
    let provider: &'static Provider = handles::resolve(provider_handle, CALL);
    // SAFETY: the caller's contract.
    let information = unsafe { *information };
    let usable = information.Header.Type == NDIS_OBJECT_TYPE_DEFAULT
        && usize::from(information.Header.Size) >= size_of::<NET_IF_INFORMATION>()
        && u32::from(information.PhysAddressLength) <= IF_MAX_PHYS_ADDRESS_LENGTH;
    if !usable || luid == 0 {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    if super::index_of(luid).is_some() {
        return DUPLICATE;
    }
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let new = NEXT_INDEX.with(|next| {
        *next += 1;
        *next
    });
    INTERFACES.with(|interfaces| {
        interfaces.push(Interface {
            provider,
            luid,
            index: new,
            context: context.expose_provenance(),
        });
    });
    // SAFETY: the caller's contract.
    unsafe { *index = new };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisIfDeregisterInterface function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn deregister_interface(index: NET_IFINDEX) {
    const CALL: &str = "NdisIfDeregisterInterface";
    import(CALL, Level::Passive);
    let found = INTERFACES.with(|interfaces| {
        let before = interfaces.len();
        interfaces.retain(|interface| interface.index != index);
        interfaces.len() < before
    });
    verifier::require(14, found, || {
        format!("{CALL}: there is no interface with index {index}")
    });
    STACK.with(|stack| stack.retain(|(higher, lower)| *higher != index && *lower != index));
}

/// Microsoft Learn, NdisIfAddIfStackEntry function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn add_stack_entry(
    higher: NET_IFINDEX,
    lower: NET_IFINDEX,
) -> NDIS_STATUS {
    const CALL: &str = "NdisIfAddIfStackEntry";
    import(CALL, Level::UpToDispatch);
    if super::luid_of(higher).is_none() || super::luid_of(lower).is_none() {
        return NDIS_STATUS_INTERFACE_NOT_FOUND;
    }
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    STACK.with(|stack| stack.insert((higher, lower)));
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisIfDeleteIfStackEntry function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn delete_stack_entry(higher: NET_IFINDEX, lower: NET_IFINDEX) {
    import("NdisIfDeleteIfStackEntry", Level::UpToDispatch);
    STACK.with(|stack| stack.remove(&(higher, lower)));
}

/// Asks a provider about its interface, as NDIS does for user mode; `None`: no such interface.
/// IRQL = PASSIVE_LEVEL.
pub fn query(index: NET_IFINDEX, oid: u32, buffer: &mut [u8]) -> Option<(NDIS_STATUS, u32)> {
    let (provider, context) = handlers_of(index)?;
    let handler = provider.characteristics.QueryObjectHandler?;
    let mut length = buffer.len() as u32;
    let status = callback(Callback::IfQuery, provider.handle, || {
        let context = std::ptr::with_exposed_provenance_mut(context);
        let room = buffer.as_mut_ptr().cast::<c_void>();
        // SAFETY: the provider registered this routine with this context.
        sched::in_driver(|| unsafe { handler(context, oid, &raw mut length, room) })
    });
    Some((status, length))
}

/// Changes something of an interface through its provider; `None`: no such interface.
/// IRQL = PASSIVE_LEVEL.
pub fn set(index: NET_IFINDEX, oid: u32, data: &mut [u8]) -> Option<NDIS_STATUS> {
    let (provider, context) = handlers_of(index)?;
    let handler = provider.characteristics.SetObjectHandler?;
    Some(callback(Callback::IfSet, provider.handle, || {
        let context = std::ptr::with_exposed_provenance_mut(context);
        let length = data.len() as u32;
        let data = data.as_mut_ptr().cast();
        // SAFETY: as above.
        sched::in_driver(|| unsafe { handler(context, oid, length, data) })
    }))
}

fn handlers_of(index: NET_IFINDEX) -> Option<(&'static Provider, usize)> {
    INTERFACES.with(|interfaces| {
        let found = interfaces.iter().find(|interface| interface.index == index);
        found.map(|interface| (interface.provider, interface.context))
    })
}

/// The index of a provider's interface.
pub(super) fn index_of(luid: NET_LUID) -> Option<NET_IFINDEX> {
    INTERFACES.with(|interfaces| {
        let found = interfaces.iter().find(|interface| interface.luid == luid);
        found.map(|interface| interface.index)
    })
}

/// The LUID of a provider's interface.
pub(super) fn luid_of(index: NET_IFINDEX) -> Option<NET_LUID> {
    INTERFACES.with(|interfaces| {
        let found = interfaces.iter().find(|interface| interface.index == index);
        found.map(|interface| interface.luid)
    })
}
