//! Random wishes, and devices that are late, lossy, contrary or hostile.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use virtio_net::config::MacAddress;
use virtio_net::control::wishes::{ReceiveModes, Standing, Wishes};
use virtio_net::control::{
    Coalescing, Event, GroupAddress, HashConfig, RssConfig, SubmitError, Ticket, VlanId,
};
use virtio_net::features::Features;

use crate::control_bed::{Bed, LIMITS, Steering};
use crate::control_steps::{Blow, Step, Wish, blow, contrary, patient};

fn station(last: u8) -> MacAddress {
    MacAddress::new([2, 0, 0, 0, 0, last]).unwrap()
}

fn group(last: u8) -> GroupAddress {
    GroupAddress::new([3, 0, 0, 0, 0, last]).unwrap()
}

fn coalescing(value: u32) -> Coalescing {
    Coalescing {
        max_packets: value,
        max_usecs: 7 * value,
    }
}

fn modes(bits: u8) -> ReceiveModes {
    let has = |bit: u8| bits & 1 << bit != 0;
    ReceiveModes {
        promiscuous: has(0),
        all_multicast: has(1),
        all_unicast: has(2),
        no_multicast: has(3),
        no_unicast: has(4),
        no_broadcast: has(5),
    }
}

/// All wishes so far, as the test remembers them.
#[derive(Debug, Default)]
struct Wanted {
    modes: Option<u8>,
    addresses: Option<(Vec<u8>, Vec<u8>)>,
    mac: Option<u8>,
    vlans: BTreeSet<u16>,
    steering: Option<Steering>,
    hash: Option<u8>,
    offloads: Option<u64>,
    directions: [Option<u32>; 2],
    queues: BTreeMap<u16, u32>,
}

fn rss_bytes(table: &[u16], key: u8) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0];
    bytes.extend(u16::try_from(table.len() - 1).unwrap().to_le_bytes());
    bytes.extend(table[0].to_le_bytes());
    bytes.extend(table.iter().flat_map(|queue| queue.to_le_bytes()));
    bytes.extend([2, 0, 4, key, key, key, key]);
    bytes
}

struct Run {
    bed: Bed,
    wishes: Wishes,
    wanted: Wanted,
    now: u64,
    /// Submitted, and without an outcome so far.
    open: BTreeSet<Ticket>,
    /// Those that timed out and are not back.
    overdue: BTreeSet<Ticket>,
    is_stuck: bool,
}

const PATIENCE: u64 = 20;

impl Run {
    fn new(slots: u16) -> Self {
        Self {
            bed: Bed::strict(slots, Features::ALL),
            wishes: Wishes::new(Features::ALL, LIMITS).unwrap(),
            wanted: Wanted::default(),
            now: 0,
            open: BTreeSet::new(),
            overdue: BTreeSet::new(),
            is_stuck: false,
        }
    }

    fn want(&mut self, wish: Wish) {
        match wish {
            Wish::Modes(bits) => {
                self.wishes.want_modes(modes(bits));
                self.wanted.modes = Some(bits);
            }
            Wish::Addresses(unicast, multicast) => {
                let stations: Vec<_> = unicast.iter().copied().map(station).collect();
                let groups: Vec<_> = multicast.iter().copied().map(group).collect();
                self.wishes.want_addresses(&stations, &groups);
                self.wanted.addresses = Some((unicast, multicast));
            }
            Wish::Mac(last) => {
                self.wishes.want_mac(station(last));
                self.wanted.mac = Some(last);
            }
            Wish::Vlan(vlan, on) => {
                self.wishes.want_vlan(VlanId::new(vlan).unwrap(), on);
                if on {
                    self.wanted.vlans.insert(vlan);
                } else {
                    self.wanted.vlans.remove(&vlan);
                }
            }
            Wish::Pairs(pairs) => {
                self.wishes.want_pairs(pairs).unwrap();
                self.wanted.steering = Some(Steering::Automatic(pairs));
            }
            Wish::Rss(table, key) => {
                let rss = RssConfig {
                    hash: HashConfig {
                        types: 1,
                        key: &[key; 4],
                    },
                    unclassified: table[0],
                    table: &table,
                    transmit_queues: 2,
                };
                self.wishes.want_rss(&rss).unwrap();
                self.wanted.steering = Some(Steering::Rss(rss_bytes(&table, key)));
            }
            Wish::Hash(key) => {
                let hash = HashConfig {
                    types: 2,
                    key: &[key],
                };
                self.wishes.want_hash(&hash).unwrap();
                self.wanted.hash = Some(key);
            }
            Wish::Offloads(csum, tso) => {
                let chosen = |on, feature| if on { feature } else { Features::NONE };
                let offloads =
                    chosen(csum, Features::GUEST_CSUM) | chosen(tso, Features::GUEST_TSO6);
                self.wishes.want_offloads(offloads).unwrap();
                self.wanted.offloads = Some(u64::from(csum) << 1 | u64::from(tso) << 8);
            }
            Wish::Receive(value) => {
                self.wishes.want_receive_coalescing(coalescing(value));
                self.wanted.directions[0] = Some(value);
            }
            Wish::Transmit(value) => {
                self.wishes.want_transmit_coalescing(coalescing(value));
                self.wanted.directions[1] = Some(value);
            }
            Wish::Queue(queue, value) => {
                let result = self.wishes.want_queue_coalescing(queue, coalescing(value));
                result.unwrap();
                self.wanted.queues.insert(queue, value);
            }
        }
    }

    fn advance(&mut self) -> bool {
        let deadline = self.now + PATIENCE;
        match self.wishes.advance(&mut self.bed.control, deadline) {
            Ok(None) => false,
            Ok(Some(ticket)) => {
                assert!(self.open.insert(ticket));
                true
            }
            Err(SubmitError::Stuck) => {
                assert!(self.open.is_empty());
                assert_eq!(self.overdue.len(), self.bed.control.overdue());
                self.is_stuck = true;
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    fn settle(&mut self, event: &Event) {
        match event {
            Event::Done(done) => assert!(self.open.remove(&done.ticket), "a second outcome"),
            Event::Late { ticket, .. } => assert!(self.overdue.remove(ticket), "not overdue"),
        }
        self.wishes.settle(event);
    }

    fn poll(&mut self) {
        for event in self.bed.poll() {
            self.settle(&event);
        }
    }

    fn expire(&mut self, after: u64) {
        self.now += after;
        while let Some(done) = self.bed.control.expire(self.now) {
            self.overdue.insert(done.ticket);
            self.settle(&Event::Done(done));
        }
    }

    fn reset(&mut self) {
        for event in self.bed.reset(Features::ALL) {
            self.settle(&event);
        }
        assert!(self.open.is_empty(), "a command without an outcome");
        self.overdue.clear();
        self.wishes.replay(Features::ALL);
        self.is_stuck = false;
    }

    fn step(&mut self, step: Step) {
        let held = self.bed.held.len();
        match step {
            Step::Wish(wish) => self.want(wish),
            Step::Advance => drop(self.advance()),
            Step::Take => self.bed.take(),
            Step::Poll => self.poll(),
            Step::Expire(after) => self.expire(after),
            Step::Reset => self.reset(),
            _ if held == 0 => {}
            Step::Execute(which) => self.bed.execute(which % held),
            Step::Answer(which) => self.bed.answer(which % held),
            Step::Refuse(which) => {
                if self.bed.held[which % held].executed.is_none() {
                    self.bed.refuse(which % held);
                }
            }
            Step::Garble(which, ack, says_nothing) => {
                let garbage = ack.max(2);
                let written = if says_nothing { 0 } else { 1 };
                self.bed.answer_with(which % held, &[garbage], written);
            }
            Step::Lose(which) => self.bed.lose(which % held),
        }
        assert_eq!(self.bed.control.waiting(), self.open.len());
    }

    /// The device does all that it is asked from here on; it still may never answer what it lost.
    fn come_to_rest(&mut self) {
        for _ in 0..10_000 {
            self.bed.take();
            while !self.bed.held.is_empty() {
                self.bed.answer(0);
            }
            self.poll();
            if self.is_stuck {
                self.reset();
            }
            if !self.advance() && !self.is_stuck {
                if self.open.is_empty() {
                    return;
                }
                self.expire(PATIENCE);
            }
        }
        panic!("no rest");
    }

    /// The device is as it was wanted. A device that is not `honest` may have a table and leave the
    /// driver to think that it has none, so that modes make up for it.
    fn check(&self, honest: bool) {
        let (state, wanted) = (&self.bed.state, &self.wanted);
        self.check_filter(honest);
        if let Some(mac) = wanted.mac {
            assert_eq!(state.mac, Some(station(mac).octets()));
        }
        assert_eq!(state.vlans, wanted.vlans);
        if let Some(steering) = &wanted.steering {
            assert_eq!(&state.steering, steering);
        }
        let has_rss = matches!(wanted.steering, Some(Steering::Rss(_)));
        if let Some(key) = wanted.hash.filter(|_| !has_rss) {
            let bytes = vec![2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, key];
            assert_eq!(state.hash.as_ref(), Some(&bytes));
        }
        if wanted.offloads.is_some() {
            assert_eq!(state.offloads, wanted.offloads);
        }
        for queue in 0..8 {
            let direction = wanted.directions[usize::from(queue % 2)];
            if let Some(value) = wanted.queues.get(&queue).copied().or(direction) {
                assert_eq!(state.coalescing_of(queue), (value, 7 * value), "{queue}");
            }
        }
    }

    fn check_filter(&self, honest: bool) {
        let state = &self.bed.state;
        let (unicast, multicast) = self.wanted.addresses.clone().unwrap_or_default();
        let stations: Vec<_> = unicast.iter().map(|last| station(*last).octets()).collect();
        let groups: Vec<_> = multicast.iter().map(|last| group(*last).octets()).collect();
        let bits = self.wanted.modes.unwrap_or(0);
        let [
            promiscuous,
            all_multicast,
            all_unicast,
            no_multicast,
            no_unicast,
            _,
        ] = state.modes;
        // What is wanted passes: by the table, or by a mode that is stronger.
        let has_stations = stations.iter().all(|octets| state.table.0.contains(octets));
        let has_groups = groups.iter().all(|octets| state.table.1.contains(octets));
        assert!(has_stations || promiscuous || all_unicast || no_unicast);
        assert!(has_groups || promiscuous || all_multicast || no_multicast);
        if self.wanted.modes.is_none() {
            return;
        }
        for (mode, has) in state.modes.into_iter().enumerate() {
            let is_wanted = bits & 1 << mode != 0;
            let (may_make_up, makes_up) = match mode {
                1 => (!groups.is_empty() && bits & 8 == 0, !has_groups),
                2 => (!stations.is_empty() && bits & 16 == 0, !has_stations),
                _ => (false, false),
            };
            if may_make_up && !honest && !makes_up {
                continue;
            }
            let makes_up = may_make_up && makes_up;
            assert_eq!(has, is_wanted || makes_up, "mode {mode}");
        }
        if stations.len() <= 2 && has_stations {
            assert_eq!(state.table.0, stations);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_device_that_does_as_it_is_told_ends_up_as_wanted(
        slots in 1..6_u16,
        steps in (0..6_u8).prop_flat_map(|about| vec(patient(about), 1..250)),
    ) {
        let mut run = Run::new(slots);
        for step in steps {
            run.step(step);
        }
        run.come_to_rest();
        prop_assert_eq!(run.wishes.standing(), Standing::Settled);
        prop_assert_eq!(run.bed.control.overdue(), 0);
        run.check(true);
    }

    #[test]
    fn a_contrary_device_is_as_wanted_if_the_driver_thinks_so(
        slots in 1..6_u16,
        steps in (0..6_u8).prop_flat_map(|about| vec(contrary(about), 1..250)),
    ) {
        let mut run = Run::new(slots);
        for step in steps {
            run.step(step);
        }
        run.come_to_rest();
        prop_assert!(run.wishes.standing() != Standing::Underway);
        // A command that the device carried out late and never used cannot be known of.
        if run.wishes.standing() == Standing::Settled && run.bed.control.overdue() == 0 {
            run.check(false);
        }
        // After a reset nothing of it is left.
        run.reset();
        run.come_to_rest();
        prop_assert_eq!(run.wishes.standing(), Standing::Settled);
        run.check(true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_device_gets_one_outcome_per_command(
        slots in 1..6_u16,
        blows in vec(blow(), 1..250),
    ) {
        let mut run = Run::new(slots);
        let mut is_faulted = false;
        for blow in blows {
            match blow {
                Blow::Use(which, bytes, written) => {
                    let held = run.bed.held.len();
                    if held > 0 {
                        run.bed.answer_with(which % held, &bytes, written);
                    }
                }
                Blow::Step(Step::Reset) => {
                    run.reset();
                    is_faulted = false;
                }
                // Where honest steps expect no fault, this device has one.
                Blow::Step(Step::Poll) => loop {
                    match run.bed.control.poll() {
                        Ok(Some(event)) => run.settle(&event),
                        Ok(None) => break,
                        Err(_) => {
                            prop_assert!(!is_faulted, "said twice");
                            is_faulted = true;
                        }
                    }
                },
                Blow::Step(Step::Advance) if is_faulted => {
                    let next = run.wishes.next().is_some();
                    let result = run.wishes.advance(&mut run.bed.control, run.now);
                    let expected = if next { Err(SubmitError::Faulted) } else { Ok(None) };
                    prop_assert_eq!(result, expected);
                }
                Blow::Step(step) => run.step(step),
            }
        }
        run.reset();
        run.come_to_rest();
        prop_assert_eq!(run.wishes.standing(), Standing::Settled);
        run.check(true);
    }
}
