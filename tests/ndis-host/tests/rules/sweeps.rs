//! 1.T: faults and robustness sweeps.

use ndis_host::pnp;

use crate::native::{breaks, holds};
use crate::pe::Image;

/// `xor eax, eax; ret`: a DriverEntry that succeeds.
const SUCCEED: [u8; 3] = [0x31, 0xC0, 0xC3];

/// Loads an image that imports this.
fn load(dll: &str, name: &str) -> anyhow::Result<()> {
    let mut image = Image::with_code(&SUCCEED);
    image.imports(dll, &[name]);
    pnp::load_driver(&image.0, "importer").map(drop)
}

#[test]
fn r307_holds_when_an_import_is_of_ndis_6() {
    holds!(|| {
        load("ndis.sys", "NdisGetVersion").expect("it loads");
        load("hal.dll", "KeStallExecutionProcessor").expect("it loads");
    });
}

#[test]
fn r307_breaks_when_an_import_is_of_ndis_5() {
    breaks!(307, || {
        let _ = load("ndis.sys", "NdisMRegisterMiniport");
    });
}

#[test]
fn r307_holds_when_a_missing_routine_is_named() {
    holds!(|| {
        let error = load("ndis.sys", "NdisNoSuchRoutine").expect_err("it can't be bound");
        assert!(
            format!("{error:#}").contains("NdisNoSuchRoutine"),
            "{error:#}"
        );
    });
}
