//! Random drivers on packed rings: whatever they do and whenever the device works, frames pass in
//! order and none is lost. They ring and look only when they were told to, so a notification that
//! is missing shows.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::*;
use super::driver::{Driver, F_WRITE, MAC, buffer, frame};
use super::packed_driver::PackedQueue;
use crate::pci::PciFunction;

const BASIC: u128 = feature::VERSION_1 | feature::RING_PACKED | feature::MRG_RXBUF;
const OPTIONAL: [u128; 4] = [
    feature::EVENT_IDX,
    feature::INDIRECT_DESC,
    feature::IN_ORDER,
    feature::NOTIFICATION_DATA,
];

/// Bytes of a receive buffer.
const ROOM: u32 = 300;

#[derive(Clone, Debug)]
enum Step {
    /// Makes frames available, each in so many pieces, and rings if that is wanted.
    Send(Vec<usize>),
    /// Frames of that length come in from the wire.
    Arrive(Vec<usize>),
    /// Makes receive buffers available, and rings if that is wanted.
    Fill(u16),
    /// The device works, though nobody asked it to.
    Process,
    /// The device works as far as it was asked to.
    Settle,
    /// The driver looks at what was used, if there was an interrupt.
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        proptest::collection::vec(1..4_usize, 1..6).prop_map(Step::Send),
        proptest::collection::vec(60..1000_usize, 1..5).prop_map(Step::Arrive),
        (1..8_u16).prop_map(Step::Fill),
        Just(Step::Process),
        Just(Step::Settle),
        Just(Step::Look),
    ]
}

struct Run {
    driver: Driver,
    features: u128,
    size: u16,
    rx: PackedQueue,
    tx: PackedQueue,
    sent: Vec<Vec<u8>>,
    expected: VecDeque<Vec<u8>>,
    /// Pieces of a frame whose other buffers did not show yet.
    piece: Vec<u8>,
    interrupts: [bool; 2],
    number: u8,
}

impl Run {
    fn new(optional: u8, size: u16, seed: u64) -> Self {
        let chosen = OPTIONAL.iter().enumerate();
        let chosen = chosen.filter(|(bit, _)| optional & 1 << bit != 0);
        let features = chosen.fold(BASIC, |all, (_, feature)| all | feature);
        let config = VirtioNetConfig {
            seed,
            ..VirtioNetConfig::new(MAC).with(features)
        };
        let mut driver = Driver::new(config);
        driver.negotiate(features);
        for queue in 0..2_u16 {
            driver.write(0x16, &queue.to_le_bytes());
            driver.write(0x18, &size.to_le_bytes());
            driver.set_up_queue(queue);
        }
        driver.set_status(15);
        driver.settle();
        let in_order = features & feature::IN_ORDER != 0;
        let run = Self {
            driver,
            features,
            size,
            rx: PackedQueue::new(0, size, in_order),
            tx: PackedQueue::new(1, size, in_order),
            sent: Vec::new(),
            expected: VecDeque::new(),
            piece: Vec::new(),
            interrupts: [false; 2],
            number: 0,
        };
        run.allow_interrupts(&run.rx);
        run.allow_interrupts(&run.tx);
        run
    }

    fn has(&self, feature: u128) -> bool {
        self.features & feature != 0
    }

    /// Wants an interrupt for the next chain of a queue that is used.
    fn allow_interrupts(&self, queue: &PackedQueue) {
        queue.set_interrupts(&self.driver, true, self.has(feature::EVENT_IDX));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Send(frames) => self.send(frames),
            Step::Arrive(lengths) => self.arrive(lengths),
            Step::Fill(count) => self.fill(*count),
            Step::Process => self.driver.device.process(),
            Step::Settle => self.driver.settle(),
            Step::Look => self.look(),
        }
        for message in self.driver.take_messages() {
            self.interrupts[message as usize - 0x41] = true;
        }
    }

    fn next_frame(&mut self, len: usize) -> Vec<u8> {
        self.number = self.number.wrapping_add(1);
        frame(len, self.number)
    }

    fn send(&mut self, frames: &[usize]) {
        let old = self.tx.word();
        for pieces in frames {
            let id = (0..self.size).find(|id| !self.tx.is_out(*id));
            let Some(id) = id.filter(|_| self.tx.free() >= *pieces as u16) else {
                break;
            };
            let bytes = self.next_frame(100);
            let pieces = self.tx.lay_out(&self.driver, id, &bytes, *pieces);
            if self.has(feature::INDIRECT_DESC) && id % 2 == 0 {
                self.tx.offer_indirect(&self.driver, id, &pieces);
            } else {
                self.tx.offer(&self.driver, id, &pieces);
            }
            self.sent.push(bytes);
        }
        self.ring(1, old);
    }

    fn fill(&mut self, count: u16) {
        let old = self.rx.word();
        for _ in 0..count.min(self.rx.free() / 2) {
            let id = (0..self.size).find(|id| !self.rx.is_out(*id));
            let at = id.map(|id| (id, buffer(0, id)));
            let Some((id, at)) = at else { break };
            let pieces = [(at, 100, F_WRITE), (at + 100, ROOM - 100, F_WRITE)];
            self.rx.offer(&self.driver, id, &pieces);
        }
        self.ring(0, old);
    }

    fn ring(&mut self, queue: u16, old: u16) {
        let side = if queue == 0 { &self.rx } else { &self.tx };
        let word = side.word();
        if word == old || !side.wants_kick(&self.driver, old) {
            return;
        }
        if self.has(feature::NOTIFICATION_DATA) {
            self.driver.kick_at(queue, word);
        } else {
            self.driver.kick(queue);
        }
    }

    fn arrive(&mut self, lengths: &[usize]) {
        for len in lengths {
            if self.driver.control.state().backlog >= 200 {
                return;
            }
            let bytes = self.next_frame(*len);
            self.driver.far_end.send(bytes.clone());
            self.expected.push_back(bytes);
            self.driver.clock.run_while_busy(|| false);
        }
    }

    fn look(&mut self) {
        if std::mem::take(&mut self.interrupts[1]) {
            self.tx.take_used(&self.driver);
            self.allow_interrupts(&self.tx);
            // What was used in between does not interrupt any more.
            self.interrupts[1] = self.tx.peek(&self.driver).is_some();
        }
        if std::mem::take(&mut self.interrupts[0]) {
            for (id, len) in self.rx.take_used(&self.driver) {
                self.received(id, len.unwrap_or(ROOM));
            }
            self.allow_interrupts(&self.rx);
            self.interrupts[0] = self.rx.peek(&self.driver).is_some();
        }
    }

    fn received(&mut self, id: u16, len: u32) {
        self.piece
            .extend(self.driver.get_bytes(buffer(0, id), len as usize));
        let buffers = usize::from(u16::from_le_bytes([self.piece[10], self.piece[11]]));
        let expected = self.expected.front().expect("a frame that nobody sent");
        let bytes = 12 + expected.len();
        assert_eq!(buffers, bytes.div_ceil(ROOM as usize));
        if self.piece.len() >= bytes {
            assert_eq!(&self.piece[12..], expected);
            self.piece.clear();
            self.expected.pop_front();
        }
    }

    /// Goes on until nothing is out or waits.
    fn finish(&mut self) {
        for _ in 0..2000 {
            let steps = [Step::Settle, Step::Look, Step::Fill(8)];
            steps.iter().for_each(|step| self.take(step));
            if self.expected.is_empty() && self.tx.outstanding() == 0 {
                break;
            }
        }
        assert_eq!(self.driver.control.misuses(), Vec::<String>::new());
        assert_eq!(self.driver.broken(), None);
        assert_eq!(*self.driver.arrived.lock().unwrap(), self.sent);
        assert!(self.expected.is_empty(), "{} lost", self.expected.len());
        assert_eq!(self.tx.outstanding(), 0);
        assert_eq!(self.driver.control.counters().rx_dropped(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn frames_pass_in_order_and_none_is_lost(
        optional in 0..16_u8,
        size in 8..40_u16,
        seed in 1..u64::MAX,
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut run = Run::new(optional, size, seed);
        steps.iter().for_each(|step| run.take(step));
        run.finish();
    }
}
