//! 1.A: driver load, registration, unload.

use ndis_host::pnp;
use ndis_sys::{DRIVER_OBJECT, NTSTATUS, STATUS_SUCCESS, UNICODE_STRING};

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

#[test]
fn r012_holds_when_unload_deregisters() {
    holds!(|| {
        linked::deregister_at_unload(true);
        let driver = pnp::load_linked_driver("test", enter_and_register).expect("it loads");
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
