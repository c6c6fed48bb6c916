//! Two hosts at one switch.

use std::io::{ErrorKind, Read};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::*;
use crate::wire::ledger::FrameLedger;
use crate::wire::stack::{PingPlan, StreamPlan, StreamState, Way};
use crate::wire::testing::ManualClock;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const GIGABIT: PortConfig = PortConfig {
    latency_ns: 10_000,
    bits_per_second: 1_000_000_000,
};
const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 5001;

/// Bytes that depend on their position, so that loss and reordering show in the digest.
struct Pattern(u64);

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8;
            self.0 += 1;
        }
        Ok(buffer.len())
    }
}

fn pattern_digest(len: u64) -> [u8; 32] {
    let mut bytes = vec![0; len as usize];
    Pattern(0).read_exact(&mut bytes).unwrap();
    Sha256::digest(&bytes).into()
}

struct Pair {
    clock: Arc<ManualClock>,
    switch: Arc<Switch>,
    left: Peer,
    right: Peer,
}

impl Pair {
    fn new() -> Self {
        let clock = ManualClock::new();
        let switch = Switch::new(clock.clone());
        let host = |name, address: Ipv4Addr| {
            let mac = [2, 0, 0, 0, 0, address.octets()[3]];
            let config = StackConfig::new(mac, address, 7);
            Peer::new(clock.clone(), &switch, name, GIGABIT, config)
        };
        Self {
            left: host("left", LEFT),
            right: host("right", RIGHT),
            clock,
            switch,
        }
    }

    fn exchange(&self, send: u64, receive: u64) -> crate::wire::stack::StreamId {
        let plan = StreamPlan::Exchange {
            source: Box::new(Pattern(0)),
            send,
            receive,
        };
        self.left.with(|stack, _| stack.connect(RIGHT, PORT, plan))
    }
}

/// A source that gives a byte only now and then.
struct Hesitant {
    bytes: Pattern,
    ready: Arc<AtomicBool>,
}

impl Read for Hesitant {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.ready.swap(false, Ordering::Relaxed) {
            self.bytes.read(&mut buffer[..1])
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

#[test]
fn a_source_that_would_block_is_asked_again_at_the_next_poll() {
    let pair = Pair::new();
    let ready = Arc::new(AtomicBool::new(false));
    let source = Hesitant {
        bytes: Pattern(0),
        ready: Arc::clone(&ready),
    };
    let plan = StreamPlan::Exchange {
        source: Box::new(source),
        send: 3,
        receive: 3,
    };
    pair.right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Echo));
    let id = pair.left.with(|stack, _| stack.connect(RIGHT, PORT, plan));
    for sent in 0..3 {
        pair.clock.advance(SECOND);
        let report = pair.left.inspect(|stack| stack.stream(id));
        assert_eq!((report.state, report.sent), (StreamState::Open, sent));
        ready.store(true, Ordering::Relaxed);
        pair.left.with(|_, _| ());
    }

    pair.clock.advance(30 * SECOND);

    let report = pair.left.inspect(|stack| stack.stream(id));
    assert!(report.is_finished(), "{report:?}");
    assert_eq!(report.received_sha256, pattern_digest(3));
}

#[test]
fn pings_are_answered() {
    let pair = Pair::new();
    let plan = PingPlan {
        count: Some(10),
        ..PingPlan::new(RIGHT, 10 * MILLISECOND)
    };
    let id = pair.left.with(|stack, now| stack.start_ping(plan, now));

    pair.clock.run_until(SECOND);

    let report = pair.left.inspect(|stack| stack.ping(id));
    assert_eq!(
        (report.sent, report.answered, report.unexpected),
        (10, 10, 0)
    );
    assert!(report.longest_gap_ns <= 11 * MILLISECOND, "{report:?}");
}

#[test]
fn a_ping_to_nobody_is_not_answered() {
    let pair = Pair::new();
    let nobody = Ipv4Addr::new(10, 0, 0, 99);
    let plan = PingPlan::new(nobody, 100 * MILLISECOND);
    let id = pair.left.with(|stack, now| stack.start_ping(plan, now));

    pair.clock.run_until(SECOND);

    let report = pair.left.inspect(|stack| stack.ping(id));
    assert_eq!((report.sent, report.answered), (11, 0));
}

#[test]
fn an_echoed_stream_comes_back_whole() {
    const LEN: u64 = 20 << 20;
    let pair = Pair::new();
    let server = pair
        .right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Echo));
    let client = pair.exchange(LEN, LEN);

    let done = || {
        pair.left
            .inspect(|stack| stack.stream(client).ended_ns != 0)
    };
    pair.clock.run_until(SECOND);
    assert!(done(), "20 MiB take 0.2 s at 1 Gbit/s");
    pair.clock.run_until(2 * SECOND);

    let expected = pattern_digest(LEN);
    let report = pair.left.inspect(|stack| stack.stream(client));
    assert_eq!(report.state, StreamState::Finished);
    assert_eq!((report.sent, report.received), (LEN, LEN));
    assert_eq!(report.sent_sha256, expected);
    assert_eq!(report.received_sha256, expected);
    let report = pair.right.inspect(|stack| stack.stream(server));
    assert_eq!(report.state, StreamState::Finished);
    assert_eq!(report.received_sha256, expected);
}

#[test]
fn segments_are_full_sized() {
    let pair = Pair::new();
    let longest: Arc<Mutex<usize>> = Arc::default();
    let seen = longest.clone();
    pair.left.with(|stack, _| {
        stack.set_tap(Some(Box::new(move |_, frame: &[u8], _| {
            let mut longest = seen.lock().unwrap();
            *longest = frame.len().max(*longest);
        })));
    });
    pair.right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Sink));
    pair.exchange(100_000, 0);

    pair.clock.run_until(SECOND);

    assert_eq!(*longest.lock().unwrap(), 14 + 20 + 20 + 1460);
}

#[test]
fn a_listener_serves_one_connection_after_another() {
    let pair = Pair::new();
    pair.right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Sink));
    let first = pair.exchange(1000, 0);
    pair.clock.run_until(SECOND);
    let second = pair.exchange(2000, 0);
    pair.clock.run_until(2 * SECOND);

    for id in [first, second] {
        let report = pair.left.inspect(|stack| stack.stream(id));
        assert!(report.is_finished(), "{report:?}");
    }
    let received: Vec<u64> = pair
        .right
        .inspect(|stack| stack.streams().map(|(_, report)| report.received).collect());
    assert_eq!(received, [1000, 2000, 0], "the last one still listens");
}

#[test]
fn a_closed_port_refuses() {
    let pair = Pair::new();
    let client = pair.exchange(10, 0);

    pair.clock.run_until(SECOND);

    let report = pair.left.inspect(|stack| stack.stream(client));
    assert_eq!(report.state, StreamState::Failed("refused".to_owned()));
}

#[test]
fn fewer_bytes_than_expected_are_a_failure() {
    let pair = Pair::new();
    pair.right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Echo));
    let client = pair.exchange(10, 11);

    pair.clock.run_until(SECOND);

    let report = pair.left.inspect(|stack| stack.stream(client));
    assert!(matches!(report.state, StreamState::Failed(_)), "{report:?}");
}

#[test]
fn a_reset_is_a_failure_on_both_sides() {
    let pair = Pair::new();
    let server = pair
        .right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Sink));
    let client = pair.exchange(1 << 30, 0);
    pair.clock.run_until(SECOND / 10);

    pair.right.with(|stack, _| stack.abort_stream(server));
    pair.clock.run_until(SECOND);

    for report in [
        pair.left.inspect(|stack| stack.stream(client)),
        pair.right.inspect(|stack| stack.stream(server)),
    ] {
        assert!(matches!(report.state, StreamState::Failed(_)), "{report:?}");
    }
}

/// A server that closes its half at once and expects `receive` bytes.
fn half_closed(pair: &Pair, receive: u64) -> crate::wire::stack::StreamId {
    let plan = StreamPlan::Exchange {
        source: Box::new(Pattern(0)),
        send: 0,
        receive,
    };
    pair.right.with(|stack, _| stack.listen(PORT, plan))
}

#[test]
fn an_end_that_closed_its_half_still_gets_everything() {
    let pair = Pair::new();
    let server = half_closed(&pair, 1 << 20);
    let client = pair.exchange(1 << 20, 0);

    pair.clock.run_until(SECOND);

    for report in [
        pair.left.inspect(|stack| stack.stream(client)),
        pair.right.inspect(|stack| stack.stream(server)),
    ] {
        assert!(report.is_finished(), "{report:?}");
    }
}

#[test]
fn a_reset_after_a_half_close_is_a_failure_too() {
    let pair = Pair::new();
    let server = half_closed(&pair, 200_000);
    // All of it fits the send buffer; it takes more than a millisecond to go out.
    let client = pair.exchange(200_000, 0);
    pair.clock.run_until(MILLISECOND);

    pair.right.with(|stack, _| stack.abort_stream(server));
    pair.clock.run_until(SECOND);

    let report = pair.left.inspect(|stack| stack.stream(client));
    assert_eq!(report.sent, 200_000);
    assert!(matches!(report.state, StreamState::Failed(_)), "{report:?}");
}

#[test]
fn a_source_that_ends_early_is_a_failure() {
    let pair = Pair::new();
    pair.right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Sink));
    let plan = StreamPlan::Exchange {
        source: Box::new(Pattern(0).take(99)),
        send: 100,
        receive: 0,
    };
    let client = pair.left.with(|stack, _| stack.connect(RIGHT, PORT, plan));

    pair.clock.run_until(SECOND);

    let report = pair.left.inspect(|stack| stack.stream(client));
    assert_eq!(
        report.state,
        StreamState::Failed("the source ended 1 bytes early".to_owned())
    );
}

#[test]
fn a_stream_survives_a_cut_and_the_ledger_tells_the_loss() {
    let pair = Pair::new();
    let ledger = Arc::new(Mutex::new(FrameLedger::new("all")));
    for (peer, counted) in [(&pair.left, Way::Sent), (&pair.right, Way::Received)] {
        let ledger = ledger.clone();
        let tap = move |way, frame: &[u8], now| {
            let mut ledger = ledger.lock().unwrap();
            match way {
                way if way != counted => {}
                Way::Sent => ledger.sent(frame, now),
                Way::Received => ledger.delivered(frame, now),
            }
        };
        peer.with(|stack, _| stack.set_tap(Some(Box::new(tap))));
    }
    pair.right
        .with(|stack, _| stack.listen(PORT, StreamPlan::Echo));
    let client = pair.exchange(1 << 20, 1 << 20);

    pair.clock.run_until(3 * MILLISECOND);
    pair.right.with_port(|port| port.set_enabled(false));
    pair.clock.run_until(5 * MILLISECOND);
    pair.right.with_port(|port| port.set_enabled(true));
    pair.clock.run_until(60 * SECOND);

    let report = pair.left.inspect(|stack| stack.stream(client));
    assert!(report.is_finished(), "{report:?}");
    assert_eq!(report.received_sha256, pattern_digest(1 << 20));
    let cut = pair
        .right
        .with_port(PortHandle::counters)
        .unwrap()
        .dropped_out;
    let nowhere = pair.switch.counters().nowhere;
    let ledger = std::mem::replace(&mut *ledger.lock().unwrap(), FrameLedger::new("")).close();
    assert!(cut > 0 && nowhere > 0);
    assert_eq!(ledger.lost, cut + nowhere, "{ledger:?}");
    assert_eq!((ledger.totals.duplicated, ledger.totals.foreign), (0, 0));
    assert_eq!(ledger.totals.reordered, 0);
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let pair = Pair::new();
        let bytes: Arc<Mutex<Sha256>> = Arc::default();
        let seen = bytes.clone();
        pair.left.with(|stack, _| {
            stack.set_tap(Some(Box::new(move |_, frame: &[u8], now: u64| {
                let mut digest = seen.lock().unwrap();
                digest.update(now.to_le_bytes());
                digest.update(frame);
            })));
        });
        pair.right
            .with(|stack, _| stack.listen(PORT, StreamPlan::Echo));
        pair.exchange(100_000, 100_000);
        pair.clock.run_until(SECOND);
        std::mem::take(&mut *bytes.lock().unwrap()).finalize()
    };
    assert_eq!(run(), run());
}
