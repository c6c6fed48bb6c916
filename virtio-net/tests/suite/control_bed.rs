//! A control queue on a split ring, and a device model that shares no code with it.
//!
//! The device takes the ring apart by itself, keeps the commands that it took, and executes and uses
//! them whenever a test says so. It checks what no driver may do: touch the memory of a command that
//! the device holds.

use std::collections::{BTreeMap, BTreeSet};

use virtio_net::control::{
    Command, Control, ControlLayout, Event, Limits, Loan, SubmitError, Ticket,
};
use virtio_net::dma::Quiesced;
use virtio_net::features::Features;
use virtio_net::queue::split::{SplitLayout, SplitQueue};
use virtio_net::queue::{QueueSize, Virtqueue};

use crate::memory::{NEXT, Shared, WRITE};

pub(crate) const OK: u8 = 0;
pub(crate) const ERR: u8 = 1;

pub(crate) const LIMITS: Limits = Limits {
    unicast: 2,
    multicast: 3,
    queue_pairs: 4,
    rss_entries: 8,
    hash_key: 40,
    hash_types: 0x1ff,
};

pub(crate) type SplitControl = Control<SplitQueue<Loan>>;

/// A command that the device has taken and not used.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    head: u16,
    segments: Vec<(u64, u32)>,
    pub(crate) command: Vec<u8>,
    /// How the command was cut into descriptors.
    pub(crate) lens: Vec<u32>,
    writable: (u64, u32),
    /// The answer, once it was executed.
    pub(crate) executed: Option<Vec<u8>>,
}

/// Driver and device.
pub(crate) struct Bed {
    pub(crate) control: SplitControl,
    shared: Shared,
    size: u16,
    available: u16,
    used: u16,
    pub(crate) held: Vec<Held>,
    /// Taken, and never to be used.
    lost: Vec<Held>,
    pub(crate) state: State,
}

impl Bed {
    pub(crate) fn new(slots: u16, features: Features) -> Self {
        Self::with_limits(slots, features, LIMITS)
    }

    pub(crate) fn with_limits(slots: u16, features: Features, limits: Limits) -> Self {
        Self::over(slots, features, limits, SplitQueue::clamping_lengths)
    }

    /// With a queue for which a length that is too long is a fault.
    pub(crate) fn strict(slots: u16, features: Features) -> Self {
        Self::over(slots, features, LIMITS, |queue| queue)
    }

    fn over(
        slots: u16,
        features: Features,
        limits: Limits,
        made: fn(SplitQueue<Loan>) -> SplitQueue<Loan>,
    ) -> Self {
        let size = 64;
        let queue_size = QueueSize::new(size).unwrap();
        let rings = SplitLayout::new(queue_size).bytes();
        let layout = ControlLayout::new(slots, limits);
        let shared = Shared::new(rings + layout.bytes());
        // The device below answers in any order.
        let ring = features.without(Features::IN_ORDER);
        let queue = SplitQueue::new(queue_size, ring, shared.region(0, rings), None).unwrap();
        let region = shared.region(rings, layout.bytes());
        Self {
            control: Control::new(made(queue), region, layout, features).unwrap(),
            shared,
            size,
            available: 0,
            used: 0,
            held: Vec::new(),
            lost: Vec::new(),
            state: State::default(),
        }
    }

    pub(crate) fn submit(&mut self, command: &Command<'_>) -> Result<Ticket, SubmitError> {
        self.control.submit(command, 100)
    }

    /// The device takes every command that it is shown.
    pub(crate) fn take(&mut self) {
        let _ = self.control.publish();
        let driver = self.control.queue().addresses().driver;
        let shown = self.shared.read_u16(driver + 2);
        while self.available != shown {
            let slot = u64::from(self.available % self.size);
            let head = self.shared.read_u16(driver + 4 + 2 * slot);
            let held = self.parse(head);
            let others = self.held.iter().chain(&self.lost);
            for (address, len) in others.flat_map(|other| &other.segments) {
                for (mine, my_len) in &held.segments {
                    let apart =
                        mine + u64::from(*my_len) <= *address || address + u64::from(*len) <= *mine;
                    assert!(apart, "memory that the device holds was lent again");
                }
            }
            self.held.push(held);
            self.available = self.available.wrapping_add(1);
        }
    }

    fn parse(&self, head: u16) -> Held {
        let table = self.control.queue().addresses().descriptors;
        let (mut segments, mut command, mut lens) = (Vec::new(), Vec::new(), Vec::new());
        let mut index = head;
        loop {
            let at = table + 16 * u64::from(index);
            let address = self.shared.read_u64(at);
            let len = self.shared.read_u32(at + 8);
            let flags = self.shared.read_u16(at + 12);
            assert!(len > 0);
            segments.push((address, len));
            lens.push(len);
            if flags & WRITE != 0 {
                assert_eq!(flags & NEXT, 0, "one piece is written, and it is the last");
                return Held {
                    head,
                    segments,
                    command,
                    lens,
                    writable: (address, len),
                    executed: None,
                };
            }
            command.extend(self.bytes(address, len));
            assert_eq!(flags & NEXT, NEXT, "there is a piece to write");
            index = self.shared.read_u16(at + 14);
        }
    }

    fn bytes(&self, address: u64, len: u32) -> Vec<u8> {
        let bytes = (0..u64::from(len)).map(|offset| self.shared.read::<1>(address + offset)[0]);
        bytes.collect()
    }

    /// The device carries out command `which` of those it holds.
    pub(crate) fn execute(&mut self, which: usize) {
        let held = &mut self.held[which];
        if held.executed.is_none() {
            held.executed = Some(self.state.execute(&held.command));
        }
    }

    /// The device uses command `which` with `bytes`, and says that they were `written`.
    pub(crate) fn answer_with(&mut self, which: usize, bytes: &[u8], written: u32) {
        let held = self.held.remove(which);
        self.check(&held);
        let (address, len) = held.writable;
        let room = bytes.len().min(usize::try_from(len).unwrap());
        self.shared.write(address, &bytes[..room]);

        let device = self.control.queue().addresses().device;
        let element = device + 4 + 8 * u64::from(self.used % self.size);
        self.shared
            .write(element, &u32::from(held.head).to_le_bytes());
        self.shared.write(element + 4, &written.to_le_bytes());
        self.used = self.used.wrapping_add(1);
        self.shared.write(device + 2, &self.used.to_le_bytes());
    }

    /// Executes and uses command `which`, as it should.
    pub(crate) fn answer(&mut self, which: usize) {
        self.execute(which);
        let answer = self.held[which].executed.clone().unwrap();
        self.answer_with(which, &answer, u32::try_from(answer.len()).unwrap());
    }

    /// Refuses command `which`.
    pub(crate) fn refuse(&mut self, which: usize) {
        let len = self.held[which].writable.1;
        let mut answer = vec![0; usize::try_from(len).unwrap()];
        *answer.last_mut().unwrap() = ERR;
        self.answer_with(which, &answer, len);
    }

    /// The device never uses command `which`.
    pub(crate) fn lose(&mut self, which: usize) {
        let held = self.held.remove(which);
        self.lost.push(held);
    }

    /// What the device holds is as it was taken, and not yet answered in its place.
    fn check(&self, held: &Held) {
        let now: Vec<u8> = held.segments[..held.segments.len() - 1]
            .iter()
            .flat_map(|(address, len)| self.bytes(*address, *len))
            .collect();
        assert_eq!(now, held.command, "a command changed under the device");
        let (address, len) = held.writable;
        let ack = self.bytes(address, len).pop();
        assert_eq!(ack, Some(0xff), "the acknowledgement is not preset");
    }

    pub(crate) fn poll(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.control.poll().unwrap() {
            events.push(event);
        }
        events
    }

    /// The device is reset, and begins anew; the commands that it held are gone.
    pub(crate) fn reset(&mut self, features: Features) -> Vec<Event> {
        for held in self.held.iter().chain(&self.lost) {
            self.check(held);
        }
        self.held.clear();
        self.lost.clear();
        self.available = 0;
        self.used = 0;
        self.state = State::default();
        // SAFETY: the device of this module touches nothing without being called.
        let proof = unsafe { Quiesced::assume() };
        let mut events = Vec::new();
        self.control
            .reset(&proof, features, |done| events.push(Event::Done(done)))
            .unwrap();
        events
    }
}

/// How received frames are spread.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Steering {
    Automatic(u16),
    Rss(Vec<u8>),
}

/// What the commands have made of the device; settings as the raw bytes where nothing needs more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct State {
    pub(crate) modes: [bool; 6],
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) table: (Vec<[u8; 6]>, Vec<[u8; 6]>),
    pub(crate) vlans: BTreeSet<u16>,
    pub(crate) steering: Steering,
    pub(crate) hash: Option<Vec<u8>>,
    pub(crate) offloads: Option<u64>,
    /// Receive and transmit.
    pub(crate) directions: [Option<(u32, u32)>; 2],
    pub(crate) queues: BTreeMap<u16, (u32, u32)>,
    pub(crate) announcements: u32,
}

impl Default for State {
    fn default() -> Self {
        Self {
            // As QEMU does.
            modes: [true, false, false, false, false, false],
            mac: None,
            table: (Vec::new(), Vec::new()),
            vlans: BTreeSet::new(),
            steering: Steering::Automatic(1),
            hash: None,
            offloads: None,
            directions: [None; 2],
            queues: BTreeMap::new(),
            announcements: 0,
        }
    }
}

fn word16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn word32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A list of addresses in front of `bytes`, and what follows.
fn addresses(bytes: &[u8]) -> (Vec<[u8; 6]>, &[u8]) {
    let count = usize::try_from(word32(bytes, 0)).unwrap();
    let (list, rest) = bytes[4..].split_at(6 * count);
    let list = list.chunks(6).map(|octets| octets.try_into().unwrap());
    (list.collect(), rest)
}

impl State {
    /// Carries out a command, and says what the device writes. A malformed command is a failed test.
    pub(crate) fn execute(&mut self, command: &[u8]) -> Vec<u8> {
        let data = &command[2..];
        match (command[0], command[1]) {
            (0, mode @ 0..=5) => {
                assert!(matches!(data, [0 | 1]));
                self.modes[usize::from(mode)] = data[0] == 1;
            }
            (1, 0) => {
                let (unicast, rest) = addresses(data);
                let (multicast, rest) = addresses(rest);
                assert!(rest.is_empty());
                assert!(unicast.iter().all(|octets| octets[0] & 1 == 0));
                assert!(multicast.iter().all(|octets| octets[0] & 1 == 1));
                self.table = (unicast, multicast);
            }
            (1, 1) => self.mac = Some(data.try_into().unwrap()),
            (2, what @ 0..=1) => {
                assert_eq!(data.len(), 2);
                let vlan = word16(data, 0);
                assert!(vlan < 4095);
                if what == 0 {
                    self.vlans.insert(vlan);
                } else {
                    self.vlans.remove(&vlan);
                }
            }
            (3, 0) => {
                assert!(data.is_empty());
                self.announcements += 1;
            }
            (4, 0) => {
                assert_eq!(data.len(), 2);
                self.steer(Steering::Automatic(word16(data, 0)));
            }
            (4, 1) => {
                let entries = usize::from(word16(data, 4)) + 1;
                let key = usize::from(data[8 + 2 * entries + 2]);
                assert_eq!(data.len(), 8 + 2 * entries + 3 + key);
                self.steer(Steering::Rss(data.to_vec()));
            }
            (4, 2) => {
                assert_eq!(data[4..12], [0; 8]);
                assert_eq!(data.len(), 13 + usize::from(data[12]));
                if matches!(self.steering, Steering::Rss(_)) {
                    self.steer(Steering::Automatic(1));
                }
                self.hash = Some(data.to_vec());
            }
            (5, 0) => self.offloads = Some(u64::from_le_bytes(data.try_into().unwrap())),
            (6, what @ 0..=1) => {
                assert_eq!(data.len(), 8);
                let direction = if what == 0 { 1 } else { 0 };
                let coalescing = (word32(data, 0), word32(data, 4));
                self.directions[usize::from(direction)] = Some(coalescing);
                self.queues.retain(|queue, _| queue % 2 != direction);
            }
            (6, 2) => {
                assert_eq!(data.len(), 12);
                let coalescing = (word32(data, 4), word32(data, 8));
                self.queues.insert(word16(data, 0), coalescing);
            }
            (6, 3) => {
                assert_eq!(data.len(), 4);
                let (packets, usecs) = self.coalescing_of(word16(data, 0));
                let mut answer = packets.to_le_bytes().to_vec();
                answer.extend(usecs.to_le_bytes());
                answer.push(OK);
                return answer;
            }
            other => panic!("no such command: {other:?}"),
        }
        vec![OK]
    }

    pub(crate) fn coalescing_of(&self, queue: u16) -> (u32, u32) {
        let direction = self.directions[usize::from(queue % 2)];
        let own = self.queues.get(&queue).copied();
        own.or(direction).unwrap_or_default()
    }

    /// New steering drops the hash, as in QEMU, and what was set of queues that it restarts.
    fn steer(&mut self, steering: Steering) {
        self.steering = steering;
        self.hash = None;
        self.queues.clear();
    }
}
