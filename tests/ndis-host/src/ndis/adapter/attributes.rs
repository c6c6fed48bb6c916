//! NdisMSetMiniportAttributes: what a miniport declares about its adapter, in which order.

use ndis_sys::{
    NDIS_HANDLE, NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES, NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES,
    NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS,
};

use super::{Adapter, AdapterState};
use crate::ndis::call::{self, Callback, Level, import};
use crate::ndis::{adapter, header, offload};
use crate::verifier;

/// Longest capability structure that NDIS copies.
const LONGEST_CAPABILITIES: u16 = 512;

/// What a miniport declared; pointers in it have been followed and copied.
#[derive(Default)]
pub(crate) struct Declared {
    pub(crate) registration: Option<NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES>,
    pub(crate) general: Option<NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES>,
    pub(crate) oids: Vec<u32>,
    pub(crate) rss: Option<Vec<u8>>,
    pub(crate) power: Option<Vec<u8>>,
    pub(crate) offload_default: Option<Vec<u8>>,
    pub(crate) offload_hardware: Option<Vec<u8>>,
    pub(crate) hardware_assist: bool,
}

// SAFETY: the raw pointers in the copied structures are never followed; the baton orders users.
unsafe impl Send for Declared {}

/// Microsoft Learn, NdisMSetMiniportAttributes function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `attributes` points to the structure that its header says, with valid pointers.
pub(crate) unsafe extern "efiapi" fn set(
    adapter_handle: NDIS_HANDLE,
    attributes: *mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMSetMiniportAttributes";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    // SAFETY: the caller's contract.
    let object = unsafe { (*attributes).Header };
    let (place, rule) = match object.Type {
        NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES => (Callback::AddDevice, 51),
        _ => (Callback::Initialize, 24),
    };
    verifier::require(rule, call::is_inside(place, adapter.handle), || {
        format!(
            "{CALL} called outside of {}, in {}",
            place.name(),
            call::stack()
        )
    });
    // SAFETY: as above; each reads the member that the type names, after its size was checked.
    unsafe {
        match object.Type {
            NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES => {
                set_registration(adapter, CALL, object, attributes)
            }
            NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES => {
                set_general(adapter, CALL, object, attributes)
            }
            NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES => {
                set_offload(adapter, CALL, object, attributes)
            }
            NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES => {
                set_hardware_assist(adapter, CALL, object)
            }
            NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES => {
                let least = NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1;
                header::check(CALL, object, object.Type, &[(1, least)]);
                let given = (*attributes).AddDeviceRegistrationAttributes;
                let context = given.MiniportAddDeviceContext.expose_provenance();
                adapter.state.with(|state| state.added.context = context);
                NDIS_STATUS_SUCCESS
            }
            _ => NDIS_STATUS_NOT_SUPPORTED,
        }
    }
}

/// # Safety
///
/// As for [`set`], with registration attributes.
unsafe fn set_registration(
    adapter: &'static Adapter,
    call: &str,
    object: NDIS_OBJECT_HEADER,
    attributes: *mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
) -> NDIS_STATUS {
    let revisions = [
        (
            1,
            NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1,
        ),
        (
            2,
            NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
        ),
    ];
    header::check(call, object, object.Type, &revisions);
    // SAFETY: the caller's contract.
    let given = unsafe { (*attributes).RegistrationAttributes };
    let again = adapter
        .state
        .with(|state| state.declared.registration.is_some());
    verifier::require(24, !again, || {
        format!("{call}: registration attributes are set twice")
    });
    let context = given.MiniportAdapterContext.expose_provenance();
    verifier::insist(
        25,
        context != 0 || adapter.driver.handlers.is_none(),
        || format!("{call}: MiniportAdapterContext is NULL"),
    );
    let unique = context == 0
        || adapter::all()
            .iter()
            .all(|other| other.state.with(|state| state.context != context));
    verifier::require(25, unique, || {
        format!("{call}: MiniportAdapterContext {context:#x} is that of another adapter")
    });
    let added = adapter.state.with(|state| state.added.context);
    verifier::require(25, context == 0 || context != added, || {
        format!("{call}: MiniportAdapterContext {context:#x} is that of MiniportAddDevice")
    });
    adapter.state.with(|state| {
        state.context = context;
        state.declared.registration = Some(given);
    });
    NDIS_STATUS_SUCCESS
}

/// # Safety
///
/// As for [`set`], with general attributes.
unsafe fn set_general(
    adapter: &'static Adapter,
    call: &str,
    object: NDIS_OBJECT_HEADER,
    attributes: *mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
) -> NDIS_STATUS {
    require_registration(adapter, call);
    let revisions = [
        (
            1,
            NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1,
        ),
        (
            2,
            NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        ),
    ];
    let revision = header::check(call, object, object.Type, &revisions);
    verifier::require(20, revision == 2, || {
        format!("{call}: general attributes of revision {revision}; NDIS 6.20 and later has 2")
    });
    // SAFETY: the caller's contract; a revision 1 structure lacks the last member only, which is
    // taken from what follows and not used.
    let mut given = unsafe { (*attributes).GeneralAttributes };
    if revision < 2 {
        given.PowerManagementCapabilitiesEx = std::ptr::null_mut();
    }
    verifier::require(35, given.PowerManagementCapabilities.is_null(), || {
        format!("{call}: the PowerManagementCapabilities pointer of NDIS 6.0 is used")
    });
    let count = given.SupportedOidListLength as usize / size_of::<u32>();
    let listed = !given.SupportedOidList.is_null() && count > 0;
    verifier::require(37, listed, || format!("{call}: SupportedOidList is empty"));
    let oids = if listed {
        // SAFETY: the caller's contract.
        unsafe { std::slice::from_raw_parts(given.SupportedOidList, count).to_vec() }
    } else {
        Vec::new()
    };
    // SAFETY: the caller's contract for both pointers.
    let (rss, power) = unsafe {
        (
            copy_capabilities(given.RecvScaleCapabilities.cast()),
            copy_capabilities(given.PowerManagementCapabilitiesEx.cast()),
        )
    };
    adapter.state.with(|state| {
        state.declared.general = Some(given);
        state.declared.oids = oids;
        state.declared.rss = rss;
        state.declared.power = power;
        state.link.begin(
            given.MediaConnectState,
            given.XmitLinkSpeed,
            given.RcvLinkSpeed,
        );
    });
    NDIS_STATUS_SUCCESS
}

/// # Safety
///
/// As for [`set`], with offload attributes.
unsafe fn set_offload(
    adapter: &'static Adapter,
    call: &str,
    object: NDIS_OBJECT_HEADER,
    attributes: *mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
) -> NDIS_STATUS {
    require_general(adapter, call);
    let least = NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1;
    header::check(call, object, object.Type, &[(1, least)]);
    // SAFETY: the caller's contract.
    let given: NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES =
        unsafe { (*attributes).OffloadAttributes };
    // SAFETY: as above.
    let (default, hardware) = unsafe {
        (
            copy_capabilities(given.DefaultOffloadConfiguration.cast()),
            copy_capabilities(given.HardwareOffloadCapabilities.cast()),
        )
    };
    verifier::require(40, default.is_some() == hardware.is_some(), || {
        format!("{call}: only one of default configuration and hardware capabilities is given")
    });
    if let Some(default) = &default {
        offload::config::judge(call, adapter, default);
    }
    adapter.state.with(|state| {
        state.declared.offload_default = default;
        state.declared.offload_hardware = hardware;
    });
    NDIS_STATUS_SUCCESS
}

fn set_hardware_assist(
    adapter: &'static Adapter,
    call: &str,
    object: NDIS_OBJECT_HEADER,
) -> NDIS_STATUS {
    require_general(adapter, call);
    let least = NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1;
    header::check(call, object, object.Type, &[(1, least)]);
    adapter
        .state
        .with(|state| state.declared.hardware_assist = true);
    NDIS_STATUS_SUCCESS
}

fn require_general(adapter: &'static Adapter, call: &str) {
    require_registration(adapter, call);
    let general = adapter.state.with(|state| state.declared.general.is_some());
    verifier::require(28, general, || {
        format!("{call}: general attributes come before all but the registration attributes")
    });
}

/// The registration attributes come before everything else that names the adapter (rule 24).
pub(crate) fn require_registration(adapter: &'static Adapter, call: &str) {
    let set = adapter.state.with(|state| {
        state.declared.registration.is_some() || state.phase.0 != AdapterState::Initializing
    });
    verifier::require(24, set, || {
        format!(
            "{call} on adapter {}: no registration attributes are set yet",
            adapter.name
        )
    });
}

/// Copies a structure as long as its header says.
///
/// # Safety
///
/// `from` is null or points to a structure with a truthful header.
pub(crate) unsafe fn copy_capabilities(from: *const NDIS_OBJECT_HEADER) -> Option<Vec<u8>> {
    if from.is_null() {
        return None;
    }
    // SAFETY: the caller's contract.
    let size = unsafe { (*from).Size };
    verifier::require(18, (4..=LONGEST_CAPABILITIES).contains(&size), || {
        format!("a capability structure says that it has {size} bytes")
    });
    let length = usize::from(size.min(LONGEST_CAPABILITIES));
    // SAFETY: as above.
    Some(unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length).to_vec() })
}
