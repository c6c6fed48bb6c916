//! 1.B: object headers, revisions, versions.

use ndis_host::pnp;
use ndis_sys::{
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1,
};

use crate::native::hardware::{self, Plan};
use crate::native::{breaks, holds};

/// Starts an adapter whose general attributes are bent.
fn general(bend: fn(&mut NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES)) {
    hardware::attempt(Plan {
        general: bend,
        ..Plan::default()
    });
}

#[test]
fn r018_holds_when_a_structure_is_larger_than_its_revision() {
    holds!(|| general(|given| given.Header.Size += 8));
}

#[test]
fn r018_breaks_when_a_structure_is_smaller_than_its_revision() {
    breaks!(18, || general(|given| given.Header.Size -= 8));
}

#[test]
fn r018_breaks_when_the_revision_is_zero() {
    breaks!(18, || hardware::attempt(Plan {
        interrupt: |given| given.Header.Revision = 0,
        ..Plan::default()
    }));
}

#[test]
fn r019_breaks_when_the_type_is_another_one() {
    breaks!(19, || hardware::attempt(Plan {
        dma: |given| given.Header.Type += 1,
        ..Plan::default()
    }));
}

#[test]
fn r019_holds_when_the_type_is_that_of_the_structure() {
    holds!(|| hardware::live(
        Plan {
            dma: |given| given.Header.Size = NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1,
            ..Plan::default()
        },
        |_| ()
    ));
}

#[test]
fn r020_breaks_when_the_revision_is_older_than_the_driver() {
    breaks!(20, || general(|given| {
        given.Header.Revision = 1;
        given.Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1;
    }));
}

#[test]
fn r020_breaks_when_characteristics_are_older_than_the_version_they_state() {
    breaks!(20, || hardware::load_only(Plan {
        characteristics: |given| given.Header.Revision = 2,
        ..Plan::default()
    }));
}

/// The revisions of MiniportInitializeEx's parameters that NDIS passed.
fn revisions_seen() -> (u8, u16) {
    let hardware = hardware::hardware();
    (hardware.init_revision, hardware.init_size)
}

#[test]
fn r021_holds_when_ndis_passes_what_a_later_one_would() {
    holds!(|| {
        let (driver, device) = hardware::plug(Plan::default());
        let mut newer = 0;
        for _ in 0..16 {
            pnp::start_device(device).expect("it starts");
            pnp::settle();
            let (revision, size) = revisions_seen();
            let known = size_of::<NDIS_MINIPORT_INIT_PARAMETERS>();
            newer += u32::from(revision > 1 && usize::from(size) > known);
            pnp::disable_device(device);
        }
        assert!(newer > 0, "no start had parameters of a later revision");
        pnp::remove_device(device);
        pnp::unload_driver(driver);
    });
}

#[test]
fn r023_breaks_when_a_driver_writes_into_the_init_parameters() {
    breaks!(23, || hardware::attempt(Plan {
        init_parameters: |parameters| parameters.IfIndex += 1,
        ..Plan::default()
    }));
}

#[test]
fn r023_holds_when_a_driver_reads_the_init_parameters() {
    holds!(|| hardware::attempt(Plan {
        init_parameters: |parameters| assert!(parameters.IfIndex > 0),
        ..Plan::default()
    }));
}
