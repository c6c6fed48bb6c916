//! Intermediate drivers: the association of their edges, and virtual miniports that are
//! initialized when the driver asks.

use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_SUCCESS,
    UNICODE_STRING,
};

use super::adapter::Adapter;
use super::bindings::Binding;
use super::call::{self, Callback, Level, import};
use super::drivers::MiniportDriver;
use super::export_table::Table;
use super::modules::ModuleId;
use super::protocols::ProtocolDriver;
use super::{handles, text};
use crate::pnp;
use crate::sched::BatonCell;
use crate::verifier;

/// A virtual miniport that its driver has asked for.
struct Instance {
    /// Handle of the registration that drives it.
    driver: u64,
    /// `\Device\{GUID}`.
    name: String,
    /// DeviceContext.
    context: usize,
    /// Its initialization has begun: it can be cancelled no more.
    begun: bool,
}

static INSTANCES: BatonCell<Vec<Instance>> = BatonCell::new(Vec::new());
/// Miniport and protocol registrations that belong together.
static ASSOCIATED: BatonCell<Vec<(u64, u64)>> = BatonCell::new(Vec::new());
/// Modules that have registered a physical and a virtual edge.
static COMBINED: BatonCell<Vec<ModuleId>> = BatonCell::new(Vec::new());

/// Name and address of each routine.
pub(super) fn exports() -> Table {
    vec![
        ("NdisIMAssociateMiniport", associate as *const () as usize),
        (
            "NdisIMInitializeDeviceInstanceEx",
            initialize as *const () as usize,
        ),
        (
            "NdisIMCancelInitializeDeviceInstance",
            cancel as *const () as usize,
        ),
        (
            "NdisIMDeInitializeDeviceInstance",
            deinitialize as *const () as usize,
        ),
        (
            "NdisIMGetBindingContext",
            binding_context as *const () as usize,
        ),
    ]
}

/// Microsoft Learn, NdisIMAssociateMiniport function (ndis.h). IRQL = PASSIVE_LEVEL.
unsafe extern "efiapi" fn associate(driver: NDIS_HANDLE, protocol: NDIS_HANDLE) {
    const CALL: &str = "NdisIMAssociateMiniport";
    import(CALL, Level::Passive);
    let driver = intermediate(driver, CALL);
    let protocol: &'static ProtocolDriver = handles::resolve(protocol, CALL);
    verifier::require(8, call::is_inside_any(Callback::DriverEntry), || {
        format!("{CALL} called outside of DriverEntry, in {}", call::stack())
    });
    verifier::require(8, driver.module == protocol.module, || {
        format!("{CALL}: {} is a protocol of another driver", protocol.name)
    });
    let again = ASSOCIATED.with(|all| {
        let again = all.iter().any(|(upper, _)| *upper == driver.handle);
        all.push((driver.handle, protocol.handle));
        again
    });
    verifier::require(8, !again, || {
        format!("{CALL}: the miniport edge is associated already")
    });
}

/// The registration behind a handle, which must be that of an intermediate driver (rule 8).
fn intermediate(driver: NDIS_HANDLE, call: &str) -> &'static MiniportDriver {
    let driver: &'static MiniportDriver = handles::resolve(driver, call);
    verifier::require(8, driver.is_intermediate(), || {
        format!("{call}: the driver registered without NDIS_INTERMEDIATE_DRIVER")
    });
    driver
}

/// Microsoft Learn, NdisIMInitializeDeviceInstanceEx function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// MiniportInitializeEx is called later, in a system thread, if there is such a device.
///
/// # Safety
///
/// `instance` is a valid string.
unsafe extern "efiapi" fn initialize(
    driver: NDIS_HANDLE,
    instance: *mut UNICODE_STRING,
    context: NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisIMInitializeDeviceInstanceEx";
    import(CALL, Level::Passive);
    let driver = intermediate(driver, CALL);
    // SAFETY: the caller's contract.
    let name = unsafe { name_of(instance) };
    let driven_by = pnp::registration_of(&name);
    verifier::require(
        17,
        driven_by.is_none_or(|of| of.handle == driver.handle),
        || format!("{CALL}: {name} is not a virtual device of the driver (IMMiniport)"),
    );
    let is_up = pnp::is_started(&name);
    let accepted = INSTANCES.with(|all| {
        let waits = all.iter().any(|one| one.name == name && !one.begun);
        if is_up || waits {
            return false;
        }
        all.retain(|one| one.name != name);
        all.push(Instance {
            driver: driver.handle,
            name: name.clone(),
            context: context.expose_provenance(),
            begun: false,
        });
        true
    });
    if !accepted {
        return NDIS_STATUS_NOT_ACCEPTED;
    }
    pnp::start_virtual(name);
    NDIS_STATUS_SUCCESS
}

/// The device that an instance name means, as `\Device\{GUID}`.
unsafe fn name_of(instance: *mut UNICODE_STRING) -> String {
    // SAFETY: the caller's contract.
    let name = unsafe { text::read(instance) }.to_uppercase();
    let guid = name.rsplit('\\').next().unwrap_or_default();
    format!(r"\Device\{guid}")
}

/// The initialization of a device begins; false when nobody asks for it any more.
pub(crate) fn begin(name: &str) -> bool {
    INSTANCES.with(|all| {
        let mut waiting = all.iter_mut().filter(|one| !one.begun);
        let found = waiting.find(|one| one.name.eq_ignore_ascii_case(name));
        found.map(|one| one.begun = true).is_some()
    })
}

/// Microsoft Learn, NdisIMCancelInitializeDeviceInstance function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `instance` is a valid string.
unsafe extern "efiapi" fn cancel(
    driver: NDIS_HANDLE,
    instance: *mut UNICODE_STRING,
) -> NDIS_STATUS {
    const CALL: &str = "NdisIMCancelInitializeDeviceInstance";
    import(CALL, Level::Passive);
    let driver = intermediate(driver, CALL);
    // SAFETY: the caller's contract.
    let name = unsafe { name_of(instance) };
    let is_it = |one: &Instance| {
        one.driver == driver.handle && !one.begun && one.name.eq_ignore_ascii_case(&name)
    };
    let cancelled = INSTANCES.with(|all| {
        let index = all.iter().position(is_it)?;
        Some(all.remove(index))
    });
    if cancelled.is_some() {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_FAILURE
    }
}

/// Microsoft Learn, NdisIMDeInitializeDeviceInstance function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// The protocols above are unbound and MiniportHaltEx is called, all in the call.
unsafe extern "efiapi" fn deinitialize(adapter: NDIS_HANDLE) -> NDIS_STATUS {
    const CALL: &str = "NdisIMDeInitializeDeviceInstance";
    import(CALL, Level::Passive);
    let adapter = handles::lookup::<Adapter>(handles::number(adapter));
    let Some(adapter) = adapter.filter(|adapter| adapter.driver.is_intermediate()) else {
        return NDIS_STATUS_FAILURE;
    };
    if !pnp::halt_virtual(adapter) {
        return NDIS_STATUS_FAILURE;
    }
    INSTANCES.with(|all| all.retain(|one| !one.name.eq_ignore_ascii_case(&adapter.name)));
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisIMGetBindingContext function (ndis.h). IRQL < DISPATCH_LEVEL.
unsafe extern "efiapi" fn binding_context(binding: NDIS_HANDLE) -> NDIS_HANDLE {
    const CALL: &str = "NdisIMGetBindingContext";
    import(CALL, Level::UpToApc);
    let binding: &'static Binding = handles::resolve(binding, CALL);
    std::ptr::with_exposed_provenance_mut(context_of(&binding.adapter.name))
}

/// The DeviceContext of a virtual miniport, 0 without one.
pub(crate) fn context_of(name: &str) -> usize {
    INSTANCES.with(|all| {
        let found = all.iter().find(|one| one.name.eq_ignore_ascii_case(name));
        found.map_or(0, |one| one.context)
    })
}

/// A driver has registered both edges.
pub(super) fn note_combined(module: ModuleId) {
    COMBINED.with(|all| all.push(module));
}

/// Whether a driver has registered both edges.
pub(super) fn is_combined(module: ModuleId) -> bool {
    COMBINED.with(|all| all.contains(&module))
}

/// A registration ends.
pub(super) fn driver_gone(driver: u64) {
    INSTANCES.with(|all| all.retain(|one| one.driver != driver));
    ASSOCIATED.with(|all| all.retain(|(upper, _)| *upper != driver));
}
