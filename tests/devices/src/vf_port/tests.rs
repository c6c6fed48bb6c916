//! The hardware with a miniport that takes notes.

use super::*;
use crate::wire::testing::ManualClock;
use crate::wire::{PortConfig, Switch};

const OWN: MacAddress = [2, 0, 0, 0, 0, 1];
const OTHER: MacAddress = [2, 0, 0, 0, 0, 2];
const BROADCAST: MacAddress = [0xFF; 6];
const GROUP: MacAddress = [0x33, 0x33, 0, 0, 0, 1];

/// Notes what the hardware told the miniport.
#[derive(Default)]
struct Miniport {
    completed: Vec<u64>,
    received: usize,
    links: Vec<bool>,
}

impl VfEvents for Miniport {
    fn completed(&mut self, cookies: &[u64]) {
        self.completed.extend(cookies);
    }

    fn received(&mut self) {
        self.received += 1;
    }

    fn link_changed(&mut self, up: bool) {
        self.links.push(up);
    }
}

struct Fixture {
    clock: Arc<ManualClock>,
    vf: VfHardware,
    miniport: Arc<Mutex<Miniport>>,
    far_end: PortHandle,
    arrived: Arc<Mutex<Vec<Frame>>>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(VfConfig::new(OWN))
    }

    fn with(config: VfConfig) -> Self {
        let clock = ManualClock::new();
        let switch = Switch::new(clock.clone());
        let vf = VfHardware::new(clock.clone(), config);
        let miniport: Arc<Mutex<Miniport>> = Arc::default();
        vf.set_events(Some(miniport.clone()));
        vf.connect(switch.add_port("vf", PortConfig::default(), vf.wire_sink()));

        let arrived: Arc<Mutex<Vec<Frame>>> = Arc::default();
        let log = arrived.clone();
        let sink = move |frame| log.lock().unwrap().push(frame);
        let far_end = switch.add_port("far", PortConfig::default(), Box::new(sink));
        Self {
            clock,
            vf,
            miniport,
            far_end,
            arrived,
        }
    }

    fn arrive(&self, to: MacAddress) {
        self.far_end.send(frame(to, OTHER));
        self.settle();
    }

    fn settle(&self) {
        self.clock.run_while_busy(|| false);
    }

    fn open_for_all(&self) {
        self.vf.set_filter(ReceiveFilter {
            promiscuous: true,
            ..ReceiveFilter::default()
        });
    }
}

fn frame(to: MacAddress, from: MacAddress) -> Frame {
    let mut frame = [to, from].concat();
    frame.resize(60, 0x55);
    frame
}

#[test]
fn a_frame_is_complete_when_it_is_on_the_wire_and_not_before() {
    let nic = Fixture::new();
    nic.vf.transmit(frame(OTHER, OWN), 7).unwrap();

    nic.clock.run_until(1_999);
    assert!(nic.miniport.lock().unwrap().completed.is_empty());
    assert!(nic.arrived.lock().unwrap().is_empty());

    nic.clock.run_until(2_000);
    assert_eq!(nic.miniport.lock().unwrap().completed, [7]);
    assert_eq!(*nic.arrived.lock().unwrap(), [frame(OTHER, OWN)]);
}

#[test]
fn short_frames_are_padded() {
    let nic = Fixture::new();
    nic.vf
        .transmit(frame(OTHER, OWN)[..20].to_vec(), 1)
        .unwrap();
    nic.settle();

    assert_eq!(nic.arrived.lock().unwrap()[0].len(), 60);
    assert_eq!(nic.vf.counters().tx_bytes, 20);
}

#[test]
fn a_full_transmit_queue_gives_the_frame_back() {
    let nic = Fixture::with(VfConfig {
        tx_queue: 1,
        ..VfConfig::new(OWN)
    });
    nic.vf.transmit(frame(OTHER, OWN), 1).unwrap();

    let refused = nic.vf.transmit(frame(GROUP, OWN), 2).unwrap_err();

    assert!(matches!(refused, TransmitError::Full(back) if back == frame(GROUP, OWN)));
    assert_eq!(nic.vf.counters().tx_refused, 1);
}

#[test]
fn the_filter_decides_by_kind_of_destination() {
    let shut = ReceiveFilter::default();
    let directed = ReceiveFilter {
        directed: true,
        ..shut.clone()
    };
    let multicast = ReceiveFilter {
        multicast: true,
        multicast_list: vec![GROUP],
        ..shut.clone()
    };
    let all_multicast = ReceiveFilter {
        all_multicast: true,
        ..shut.clone()
    };
    let broadcast = ReceiveFilter {
        broadcast: true,
        ..shut.clone()
    };
    let promiscuous = ReceiveFilter {
        promiscuous: true,
        ..shut.clone()
    };
    let second_group = [0x33, 0x33, 0, 0, 0, 2];
    let takes = |filter: &ReceiveFilter| {
        [OWN, OTHER, GROUP, second_group, BROADCAST].map(|to| filter.takes(&to, &OWN))
    };

    assert_eq!(takes(&shut), [false; 5]);
    assert_eq!(takes(&directed), [true, false, false, false, false]);
    assert_eq!(takes(&multicast), [false, false, true, false, false]);
    assert_eq!(takes(&all_multicast), [false, false, true, true, false]);
    assert_eq!(takes(&broadcast), [false, false, false, false, true]);
    assert_eq!(takes(&promiscuous), [true; 5]);
}

#[test]
fn what_the_filter_keeps_out_is_counted_and_not_queued() {
    let nic = Fixture::new();
    nic.arrive(OWN);

    assert_eq!(nic.vf.receive(), None);
    assert_eq!(nic.vf.counters().rx_filtered, 1);
}

#[test]
fn the_miniport_is_told_once_until_it_emptied_the_queue() {
    let nic = Fixture::new();
    nic.open_for_all();
    nic.arrive(OWN);
    nic.arrive(OWN);
    assert_eq!(nic.miniport.lock().unwrap().received, 1);

    while nic.vf.receive().is_some() {}
    nic.arrive(OWN);

    assert_eq!(nic.miniport.lock().unwrap().received, 2);
    assert_eq!(nic.vf.counters().rx_frames, 2);
}

#[test]
fn a_full_receive_queue_overflows() {
    let nic = Fixture::with(VfConfig {
        rx_queue: 2,
        ..VfConfig::new(OWN)
    });
    nic.open_for_all();
    for _ in 0..3 {
        nic.arrive(OWN);
    }

    assert_eq!(nic.vf.counters().rx_overflow, 1);
}

#[test]
fn frames_sent_without_link_complete_and_go_nowhere() {
    let nic = Fixture::new();
    nic.vf.set_link(false);
    nic.vf.transmit(frame(OTHER, OWN), 3).unwrap();
    nic.arrive(OWN);

    let miniport = nic.miniport.lock().unwrap();
    assert_eq!(miniport.links, [false]);
    assert_eq!(miniport.completed, [3]);
    assert!(nic.arrived.lock().unwrap().is_empty());
    let counters = nic.vf.counters();
    assert_eq!((counters.tx_dropped, counters.rx_dropped), (1, 1));
}

#[test]
fn withdrawal_loses_everything_in_flight_and_silences_the_hardware() {
    let nic = Fixture::new();
    nic.open_for_all();
    nic.arrive(OWN);
    nic.vf.transmit(frame(OTHER, OWN), 4).unwrap();
    nic.vf.transmit(frame(OTHER, OWN), 5).unwrap();

    let withdrawn = nic.vf.withdraw();
    nic.settle();

    let expected = Withdrawn {
        transmits: vec![4, 5],
        received: 1,
    };
    assert_eq!(withdrawn, expected);
    assert_eq!(nic.vf.counters().lost_in_withdrawal, 3);
    assert!(nic.miniport.lock().unwrap().completed.is_empty());
    assert!(nic.arrived.lock().unwrap().is_empty());
    assert!(matches!(
        nic.vf.transmit(frame(OTHER, OWN), 6),
        Err(TransmitError::Gone(_))
    ));
    assert_eq!(nic.vf.receive(), None);
}
