//! Miniport drivers: registration, deregistration, optional handlers.

use std::ffi::c_void;
use std::sync::Arc;

use ndis_sys::{
    DRIVER_OBJECT, NDIS_DRIVER_OPTIONAL_HANDLERS, NDIS_HANDLE, NDIS_INTERMEDIATE_DRIVER,
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_MINIPORT_PNP_CHARACTERISTICS,
    NDIS_MINIPORT_SS_CHARACTERISTICS, NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS,
    NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1,
    NDIS_SIZEOF_MINIPORT_SS_CHARACTERISTICS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_BAD_CHARACTERISTICS, NDIS_STATUS_BAD_VERSION, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_WDM_DRIVER, UNICODE_STRING,
};

use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::image_miniport::ImageMiniport;
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::native::Miniport;
use crate::ndis::{adapter, characteristics, faults, header, intermediate, protocols};
use crate::sched::{self, BatonCell};
use crate::{ntoskrnl, verifier};

/// A registered miniport driver.
pub(crate) struct MiniportDriver {
    pub(crate) handle: u64,
    pub(crate) module: ModuleId,
    /// Handlers of an image; `None` for a native driver.
    pub(crate) handlers: Option<Handlers>,
}

/// What an image registered.
pub(crate) struct Handlers {
    pub(crate) characteristics: NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    /// MiniportDriverContext.
    pub(crate) context: usize,
    /// Address of the DRIVER_OBJECT.
    pub(crate) driver_object: usize,
    /// Optional handlers, from SetOptions.
    pnp: BatonCell<Option<NDIS_MINIPORT_PNP_CHARACTERISTICS>>,
    /// Handlers for selective suspend, which NdisSetOptionalHandlers brought.
    pub(crate) idle: BatonCell<Option<NDIS_MINIPORT_SS_CHARACTERISTICS>>,
}

// SAFETY: the handlers are function pointers and numbers; the baton orders their users.
unsafe impl Send for Handlers {}
// SAFETY: as above.
unsafe impl Sync for Handlers {}

impl Object for MiniportDriver {
    const KIND: Kind = Kind::MiniportDriver;
}

/// NDIS_INTERMEDIATE_DRIVER, NDIS_WDM_DRIVER.
const KNOWN_FLAGS: u32 = NDIS_INTERMEDIATE_DRIVER | NDIS_WDM_DRIVER;

static DRIVERS: BatonCell<Vec<&'static MiniportDriver>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisMRegisterMiniportDriver function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are those that DriverEntry got, and valid.
pub(crate) unsafe extern "efiapi" fn register(
    driver_object: *mut DRIVER_OBJECT,
    registry_path: *mut UNICODE_STRING,
    context: NDIS_HANDLE,
    characteristics: *mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    driver_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMRegisterMiniportDriver";
    import(CALL, Level::Passive);
    let inside = call::is_inside(Callback::DriverEntry, driver_object.addr() as u64);
    verifier::require(1, inside && !registry_path.is_null(), || {
        format!("{CALL} called outside of DriverEntry, or with another DriverObject")
    });
    // SAFETY: the caller's contract.
    let given = unsafe { characteristics::read_miniport(CALL, characteristics) };
    if !is_version_known(given.MajorNdisVersion, given.MinorNdisVersion) {
        return NDIS_STATUS_BAD_VERSION;
    }
    if !characteristics::check_miniport(CALL, &given) {
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    }
    verifier::require(8, given.Flags & !KNOWN_FLAGS == 0, || {
        format!("{CALL}: flags {:#x}", given.Flags)
    });
    judge_registrations(CALL, &given);
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let handlers = Handlers {
        characteristics: given,
        context: context.addr(),
        driver_object: driver_object.addr(),
        pnp: BatonCell::new(None),
        idle: BatonCell::new(None),
    };
    let module = modules::of_code(given.InitializeHandlerEx.map_or(0, |f| f as usize));
    let driver = add(module, Some(handlers));
    let status = call_set_options(driver, &given, context);
    if status != NDIS_STATUS_SUCCESS {
        forget(driver, CALL);
        return status;
    }
    // SAFETY: the caller's contract.
    unsafe {
        (*driver_object).DriverUnload = Some(unload_for_drivers());
        *driver_handle = handles::raw(driver.handle);
    }
    verifier::note(format!(
        "miniport driver registered: {}",
        modules::name(module)
    ));
    NDIS_STATUS_SUCCESS
}

/// Rule 8: a driver registers once, and a second time only if one of the two registrations is for
/// the virtual miniports of an intermediate driver.
fn judge_registrations(call: &str, given: &NDIS_MINIPORT_DRIVER_CHARACTERISTICS) {
    let module = modules::of_code(given.InitializeHandlerEx.map_or(0, |f| f as usize));
    let is_intermediate = given.Flags & NDIS_INTERMEDIATE_DRIVER != 0;
    let others = of_module(module);
    if !others.is_empty() {
        intermediate::note_combined(module);
    }
    let again = others
        .iter()
        .any(|driver| driver.is_intermediate() == is_intermediate);
    verifier::require(8, !again, || {
        format!("{call}: the driver has a registration of this kind already")
    });
}

fn is_version_known(major: u8, minor: u8) -> bool {
    let os = ntoskrnl::os();
    (u16::from(major), u16::from(minor)) <= (u16::from(os.ndis_major), u16::from(os.ndis_minor))
}

fn call_set_options(
    driver: &'static MiniportDriver,
    given: &NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    context: NDIS_HANDLE,
) -> NDIS_STATUS {
    let Some(set_options) = given.SetOptionsHandler else {
        return NDIS_STATUS_SUCCESS;
    };
    callback(Callback::SetOptions, driver.handle, || {
        // SAFETY: the driver registered this routine with this context.
        sched::in_driver(|| unsafe { set_options(handles::raw(driver.handle), context) })
    })
}

/// Adds a driver; `handlers` is `None` for a native one.
pub(crate) fn add(module: ModuleId, handlers: Option<Handlers>) -> &'static MiniportDriver {
    let driver = handles::create(|handle| MiniportDriver {
        handle,
        module,
        handlers,
    });
    DRIVERS.with(|drivers| drivers.push(driver));
    driver
}

fn forget(driver: &'static MiniportDriver, by: &'static str) {
    DRIVERS.with(|drivers| drivers.retain(|other| other.handle != driver.handle));
    intermediate::driver_gone(driver.handle);
    handles::close(driver.handle, by);
}

/// Microsoft Learn, NdisMDeregisterMiniportDriver function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn deregister(driver_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisMDeregisterMiniportDriver";
    import(CALL, Level::Passive);
    let driver: &'static MiniportDriver = handles::resolve(driver_handle, CALL);
    let object = driver
        .handlers
        .as_ref()
        .map_or(0, |handlers| handlers.driver_object as u64);
    let inside = call::is_inside(Callback::DriverEntry, object)
        || call::is_inside(Callback::Unload, object)
        || driver.handlers.is_none();
    verifier::require(12, inside, || {
        format!(
            "{CALL} called in {}; it belongs into Unload or a failing DriverEntry",
            call::stack()
        )
    });
    let left = adapter::of_driver(driver.handle);
    verifier::insist(13, left.is_empty(), || {
        format!("{CALL}: adapter {} is not halted", left[0].name)
    });
    let protocols = protocols::of_module(driver.module);
    let protocol_first = driver.module == modules::UNKNOWN || protocols.is_empty();
    verifier::require(299, protocol_first, || {
        format!(
            "{CALL}: the driver's protocol {} is still registered",
            protocols[0].name
        )
    });
    forget(driver, CALL);
}

/// Microsoft Learn, NdisSetOptionalHandlers function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `optional` points to a valid structure of the type that its header says.
pub(crate) unsafe extern "efiapi" fn set_optional_handlers(
    ndis_handle: NDIS_HANDLE,
    optional: *mut NDIS_DRIVER_OPTIONAL_HANDLERS,
) -> NDIS_STATUS {
    const CALL: &str = "NdisSetOptionalHandlers";
    import(CALL, Level::Passive);
    let handle = handles::number(ndis_handle);
    verifier::require(9, call::is_inside(Callback::SetOptions, handle), || {
        format!("{CALL} called outside of SetOptions, in {}", call::stack())
    });
    // SAFETY: the caller's contract.
    let given = unsafe { (*optional).Header };
    if given.Type == NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS {
        header::check(
            CALL,
            given,
            NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS,
            &[(1, NDIS_SIZEOF_MINIPORT_SS_CHARACTERISTICS_REVISION_1)],
        );
        // SAFETY: the caller's contract; the type names the structure, whose size was checked.
        let given = unsafe { optional.cast::<NDIS_MINIPORT_SS_CHARACTERISTICS>().read() };
        return set_idle_handlers(CALL, handle, given);
    }
    if given.Type != NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    header::check(
        CALL,
        given,
        NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS,
        &[(1, NDIS_SIZEOF_MINIPORT_PNP_CHARACTERISTICS_REVISION_1)],
    );
    let driver: &'static MiniportDriver = handles::resolve(ndis_handle, CALL);
    // SAFETY: the header says that it is this structure.
    let given = unsafe { *optional.cast::<NDIS_MINIPORT_PNP_CHARACTERISTICS>() };
    let pair =
        given.MiniportAddDeviceHandler.is_some() == given.MiniportRemoveDeviceHandler.is_some();
    verifier::require(51, pair, || {
        format!("{CALL}: only one of MiniportAddDevice and MiniportRemoveDevice is given")
    });
    if let Some(handlers) = &driver.handlers {
        handlers.pnp.with(|pnp| *pnp = Some(given));
    }
    NDIS_STATUS_SUCCESS
}

/// Rule 264: both handlers, and not together with synchronous OID requests.
fn set_idle_handlers(
    call: &str,
    driver: u64,
    given: NDIS_MINIPORT_SS_CHARACTERISTICS,
) -> NDIS_STATUS {
    let driver = handles::lookup::<MiniportDriver>(driver);
    let Some(handlers) = driver.and_then(|driver| driver.handlers.as_ref()) else {
        return NDIS_STATUS_NOT_SUPPORTED;
    };
    let both =
        given.IdleNotificationHandler.is_some() && given.CancelIdleNotificationHandler.is_some();
    let both = verifier::require(264, both, || {
        format!("{call}: of the two handlers for selective suspend one is missing")
    });
    let synchronous = handlers.characteristics.SynchronousOidRequestHandler;
    verifier::require(264, synchronous.is_none(), || {
        format!("{call}: selective suspend together with synchronous OID requests")
    });
    if !both {
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    }
    handlers.idle.with(|idle| *idle = Some(given));
    NDIS_STATUS_SUCCESS
}

/// DriverUnload as NDIS installs it: the miniport driver's own unload routine.
unsafe extern "efiapi" fn unload_of_ndis(driver_object: *mut DRIVER_OBJECT) {
    let object = driver_object.addr();
    let driver = DRIVERS.with(|drivers| {
        let is_of = |driver: &&&MiniportDriver| {
            driver
                .handlers
                .as_ref()
                .is_some_and(|h| h.driver_object == object)
        };
        drivers.iter().find(is_of).copied()
    });
    let unload = driver.and_then(|driver| {
        driver
            .handlers
            .as_ref()
            .and_then(|handlers| handlers.characteristics.UnloadHandler)
    });
    if let Some(unload) = unload {
        callback(Callback::Unload, object as u64, || {
            // SAFETY: the driver registered this routine; its object is the one that it got.
            sched::in_driver(|| unsafe { unload(driver_object) })
        });
    }
}

/// [`unload_of_ndis`] as drivers find it in their DRIVER_OBJECT, and may call it.
fn unload_for_drivers() -> unsafe extern "efiapi" fn(*mut DRIVER_OBJECT) {
    let gate = sched::gate((unload_of_ndis as *const ()).expose_provenance());
    let gate: *const () = std::ptr::with_exposed_provenance(gate);
    // SAFETY: the gate is called as the routine is that it leads to.
    unsafe { std::mem::transmute(gate) }
}

/// Whether `unload` is what NDIS put into the driver object (rule 16).
pub(crate) fn is_unload_of_ndis(
    unload: Option<unsafe extern "efiapi" fn(*mut DRIVER_OBJECT)>,
) -> bool {
    unload.is_some_and(|unload| unload as *const c_void == unload_for_drivers() as *const c_void)
}

/// The miniport drivers that a module has registered.
pub(crate) fn of_module(module: ModuleId) -> Vec<&'static MiniportDriver> {
    DRIVERS.with(|drivers| {
        drivers
            .iter()
            .filter(|driver| driver.module == module)
            .copied()
            .collect()
    })
}

impl MiniportDriver {
    /// The driver's side of a new adapter: the handlers of the image behind the native trait.
    pub(crate) fn new_miniport(&'static self) -> Option<Arc<dyn Miniport>> {
        self.handlers.as_ref()?;
        Some(Arc::new(ImageMiniport::new(self)))
    }

    /// Whether this is the registration for the virtual miniports of an intermediate driver.
    pub(crate) fn is_intermediate(&self) -> bool {
        self.handlers
            .as_ref()
            .is_some_and(|handlers| handlers.characteristics.Flags & NDIS_INTERMEDIATE_DRIVER != 0)
    }

    /// The PnP handlers, if the driver has set some.
    pub(crate) fn pnp_handlers(&'static self) -> Option<NDIS_MINIPORT_PNP_CHARACTERISTICS> {
        let handlers = self.handlers.as_ref()?;
        handlers.pnp.with(|pnp| *pnp)
    }

    /// The handlers for selective suspend, if the driver has them.
    pub(crate) fn idle_handlers(&'static self) -> Option<NDIS_MINIPORT_SS_CHARACTERISTICS> {
        self.handlers
            .as_ref()
            .and_then(|handlers| handlers.idle.with(|idle| *idle))
    }

    /// Whether the driver registered with an NDIS version of at least `major`.`minor`.
    pub(crate) fn is_at_least(&self, major: u8, minor: u8) -> bool {
        self.handlers.as_ref().is_none_or(|handlers| {
            let given = &handlers.characteristics;
            (given.MajorNdisVersion, given.MinorNdisVersion) >= (major, minor)
        })
    }
}
