//! A driver just good enough to move frames: fixed addresses, one page per descriptor.
//!
//! ```text
//! queue q at RINGS + q * 64 KiB:   table | +0x4000 available | +0x8000 used
//! buffer i of queue q:             BUFFERS + q * 8 MiB + i * 4 KiB
//! ```

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::super::*;
use crate::pci::{DmaMemory, PciFunction, PciHost, direct_memory};
use crate::wire::testing::ManualClock;
use crate::wire::{Frame, PortConfig, PortHandle, Switch};

pub(super) const MAC: MacAddress = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub(super) const FAR: MacAddress = [2, 0, 0, 0, 0, 9];
pub(super) const BASE: u64 = 0x1_0000_0000;
const RINGS: u64 = BASE + 0x10_0000;
const BUFFERS: u64 = BASE + 0x100_0000;
const HEADER: usize = 12;
/// Most queues that there is memory for.
const QUEUES: usize = 5;

pub(super) const F_NEXT: u16 = 1;
pub(super) const F_WRITE: u16 = 2;
pub(super) const F_INDIRECT: u16 = 4;

/// A machine that takes notes.
pub(super) struct Machine {
    memory: DmaMemory,
    messages: Mutex<Vec<(u64, u32)>>,
    line: AtomicBool,
    wakes: AtomicUsize,
}

impl PciHost for Machine {
    fn message(&self, address: u64, data: u32) {
        self.messages.lock().unwrap().push((address, data));
    }

    fn set_line(&self, asserted: bool) {
        self.line.store(asserted, Ordering::Relaxed);
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    fn memory(&self) -> DmaMemory {
        self.memory.clone()
    }
}

/// A used element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Used {
    pub(super) id: u32,
    pub(super) len: u32,
}

pub(super) struct Driver {
    pub(super) machine: Arc<Machine>,
    pub(super) device: VirtioNet,
    pub(super) control: VirtioNetControl,
    pub(super) events: Arc<Mutex<Vec<DeviceEvent>>>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) far_end: PortHandle,
    pub(super) arrived: Arc<Mutex<Vec<Frame>>>,
    next_available: [u16; QUEUES],
    next_used: [u16; QUEUES],
    size: u16,
}

impl Driver {
    /// A device with decoding and mastering on, and MSI-X open: vector v sends 0x40 + v.
    pub(super) fn new(config: VirtioNetConfig) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(BASE), 64 << 20)]).unwrap();
        let machine = Arc::new(Machine {
            memory: direct_memory(memory),
            line: AtomicBool::new(false),
            messages: Mutex::default(),
            wakes: AtomicUsize::new(0),
        });
        let events: Arc<Mutex<Vec<DeviceEvent>>> = Arc::default();
        let log = events.clone();
        let size = config.queue_size;
        let sink: EventSink = Box::new(move |event| log.lock().unwrap().push(event));
        let (device, control) = VirtioNet::new(config, machine.clone(), sink);

        let clock = ManualClock::new();
        let switch = Switch::new(clock.clone());
        control.connect(switch.add_port("nic", PortConfig::default(), control.wire_sink()));
        let arrived: Arc<Mutex<Vec<Frame>>> = Arc::default();
        let log = arrived.clone();
        let sink = move |frame| log.lock().unwrap().push(frame);
        let far_end = switch.add_port("far", PortConfig::default(), Box::new(sink));

        let mut driver = Self {
            machine,
            device,
            control,
            events,
            clock,
            far_end,
            arrived,
            next_available: [0; QUEUES],
            next_used: [0; QUEUES],
            size,
        };
        driver.device.config_write(0x04, &6_u16.to_le_bytes());
        driver.open_msix();
        driver
    }

    /// A driver that is through with its set-up, with `features`.
    pub(super) fn running(config: VirtioNetConfig, features: u128) -> Self {
        let mut driver = Self::new(config);
        driver.bring_up(features);
        driver
    }

    pub(super) fn bring_up(&mut self, features: u128) {
        self.negotiate(features);
        assert_eq!(self.status(), 11, "the features were not taken");
        for queue in 0..u16::from_le_bytes(self.read(0x12)) {
            self.set_up_queue(queue);
        }
        self.set_status(15);
    }

    fn open_msix(&mut self) {
        for vector in 0..4_u32 {
            let entry = u64::from(vector) * 16;
            self.device
                .bar_write(1, entry, &0xFEE0_0000_u64.to_le_bytes());
            self.device
                .bar_write(1, entry + 8, &(0x40 + vector).to_le_bytes());
            self.device.bar_write(1, entry + 12, &[0; 4]);
        }
        self.device.config_write(0xDE, &0x8000_u16.to_le_bytes());
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.device.bar_write(4, offset, data);
    }

    pub(super) fn read<const N: usize>(&mut self, offset: u64) -> [u8; N] {
        let mut data = [0; N];
        self.device.bar_read(4, offset, &mut data);
        data
    }

    pub(super) fn status(&mut self) -> u8 {
        self.read::<1>(0x14)[0]
    }

    pub(super) fn set_status(&mut self, status: u8) {
        self.write(0x14, &[status]);
    }

    pub(super) fn offered(&mut self) -> u128 {
        (0..4_u32).rev().fold(0, |all, select| {
            self.write(0x00, &select.to_le_bytes());
            all << 32 | u128::from(u32::from_le_bytes(self.read(0x04)))
        })
    }

    pub(super) fn write_feature_word(&mut self, select: u32, word: u32) {
        self.write(0x08, &select.to_le_bytes());
        self.write(0x0C, &word.to_le_bytes());
    }

    /// Resets and negotiates, word 1 before word 0, up to FEATURES_OK.
    pub(super) fn negotiate(&mut self, features: u128) {
        self.set_status(0);
        self.set_status(1);
        self.set_status(3);
        self.write_feature_word(1, (features >> 32) as u32);
        self.write_feature_word(0, features as u32);
        if features >> 64 != 0 {
            self.write_feature_word(2, (features >> 64) as u32);
            self.write_feature_word(3, (features >> 96) as u32);
        }
        self.set_status(11);
        self.next_available = [0; QUEUES];
        self.next_used = [0; QUEUES];
    }

    /// Clears the rings of a queue and enables it: vector 1 for queue 0, 2 for queue 1.
    pub(super) fn set_up_queue(&mut self, queue: u16) {
        self.next_available[usize::from(queue)] = 0;
        self.next_used[usize::from(queue)] = 0;
        let base = ring(queue);
        let clear = vec![0; 0xC000];
        self.machine
            .memory
            .write_slice(&clear, GuestAddress(base))
            .unwrap();
        self.write(0x10, &0_u16.to_le_bytes());
        self.write(0x16, &queue.to_le_bytes());
        self.write(0x1A, &(queue + 1).to_le_bytes());
        for (offset, address) in [(0x20, base), (0x28, base + 0x4000), (0x30, base + 0x8000)] {
            self.write(offset, &(address as u32).to_le_bytes());
            self.write(offset + 4, &((address >> 32) as u32).to_le_bytes());
        }
        self.write(0x1C, &1_u16.to_le_bytes());
    }

    pub(super) fn put_bytes(&self, address: u64, bytes: &[u8]) {
        self.machine
            .memory
            .write_slice(bytes, GuestAddress(address))
            .unwrap();
    }

    pub(super) fn get_bytes(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.machine
            .memory
            .read_slice(&mut bytes, GuestAddress(address))
            .unwrap();
        bytes
    }

    pub(super) fn put<T: vm_memory::ByteValued>(&self, address: u64, value: T) {
        self.machine
            .memory
            .write_obj(value, GuestAddress(address))
            .unwrap();
    }

    pub(super) fn get<T: vm_memory::ByteValued>(&self, address: u64) -> T {
        self.machine.memory.read_obj(GuestAddress(address)).unwrap()
    }

    pub(super) fn descriptor(
        &self,
        queue: u16,
        index: u16,
        address: u64,
        len: u32,
        flags: u16,
        next: u16,
    ) {
        let at = ring(queue) + 16 * u64::from(index);
        self.put(at, address);
        self.put(at + 8, len);
        self.put(at + 12, flags);
        self.put(at + 14, next);
    }

    /// Makes `head` available, without a doorbell.
    pub(super) fn offer(&mut self, queue: u16, head: u16) {
        let next = &mut self.next_available[usize::from(queue)];
        let slot = u64::from(*next % self.size);
        *next = next.wrapping_add(1);
        let index = *next;
        self.put(ring(queue) + 0x4000 + 4 + 2 * slot, head);
        self.put(ring(queue) + 0x4000 + 2, index);
    }

    pub(super) fn kick(&mut self, queue: u16) {
        self.write(0x3000 + 4 * u64::from(queue), &queue.to_le_bytes());
    }

    /// Rings and says how far the driver is (NOTIFICATION_DATA).
    pub(super) fn kick_at(&mut self, queue: u16, word: u16) {
        let data = u32::from(queue) | u32::from(word) << 16;
        self.write(0x3000 + 4 * u64::from(queue), &data.to_le_bytes());
    }

    /// Offers receive buffers of `len` bytes, one descriptor each.
    pub(super) fn offer_buffers(&mut self, heads: std::ops::Range<u16>, len: u32) {
        for head in heads {
            self.descriptor(0, head, buffer(0, head), len, F_WRITE, 0);
            self.offer(0, head);
        }
    }

    /// Offers `frame` behind a header of zeros, in one descriptor.
    pub(super) fn offer_frame(&mut self, head: u16, frame: &[u8]) {
        let bytes = [&[0; HEADER], frame].concat();
        let at = buffer(1, head);
        self.machine
            .memory
            .write_slice(&bytes, GuestAddress(at))
            .unwrap();
        self.descriptor(1, head, at, bytes.len() as u32, 0, 0);
        self.offer(1, head);
    }

    /// Sends a frame from the other end of the wire and lets the device work.
    pub(super) fn receive(&mut self, frame: &[u8]) {
        self.far_end.send(frame.to_vec());
        self.settle();
    }

    /// Lets wire and device work until both are done.
    pub(super) fn settle(&mut self) {
        loop {
            self.clock.run_while_busy(|| false);
            if self.machine.wakes.swap(0, Ordering::Relaxed) == 0 {
                return;
            }
            self.device.process();
        }
    }

    /// Used elements since the last call.
    pub(super) fn take_used(&mut self, queue: u16) -> Vec<Used> {
        let base = ring(queue) + 0x8000;
        let index: u16 = self.get(base + 2);
        let mut used = Vec::new();
        while self.next_used[usize::from(queue)] != index {
            let next = &mut self.next_used[usize::from(queue)];
            let at = base + 4 + 8 * u64::from(*next % self.size);
            *next = next.wrapping_add(1);
            used.push(Used {
                id: self.get(at),
                len: self.get(at + 4),
            });
        }
        used
    }

    /// Asks for an interrupt when the used index passes `index` (EVENT_IDX).
    pub(super) fn set_used_event(&self, queue: u16, index: u16) {
        self.put(ring(queue) + 0x4000 + 4 + 2 * u64::from(self.size), index);
    }

    /// Where the device asks for a doorbell (EVENT_IDX).
    pub(super) fn avail_event(&self, queue: u16) -> u16 {
        self.get(ring(queue) + 0x8000 + 4 + 8 * u64::from(self.size))
    }

    /// The frame that lies in `chain`, header and frame apart.
    pub(super) fn received(&self, chain: &[Used]) -> ([u8; HEADER], Frame) {
        let mut bytes = Vec::new();
        for used in chain {
            let mut piece = vec![0; used.len as usize];
            let at = buffer(0, used.id as u16);
            self.machine
                .memory
                .read_slice(&mut piece, GuestAddress(at))
                .unwrap();
            bytes.extend(piece);
        }
        let (header, frame) = bytes.split_first_chunk().unwrap();
        (*header, frame.to_vec())
    }

    /// Data of the messages since the last call.
    pub(super) fn take_messages(&self) -> Vec<u32> {
        let messages = std::mem::take(&mut *self.machine.messages.lock().unwrap());
        messages.into_iter().map(|(_, data)| data).collect()
    }

    pub(super) fn line(&self) -> bool {
        self.machine.line.load(Ordering::Relaxed)
    }

    pub(super) fn take_events(&self) -> Vec<DeviceEvent> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.take_events()
            .into_iter()
            .find_map(|event| match event {
                DeviceEvent::Broken(reason) => Some(reason),
                _ => None,
            })
    }
}

pub(super) fn ring(queue: u16) -> u64 {
    RINGS + 0x1_0000 * u64::from(queue)
}

pub(super) fn buffer(queue: u16, index: u16) -> u64 {
    BUFFERS + 0x80_0000 * u64::from(queue) + 0x1000 * u64::from(index)
}

/// A frame of `len` bytes from the other end to the device.
pub(super) fn frame(len: usize, tag: u8) -> Frame {
    let mut frame = [MAC, FAR].concat();
    frame.extend([0x88, 0xB5]);
    frame.resize(len, tag);
    frame
}
