//! A native miniport and a native protocol under NDIS: everything that is allowed, and it works.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod native;

use std::sync::Arc;

use native::nic::{self, MAC, Nic};
use native::stack::{self, Stack};
use native::{expect_replay, run_seeds};
use ndis_host::ndis::{AdapterState, api};
use ndis_host::pnp::{self, DeviceId, ProtocolId};
use ndis_host::sched;
use ndis_sys::{
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NDIS_STATUS_SUCCESS,
    OID_802_3_CURRENT_ADDRESS, OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_MAXIMUM_FRAME_SIZE,
    OID_GEN_VENDOR_ID,
};

/// A NIC with a protocol on it, running.
struct Bench {
    nic: &'static Nic,
    stack: &'static Stack,
    device: DeviceId,
    protocol: ProtocolId,
}

fn bench() -> Bench {
    let nic: &'static Nic = Box::leak(Box::new(Nic::new(nic::Fault::None)));
    let stack: &'static Stack = Box::leak(Box::new(Stack::new(stack::Fault::None)));
    let device = pnp::add_native_device("NIC", &[], move || Arc::new(nic));
    // By seed the protocol is there before the adapter, or comes to one that runs.
    let (first, second) = (sched::chance(2), sched::chance(2));
    let mut protocol = None;
    if first {
        protocol = Some(pnp::add_native_protocol("STACK", Arc::new(stack)));
    }
    pnp::start_device(device).expect("the NIC starts");
    if second {
        pnp::settle();
    }
    let protocol = protocol.unwrap_or_else(|| pnp::add_native_protocol("STACK", Arc::new(stack)));
    pnp::settle();
    assert!(stack.is_running(), "the binding runs");
    Bench {
        nic,
        stack,
        device,
        protocol,
    }
}

impl Bench {
    fn tear_down(self) {
        pnp::remove_device(self.device);
        pnp::remove_native_protocol(self.protocol);
    }
}

fn frame(destination: [u8; 6], number: u8) -> Vec<u8> {
    let mut frame = Vec::from(destination);
    frame.extend([0x02, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame.resize(60 + usize::from(number), number);
    frame
}

fn frames(destination: [u8; 6], numbers: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    numbers.map(|number| frame(destination, number)).collect()
}

#[test]
fn a_device_starts_binds_and_goes() {
    run_seeds("a_device_starts_binds_and_goes", 0..12, || {
        let bench = bench();
        let report = ndis_host::ndis::adapter_report(bench.nic.adapter()).expect("it is there");
        assert_eq!(report.state, AdapterState::Running);
        assert_eq!(report.mac, MAC);
        assert_eq!(report.bindings.len(), 1);
        bench.tear_down();
    });
}

#[test]
fn every_sent_frame_leaves_once() {
    run_seeds("every_sent_frame_leaves_once", 0..12, || {
        let bench = bench();
        let sent = frames([0xff; 6], 0..40);
        for part in sent.chunks(7) {
            bench.stack.send(part);
        }
        bench.stack.send_together(&frames([0xff; 6], 40..43));
        sched::wait(
            "the completions",
            || bench.stack.completed().len() == 41,
            None,
        );
        let mut left = bench.nic.transmitted();
        left.sort();
        let mut expected = frames([0xff; 6], 0..43);
        expected.sort();
        assert_eq!(left, expected);
        assert!(
            bench
                .stack
                .completed()
                .iter()
                .all(|status| *status == NDIS_STATUS_SUCCESS)
        );
        bench.tear_down();
    });
}

#[test]
fn frames_that_pass_the_filter_arrive_once() {
    run_seeds("frames_that_pass_the_filter_arrive_once", 0..12, || {
        let bench = bench();
        bench.nic.receive(&frames(MAC, 0..9), false);
        bench.nic.receive(&frames([0xff; 6], 9..12), true);
        let all_came = || bench.stack.received().len() == 12;
        sched::wait("the frames", all_came, None);
        sched::wait("the returns", || bench.nic.receives_out() == 0, None);
        let mut received = bench.stack.received();
        received.sort_by_key(Vec::len);
        let expected = [frames(MAC, 0..9), frames([0xff; 6], 9..12)].concat();
        assert_eq!(received, expected);
        bench.tear_down();
    });
}

#[test]
fn two_bindings_each_get_what_they_want() {
    run_seeds("two_bindings_each_get_what_they_want", 0..12, || {
        let bench = bench();
        let other: &'static Stack = Box::leak(Box::new(Stack::new(stack::Fault::None)));
        let second = pnp::add_native_protocol("OTHER", Arc::new(other));
        pnp::settle();
        api::set_packet_filter(other.binding(), NDIS_PACKET_TYPE_BROADCAST).expect("accepted");
        let both = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST;
        assert_eq!(bench.nic.filter(), both, "the miniport has the union");
        bench
            .nic
            .receive(&[frame(MAC, 1), frame([0xff; 6], 2)], false);
        sched::wait("the returns", || bench.nic.receives_out() == 0, None);
        assert_eq!(bench.stack.received().len(), 2);
        assert_eq!(other.received(), [frame([0xff; 6], 2)]);
        pnp::remove_native_protocol(second);
        assert!(bench.stack.is_running(), "the other binding runs on");
        bench.tear_down();
    });
}

#[test]
fn oids_are_answered_by_ndis_or_the_miniport() {
    run_seeds("oids_are_answered_by_ndis_or_the_miniport", 0..12, || {
        let bench = bench();
        let binding = bench.stack.binding();
        let mut word = [0; 4];
        api::oid_query(binding, OID_GEN_MAXIMUM_FRAME_SIZE, &mut word).expect("NDIS knows");
        assert_eq!(u32::from_le_bytes(word), 1500);
        api::oid_query(binding, OID_GEN_CURRENT_PACKET_FILTER, &mut word).expect("NDIS knows");
        assert_eq!(u32::from_le_bytes(word), bench.nic.filter());
        let mut mac = [0; 6];
        api::oid_query(binding, OID_802_3_CURRENT_ADDRESS, &mut mac).expect("the NIC knows");
        assert_eq!(mac, MAC);
        let mut short = api::OidRequest::query(OID_802_3_CURRENT_ADDRESS, 3);
        assert_ne!(short.run(binding), NDIS_STATUS_SUCCESS);
        assert_eq!(short.needed(), 6);
        assert!(api::oid_query(binding, OID_GEN_VENDOR_ID, &mut word).is_err());
        bench.tear_down();
    });
}

#[test]
fn traffic_survives_pauses_of_the_stack() {
    run_seeds("traffic_survives_pauses_of_the_stack", 0..12, || {
        let bench = bench();
        for round in 0..5 {
            bench.stack.send(&frames([0xff; 6], 0..5));
            bench.nic.receive(&frames(MAC, 0..5), false);
            pnp::pause_stack(bench.device);
            assert!(!bench.stack.is_running());
            assert_eq!(bench.nic.receives_out(), 0);
            assert_eq!(bench.stack.completed().len(), 5 * (round + 1));
            pnp::restart_stack(bench.device);
            assert!(bench.stack.is_running());
        }
        bench.tear_down();
    });
}

#[test]
fn a_binding_that_is_switched_off_goes_and_comes_back() {
    run_seeds(
        "a_binding_that_is_switched_off_goes_and_comes_back",
        0..12,
        || {
            let bench = bench();
            for _ in 0..3 {
                pnp::set_binding(bench.protocol, bench.device, false);
                assert!(!bench.stack.is_bound());
                assert_eq!(bench.nic.filter(), 0, "nobody wants anything");
                pnp::set_binding(bench.protocol, bench.device, true);
                pnp::settle();
                assert!(bench.stack.is_running());
            }
            bench.tear_down();
        },
    );
}

#[test]
fn a_surprise_removal_with_traffic_ends_cleanly() {
    run_seeds(
        "a_surprise_removal_with_traffic_ends_cleanly",
        0..12,
        || {
            let bench = bench();
            bench.stack.send(&frames([0xff; 6], 0..20));
            bench.nic.receive(&frames(MAC, 0..20), false);
            pnp::surprise_remove_device(bench.device);
            assert!(!bench.stack.is_bound());
            assert_eq!(bench.stack.completed().len(), 20);
            pnp::remove_native_protocol(bench.protocol);
        },
    );
}

#[test]
fn link_changes_reach_the_protocol() {
    run_seeds("link_changes_reach_the_protocol", 0..4, || {
        let bench = bench();
        api::indicate_link(bench.nic.adapter(), false, 0);
        api::indicate_link(bench.nic.adapter(), true, 10_000_000_000);
        assert_eq!(bench.stack.links(), 2);
        let report = ndis_host::ndis::adapter_report(bench.nic.adapter()).expect("it is there");
        assert_eq!((report.link_up, report.link_downs), (Some(true), 1));
        bench.tear_down();
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    expect_replay("the_same_seed_is_the_same_run", || {
        let bench = bench();
        bench.stack.send(&frames([0xff; 6], 0..30));
        bench.nic.receive(&frames(MAC, 0..30), false);
        pnp::pause_stack(bench.device);
        pnp::restart_stack(bench.device);
        bench.tear_down();
    });
}
