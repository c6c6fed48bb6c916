//! DPDK's virtio-user driver, connected to its rings by DPDK's vhost library in this process.
//!
//! Its packets are DPDK's own. Sending includes giving back what was sent before, receiving includes
//! taking new buffers; allocating what is sent and freeing what was received do not count. No
//! `IN_ORDER` and no vector instructions, as nobody else here has them.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::ops::Range;
use std::rc::Rc;
use std::{env, fs, process, ptr};

use super::{Bell, Driver};
use crate::device::{Device, Seen};
use crate::layout::Areas;

/// Most packets in a batch.
const BURST: usize = 64;

/// A packet of DPDK's.
type Mbuf = *mut c_void;

/// As in `dpdk.c`; queue 0 receives, 1 sends.
#[derive(Debug, Default)]
#[repr(C)]
struct RawPort {
    areas: [[u64; 3]; 2],
    kick: [i32; 2],
    port: u32,
}

unsafe extern "C" {
    fn ring_bench_dpdk_start() -> c_int;
    fn ring_bench_dpdk_memory(ends: *mut [u64; 2]);
    fn ring_bench_dpdk_open(
        path: *const c_char,
        name: *const c_char,
        packed: c_int,
        mergeable: c_int,
        out: *mut RawPort,
    ) -> c_int;
    fn ring_bench_dpdk_packets(at: *mut Mbuf, count: u32, bytes: u32, number: u64) -> c_int;
    fn ring_bench_dpdk_send(port: u32, packets: *mut Mbuf, count: u32) -> u32;
    fn ring_bench_dpdk_receive(port: u32, packets: *mut Mbuf, count: u32) -> u32;
    fn ring_bench_dpdk_free(packets: *mut Mbuf, count: u32);
    fn ring_bench_dpdk_rings(kick: c_int) -> u64;
}

thread_local! {
    static PORTS: RefCell<Ports> = const { RefCell::new(Ports { is_started: false, open: Vec::new() }) };
}

/// What cases of the same kind share: a port lives as long as the process.
struct Ports {
    is_started: bool,
    open: Vec<(Kind, Rc<Port>)>,
}

/// What a port is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind {
    /// A packed queue.
    pub packed: bool,
    /// Mergeable buffers.
    pub mergeable: bool,
    /// The device polls.
    pub polls: bool,
}

/// A port, and the devices before its two queues.
pub struct Port {
    raw: RawPort,
    /// Receiving, sending; none until [`device`] makes it.
    devices: [RefCell<Option<Box<dyn Device>>>; 2],
}

/// Which queue.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Receives.
    Rx,
    /// Sends.
    Tx,
}

/// The port of that kind, which is opened if there is none.
///
/// # Panics
///
/// DPDK can't.
#[must_use]
pub fn port(kind: Kind) -> Rc<Port> {
    PORTS.with_borrow_mut(|ports| {
        if !ports.is_started {
            // SAFETY: once in this process.
            let error = unsafe { ring_bench_dpdk_start() };
            assert_eq!(error, 0, "DPDK does not start");
            ports.is_started = true;
        }
        if let Some((_, port)) = ports.open.iter().find(|(open, _)| *open == kind) {
            return Rc::clone(port);
        }
        let port = Rc::new(open(kind, ports.open.len()));
        ports.open.push((kind, Rc::clone(&port)));
        port
    })
}

fn open(kind: Kind, number: usize) -> Port {
    let path = env::temp_dir().join(format!("ring-bench-{}-{number}", process::id()));
    let as_c = |text: &str| CString::new(text).expect("a name without zeroes");
    let socket = as_c(path.to_str().expect("a folder with a plain name"));
    let name = as_c(&format!("net_virtio_user{number}"));
    let mut raw = RawPort::default();
    let (packed, mergeable) = (c_int::from(kind.packed), c_int::from(kind.mergeable));
    // SAFETY: DPDK was started; the strings and `raw` live through the call.
    let error = unsafe {
        ring_bench_dpdk_open(
            socket.as_ptr(),
            name.as_ptr(),
            packed,
            mergeable,
            &raw mut raw,
        )
    };
    assert_eq!(error, 0, "DPDK does not open {kind:?}");
    // The two have met; nobody else is to connect.
    let _ = fs::remove_file(path);
    Port {
        raw,
        devices: [RefCell::new(None), RefCell::new(None)],
    }
}

/// The addresses that belong to packets.
#[must_use]
pub fn packets() -> Range<u64> {
    let mut ends = [0; 2];
    // SAFETY: `ends` is what the function writes; DPDK was started, as there is a port.
    unsafe { ring_bench_dpdk_memory(&raw mut ends) };
    ends[0]..ends[1]
}

/// The device before a queue of a port, which goes on where it was.
pub struct Shared(Rc<Port>, Side);

/// The device before that queue; `new` makes it the first time.
pub fn device(port: &Rc<Port>, side: Side, new: impl FnOnce(Areas) -> Box<dyn Device>) -> Shared {
    let [descriptors, driver, device] = port.raw.areas[side as usize];
    let areas = Areas {
        descriptors,
        driver,
        device,
    };
    let mut slot = port.devices[side as usize].borrow_mut();
    slot.get_or_insert_with(|| new(areas));
    Shared(Rc::clone(port), side)
}

impl Shared {
    fn with<T>(&self, task: impl FnOnce(&mut dyn Device) -> T) -> T {
        let mut device = self.0.devices[self.1 as usize].borrow_mut();
        task(device.as_mut().expect("made with `device`").as_mut())
    }
}

impl Device for Shared {
    fn drain(&mut self) -> u32 {
        self.with(|device| device.drain())
    }

    fn fill(&mut self, packets: u32, bytes: u32) -> u32 {
        self.with(|device| device.fill(packets, bytes))
    }

    fn seen(&self) -> Seen {
        self.with(|device| device.seen())
    }
}

/// What both directions have.
struct Burst {
    port: Rc<Port>,
    side: Side,
    bell: Bell,
    polls: bool,
    packets: [Mbuf; BURST],
}

impl Burst {
    fn new(port: Rc<Port>, side: Side, polls: bool, bell: Bell) -> Self {
        let burst = Self {
            port,
            side,
            bell,
            polls,
            packets: [ptr::null_mut(); BURST],
        };
        burst.count_rings();
        burst
    }

    /// Passes on what the doorbell counted; it is a file.
    fn count_rings(&self) {
        if self.polls {
            return;
        }
        // SAFETY: the port's own descriptor, which does not block.
        let rings = unsafe { ring_bench_dpdk_rings(self.port.raw.kick[self.side as usize]) };
        (0..rings).for_each(|_| self.bell.ring());
    }
}

/// Sends.
pub struct Sender {
    burst: Burst,
    bytes: u32,
    next: u64,
}

impl Sender {
    /// Sends packets of `bytes` bytes.
    #[must_use]
    pub fn new(port: Rc<Port>, bytes: u32, polls: bool, bell: Bell) -> Self {
        Self {
            burst: Burst::new(port, Side::Tx, polls, bell),
            bytes,
            next: 0,
        }
    }
}

impl Driver for Sender {
    fn before(&mut self, batch: u32) {
        let packets = &mut self.burst.packets;
        assert!(batch as usize <= packets.len());
        // SAFETY: there is room for a batch.
        let error =
            unsafe { ring_bench_dpdk_packets(packets.as_mut_ptr(), batch, self.bytes, self.next) };
        assert_eq!(error, 0, "DPDK has no packets left");
        self.next += u64::from(batch);
    }

    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let Burst { port, packets, .. } = &mut self.burst;
        // SAFETY: `before` has put a batch there.
        unsafe { ring_bench_dpdk_send(port.raw.port, packets.as_mut_ptr(), batch) }
    }

    fn after(&mut self) {
        self.burst.count_rings();
    }
}

/// Receives.
pub struct Receiver {
    burst: Burst,
    received: u32,
}

impl Receiver {
    /// Receives; the port has its buffers.
    #[must_use]
    pub fn new(port: Rc<Port>, polls: bool, bell: Bell) -> Self {
        Self {
            burst: Burst::new(port, Side::Rx, polls, bell),
            received: 0,
        }
    }
}

impl Driver for Receiver {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let Burst { port, packets, .. } = &mut self.burst;
        self.received = 0;
        // It may stop at the end of a cache line of the used ring; then it is asked again.
        while let Some(rest) = packets.get_mut(self.received as usize..batch as usize)
            && !rest.is_empty()
        {
            // SAFETY: there is room for as many.
            let count = unsafe {
                ring_bench_dpdk_receive(port.raw.port, rest.as_mut_ptr(), rest.len() as u32)
            };
            if count == 0 {
                break;
            }
            self.received += count;
        }
        self.received
    }

    fn after(&mut self) {
        // SAFETY: `turn` has received that many, and nobody else has them.
        unsafe { ring_bench_dpdk_free(self.burst.packets.as_mut_ptr(), self.received) };
        self.burst.count_rings();
    }
}
