//! The wanted state: what is said to the device, in which order, and what is not said.

use virtio_net::config::MacAddress;
use virtio_net::control::wishes::{ReceiveModes, Standing, Wishes};
use virtio_net::control::{
    Coalescing, Command, Event, GroupAddress, HashConfig, Invalid, RssConfig, SubmitError, VlanId,
};
use virtio_net::features::Features;

use crate::control_bed::{Bed, LIMITS, Steering};

pub(crate) const MODES: ReceiveModes = ReceiveModes {
    promiscuous: false,
    all_multicast: true,
    all_unicast: false,
    no_multicast: false,
    no_unicast: false,
    no_broadcast: false,
};

pub(crate) fn station(last: u8) -> MacAddress {
    MacAddress::new([0x52, 0x54, 0, 0, 0, last]).unwrap()
}

pub(crate) fn group(last: u8) -> GroupAddress {
    GroupAddress::new([1, 0, 0x5e, 0, 0, last]).unwrap()
}

/// Driver, device, and the wishes of the driver.
pub(crate) struct Run {
    pub(crate) bed: Bed,
    pub(crate) wishes: Wishes,
}

impl Run {
    pub(crate) fn new(features: Features) -> Self {
        Self {
            bed: Bed::new(4, features),
            wishes: Wishes::new(features, LIMITS).unwrap(),
        }
    }

    /// Sends the next command; the device takes it.
    pub(crate) fn advance(&mut self) -> bool {
        let sent = self.wishes.advance(&mut self.bed.control, 100).unwrap();
        self.bed.take();
        sent.is_some()
    }

    pub(crate) fn settle(&mut self) {
        for event in self.bed.poll() {
            self.wishes.settle(&event);
        }
    }

    pub(crate) fn expire(&mut self) {
        while let Some(done) = self.bed.control.expire(100) {
            self.wishes.settle(&Event::Done(done));
        }
    }

    /// The device does everything as it should; the commands that it gets.
    pub(crate) fn finish(&mut self) -> Vec<Vec<u8>> {
        let mut commands = Vec::new();
        while self.advance() {
            commands.push(self.bed.held.last().unwrap().command.clone());
            self.bed.answer(self.bed.held.len() - 1);
            self.settle();
        }
        commands
    }

    /// Class and command of all that the device gets.
    pub(crate) fn finish_in_short(&mut self) -> Vec<(u8, u8)> {
        let commands = self.finish();
        commands.iter().map(|bytes| (bytes[0], bytes[1])).collect()
    }
}

#[test]
fn nothing_wanted_is_nothing_said() {
    let mut run = Run::new(Features::ALL);
    assert_eq!(run.wishes.standing(), Standing::Settled);
    assert!(!run.advance());
}

#[test]
fn only_the_newest_wish_follows_the_command_under_way() {
    let mut run = Run::new(Features::CTRL_VQ | Features::CTRL_RX);
    run.wishes.want_addresses(&[], &[group(1)]);
    assert!(run.advance());
    for last in 2..200 {
        run.wishes.want_addresses(&[], &[group(last)]);
        assert!(!run.advance());
    }
    run.bed.answer(0);
    run.settle();
    assert_eq!(run.finish().len(), 1);
    assert_eq!(run.bed.state.table.1, [group(199).octets()]);
}

#[test]
fn a_refusal_leaves_the_device_short_of_the_wish() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_mac(station(5));
    assert!(run.advance());
    run.bed.refuse(0);
    run.settle();
    assert!(!run.advance());
    assert_eq!(run.wishes.standing(), Standing::Short);
    run.wishes.want_mac(station(6));
    run.finish();
    assert_eq!(run.bed.state.mac, Some(station(6).octets()));
    assert_eq!(run.wishes.standing(), Standing::Settled);
}

#[test]
fn a_refused_vlan_is_not_repeated_and_holds_up_no_other() {
    let vlan = |id| VlanId::new(id).unwrap();
    let mut run = Run::new(Features::ALL);
    run.wishes.want_vlan(vlan(1), true);
    run.wishes.want_vlan(vlan(2), true);
    assert!(run.advance());
    run.bed.refuse(0);
    run.settle();
    assert_eq!(run.finish(), [[2, 0, 2, 0]]);
    assert_eq!(run.wishes.standing(), Standing::Short);
    // Nobody knows what the device made of it.
    run.wishes.want_vlan(vlan(1), false);
    assert_eq!(run.finish(), [[2, 1, 1, 0]]);
    assert_eq!(run.wishes.standing(), Standing::Settled);
}

#[test]
fn a_command_from_elsewhere_does_not_stay() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_mac(station(1));
    run.finish();
    run.bed.submit(&Command::Mac(station(2))).unwrap();
    run.bed.take();
    run.bed.answer(0);
    run.settle();
    run.finish();
    assert_eq!(run.bed.state.mac, Some(station(1).octets()));
}

#[test]
fn a_silent_device_is_asked_a_bounded_number_of_times() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_mac(station(5));
    for _ in 0..3 {
        assert!(run.advance());
        run.expire();
    }
    assert!(!run.advance());
    assert_eq!(run.wishes.standing(), Standing::Short);
    assert_eq!(run.bed.control.overdue(), 3);
}

#[test]
fn a_device_that_answers_garbage_is_asked_a_bounded_number_of_times() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_vlan(VlanId::new(7).unwrap(), true);
    for _ in 0..3 {
        assert!(run.advance());
        run.bed.answer_with(0, &[0x55], 1);
        run.settle();
    }
    assert!(!run.advance());
    assert_eq!(run.wishes.standing(), Standing::Short);
}

#[test]
fn without_a_slot_the_wish_stays_until_the_device_answers() {
    let mut run = Run::new(Features::ALL);
    for last in 1..=2 {
        run.wishes.want_mac(station(last));
        for _ in 0..2 {
            assert!(run.advance());
            run.expire();
        }
    }
    let stuck = run.wishes.advance(&mut run.bed.control, 100);
    assert_eq!(stuck, Err(SubmitError::Stuck));
    // It answers everything, the newest first.
    for which in (0..4).rev() {
        run.bed.answer(which);
    }
    run.settle();
    run.finish();
    assert_eq!(run.bed.state.mac, Some(station(2).octets()));
    assert_eq!(run.wishes.standing(), Standing::Settled);
}

#[test]
fn an_overdue_command_that_comes_true_is_said_over() {
    let mut run = Run::new(Features::ALL);
    run.wishes.want_mac(station(1));
    run.advance();
    run.expire();
    run.wishes.want_mac(station(2));
    run.advance();
    run.bed.answer(1);
    run.settle();
    assert_eq!(run.wishes.standing(), Standing::Settled);

    run.bed.answer(0);
    assert_eq!(run.bed.state.mac, Some(station(1).octets()));
    run.settle();
    assert_eq!(run.wishes.standing(), Standing::Underway);
    run.finish();
    assert_eq!(run.bed.state.mac, Some(station(2).octets()));
}

#[test]
fn an_acceptance_that_may_have_been_overtaken_is_said_over() {
    let vlan = VlanId::new(1).unwrap();
    type Say = fn(&mut Wishes, VlanId);
    let cases: [[Say; 2]; 2] = [
        [
            |wishes, vlan| wishes.want_vlan(vlan, true),
            |wishes, vlan| wishes.want_vlan(vlan, false),
        ],
        [
            |wishes, _| wishes.want_mac(station(1)),
            |wishes, _| wishes.want_mac(station(2)),
        ],
    ];
    for [first, then] in cases {
        let mut run = Run::new(Features::ALL);
        first(&mut run.wishes, vlan);
        run.advance();
        run.expire();
        then(&mut run.wishes, vlan);
        run.advance();
        // The new command is carried out first and used last.
        run.bed.execute(1);
        let wanted = run.bed.state.clone();
        run.bed.answer(0);
        run.bed.answer(0);
        run.settle();
        assert_ne!(run.bed.state, wanted);
        assert_eq!(run.finish().len(), 1);
        assert_eq!(run.bed.state, wanted);
    }
}

#[test]
fn the_hash_is_said_after_the_pairs_and_not_with_rss() {
    let hash = HashConfig {
        types: 3,
        key: &[1, 2, 3],
    };
    let mut run = Run::new(Features::ALL);
    run.wishes.want_hash(&hash).unwrap();
    run.wishes.want_pairs(2).unwrap();
    assert_eq!(run.finish_in_short(), [(4, 0), (4, 2)]);
    run.wishes.want_pairs(3).unwrap();
    assert_eq!(run.finish_in_short(), [(4, 0), (4, 2)]);

    let rss = RssConfig {
        hash,
        unclassified: 0,
        table: &[0, 1],
        transmit_queues: 2,
    };
    run.wishes.want_rss(&rss).unwrap();
    assert_eq!(run.finish_in_short(), [(4, 1)]);
    run.wishes.want_rss(&rss).unwrap();
    assert!(run.finish().is_empty());
    assert_eq!(run.wishes.standing(), Standing::Settled);

    run.wishes.want_pairs(3).unwrap();
    assert_eq!(run.finish_in_short(), [(4, 0), (4, 2)]);
    assert_eq!(run.bed.state.steering, Steering::Automatic(3));
}

#[test]
fn single_queues_are_said_after_their_direction() {
    let of = |max_packets| Coalescing {
        max_packets,
        max_usecs: 1,
    };
    let mut run = Run::new(Features::ALL);
    run.wishes.want_queue_coalescing(2, of(5)).unwrap();
    run.wishes.want_queue_coalescing(3, of(6)).unwrap();
    run.wishes.want_receive_coalescing(of(7));
    assert_eq!(run.finish_in_short(), [(6, 1), (6, 2), (6, 2)]);
    run.wishes.want_transmit_coalescing(of(8));
    assert_eq!(run.finish_in_short(), [(6, 0), (6, 2)]);
    let queues = [0, 1, 2, 3].map(|queue| run.bed.state.coalescing_of(queue).0);
    assert_eq!(queues, [7, 8, 5, 6]);
}

#[test]
fn a_direction_that_comes_true_late_has_its_queues_said_over() {
    let of = |max_packets| Coalescing {
        max_packets,
        max_usecs: 1,
    };
    let mut run = Run::new(Features::ALL);
    run.wishes.want_transmit_coalescing(of(5));
    run.advance();
    run.expire();
    // The next wish for the direction is refused, so nothing but the queue is said again.
    run.wishes.want_transmit_coalescing(of(6));
    run.advance();
    run.bed.refuse(1);
    run.settle();
    run.wishes.want_queue_coalescing(1, of(7)).unwrap();
    assert_eq!(run.finish_in_short(), [(6, 2)]);

    run.bed.answer(0);
    assert_eq!(run.bed.state.coalescing_of(1), (5, 1));
    run.settle();
    assert_eq!(run.finish_in_short(), [(6, 2)]);
    assert_eq!(run.bed.state.coalescing_of(1), (7, 1));
}

#[test]
fn an_announcement_is_acknowledged_once_each() {
    let mut run = Run::new(Features::ALL);
    run.wishes.acknowledge_announcement();
    run.wishes.acknowledge_announcement();
    run.finish();
    assert_eq!(run.bed.state.announcements, 1);
    run.wishes.acknowledge_announcement();
    run.finish();
    assert_eq!(run.bed.state.announcements, 2);
}

#[test]
fn wishes_that_no_command_can_have_are_refused() {
    let mut run = Run::new(Features::ALL);
    let out_of_range = Invalid::PairsOutOfRange { pairs: 9, max: 4 };
    assert_eq!(run.wishes.want_pairs(9), Err(out_of_range));
    let csum = Features::CSUM;
    assert_eq!(
        run.wishes.want_offloads(csum),
        Err(Invalid::NotOffloads(csum))
    );
    assert!(run.finish().is_empty());
}

/// A wish for each setting.
fn want_everything(wishes: &mut Wishes) {
    let coalescing = Coalescing {
        max_packets: 8,
        max_usecs: 20,
    };
    wishes.want_queue_coalescing(0, coalescing).unwrap();
    wishes.want_receive_coalescing(coalescing);
    wishes.want_transmit_coalescing(coalescing);
    wishes.want_offloads(Features::GUEST_CSUM).unwrap();
    wishes.want_vlan(VlanId::new(4094).unwrap(), true);
    wishes.want_vlan(VlanId::new(1).unwrap(), true);
    wishes.want_addresses(&[station(9)], &[group(1), group(2)]);
    wishes.want_modes(MODES);
    wishes.want_mac(station(1));
    wishes.want_pairs(2).unwrap();
}

#[test]
fn a_reset_has_everything_said_anew_in_order() {
    let mut run = Run::new(Features::ALL);
    want_everything(&mut run.wishes);
    let order = [
        (4, 0),
        (1, 1),
        // More: all multicast on, and the modes that would suppress something off.
        (0, 1),
        (0, 3),
        (0, 4),
        (0, 5),
        (1, 0),
        // Less: promiscuous and all unicast off.
        (0, 0),
        (0, 2),
        (2, 0),
        (2, 0),
        (5, 0),
        (6, 0),
        (6, 1),
        (6, 2),
    ];
    assert_eq!(run.finish_in_short(), order);
    let before = run.bed.state.clone();

    run.wishes.acknowledge_announcement();
    run.advance();
    for event in run.bed.reset(Features::ALL) {
        run.wishes.settle(&event);
    }
    run.wishes.replay(Features::ALL);
    assert_eq!(run.finish_in_short(), order);
    assert_eq!(run.bed.state, before);
    assert_eq!(run.wishes.standing(), Standing::Settled);
}

#[test]
fn a_device_that_has_lost_features_is_told_what_it_still_understands() {
    let mut run = Run::new(Features::ALL);
    want_everything(&mut run.wishes);
    run.finish();
    let fewer = Features::CTRL_VQ | Features::CTRL_RX;
    run.bed.reset(fewer);
    run.wishes.replay(fewer);
    assert_eq!(run.finish_in_short(), [(0, 1), (1, 0), (0, 0)]);
    assert_eq!(run.wishes.filter_standing(), Standing::Settled);
    assert_eq!(run.wishes.standing(), Standing::Short);
}
