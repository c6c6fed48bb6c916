//! What the attributes have to say.

use ndis_host::registry::Value;
use ndis_sys::{
    NDIS_HANDLE, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE,
    NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND, NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
    NDIS_OBJECT_TYPE_RSS_CAPABILITIES, NDIS_OFFLOAD, NDIS_PNP_CAPABILITIES,
    NDIS_RECEIVE_SCALE_CAPABILITIES, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS,
    NdisInterfaceInternal, Zeroed,
};

use crate::native::hardware::{self, Hardware, Plan, Step, calls};
use crate::native::{breaks, holds};

fn with_registration(bend: fn(&mut NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES)) -> Plan {
    Plan {
        registration: bend,
        ..Plan::default()
    }
}

fn with_general(bend: fn(&mut NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES)) -> Plan {
    Plan {
        general: bend,
        ..Plan::default()
    }
}

#[test]
fn r025_breaks_when_the_context_is_null() {
    breaks!(25, || hardware::attempt(with_registration(|given| {
        given.MiniportAdapterContext = std::ptr::null_mut();
    })));
}

#[test]
fn r025_breaks_when_the_bus_is_another_one() {
    breaks!(25, || hardware::attempt(with_registration(|given| {
        given.InterfaceType = NdisInterfaceInternal;
    })));
}

#[test]
fn r026_breaks_when_hardware_is_kept_quiet() {
    breaks!(26, || hardware::attempt(with_registration(|given| {
        given.AttributeFlags &= !NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE;
    })));
}

#[test]
fn r027_holds_when_no_pause_comes_with_no_halt() {
    holds!(|| hardware::attempt(with_registration(|given| {
        given.AttributeFlags |= NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND
            | NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND;
    })));
}

#[test]
fn r027_breaks_when_no_pause_comes_without_no_halt() {
    breaks!(27, || hardware::attempt(with_registration(|given| {
        given.AttributeFlags |= NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND;
    })));
}

#[test]
fn r029_breaks_when_the_medium_is_not_that_of_the_inf() {
    breaks!(29, || hardware::attempt(with_general(|given| given
        .PhysicalMediumType =
        0)));
}

#[test]
fn r029_breaks_when_the_access_type_is_not_broadcast() {
    breaks!(29, || hardware::attempt(with_general(|given| given
        .AccessType =
        1)));
}

#[test]
fn r030_breaks_when_the_driver_key_lacks_a_medium() {
    breaks!(30, || hardware::fail(Plan {
        keywords: vec![("*MediaType", Value::Sz("ethernet".to_owned()))],
        ..Plan::default()
    }));
}

#[test]
fn r031_breaks_when_there_is_no_lookahead() {
    breaks!(31, || hardware::attempt(with_general(|given| given
        .LookaheadSize =
        0)));
}

#[test]
fn r031_breaks_when_the_link_is_faster_than_it_can_be() {
    breaks!(31, || hardware::attempt(with_general(|given| given
        .RcvLinkSpeed =
        2 * given.MaxRcvLinkSpeed)));
}

#[test]
fn r032_breaks_when_the_address_is_of_a_group() {
    breaks!(32, || hardware::attempt(with_general(|given| {
        given.PermanentMacAddress[0] |= 1;
        given.CurrentMacAddress[0] |= 1;
    })));
}

/// The default plan on an adapter with an address of the administrator's.
fn with_network_address() -> Plan {
    Plan {
        keywords: vec![("NetworkAddress", Value::Sz("02AABBCCDDEE".to_owned()))],
        ..Plan::default()
    }
}

#[test]
fn r032_holds_when_the_current_address_is_the_administrators() {
    holds!(|| hardware::live(
        Plan {
            general: |given| given.CurrentMacAddress[..6]
                .copy_from_slice(&[0x02, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE]),
            ..with_network_address()
        },
        |_| ()
    ));
}

#[test]
fn r032_breaks_when_the_administrators_address_is_ignored() {
    breaks!(32, || hardware::attempt(with_network_address()));
}

#[test]
fn r033_breaks_when_the_driver_would_loop_back() {
    breaks!(33, || hardware::attempt(with_general(|given| {
        given.MacOptions &= !ndis_sys::NDIS_MAC_OPTION_NO_LOOPBACK;
    })));
}

#[test]
fn r034_breaks_when_the_multicast_list_is_short() {
    breaks!(34, || hardware::attempt(with_general(|given| given
        .MaxMulticastListSize =
        31)));
}

#[test]
fn r034_breaks_when_a_basic_filter_is_missing() {
    breaks!(34, || hardware::attempt(with_general(|given| {
        given.SupportedPacketFilters &= !ndis_sys::NDIS_PACKET_TYPE_ALL_MULTICAST;
    })));
}

#[test]
fn r035_breaks_when_the_old_power_capabilities_are_given() {
    static mut OLD: std::mem::MaybeUninit<NDIS_PNP_CAPABILITIES> = std::mem::MaybeUninit::zeroed();
    breaks!(35, || hardware::attempt(with_general(|given| {
        given.PowerManagementCapabilities = (&raw mut OLD).cast();
    })));
}

#[test]
fn r036_breaks_when_no_statistics_are_supported() {
    breaks!(36, || hardware::attempt(with_general(|given| given
        .SupportedStatistics =
        0)));
}

#[test]
fn r037_breaks_when_no_oids_are_listed() {
    breaks!(37, || hardware::attempt(with_general(|given| given
        .SupportedOidListLength =
        0)));
}

/// RSS capabilities for one queue, with the hash function of the rule.
fn rss(flags: u32) -> *mut NDIS_RECEIVE_SCALE_CAPABILITIES {
    let mut given = Box::new(NDIS_RECEIVE_SCALE_CAPABILITIES::zeroed());
    given.Header.Type = NDIS_OBJECT_TYPE_RSS_CAPABILITIES;
    given.Header.Revision = 1;
    given.Header.Size = 16;
    given.CapabilitiesFlags = flags;
    given.NumberOfInterruptMessages = 1;
    given.NumberOfReceiveQueues = 1;
    Box::into_raw(given)
}

#[test]
fn r038_holds_when_rss_is_declared_with_toeplitz() {
    holds!(|| hardware::live(
        with_general(|given| given.RecvScaleCapabilities = rss(0x101)),
        |_| ()
    ));
}

#[test]
fn r038_breaks_when_rss_has_no_hash_function() {
    breaks!(38, || hardware::attempt(with_general(|given| given
        .RecvScaleCapabilities =
        rss(0x100))));
}

#[test]
fn r038_breaks_when_rss_is_off_and_declared() {
    breaks!(38, || hardware::attempt(Plan {
        keywords: vec![("*RSS", Value::Sz("0".to_owned()))],
        ..with_general(|given| given.RecvScaleCapabilities = rss(0x101))
    }));
}

#[test]
fn r006_breaks_when_rss_version_2_comes_without_synchronous_oids() {
    breaks!(6, || hardware::attempt(with_general(|given| given
        .RecvScaleCapabilities =
        rss(0x4000_0101))));
}

unsafe extern "efiapi" fn synchronous(
    _context: NDIS_HANDLE,
    _request: *mut ndis_sys::NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    NDIS_STATUS_FAILURE
}

#[test]
fn r006_holds_when_rss_version_2_comes_with_synchronous_oids() {
    holds!(|| hardware::live(
        Plan {
            characteristics: |given| given.SynchronousOidRequestHandler = Some(synchronous),
            ..with_general(|given| given.RecvScaleCapabilities = rss(0x4000_0101))
        },
        |_| ()
    ));
}

/// Offload attributes: receive checksums that are on, and those that the hardware has.
fn declare_checksums(hardware: &Hardware, on: u32, able: u32) -> bool {
    let offload = |value: u32| {
        let mut offload = NDIS_OFFLOAD::zeroed();
        offload.Header.Type = ndis_sys::NDIS_OBJECT_TYPE_OFFLOAD;
        offload.Header.Revision = 1;
        offload.Header.Size = ndis_sys::NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1;
        offload.Checksum.IPv4Receive.Encapsulation = value;
        offload
    };
    let (mut current, mut all) = (offload(on), offload(able));
    calls::set_offload(hardware.handle(), &mut current, &mut all) == NDIS_STATUS_SUCCESS
}

fn with_custom(step: fn(&Hardware) -> bool) -> Plan {
    let mut plan = Plan::default();
    plan.steps.insert(2, Step::Custom(step));
    plan
}

#[test]
fn r040_holds_when_offloads_are_on_that_the_hardware_has() {
    holds!(|| hardware::live(with_custom(|h| declare_checksums(h, 2, 3)), |_| ()));
}

#[test]
fn r040_breaks_when_offloads_are_on_that_the_hardware_lacks() {
    breaks!(40, || hardware::attempt(with_custom(
        |h| declare_checksums(h, 3, 2)
    )));
}

#[test]
fn r040_breaks_when_only_the_current_offloads_are_given() {
    breaks!(40, || hardware::attempt(with_custom(|hardware| {
        let mut current = NDIS_OFFLOAD::zeroed();
        current.Header.Size = ndis_sys::NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1;
        calls::set_offload(hardware.handle(), &mut current, std::ptr::null_mut());
        true
    })));
}
