//! The receive queue.
//!
//! A [`Buffer`] is a piece of shared memory with a NET_BUFFER_LIST of its own, made once. It is
//! always in one place: with the device (moved into the virtqueue), with the protocols above (its
//! list indicated; the list's MiniportReserved field owns the buffer), or on its way between.
//!
//! How large buffers are, how many, and what frames can be is worked out by [`virtio_net::receive`].
//! With mergeable buffers a frame may fill several: the others hang on the first, and their MDLs on
//! its MDL chain, until the list is returned. Without, a buffer that is longer than a page is a chain
//! of pages, each with its MDL.

mod buffer;

use alloc::boxed::Box;
use alloc::vec::Vec;
use ndis::chain::{Chain, Own, ToReturn};
use ndis::dma::SharedMemory;
use ndis::irql::Dispatch;
use ndis::lock::SpinLock;
use ndis::pool::NblPool;
use ndis::turns::Turns;
use ndis_sys as sys;
use vioprot::copies::{Digest, Path};
use virtio_net::dma::Quiesced;
use virtio_net::queue::{Ring, Virtqueue};
use virtio_net::receive::{ETHERNET_HEADER, FrameRules, Progress, ReceivePlan, Refill};

use crate::adapter::{Adapter, Broken, Device};
pub(crate) use buffer::Buffer;
use buffer::Returning;

/// Frames taken from the queue under one lock.
const BATCH: usize = 32;

struct State {
    queue: Ring<Box<Buffer>>,
    refill: Refill,
    /// The device can't be used any more: buffers that come back are dropped.
    dead: bool,
}

impl State {
    /// Lends a buffer to the device, which is not shown it yet; gives it back if that can't be.
    fn lend(&mut self, buffer: Box<Buffer>) -> Result<(), Box<Buffer>> {
        if self.dead {
            return Err(buffer);
        }
        buffer
            .lend(&mut self.queue)
            .map_err(|refused| refused.buffer)?;
        self.refill.added();
        Ok(())
    }

    /// Shows the device what it was lent, if it is time to. True: its doorbell is to be rung.
    fn show_if_due(&mut self, adapter: &Adapter) -> bool {
        !self.dead && self.refill.is_due(self.queue.in_flight()) && self.show(adapter)
    }

    fn show(&mut self, adapter: &Adapter) -> bool {
        self.refill.published();
        adapter.publish(&mut self.queue, Device::RECEIVE)
    }
}

/// The receive queue of an adapter.
pub(crate) struct Receive {
    state: SpinLock<State>,
    /// One CPU at a time takes frames out: two would indicate them out of order.
    turns: Turns,
    rules: FrameRules,
    /// How many buffers it has.
    pub(crate) buffers: u32,
    /// With fewer buffers at the device than this, lists are only shown.
    low: u16,
    pub(crate) pool: NblPool,
    /// What the buffers are cut out of.
    _memory: Vec<SharedMemory>,
}

/// What [`Receive::new`] is made of.
pub(crate) struct Parts {
    pub(crate) plan: ReceivePlan,
    pub(crate) queue: Ring<Box<Buffer>>,
    pub(crate) pool: NblPool,
    pub(crate) memory: Vec<SharedMemory>,
    #[expect(
        clippy::vec_box,
        reason = "buffers move from place to place by their boxes"
    )]
    pub(crate) buffers: Vec<Box<Buffer>>,
}

impl Receive {
    /// A queue with all its buffers at the device, which has not been told yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts {
            plan,
            queue,
            pool,
            memory,
            buffers,
        } = parts;
        let mut state = State {
            queue,
            refill: plan.refill(),
            dead: false,
        };
        for buffer in buffers {
            // The plan has no more buffers than the queue has places.
            let _ = state.lend(buffer);
        }
        Self {
            state: SpinLock::new(state),
            turns: Turns::new(),
            rules: plan.rules(),
            buffers: plan.buffers().into(),
            low: plan.low(),
            pool,
            _memory: memory,
        }
    }

    /// Tells the device, which runs, of the first buffers.
    pub(crate) fn open(&self, adapter: &Adapter) {
        // SAFETY: at PASSIVE_LEVEL, with no lock held.
        let ring = unsafe { self.state.lock() }.show(adapter);
        if ring {
            adapter.ring(Device::RECEIVE);
        }
    }

    /// Delivers up to `budget` frames. True: there are more.
    pub(crate) fn drain(&self, adapter: &Adapter, budget: u32, at: Dispatch<'_>) -> bool {
        let mut left = budget;
        self.turns.work(|| self.drain_alone(adapter, &mut left, at))
    }

    fn drain_alone(&self, adapter: &Adapter, left: &mut u32, at: Dispatch<'_>) -> bool {
        loop {
            if *left == 0 {
                // Interrupts stay off: NDIS calls again.
                return true;
            }
            let mut frames = [const { None }; BATCH];
            let want = (*left as usize).min(BATCH);
            let (count, posted, fault, ring, more) = {
                // SAFETY: none of our callers holds this queue's lock.
                let mut state = unsafe { self.state.lock_at(at) };
                let (count, fault) = self.collect(&mut state, &mut frames, want);
                // Buffers may wait since the device had enough of them, as it seemed.
                let ring = !fault && state.show_if_due(adapter);
                let more = !fault
                    && if count < want {
                        state.queue.enable_interrupts()
                    } else {
                        true
                    };
                (count, state.queue.in_flight(), fault, ring, more)
            };
            if ring {
                adapter.ring(Device::RECEIVE);
            }
            if fault {
                adapter.device_broke(Broken::ReceiveRing);
            }
            *left = left.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
            self.deliver(adapter, &mut frames, posted < self.low, at);
            if !more {
                return false;
            }
        }
    }

    /// Takes up to `want` frames out of the queue, and says how many, and whether the device broke
    /// the rules.
    fn collect(
        &self,
        state: &mut State,
        frames: &mut [Option<Box<Buffer>>; BATCH],
        want: usize,
    ) -> (usize, bool) {
        state.queue.disable_interrupts();
        let mut count = 0usize;
        for place in frames.iter_mut().take(want) {
            match self.collect_one(state) {
                Ok(Some(frame)) => *place = Some(frame),
                Ok(None) => return (count, false),
                Err(()) => return (count, true),
            }
            count = count.saturating_add(1);
        }
        (count, false)
    }

    /// Takes one frame out of the queue, sound or not, with all buffers that it lies in.
    fn collect_one(&self, state: &mut State) -> Result<Option<Box<Buffer>>, ()> {
        let Some((mut head, used)) = state.queue.pop_used().map_err(|_| ())? else {
            return Ok(None);
        };
        let mut progress = head.start(&self.rules, used).ok_or(())?;
        let mut end = head.next_mut();
        let frame = loop {
            match progress {
                Progress::More(assembly) => {
                    // A device makes all buffers of a frame used at once.
                    let (mut buffer, used) = state.queue.pop_used().map_err(|_| ())?.ok_or(())?;
                    buffer.fill(used);
                    progress = assembly.follow(&self.rules, used);
                    end = end.insert(buffer).next_mut();
                }
                Progress::Whole(frame) => break Some(frame),
                Progress::Unsound(_) => break None,
            }
        };
        head.set_frame(frame);
        Ok(Some(head))
    }

    /// Indicates the frames that count, and gives the other buffers to the device again.
    fn deliver(
        &self,
        adapter: &Adapter,
        frames: &mut [Option<Box<Buffer>>; BATCH],
        show: bool,
        at: Dispatch<'_>,
    ) {
        let mut wanted = Chain::empty();
        let mut back = Returning::default();
        for mut frame in frames.iter_mut().filter_map(Option::take) {
            if self.counts(adapter, &mut frame) {
                wanted.push(frame.into_list(adapter.handle()));
            } else {
                back.push(frame);
            }
        }
        let count = wanted.len();
        if count > 0 && adapter.admit(count) {
            let (head, count) = wanted.into_raw();
            let flags = sys::NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL;
            if show {
                // SAFETY: admitted; with RESOURCES the lists are ours again when this returns.
                let mut shown = unsafe {
                    adapter.indicate(head, count, flags | sys::NDIS_RECEIVE_FLAGS_RESOURCES);
                    Chain::<Own>::from_raw(head)
                };
                back.take_lists(&mut shown);
                adapter.settle(count);
            } else {
                // SAFETY: admitted, and the adapter's own lists.
                unsafe { adapter.indicate(head, count, flags) };
            }
            adapter.settle(1);
        } else {
            back.take_lists(&mut wanted);
        }
        self.refill(adapter, back, at);
    }

    /// Whether a frame is sound, wanted, and not one that the VF brings too.
    fn counts(&self, adapter: &Adapter, frame: &mut Buffer) -> bool {
        let sound = frame.frame().zip(frame.addresses());
        // A tag without a VLAN says the priority only; the adapter is in no VLAN.
        let vlan = frame.take_tag().map_or(0, |tag| tag & 0xfff);
        let len = frame.frame_len();
        // The tag was part of the shortest frame that there is.
        let sound = sound
            .filter(|(known, _)| len >= ETHERNET_HEADER && self.rules.admits(len, &known.header));
        let Some((_, addresses)) = sound else {
            adapter.statistics().count(|at| at.received.error());
            return false;
        };
        vlan == 0
            && adapter.wants(addresses.destination)
            && adapter.pair().accept(Path::Virtio, addresses, || {
                let mut digest = Digest::new();
                frame.pieces().for_each(|piece| digest.add(piece));
                digest.value()
            })
    }

    /// Takes lists back that the protocols above have returned. Says how many.
    pub(crate) fn take_back(
        &self,
        adapter: &Adapter,
        mut lists: Chain<ToReturn>,
        at: Dispatch<'_>,
    ) -> u32 {
        let count = lists.len();
        let mut back = Returning::default();
        while let Some(list) = lists.pop() {
            if let Some(buffer) = Buffer::from_list(list) {
                back.push(buffer);
            }
        }
        self.refill(adapter, back, at);
        count
    }

    /// Gives buffers to the device again.
    fn refill(&self, adapter: &Adapter, mut back: Returning, at: Dispatch<'_>) {
        if back.is_empty() {
            return;
        }
        let mut dropped = Returning::default();
        let ring = {
            // SAFETY: none of our callers holds this queue's lock.
            let mut state = unsafe { self.state.lock_at(at) };
            while let Some(buffer) = back.pop() {
                if let Err(buffer) = state.lend(buffer) {
                    dropped.push(buffer);
                }
            }
            state.show_if_due(adapter)
        };
        if ring {
            adapter.ring(Device::RECEIVE);
        }
    }

    /// Uses the device no more, and takes all buffers from it: `quiesced` proves that it has let go
    /// of them.
    pub(crate) fn kill(&self, quiesced: &Quiesced, at: Dispatch<'_>) {
        let mut taken = Returning::default();
        // SAFETY: none of our callers holds this queue's lock.
        let mut state = unsafe { self.state.lock_at(at) };
        state.dead = true;
        for buffer in state.queue.take_all(quiesced) {
            taken.push(buffer);
        }
        drop(state);
    }
}
