//! What becomes of a command: answers, silence, late answers, resets.

use virtio_net::control::{
    Answer, Coalescing, Command, Control, ControlError, ControlLayout, Done, Event, Kind, Mode,
    Outcome, SubmitError, Ticket,
};
use virtio_net::features::Features;
use virtio_net::queue::split::{SplitLayout, SplitQueue};
use virtio_net::queue::{DeviceFault, QueueSize, Refusal};

use crate::control_bed::{Bed, ERR, LIMITS, OK};
use crate::memory::Shared;

const ON: Command<'static> = Command::Mode(Mode::Promiscuous, true);
const KIND: Kind = Kind::Mode(Mode::Promiscuous);

fn done(ticket: Ticket, outcome: Outcome) -> Event {
    Event::Done(Done {
        ticket,
        kind: KIND,
        outcome,
    })
}

/// A command that the device has taken.
fn taken() -> (Bed, Ticket) {
    let mut bed = Bed::new(2, Features::ALL);
    let ticket = bed.submit(&ON).unwrap();
    bed.take();
    (bed, ticket)
}

fn outcome_of(bytes: &[u8], written: u32) -> Outcome {
    let (mut bed, ticket) = taken();
    bed.answer_with(0, bytes, written);
    let events = bed.poll();
    let [Event::Done(end)] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((end.ticket, end.kind), (ticket, KIND));
    assert_eq!(bed.control.waiting(), 0);
    end.outcome
}

#[test]
fn yes_and_no_are_answers() {
    assert_eq!(outcome_of(&[OK], 1), Outcome::Accepted(Answer::None));
    assert_eq!(outcome_of(&[ERR], 1), Outcome::Refused);
}

#[test]
fn any_other_acknowledgement_is_garbled() {
    for ack in 2..=u8::MAX {
        let garbled = Outcome::Garbled { written: 1, ack };
        assert_eq!(outcome_of(&[ack], 1), garbled);
    }
}

#[test]
fn a_device_that_wrote_nothing_is_noticed() {
    let garbled = |written, ack| Outcome::Garbled { written, ack };
    assert_eq!(outcome_of(&[], 1), garbled(1, 0xff));
    assert_eq!(outcome_of(&[], 0), garbled(0, 0xff));
}

#[test]
fn an_acknowledgement_needs_no_length() {
    for written in [0, 1, 2, 1000, u32::MAX] {
        assert_eq!(outcome_of(&[OK], written), Outcome::Accepted(Answer::None));
        assert_eq!(outcome_of(&[ERR], written), Outcome::Refused);
    }
}

#[test]
fn a_query_is_answered() {
    let mut bed = Bed::new(1, Features::ALL);
    bed.state.queues.insert(3, (17, 0x0102_0304));
    bed.submit(&Command::QueryCoalescing(3)).unwrap();
    bed.take();
    bed.answer(0);
    let [Event::Done(end)] = bed.poll()[..] else {
        panic!("no end");
    };
    let coalescing = Coalescing {
        max_packets: 17,
        max_usecs: 0x0102_0304,
    };
    let answer = Answer::Coalescing(coalescing);
    assert_eq!(end.outcome, Outcome::Accepted(answer));
}

#[test]
fn the_answer_of_a_refused_or_short_query_is_ignored() {
    let query = |ack, written| {
        let mut bed = Bed::new(1, Features::ALL);
        bed.submit(&Command::QueryCoalescing(3)).unwrap();
        bed.take();
        bed.answer_with(0, &[1, 2, 3, 4, 5, 6, 7, 8, ack], written);
        let [Event::Done(end)] = bed.poll()[..] else {
            panic!("no end");
        };
        end.outcome
    };
    assert_eq!(query(ERR, 9), Outcome::Refused);
    let garbled = |written| Outcome::Garbled { written, ack: OK };
    assert_eq!(query(OK, 8), garbled(8));
    assert_eq!(query(OK, 1), garbled(1));
}

#[test]
fn a_claim_of_more_bytes_than_there_are_is_a_fault_of_a_strict_queue() {
    let mut bed = Bed::strict(2, Features::ALL);
    bed.submit(&ON).unwrap();
    bed.take();
    bed.answer_with(0, &[OK], 2);
    let fault = DeviceFault::WroteTooMuch {
        claimed: 2,
        writable: 1,
    };
    assert_eq!(bed.control.poll(), Err(fault));
    assert_eq!(bed.control.poll(), Ok(None));
    assert_eq!(bed.submit(&ON), Err(SubmitError::Faulted));
    // The command ends by its deadline all the same.
    assert!(bed.control.expire(100).is_some());
}

#[test]
fn a_deadline_ends_a_command_once() {
    let (mut bed, ticket) = taken();
    assert_eq!(bed.control.next_deadline(), Some(100));
    assert_eq!(bed.control.expire(99), None);
    let Event::Done(end) = done(ticket, Outcome::TimedOut) else {
        unreachable!();
    };
    assert_eq!(bed.control.expire(100), Some(end));
    assert_eq!(bed.control.expire(u64::MAX), None);
    assert_eq!(bed.control.next_deadline(), None);
    assert_eq!((bed.control.waiting(), bed.control.overdue()), (0, 1));
}

#[test]
fn the_slot_of_an_overdue_command_stays_the_devices() {
    let mut bed = Bed::new(1, Features::ALL);
    let ticket = bed.submit(&ON).unwrap();
    bed.take();
    assert_eq!(bed.submit(&ON), Err(SubmitError::Busy));
    assert!(bed.control.expire(100).is_some());
    assert_eq!(bed.submit(&ON), Err(SubmitError::Stuck));

    // A late answer says nothing, but gives the slot back.
    bed.answer_with(0, &[OK], 1);
    assert_eq!(bed.poll(), [Event::Late { ticket, kind: KIND }]);
    let next = bed.submit(&ON).unwrap();
    bed.take();
    bed.answer(0);
    let accepted = Outcome::Accepted(Answer::None);
    assert_eq!(bed.poll(), [done(next, accepted)]);
}

#[test]
fn room_for_one_is_busy_as_long_as_anybody_waits() {
    let (mut bed, _) = taken();
    assert!(bed.control.expire(100).is_some());
    bed.submit(&ON).unwrap();
    assert_eq!(bed.submit(&ON), Err(SubmitError::Busy));
    assert!(bed.control.expire(100).is_some());
    assert_eq!(bed.submit(&ON), Err(SubmitError::Stuck));
}

#[test]
fn a_reset_ends_what_waits_and_frees_what_is_overdue() {
    let mut bed = Bed::new(2, Features::ALL);
    bed.submit(&ON).unwrap();
    assert!(bed.control.expire(100).is_some());
    let waiting = bed.submit(&ON).unwrap();
    bed.take();

    let events = bed.reset(Features::CTRL_VQ);
    assert_eq!(events, [done(waiting, Outcome::Reset)]);
    assert_eq!((bed.control.waiting(), bed.control.overdue()), (0, 0));
    assert_eq!(bed.control.features(), Features::CTRL_VQ);
    let lacking = Features::CTRL_RX;
    assert_eq!(bed.submit(&ON), Err(SubmitError::NotNegotiated { lacking }));

    bed.reset(Features::ALL);
    for _ in 0..2 {
        bed.submit(&ON).unwrap();
    }
    bed.take();
    bed.answer(1);
    bed.answer(0);
    assert_eq!(bed.poll().len(), 2);
}

#[test]
fn answers_come_in_any_order() {
    let mut bed = Bed::new(3, Features::ALL);
    let tickets = [(); 3].map(|()| bed.submit(&ON).unwrap());
    bed.take();
    bed.answer(2);
    bed.refuse(0);
    bed.answer(0);
    let accepted = Outcome::Accepted(Answer::None);
    let expected = [
        done(tickets[2], accepted),
        done(tickets[0], Outcome::Refused),
        done(tickets[1], accepted),
    ];
    assert_eq!(bed.poll(), expected);
}

#[test]
fn memory_that_does_not_fit_is_refused() {
    let size = QueueSize::new(4).unwrap();
    let rings = SplitLayout::new(size).bytes();
    let layout = ControlLayout::new(2, LIMITS);
    let shared = Shared::new(rings + layout.bytes());
    let make = |layout: ControlLayout, len| {
        let queue = SplitQueue::new(size, Features::NONE, shared.region(0, rings), None).unwrap();
        Control::new(queue, shared.region(rings, len), layout, Features::ALL).map(drop)
    };
    let (needed, given) = (layout.bytes(), layout.bytes() - 1);
    assert_eq!(
        make(layout, given),
        Err(ControlError::TooSmall { needed, given })
    );
    assert_eq!(
        make(ControlLayout::new(0, LIMITS), needed),
        Err(ControlError::NoSlots)
    );
    assert_eq!(make(layout, needed), Ok(()));
}

#[test]
fn a_queue_that_is_too_small_says_so_and_one_that_is_full_is_busy() {
    let submit = |size, times| {
        let size = QueueSize::new(size).unwrap();
        let rings = SplitLayout::new(size).bytes();
        let layout = ControlLayout::new(8, LIMITS);
        let shared = Shared::new(rings + layout.bytes());
        let queue = SplitQueue::new(size, Features::NONE, shared.region(0, rings), None).unwrap();
        let region = shared.region(rings, layout.bytes());
        let mut control = Control::new(queue, region, layout, Features::ALL).unwrap();
        let tries: Vec<_> = (0..times).map(|_| control.submit(&ON, 0)).collect();
        *tries.last().unwrap()
    };
    let too_small = SubmitError::Queue(Refusal::TooManySegments);
    assert_eq!(submit(2, 1), Err(too_small));
    assert!(submit(4, 1).is_ok());
    assert_eq!(submit(4, 2), Err(SubmitError::Busy));
}
