//! Drivers: loaded, entered, unloaded.
//!
//! A driver is an image, or code that is linked into this program: a test's own, which breaks a
//! rule or keeps it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use ndis_sys::{
    DRIVER_INITIALIZE, DRIVER_OBJECT, IO_TYPE_DRIVER, NTSTATUS, UNICODE_STRING, Zeroed,
};

use super::{binder, devices};
use crate::image::{self, Image, Import, LoadError};
use crate::memory::pool;
use crate::ndis::call::{Callback, callback};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::text::OwnedString;
use crate::ndis::{
    drivers as miniport_drivers, exports as ndis_exports, leaks, old_names, work_items,
};
use crate::ntoskrnl::io::devices as io_devices;
use crate::sched::{self, BatonCell};
use crate::verifier::SECOND_NS;
use crate::{ntoskrnl, registry, verifier};

/// Time that NDIS gives work items of a driver that unloads.
const WORK_ITEM_LIMIT_NS: u64 = 30 * SECOND_NS;

/// A loaded driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriverId(pub u32);

struct Driver {
    id: DriverId,
    module: ModuleId,
    service: String,
    code: Code,
    /// Where the DRIVER_OBJECT and its strings are.
    object: usize,
    strings: Strings,
}

/// Where the code of a driver is.
enum Code {
    Image(Image),
    Linked {
        name: String,
        entry: DRIVER_INITIALIZE,
    },
}

impl Code {
    fn name(&self) -> &str {
        match self {
            Self::Image(image) => image.name(),
            Self::Linked { name, .. } => name,
        }
    }

    fn entry(&self) -> DRIVER_INITIALIZE {
        match self {
            // SAFETY: the entry point of a driver image is a DriverEntry routine.
            Self::Image(image) => unsafe {
                std::mem::transmute::<*const (), DRIVER_INITIALIZE>(image.entry())
            },
            Self::Linked { entry, .. } => *entry,
        }
    }

    /// Base address and bytes; nothing for linked code.
    fn range(&self) -> (usize, usize) {
        match self {
            Self::Image(image) => (image.base(), image.size()),
            Self::Linked { .. } => (0, 0),
        }
    }
}

/// Text that the driver object and DriverEntry refer to.
struct Strings {
    _name: OwnedString,
    path: OwnedString,
}

static DRIVERS: BatonCell<Vec<Driver>> = BatonCell::new(Vec::new());
static LOADS: BatonCell<u32> = BatonCell::new(0);

/// Loads a driver image from a file. See [`load_driver`].
///
/// # Errors
///
/// When the file cannot be read, and as [`load_driver`].
pub fn load_driver_file(path: &Path, service: &str) -> anyhow::Result<DriverId> {
    let file = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    load_driver(&file, service)
}

/// Maps an image and calls its DriverEntry with the registry path of `service`. PASSIVE.
///
/// # Errors
///
/// When the image cannot be loaded, or DriverEntry fails; then its leaks have been reported and
/// it is unmapped again.
pub fn load_driver(file: &[u8], service: &str) -> anyhow::Result<DriverId> {
    let name = format!("{service}.sys");
    judge_imports(&name, file)?;
    let image = image::load(&name, file, &imports()).inspect_err(judge_refusal)?;
    image.page();
    load(Code::Image(image), service)
}

/// Rule 217: what a Windows with memory integrity does not load.
fn judge_refusal(error: &LoadError) {
    let is_hvci = matches!(
        error,
        LoadError::SectionAccess(_) | LoadError::SectionAlignment(_)
    );
    verifier::require(217, !is_hvci, || format!("{error} (HVCI)"));
}

/// Rule 307: what the image asks for.
fn judge_imports(name: &str, file: &[u8]) -> anyhow::Result<()> {
    let imported = image::imports(file)?;
    let names = imported
        .iter()
        .filter_map(|import| import.split('!').nth(1));
    old_names::judge(name, names);
    Ok(())
}

/// Calls `entry`, the DriverEntry of a driver that is linked into this program. PASSIVE.
///
/// Its code can't be told from other linked drivers', so one is loaded at a time.
///
/// # Errors
///
/// DriverEntry fails.
pub fn load_linked_driver(service: &str, entry: DRIVER_INITIALIZE) -> anyhow::Result<DriverId> {
    let name = format!("{service}.sys");
    load(Code::Linked { name, entry }, service)
}

fn load(code: Code, service: &str) -> anyhow::Result<DriverId> {
    let name = code.name().to_owned();
    let module = modules::add(&name);
    if matches!(code, Code::Linked { .. }) {
        modules::own_linked_code(Some(module));
    }
    let (object, strings) = build_object(&code, service);
    let id = DriverId(LOADS.with(|loads| {
        *loads += 1;
        *loads
    }));
    let service = service.to_owned();
    DRIVERS.with(|drivers| {
        drivers.push(Driver {
            id,
            module,
            service,
            code,
            object,
            strings,
        });
    });
    let status = enter(id);
    verifier::note(format!("DriverEntry of {name}: {status:#x}"));
    if status < 0 {
        let left = miniport_drivers::of_module(module).len();
        verifier::require(11, left == 0, || {
            format!("DriverEntry of {name} fails and leaves {left} miniport registrations")
        });
        discard(id);
        bail!("DriverEntry of {name} failed with {status:#x}");
    }
    discard_initialization(id);
    check_object(object, module);
    Ok(id)
}

fn discard_initialization(id: DriverId) {
    DRIVERS.with(|drivers| {
        let driver = drivers.iter().find(|driver| driver.id == id);
        if let Some(Code::Image(image)) = driver.map(|driver| &driver.code) {
            image.discard_initialization();
        }
    });
}

/// What images may import.
fn imports() -> Vec<Import> {
    let kernel = ntoskrnl::exports();
    // Current Windows has one image under both names; drivers of older kits import from both.
    let of_kernel = kernel.into_iter().flat_map(|(name, address)| {
        ["ntoskrnl.exe", "hal.dll"].map(|dll| Import { dll, name, address })
    });
    let of_ndis = ndis_exports().into_iter().map(|(name, address)| Import {
        dll: "ndis.sys",
        name,
        address: std::ptr::with_exposed_provenance(address),
    });
    let plain = ntoskrnl::plain_routines();
    let gated = |import: Import| {
        if plain.contains(&import.name) {
            return import;
        }
        let gate = sched::gate(import.address.expose_provenance());
        Import {
            address: std::ptr::with_exposed_provenance(gate),
            ..import
        }
    };
    of_kernel.chain(of_ndis).map(gated).collect()
}

fn build_object(code: &Code, service: &str) -> (usize, Strings) {
    let mut name = OwnedString::new(&format!(r"\Driver\{service}"));
    let path = OwnedString::new(&format!(r"{}\{service}", registry::SERVICES));
    let mut object = Box::new(DRIVER_OBJECT::zeroed());
    object.Type = IO_TYPE_DRIVER;
    object.Size = size_of::<DRIVER_OBJECT>() as i16;
    let (base, size) = code.range();
    object.DriverStart = std::ptr::with_exposed_provenance_mut(base);
    object.DriverSize = size as u32;
    object.DriverName = name.as_raw();
    // The driver keeps the address; the object lives as long as the image.
    let object: *mut DRIVER_OBJECT = Box::into_raw(object);
    (object.expose_provenance(), Strings { _name: name, path })
}

fn object_at(address: usize) -> *mut DRIVER_OBJECT {
    std::ptr::with_exposed_provenance_mut(address)
}

/// Calls DriverEntry, once per image load.
fn enter(id: DriverId) -> NTSTATUS {
    let (entry, object, path) = DRIVERS.with(|drivers| {
        let driver = drivers
            .iter_mut()
            .find(|driver| driver.id == id)
            .expect("just added");
        (
            driver.code.entry(),
            driver.object,
            driver.strings.path.as_raw(),
        )
    });
    let mut path: UNICODE_STRING = path;
    callback(Callback::DriverEntry, object as u64, || {
        // SAFETY: the object and the path are valid.
        sched::in_driver(|| unsafe { entry(object_at(object), &raw mut path) })
    })
}

/// Rule 16: a driver leaves to NDIS what NDIS put into its object.
fn check_object(object: usize, module: ModuleId) {
    // SAFETY: the object lives as long as the image.
    let unload = unsafe { (*object_at(object)).DriverUnload };
    let is_miniport = !miniport_drivers::of_module(module).is_empty();
    if is_miniport && !miniport_drivers::is_unload_of_ndis(unload) {
        verifier::advice(
            16,
            format!("{} replaces DriverUnload", modules::name(module)),
        );
    }
}

/// Calls DriverUnload, reports leaks, and unmaps the image. PASSIVE.
///
/// # Panics
///
/// When a device of the driver is still there: Windows would not unload it.
pub fn unload_driver(driver: DriverId) {
    let left = devices::of_driver(driver);
    assert!(
        left.is_empty(),
        "{} devices of the driver are still there",
        left.len()
    );
    unload_driver_of(driver);
}

/// As [`unload_driver`], of a driver whose devices are stopped and get another one.
pub(super) fn unload_driver_of(driver: DriverId) {
    binder::settle();
    let (object, module) = DRIVERS.with(|drivers| {
        let driver = drivers
            .iter()
            .find(|other| other.id == driver)
            .expect("a loaded driver");
        (driver.object, driver.module)
    });
    wait_for_open_files(object);
    if devices::had_driver(driver) {
        expect_no_devices(object);
    }
    // SAFETY: the object lives as long as the image.
    let unload = unsafe { (*object_at(object)).DriverUnload };
    match unload {
        // NDIS's own routine calls the driver's; a driver's own is called here.
        Some(unload) if miniport_drivers::is_unload_of_ndis(Some(unload)) => {
            // SAFETY: NDIS put it there for this object.
            unsafe { unload(object_at(object)) }
        }
        Some(unload) => callback(Callback::Unload, object as u64, || {
            // SAFETY: the driver put it there for this object.
            sched::in_driver(|| unsafe { unload(object_at(object)) })
        }),
        None => verifier::breach(13, format!("{} cannot be unloaded", modules::name(module))),
    }
    discard(driver);
}

/// A driver that is to go is unloaded when the last reference of its devices goes (Microsoft Learn,
/// IoDetachDevice).
fn wait_for_open_files(object: usize) {
    let closed = || !io_devices::has_open_files(object);
    let came = sched::wait("programs to close the driver's devices", closed, None);
    assert!(came, "a wait without a limit ends with its condition");
}

/// PnP unloads a driver only when its control devices are gone, too (Microsoft Learn, "Using Control Device
/// Objects").
fn expect_no_devices(object: usize) {
    let gone = || io_devices::leaks_of(object).is_empty();
    let came = sched::wait("the driver's devices to go", gone, Some(WORK_ITEM_LIMIT_NS));
    verifier::require(15, came, || {
        format!(
            "a driver whose last adapter is gone keeps {}, and so is never unloaded",
            io_devices::leaks_of(object).join(", ")
        )
    });
}

/// Reports what a module leaves behind, and unmaps it.
fn discard(id: DriverId) {
    let driver = DRIVERS.with(|drivers| {
        let index = drivers
            .iter()
            .position(|driver| driver.id == id)
            .expect("a loaded driver");
        drivers.remove(index)
    });
    let module = driver.module;
    sched::wait(
        "the end of work items",
        || !work_items::is_running(module),
        Some(WORK_ITEM_LIMIT_NS),
    );
    leaks::report(module, driver.object);
    pool::report_leaks(driver.code.name());
    let (base, len) = driver.code.range();
    ntoskrnl::report_leaks(driver.code.name(), base, len);
    verifier::note(format!("{} is unmapped", driver.code.name()));
    // SAFETY: the object came from a box; nobody runs the driver's code any more.
    drop(unsafe { Box::from_raw(object_at(driver.object)) });
    match driver.code {
        Code::Image(image) => image.unload(),
        Code::Linked { .. } => modules::own_linked_code(None),
    }
}

/// The module of a loaded driver.
pub(super) fn module_of(id: DriverId) -> anyhow::Result<ModuleId> {
    let module = DRIVERS.with(|drivers| {
        drivers
            .iter()
            .find(|driver| driver.id == id)
            .map(|driver| driver.module)
    });
    ensure!(module.is_some(), "driver {id:?} is not loaded");
    module.context("a loaded driver")
}

/// Where the image of a loaded driver is; empty for code that is linked into this program.
///
/// # Panics
///
/// When the driver is not loaded.
pub fn driver_range(id: DriverId) -> std::ops::Range<usize> {
    let range = DRIVERS.with(|drivers| {
        let found = drivers.iter().find(|driver| driver.id == id);
        found.map(|driver| driver.code.range())
    });
    let (base, size) = range.expect("a loaded driver");
    base..base + size
}

/// The service that a driver was loaded for.
pub(super) fn service_of_driver(id: DriverId) -> anyhow::Result<String> {
    let module = module_of(id)?;
    service_of(module).context("a loaded driver has a service")
}

/// Address of the DRIVER_OBJECT of a loaded driver; 0 when it is not loaded.
pub(super) fn object_of(id: DriverId) -> usize {
    DRIVERS.with(|drivers| {
        drivers
            .iter()
            .find(|driver| driver.id == id)
            .map_or(0, |driver| driver.object)
    })
}

/// The service that a module was loaded for.
pub(super) fn service_of(module: ModuleId) -> Option<String> {
    DRIVERS.with(|drivers| {
        drivers
            .iter()
            .find(|driver| driver.module == module)
            .map(|d| d.service.clone())
    })
}
