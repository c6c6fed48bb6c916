//! Frames between smoltcp and a [`FrameIo`], in buffers that are used again.

use std::cell::{Cell, RefCell};

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::wire::Frame;

const ETHERNET_HEADER: usize = 14;

/// Buffers that are kept for reuse.
const POOL: usize = 512;

/// What a [`Stack`](super::Stack) sends and receives frames through.
pub trait FrameIo {
    /// Takes a frame that came in.
    fn receive(&mut self) -> Option<Frame>;

    /// Takes a frame to send. `false` means that there was no room and the frame is lost.
    fn transmit(&mut self, frame: Frame) -> bool;

    /// Whether there is room for a frame now. The owner polls the stack when that comes back.
    fn has_room(&self) -> bool {
        true
    }

    /// Largest IP packet.
    fn mtu(&self) -> usize;
}

/// Which way a frame went, seen from the stack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// The stack sent it.
    Sent,
    /// The stack received it.
    Received,
}

/// Sees frames as they pass: way, bytes, time.
pub type Tap = Box<dyn FnMut(Way, &[u8], u64) + Send>;

/// Frames that passed a stack.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PhyCounters {
    /// Frames sent.
    pub sent: u64,
    /// Frames received.
    pub received: u64,
    /// Frames lost for want of room.
    pub refused: u64,
}

pub(super) struct Phy<D> {
    pub(super) io: D,
    pub(super) tap: Option<Tap>,
    pub(super) now_ns: u64,
    /// Shared by the two tokens that smoltcp holds at a time.
    pool: RefCell<Vec<Frame>>,
    counters: Cell<PhyCounters>,
}

impl<D> Phy<D> {
    pub(super) fn new(io: D) -> Self {
        Self {
            io,
            tap: None,
            now_ns: 0,
            pool: RefCell::default(),
            counters: Cell::default(),
        }
    }

    pub(super) fn counters(&self) -> PhyCounters {
        self.counters.get()
    }
}

impl<D: FrameIo> Phy<D> {
    fn sender(&mut self) -> Sender<'_, D> {
        Sender {
            io: &mut self.io,
            tap: &mut self.tap,
            now_ns: self.now_ns,
            pool: &self.pool,
            counters: &self.counters,
        }
    }
}

impl<D: FrameIo> Device for Phy<D> {
    type RxToken<'a>
        = Receiver<'a>
    where
        D: 'a;
    type TxToken<'a>
        = Sender<'a, D>
    where
        D: 'a;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let frame = self.io.receive()?;
        count(&self.counters, |counters| counters.received += 1);
        if let Some(tap) = &mut self.tap {
            tap(Way::Received, &frame, self.now_ns);
        }
        let sender = self.sender();
        let pool = sender.pool;
        Some((Receiver { frame, pool }, sender))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        self.io.has_room().then(|| self.sender())
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.io.mtu() + ETHERNET_HEADER;
        capabilities
    }
}

/// A frame on its way into smoltcp.
pub(super) struct Receiver<'a> {
    frame: Frame,
    pool: &'a RefCell<Vec<Frame>>,
}

impl RxToken for Receiver<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.frame);
        let mut pool = self.pool.borrow_mut();
        if pool.len() < POOL {
            pool.push(self.frame);
        }
        result
    }
}

/// Room for a frame from smoltcp.
pub(super) struct Sender<'a, D> {
    io: &'a mut D,
    tap: &'a mut Option<Tap>,
    now_ns: u64,
    pool: &'a RefCell<Vec<Frame>>,
    counters: &'a Cell<PhyCounters>,
}

impl<D: FrameIo> TxToken for Sender<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = self.pool.borrow_mut().pop().unwrap_or_default();
        frame.clear();
        frame.resize(len, 0);
        let result = f(&mut frame);

        if let Some(tap) = self.tap {
            tap(Way::Sent, &frame, self.now_ns);
        }
        let taken = self.io.transmit(frame);
        count(self.counters, |counters| {
            counters.sent += u64::from(taken);
            counters.refused += u64::from(!taken);
        });
        result
    }
}

fn count(counters: &Cell<PhyCounters>, change: impl FnOnce(&mut PhyCounters)) {
    let mut value = counters.get();
    change(&mut value);
    counters.set(value);
}
