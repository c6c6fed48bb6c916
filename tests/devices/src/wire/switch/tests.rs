//! The switch with ports that keep logs.

use std::sync::{Arc, Mutex};

use super::*;
use crate::wire::testing::ManualClock;

const A: MacAddress = [2, 0, 0, 0, 0, 0xA];
const B: MacAddress = [2, 0, 0, 0, 0, 0xB];
const ALL: MacAddress = [0xFF; 6];

fn frame(to: MacAddress, from: MacAddress, tag: u8) -> Frame {
    let mut frame = [to, from].concat();
    frame.extend([0x88, 0xB5, tag]);
    frame
}

/// What a port delivered, with times.
type Log = Arc<Mutex<Vec<(u64, Frame)>>>;

struct Fixture {
    clock: Arc<ManualClock>,
    switch: Arc<Switch>,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::new();
        let switch = Switch::new(clock.clone());
        Self { clock, switch }
    }

    fn port(&self, name: &str) -> (PortHandle, Log) {
        self.port_with(name, PortConfig::default())
    }

    fn port_with(&self, name: &str, config: PortConfig) -> (PortHandle, Log) {
        let log = Log::default();
        let (clock, sink) = (self.clock.clone(), log.clone());
        let sink = move |frame| sink.lock().unwrap().push((clock.now_ns(), frame));
        (self.switch.add_port(name, config, Box::new(sink)), log)
    }

    fn settle(&self) {
        self.clock.run_while_busy(|| false);
    }
}

fn frames(log: &Log) -> Vec<Frame> {
    log.lock()
        .unwrap()
        .iter()
        .map(|(_, frame)| frame.clone())
        .collect()
}

#[test]
fn unknown_destinations_are_flooded_without_echo() {
    let wire = Fixture::new();
    let (a, to_a) = wire.port("a");
    let (_b, to_b) = wire.port("b");
    let (_c, to_c) = wire.port("c");

    a.send(frame(B, A, 1));
    wire.settle();

    assert!(frames(&to_a).is_empty());
    assert_eq!(frames(&to_b), [frame(B, A, 1)]);
    assert_eq!(frames(&to_c), [frame(B, A, 1)]);
}

#[test]
fn known_destinations_are_forwarded_to_their_port_only() {
    let wire = Fixture::new();
    let (a, to_a) = wire.port("a");
    let (b, _) = wire.port("b");
    let (_c, to_c) = wire.port("c");
    a.send(frame(ALL, A, 1));
    wire.settle();
    let flooded = frames(&to_c).len();

    b.send(frame(A, B, 2));
    wire.settle();

    assert_eq!(frames(&to_a), [frame(A, B, 2)]);
    assert_eq!(frames(&to_c).len(), flooded);
    assert_eq!(wire.switch.lookup(&A).as_deref(), Some("a"));
}

#[test]
fn broadcasts_are_flooded_whatever_was_learned() {
    let wire = Fixture::new();
    let (a, _) = wire.port("a");
    let (b, to_b) = wire.port("b");
    b.send(frame(A, ALL, 0));
    a.send(frame(ALL, A, 1));
    wire.settle();

    assert_eq!(frames(&to_b), [frame(ALL, A, 1)]);
    assert_eq!(
        wire.switch.lookup(&ALL),
        None,
        "a group address is nobody's"
    );
}

#[test]
fn an_address_moves_with_the_first_frame_from_its_new_port() {
    let wire = Fixture::new();
    let (a, to_a) = wire.port("vf");
    let (b, to_b) = wire.port("virtio");
    let (peer, _) = wire.port("peer");
    a.send(frame(B, A, 0));
    wire.settle();

    b.send(frame(ALL, A, 1));
    wire.settle();
    peer.send(frame(A, B, 2));
    wire.settle();

    assert_eq!(frames(&to_b).last(), Some(&frame(A, B, 2)));
    assert!(!frames(&to_a).contains(&frame(A, B, 2)));
    assert_eq!(wire.switch.counters().moved, 1);
}

#[test]
fn a_frame_to_its_own_port_is_filtered() {
    let wire = Fixture::new();
    let (a, to_a) = wire.port("a");
    let (_b, to_b) = wire.port("b");
    a.send(frame(ALL, B, 0));
    wire.settle();
    let before = frames(&to_b).len();

    a.send(frame(B, A, 1));
    wire.settle();

    assert!(frames(&to_a).is_empty());
    assert_eq!(frames(&to_b).len(), before);
    assert_eq!(wire.switch.counters().filtered, 1);
}

#[test]
fn latency_and_bandwidth_of_both_ports_add_up() {
    let wire = Fixture::new();
    // 15 + 24 bytes at 8 Gbit/s take 39 ns.
    let fast = PortConfig {
        latency_ns: 100,
        bits_per_second: 8_000_000_000,
    };
    let slow = PortConfig {
        latency_ns: 1000,
        bits_per_second: 800_000_000,
    };
    let (a, _) = wire.port_with("a", fast);
    let (_b, to_b) = wire.port_with("b", slow);

    a.send(frame(B, A, 1));
    a.send(frame(B, A, 2));
    wire.settle();

    let times: Vec<u64> = to_b.lock().unwrap().iter().map(|(time, _)| *time).collect();
    assert_eq!(times, [39 + 100 + 390 + 1000, 39 + 100 + 2 * 390 + 1000]);
}

#[test]
fn frames_stay_in_order_when_latency_falls() {
    let wire = Fixture::new();
    let slow = PortConfig {
        latency_ns: 1000,
        bits_per_second: 0,
    };
    let (a, _) = wire.port_with("a", slow);
    let (_b, to_b) = wire.port("b");

    a.send(frame(B, A, 1));
    a.set_config(PortConfig::default());
    a.send(frame(B, A, 2));
    wire.settle();

    assert_eq!(frames(&to_b), [frame(B, A, 1), frame(B, A, 2)]);
}

#[test]
fn a_disabled_port_drops_both_ways_and_forgets_its_addresses() {
    let wire = Fixture::new();
    let (a, to_a) = wire.port("a");
    let (b, to_b) = wire.port("b");
    a.send(frame(ALL, A, 0));
    wire.settle();

    a.set_enabled(false);
    a.send(frame(ALL, A, 1));
    b.send(frame(A, B, 2));
    wire.settle();

    assert_eq!(frames(&to_b), [frame(ALL, A, 0)]);
    assert!(frames(&to_a).is_empty());
    assert_eq!(a.counters().dropped_in, 1);
    assert_eq!(wire.switch.lookup(&A), None);
}

#[test]
fn a_port_that_is_enabled_again_delivers_at_its_new_speed() {
    let wire = Fixture::new();
    let (a, _) = wire.port("a");
    let far = PortConfig {
        latency_ns: 10_000,
        bits_per_second: 0,
    };
    let (b, to_b) = wire.port_with("b", far);
    a.send(frame(B, A, 1));
    wire.clock.run_until(10);

    b.set_enabled(false);
    b.set_config(PortConfig::default());
    b.set_enabled(true);
    a.send(frame(B, A, 2));
    wire.clock.run_until(20);

    assert_eq!(*to_b.lock().unwrap(), [(10, frame(B, A, 2))]);
    assert_eq!(b.counters().dropped_out, 1);
}

#[test]
fn removal_loses_what_is_on_the_way_to_the_port_and_nothing_else() {
    let wire = Fixture::new();
    let far = PortConfig {
        latency_ns: 100,
        bits_per_second: 0,
    };
    let (a, to_a) = wire.port_with("a", far);
    let (b, to_b) = wire.port_with("b", far);
    a.send(frame(ALL, A, 1));
    b.send(frame(ALL, B, 2));
    wire.clock.run_until(100);
    a.send(frame(ALL, A, 3));

    a.remove();
    wire.settle();

    assert!(frames(&to_a).is_empty());
    assert_eq!(frames(&to_b), [frame(ALL, A, 1), frame(ALL, A, 3)]);
    assert_eq!(wire.switch.counters().dropped_removed, 1);
    assert_eq!(
        wire.switch.lookup(&A),
        None,
        "late frames of a removed port teach nothing"
    );
}

#[test]
fn a_full_queue_drops_the_newest() {
    let wire = Fixture::new();
    let (a, _) = wire.port("a");
    let far = PortConfig {
        latency_ns: 100,
        bits_per_second: 0,
    };
    let (b, to_b) = wire.port_with("b", far);
    b.set_queue_limit(Some(2));

    for tag in 0..3 {
        a.send(frame(B, A, tag));
    }
    wire.settle();

    assert_eq!(frames(&to_b), [frame(B, A, 0), frame(B, A, 1)]);
    assert_eq!(b.counters().dropped_out, 1);
}

#[test]
fn silent_addresses_age_if_asked_to() {
    let wire = Fixture::new();
    wire.switch.set_aging(Some(1000));
    let (a, _) = wire.port("a");
    a.send(frame(ALL, A, 0));
    wire.settle();

    wire.clock.advance(999);
    assert_eq!(wire.switch.lookup(&A).as_deref(), Some("a"));
    wire.clock.advance(1);
    assert_eq!(wire.switch.lookup(&A), None);
}

#[test]
fn a_sink_may_answer_from_within() {
    let wire = Fixture::new();
    let (a, to_a) = wire.port("a");
    let own: Arc<Mutex<Option<PortHandle>>> = Arc::default();
    let answer_from = own.clone();
    let sink = move |_| {
        if let Some(port) = answer_from.lock().unwrap().as_ref() {
            port.send(frame(A, B, 9));
        }
    };
    let b = wire
        .switch
        .add_port("b", PortConfig::default(), Box::new(sink));
    *own.lock().unwrap() = Some(b);

    a.send(frame(B, A, 1));
    wire.settle();

    assert_eq!(frames(&to_a), [frame(A, B, 9)]);
}

#[test]
fn counters_tell_frames_and_bytes() {
    let wire = Fixture::new();
    let (a, _) = wire.port("a");
    let (b, _) = wire.port("b");

    a.send(frame(B, A, 1));
    a.send(vec![0; 5]);
    wire.settle();

    let expected = PortCounters {
        frames_in: 1,
        bytes_in: 15,
        dropped_in: 1,
        ..PortCounters::default()
    };
    assert_eq!(a.counters(), expected);
    assert_eq!((b.counters().frames_out, b.counters().bytes_out), (1, 15));
}
