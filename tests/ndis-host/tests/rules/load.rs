//! 1.A: driver load, registration, unload.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::pnp;
use ndis_host::verifier;
use ndis_sys::{
    DRIVER_OBJECT, NDIS_HANDLE, NDIS_INTERMEDIATE_DRIVER, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_PNP_CHARACTERISTICS, NDIS_STATUS, NDIS_STATUS_BAD_VERSION, NDIS_STATUS_FAILURE,
    NDIS_STATUS_SUCCESS, NTSTATUS, STATUS_SUCCESS, STATUS_UNSUCCESSFUL, UNICODE_STRING, Zeroed,
};

use crate::native::hardware::{self, Plan};
use crate::native::{breaks, holds, linked};

unsafe extern "efiapi" fn enter_and_register(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let characteristics = linked::miniport_characteristics();
    // SAFETY: the arguments are those of DriverEntry.
    match unsafe { linked::register_miniport(object, path, characteristics) } {
        Ok(_) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

/// Loads and unloads a driver whose characteristics are bent.
fn load(characteristics: fn(&mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS)) {
    let plan = Plan {
        characteristics,
        ..Plan::default()
    };
    hardware::load_only(plan);
}

#[test]
fn r001_holds_when_driver_entry_registers() {
    holds!(|| load(|_| ()));
}

static OBJECT: AtomicUsize = AtomicUsize::new(0);
static PATH: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn enter_and_wait(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    OBJECT.store(object.expose_provenance(), Ordering::Relaxed);
    PATH.store(path.expose_provenance(), Ordering::Relaxed);
    STATUS_SUCCESS
}

#[test]
fn r001_breaks_when_the_driver_registers_after_driver_entry() {
    breaks!(1, || {
        pnp::load_linked_driver("test", enter_and_wait).expect("it loads");
        let object = std::ptr::with_exposed_provenance_mut(OBJECT.load(Ordering::Relaxed));
        let path = std::ptr::with_exposed_provenance_mut(PATH.load(Ordering::Relaxed));
        let given = linked::miniport_characteristics();
        // SAFETY: the object lives as long as the driver is loaded; the path is only looked at
        // for being there.
        let _ = unsafe { linked::register_miniport(object, path, given) };
    });
}

unsafe extern "efiapi" fn enter_and_spoil(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut given = linked::miniport_characteristics();
    // SAFETY: the arguments are those of DriverEntry.
    let status = match unsafe { linked::register_miniport_at(object, path, &mut given) } {
        Ok(_) => STATUS_SUCCESS,
        Err(status) => status,
    };
    given = NDIS_MINIPORT_DRIVER_CHARACTERISTICS::zeroed();
    std::hint::black_box(&given);
    status
}

#[test]
fn r002_holds_when_the_driver_drops_its_copy_of_the_characteristics() {
    holds!(|| {
        let driver = pnp::load_linked_driver("test", enter_and_spoil).expect("it loads");
        pnp::unload_driver(driver);
    });
}

#[test]
fn r003_breaks_when_a_mandatory_handler_is_missing() {
    breaks!(3, || load(|given| given.RestartHandler = None));
}

unsafe extern "efiapi" fn check_for_hang(_context: NDIS_HANDLE) -> u8 {
    0
}

unsafe extern "efiapi" fn reset(_context: NDIS_HANDLE, _addressing: *mut u8) -> NDIS_STATUS {
    NDIS_STATUS_SUCCESS
}

#[test]
fn r004_holds_when_check_for_hang_comes_with_reset() {
    holds!(|| load(|given| {
        given.CheckForHangHandlerEx = Some(check_for_hang);
        given.ResetHandlerEx = Some(reset);
    }));
}

#[test]
fn r004_breaks_when_check_for_hang_comes_without_reset() {
    breaks!(4, || load(
        |given| given.CheckForHangHandlerEx = Some(check_for_hang)
    ));
}

unsafe extern "efiapi" fn direct_request(
    _context: NDIS_HANDLE,
    _request: *mut ndis_sys::NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    NDIS_STATUS_FAILURE
}

unsafe extern "efiapi" fn cancel_direct(_context: NDIS_HANDLE, _id: *mut std::ffi::c_void) {}

#[test]
fn r005_holds_when_both_direct_handlers_are_given() {
    holds!(|| load(|given| {
        given.DirectOidRequestHandler = Some(direct_request);
        given.CancelDirectOidRequestHandler = Some(cancel_direct);
    }));
}

#[test]
fn r005_breaks_when_one_direct_handler_is_given() {
    breaks!(5, || load(|given| {
        given.DirectOidRequestHandler = Some(direct_request);
    }));
}

static STATUS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn enter_too_new(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut given = linked::miniport_characteristics();
    given.MinorNdisVersion = 99;
    // SAFETY: the arguments are those of DriverEntry.
    let status = unsafe { linked::register_miniport(object, path, given) };
    STATUS.store(
        status.expect_err("it is too new") as usize,
        Ordering::Relaxed,
    );
    STATUS_UNSUCCESSFUL
}

#[test]
fn r007_holds_when_a_driver_is_too_new_for_this_ndis() {
    holds!(|| {
        pnp::load_linked_driver("test", enter_too_new).expect_err("DriverEntry fails");
        let status = STATUS.load(Ordering::Relaxed) as NDIS_STATUS;
        assert_eq!(status, NDIS_STATUS_BAD_VERSION);
    });
}

#[test]
fn r008_breaks_when_unknown_flags_are_given() {
    breaks!(8, || load(|given| given.Flags = 0x80));
}

unsafe extern "efiapi" fn enter_for_two_edges(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut given = linked::miniport_characteristics();
    given.UnloadHandler = Some(unload_two);
    let mut virtual_edge = given;
    virtual_edge.Flags = NDIS_INTERMEDIATE_DRIVER;
    for (place, given) in [(&FIRST, given), (&SECOND, virtual_edge)] {
        // SAFETY: the arguments are those of DriverEntry.
        match unsafe { linked::register_miniport(object, path, given) } {
            Ok(handle) => place.store(handle.addr(), Ordering::Relaxed),
            Err(status) => return status,
        }
    }
    STATUS_SUCCESS
}

static FIRST: AtomicUsize = AtomicUsize::new(0);
static SECOND: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn unload_two(_object: *mut DRIVER_OBJECT) {
    for place in [&FIRST, &SECOND] {
        linked::deregister(std::ptr::without_provenance_mut(
            place.load(Ordering::Relaxed),
        ));
    }
}

#[test]
fn r008_holds_when_a_combined_driver_registers_twice() {
    holds!(|| {
        let driver = pnp::load_linked_driver("test", enter_for_two_edges).expect("it loads");
        pnp::unload_driver(driver);
    });
}

#[test]
fn r009_holds_when_options_are_set_in_set_options() {
    holds!(|| hardware::load_only(Plan {
        set_options: Some(|driver| {
            linked::set_pnp_handlers(driver, NDIS_MINIPORT_PNP_CHARACTERISTICS::zeroed());
        }),
        ..Plan::default()
    }));
}

#[test]
fn r009_breaks_when_options_are_set_later() {
    breaks!(9, || {
        pnp::load_linked_driver("test", enter_and_register).expect("it loads");
        linked::set_pnp_handlers(
            linked::miniport_driver(),
            NDIS_MINIPORT_PNP_CHARACTERISTICS::zeroed(),
        );
    });
}

unsafe extern "efiapi" fn enter_and_fail(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the arguments are those of DriverEntry.
    unsafe { enter_and_register(object, path) };
    STATUS_UNSUCCESSFUL
}

unsafe extern "efiapi" fn enter_and_fail_cleanly(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the arguments are those of DriverEntry.
    unsafe { enter_and_register(object, path) };
    linked::deregister(linked::miniport_driver());
    STATUS_UNSUCCESSFUL
}

#[test]
fn r011_holds_when_a_failing_driver_entry_deregisters() {
    holds!(|| {
        pnp::load_linked_driver("test", enter_and_fail_cleanly).expect_err("it fails");
    });
}

#[test]
fn r011_breaks_when_a_failing_driver_entry_stays_registered() {
    breaks!(11, || {
        pnp::load_linked_driver("test", enter_and_fail).expect_err("it fails");
    });
}

#[test]
fn r012_holds_when_unload_deregisters() {
    holds!(|| {
        linked::deregister_at_unload(true);
        let driver = pnp::load_linked_driver("test", enter_and_register).expect("it loads");
        pnp::unload_driver(driver);
    });
}

unsafe extern "efiapi" fn unload_twice(_object: *mut DRIVER_OBJECT) {
    linked::deregister(linked::miniport_driver());
    linked::deregister(linked::miniport_driver());
}

#[test]
fn r012_breaks_when_unload_deregisters_twice() {
    breaks!(
        12,
        || load(|given| given.UnloadHandler = Some(unload_twice))
    );
}

#[test]
fn r012_breaks_when_the_driver_deregisters_elsewhere() {
    breaks!(12, || {
        pnp::load_linked_driver("test", enter_and_register).expect("it loads");
        linked::deregister(linked::miniport_driver());
    });
}

unsafe extern "efiapi" fn enter_without_unload(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the arguments are those of DriverEntry.
    let status = unsafe { enter_and_register(object, path) };
    // SAFETY: as above.
    unsafe { (*object).DriverUnload = None };
    status
}

#[test]
fn r013_breaks_when_the_driver_cannot_be_unloaded() {
    breaks!(13, || {
        let driver = pnp::load_linked_driver("test", enter_without_unload).expect("it loads");
        pnp::unload_driver(driver);
    });
}

#[test]
fn r014_breaks_when_a_registration_is_left() {
    breaks!(14, || {
        linked::deregister_at_unload(false);
        let driver = pnp::load_linked_driver("test", enter_and_register).expect("it loads");
        pnp::unload_driver(driver);
    });
}

unsafe extern "efiapi" fn own_unload(_object: *mut DRIVER_OBJECT) {
    linked::deregister(linked::miniport_driver());
}

unsafe extern "efiapi" fn enter_with_own_unload(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the arguments are those of DriverEntry.
    let status = unsafe { enter_and_register(object, path) };
    // SAFETY: as above.
    unsafe { (*object).DriverUnload = Some(own_unload) };
    status
}

/// Only advice: it fails nothing.
#[test]
fn r016_advises_a_driver_that_replaces_unload() {
    holds!(|| {
        let driver = pnp::load_linked_driver("test", enter_with_own_unload).expect("it loads");
        pnp::unload_driver(driver);
        let advice = verifier::report().advice;
        assert!(advice.iter().any(|advice| advice.rule == 16), "{advice:?}");
    });
}

static EDGE: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn initialize_physical(
    _adapter: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    _parameters: *mut ndis_sys::NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    EDGE.store(1, Ordering::Relaxed);
    NDIS_STATUS_FAILURE
}

unsafe extern "efiapi" fn initialize_virtual(
    _adapter: NDIS_HANDLE,
    _driver: NDIS_HANDLE,
    _parameters: *mut ndis_sys::NDIS_MINIPORT_INIT_PARAMETERS,
) -> NDIS_STATUS {
    EDGE.store(2, Ordering::Relaxed);
    NDIS_STATUS_FAILURE
}

unsafe extern "efiapi" fn enter_for_two_initializers(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    let mut physical = linked::miniport_characteristics();
    physical.UnloadHandler = Some(unload_two);
    physical.InitializeHandlerEx = Some(initialize_physical);
    let mut virtual_edge = physical;
    virtual_edge.Flags = NDIS_INTERMEDIATE_DRIVER;
    virtual_edge.InitializeHandlerEx = Some(initialize_virtual);
    for (place, given) in [(&FIRST, physical), (&SECOND, virtual_edge)] {
        // SAFETY: the arguments are those of DriverEntry.
        match unsafe { linked::register_miniport(object, path, given) } {
            Ok(handle) => place.store(handle.addr(), Ordering::Relaxed),
            Err(status) => return status,
        }
    }
    STATUS_SUCCESS
}

#[test]
fn r017_holds_when_each_instance_gets_its_initialize_handler() {
    use ndis_host::registry::Value;
    holds!(|| {
        let driver = pnp::load_linked_driver("test", enter_for_two_initializers).expect("loads");
        for (settings, edge) in [(vec![], 1), (vec![("IMMiniport", Value::Dword(1))], 2)] {
            let device = pnp::add_root_device("an edge", &settings, driver);
            pnp::start_device(device).expect_err("it refuses to start");
            assert_eq!(EDGE.load(Ordering::Relaxed), edge);
            pnp::remove_device(device);
        }
        pnp::unload_driver(driver);
    });
}
