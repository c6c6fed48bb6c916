//! One driver before one device, for one case.

use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};

use virtio_net::dma::DmaRegion;
use virtio_net::features::Features;
use virtio_net::queue::{self, QueueSize, RingLayout, Virtqueue};

use crate::allocations;
use crate::case::{Case, Direction, DriverName, QUEUE, Ring};
use crate::device::{Device, Manner, Packed, Seen, Split};
use crate::driver::{Bell, Driver, floor_packed, floor_split, netkvm, virtio_drivers};
use crate::layout::Areas;
use crate::memory::{Packet, Packets, Pages};

/// What counts of a driver, with the instructions that call it.
#[inline(never)]
pub fn driver_side<D: Driver>(driver: &mut D, batch: u32) -> u32 {
    driver.turn(batch)
}

/// What a lane has counted so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// The device's counts.
    pub seen: Seen,
    /// Doorbells that rang.
    pub doorbells: u64,
    /// Allocations in the driver's part.
    pub allocations: u64,
}

/// A driver and a device that take turns.
pub trait Lane {
    /// A batch: the driver sends and the device drains, or the device fills and the driver receives.
    /// Returns the clock's ticks in the driver's part.
    ///
    /// # Panics
    ///
    /// Not all packets of the batch went through.
    fn step(&mut self) -> u64;

    /// What was counted so far.
    fn counters(&self) -> Counters;
}

/// A driver, its memory and its device. The device goes first, then the driver, then the memory.
struct Pair<V, D> {
    device: V,
    driver: D,
    _rings: Option<Pages>,
    bell: Bell,
    case: Case,
    allocations: u64,
}

impl<V: Device, D: Driver> Pair<V, D> {
    fn drive(&mut self) -> u64 {
        let batch = self.case.batch;
        self.driver.before(batch);
        let allocations = allocations::count();
        let start = ticks_before();
        let done = driver_side(&mut self.driver, batch);
        let ticks = ticks_after().saturating_sub(start);
        self.allocations += allocations::count() - allocations;
        assert_eq!(done, batch, "packets of the driver, {:?}", self.case);
        self.driver.after();
        ticks
    }
}

impl<V: Device, D: Driver> Lane for Pair<V, D> {
    fn step(&mut self) -> u64 {
        let Case { batch, bytes, .. } = self.case;
        match self.case.direction {
            Direction::Tx => {
                let ticks = self.drive();
                let done = self.device.drain();
                assert_eq!(done, batch, "packets of the device, {:?}", self.case);
                ticks
            }
            Direction::Rx => {
                let done = self.device.fill(batch, bytes);
                assert_eq!(done, batch, "packets of the device, {:?}", self.case);
                self.drive()
            }
        }
    }

    fn counters(&self) -> Counters {
        Counters {
            seen: self.device.seen(),
            doorbells: self.bell.rings(),
            allocations: self.allocations,
        }
    }
}

/// The clock, after everything before it has been done.
#[inline]
#[must_use]
pub fn ticks_before() -> u64 {
    // SAFETY: every x86-64 has the instruction.
    unsafe { _mm_lfence() };
    // SAFETY: as above.
    let ticks = unsafe { _rdtsc() };
    // SAFETY: as above.
    unsafe { _mm_lfence() };
    ticks
}

/// The clock, after everything before it has been done, and before anything after it starts.
#[inline]
#[must_use]
pub fn ticks_after() -> u64 {
    let mut processor = 0;
    // SAFETY: every x86-64 of this century has the instruction; `processor` is a u32.
    let ticks = unsafe { __rdtscp(&raw mut processor) };
    // SAFETY: every x86-64 has it.
    unsafe { _mm_lfence() };
    ticks
}

/// Makes a lane. `polls`: the device looks by itself; else it wants a doorbell for each batch.
///
/// # Panics
///
/// The driver can't do the case (see [`DriverName::can`]).
#[must_use]
pub fn lane(name: DriverName, case: Case, polls: bool) -> Box<dyn Lane> {
    assert!(name.can(&case), "{name:?} can't do {case:?}");
    #[cfg(feature = "dpdk")]
    if name == DriverName::Dpdk {
        return dpdk_lane(case, polls);
    }
    let packets = Packets::new();
    let manner = Manner {
        event_idx: case.event_idx,
        polls,
        packets: packets.range(),
    };
    let bell = Bell::default();
    match name {
        DriverName::Netkvm => netkvm_lane(case, manner, packets, bell),
        DriverName::VirtioDrivers => virtio_drivers_lane(case, manner, packets, bell),
        DriverName::Floor => floor_lane(case, manner, packets, bell),
        DriverName::Dpdk => unreachable!("not in this build"),
    }
}

/// Puts a device before the driver.
fn pair<D: Driver + 'static>(
    driver: D,
    rings: Option<Pages>,
    areas: Areas,
    case: Case,
    manner: Manner,
    bell: Bell,
) -> Box<dyn Lane> {
    fn boxed<V: Device + 'static, D: Driver + 'static>(pair: Pair<V, D>) -> Box<dyn Lane> {
        Box::new(pair)
    }
    match case.ring {
        Ring::Split => boxed(Pair {
            // SAFETY: the driver, which lives as long as the device, has a split queue there.
            device: unsafe { Split::new(areas, manner) },
            driver,
            _rings: rings,
            bell,
            case,
            allocations: 0,
        }),
        Ring::Packed => boxed(Pair {
            // SAFETY: as above, with a packed queue.
            device: unsafe { Packed::new(areas, manner) },
            driver,
            _rings: rings,
            bell,
            case,
            allocations: 0,
        }),
    }
}

fn netkvm_lane(case: Case, manner: Manner, packets: Packets, bell: Bell) -> Box<dyn Lane> {
    let size = QueueSize::new(QUEUE as u16).expect("a power of two");
    let mut features = Features::VERSION_1;
    for (wanted, bit) in [
        (case.mergeable, Features::MRG_RXBUF),
        (case.event_idx, Features::RING_EVENT_IDX),
        (case.ring == Ring::Packed, Features::RING_PACKED),
    ] {
        if wanted {
            features = features | bit;
        }
    }
    let rings = Pages::new(RingLayout::new(size, features).bytes());
    // SAFETY: fresh pages that nobody else uses, and that outlive the queue.
    let region = unsafe { DmaRegion::new(rings.at(), rings.address(0), rings.len()) };
    let queue = queue::Ring::new(size, features, region, None).expect("pages fit a queue");
    let areas = areas(&queue);
    if case.direction == Direction::Tx {
        let sender = netkvm::Sender::new(queue, packets, case.bytes, bell.clone());
        pair(sender, Some(rings), areas, case, manner, bell)
    } else {
        let receiver = netkvm::Receiver::new(queue, packets, features, bell.clone());
        pair(receiver, Some(rings), areas, case, manner, bell)
    }
}

fn areas(queue: &impl Virtqueue<Packet>) -> Areas {
    let addresses = queue.addresses();
    Areas {
        descriptors: addresses.descriptors,
        driver: addresses.driver,
        device: addresses.device,
    }
}

fn virtio_drivers_lane(case: Case, manner: Manner, packets: Packets, bell: Bell) -> Box<dyn Lane> {
    let (bytes, event_idx) = (case.bytes, case.event_idx);
    if case.direction == Direction::Tx {
        let sender = virtio_drivers::Sender::new(packets, bytes, event_idx, bell.clone());
        let areas = sender.areas();
        pair(sender, None, areas, case, manner, bell)
    } else {
        let receiver = virtio_drivers::Receiver::new(packets, event_idx, bell.clone());
        let areas = receiver.areas();
        pair(receiver, None, areas, case, manner, bell)
    }
}

fn floor_lane(case: Case, manner: Manner, packets: Packets, bell: Bell) -> Box<dyn Lane> {
    let (bytes, event_idx, mergeable) = (case.bytes, case.event_idx, case.mergeable);
    match (case.ring, case.direction) {
        (Ring::Split, Direction::Tx) => {
            let sender = floor_split::Sender::new(packets, bytes, event_idx, bell.clone());
            let areas = sender.areas();
            pair(sender, None, areas, case, manner, bell)
        }
        (Ring::Split, Direction::Rx) => {
            let receiver = floor_split::Receiver::new(packets, mergeable, event_idx, bell.clone());
            let areas = receiver.areas();
            pair(receiver, None, areas, case, manner, bell)
        }
        (Ring::Packed, Direction::Tx) => {
            let sender = floor_packed::Sender::new(packets, bytes, bell.clone());
            let areas = sender.areas();
            pair(sender, None, areas, case, manner, bell)
        }
        (Ring::Packed, Direction::Rx) => {
            let receiver = floor_packed::Receiver::new(packets, mergeable, bell.clone());
            let areas = receiver.areas();
            pair(receiver, None, areas, case, manner, bell)
        }
    }
}

#[cfg(feature = "dpdk")]
fn dpdk_lane(case: Case, polls: bool) -> Box<dyn Lane> {
    use crate::driver::dpdk::{self, Kind, Side};

    let port = dpdk::port(Kind {
        packed: case.ring == Ring::Packed,
        mergeable: case.mergeable,
        polls,
    });
    let manner = Manner {
        event_idx: case.event_idx,
        polls,
        packets: dpdk::packets(),
    };
    let new = |areas| -> Box<dyn Device> {
        match case.ring {
            // SAFETY: the port has a split queue there, as long as the process lives.
            Ring::Split => Box::new(unsafe { Split::new(areas, manner) }),
            // SAFETY: as above, with a packed queue.
            Ring::Packed => Box::new(unsafe { Packed::new(areas, manner) }),
        }
    };
    let bell = Bell::default();
    match case.direction {
        Direction::Tx => Box::new(Pair {
            device: dpdk::device(&port, Side::Tx, new),
            driver: dpdk::Sender::new(port, case.bytes, polls, bell.clone()),
            _rings: None,
            bell,
            case,
            allocations: 0,
        }),
        Direction::Rx => Box::new(Pair {
            device: dpdk::device(&port, Side::Rx, new),
            driver: dpdk::Receiver::new(port, polls, bell.clone()),
            _rings: None,
            bell,
            case,
            allocations: 0,
        }),
    }
}
