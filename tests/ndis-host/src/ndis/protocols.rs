//! Protocol drivers: registration and deregistration.

use std::sync::Arc;

use ndis_sys::{
    NDIS_HANDLE, NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_STATUS,
    NDIS_STATUS_BAD_CHARACTERISTICS, NDIS_STATUS_BAD_VERSION, NDIS_STATUS_FAILURE,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use crate::ndis::bindings::{self, Binding};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::image_protocol::ImageProtocol;
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::native::Protocol;
use crate::ndis::{adapter, characteristics, faults, text};
use crate::sched::{self, BatonCell};
use crate::{ntoskrnl, pnp, verifier};

/// A registered protocol driver.
pub(crate) struct ProtocolDriver {
    pub(crate) handle: u64,
    pub(crate) module: ModuleId,
    /// Name as registered; by it the registry knows the protocol.
    pub(crate) name: String,
    pub(crate) protocol: Arc<dyn Protocol>,
    /// NDIS version that it is written for.
    pub(crate) version: (u8, u8),
}

impl Object for ProtocolDriver {
    const KIND: Kind = Kind::ProtocolDriver;
}

static PROTOCOLS: BatonCell<Vec<&'static ProtocolDriver>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisRegisterProtocolDriver function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn register(
    context: NDIS_HANDLE,
    characteristics: *mut NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
    protocol_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisRegisterProtocolDriver";
    import(CALL, Level::Passive);
    if !call::is_inside_any(Callback::DriverEntry) {
        verifier::advice(
            225,
            format!("{CALL} called outside of DriverEntry, in {}", call::stack()),
        );
    }
    // SAFETY: the caller's contract.
    let given = unsafe { characteristics::read_protocol(CALL, characteristics) };
    let os = ntoskrnl::os();
    let known = (
        u16::from(given.MajorNdisVersion),
        u16::from(given.MinorNdisVersion),
    ) <= (u16::from(os.ndis_major), u16::from(os.ndis_minor));
    if !known {
        return NDIS_STATUS_BAD_VERSION;
    }
    // SAFETY: as above.
    let name = unsafe { text::read(&raw const given.Name) };
    verifier::require(225, !name.is_empty(), || {
        format!("{CALL}: the name is empty")
    });
    if !characteristics::check_protocol(CALL, &given) || name.is_empty() {
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    }
    if by_name(&name).is_some() {
        return NDIS_STATUS_FAILURE;
    }
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let module = modules::of_code(given.BindAdapterHandlerEx.map_or(0, |f| f as usize));
    let version = (given.MajorNdisVersion, given.MinorNdisVersion);
    let protocol = Arc::new(ImageProtocol::new(given, context));
    let driver = add_with_version(&name, module, protocol, version);
    if let Some(set_options) = given.SetOptionsHandler {
        let status = callback(Callback::SetOptions, driver.handle, || {
            // SAFETY: the driver registered this routine with this context.
            sched::in_driver(|| unsafe { set_options(handles::raw(driver.handle), context) })
        });
        if status != NDIS_STATUS_SUCCESS {
            forget(driver, CALL);
            return status;
        }
    }
    // SAFETY: the caller's contract.
    unsafe { *protocol_handle = handles::raw(driver.handle) };
    pnp::on_protocol_registered(driver);
    NDIS_STATUS_SUCCESS
}

/// Adds a protocol driver of this Windows; its binds come from the PnP manager.
pub(crate) fn add(
    name: &str,
    module: ModuleId,
    protocol: Arc<dyn Protocol>,
) -> &'static ProtocolDriver {
    let os = ntoskrnl::os();
    add_with_version(name, module, protocol, (os.ndis_major, os.ndis_minor))
}

fn add_with_version(
    name: &str,
    module: ModuleId,
    protocol: Arc<dyn Protocol>,
    version: (u8, u8),
) -> &'static ProtocolDriver {
    let name = name.to_owned();
    let driver = handles::create(|handle| ProtocolDriver {
        handle,
        module,
        name,
        protocol,
        version,
    });
    PROTOCOLS.with(|protocols| protocols.push(driver));
    verifier::note(format!("protocol driver registered: {}", driver.name));
    driver
}

fn forget(driver: &'static ProtocolDriver, by: &'static str) {
    PROTOCOLS.with(|protocols| protocols.retain(|other| other.handle != driver.handle));
    handles::close(driver.handle, by);
}

/// The registered protocol of a name; Windows compares without case.
pub(crate) fn by_name(name: &str) -> Option<&'static ProtocolDriver> {
    all()
        .into_iter()
        .find(|protocol| protocol.name.eq_ignore_ascii_case(name))
}

/// All registered protocols.
pub(crate) fn all() -> Vec<&'static ProtocolDriver> {
    PROTOCOLS.with(|protocols| protocols.clone())
}

/// The protocols that a module has registered.
pub(crate) fn of_module(module: ModuleId) -> Vec<&'static ProtocolDriver> {
    all()
        .into_iter()
        .filter(|protocol| protocol.module == module)
        .collect()
}

/// Microsoft Learn, NdisDeregisterProtocolDriver function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// It unbinds what is still bound, inside the call.
pub(crate) unsafe extern "efiapi" fn deregister(protocol_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisDeregisterProtocolDriver";
    import(CALL, Level::Passive);
    let driver: &'static ProtocolDriver = handles::resolve(protocol_handle, CALL);
    let allowed = matches!(
        call::innermost(),
        None | Some(Callback::DriverEntry | Callback::Unload | Callback::WorkItem)
    );
    verifier::require(228, allowed, || {
        format!(
            "{CALL} called in {}: it waits for NDIS, which waits for the caller",
            call::stack()
        )
    });
    pnp::on_protocol_deregistering(driver);
    for binding in driver.bindings() {
        bindings::bind::unbind(binding);
    }
    forget(driver, CALL);
}

impl ProtocolDriver {
    /// Whether the driver is written for an NDIS version of at least `major`.`minor`.
    pub(crate) fn is_at_least(&self, major: u8, minor: u8) -> bool {
        self.version >= (major, minor)
    }

    /// The bindings of this protocol, in the order of the adapters.
    pub(crate) fn bindings(&'static self) -> Vec<&'static Binding> {
        let of_self = |binding: &&'static Binding| binding.protocol.handle == self.handle;
        adapter::all()
            .into_iter()
            .flat_map(|adapter| adapter.bindings())
            .filter(of_self)
            .collect()
    }

    /// The binding to an adapter.
    pub(crate) fn binding_to(&'static self, adapter: u64) -> Option<&'static Binding> {
        self.bindings()
            .into_iter()
            .find(|binding| binding.adapter.handle == adapter)
    }
}

/// Microsoft Learn, NdisReEnumerateProtocolBindings function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn re_enumerate(protocol_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisReEnumerateProtocolBindings";
    import(CALL, Level::Passive);
    let driver: &'static ProtocolDriver = handles::resolve(protocol_handle, CALL);
    let forbidden = call::is_inside_any(Callback::Bind)
        || call::is_inside_any(Callback::Unbind)
        || bindings::events::is_inside_binding_event();
    verifier::require(241, !forbidden, || {
        format!("{CALL} called in {}", call::stack())
    });
    pnp::re_enumerate(driver);
}
