//! The transmit queue.
//!
//! A send's NET_BUFFERs go to the device in order, lists in the order in which they came. A small
//! frame is copied behind its virtio header, which costs less than mapping it; a larger one is
//! mapped, and the device reads it where it is. NDIS may deliver a mapping late, on any CPU, so a
//! frame waits in `pending` until it and all before it are mapped.

mod notes;
mod slot;

use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use ndis::chain::{Chain, ToComplete};
use ndis::frame::Frame;
use ndis::irql::Dispatch;
use ndis::lock::SpinLock;
use ndis_sys as sys;
use sys::NET_BUFFER;
use virtio_net::dma::{DmaRegion, Segment};
use virtio_net::features::{Features, Interface};
use virtio_net::header::NetHeader;
use virtio_net::queue::{IndirectTables, QueueAddresses, QueueSize, Refusal, Ring, Virtqueue};

use crate::adapter::{Adapter, Device};
pub(crate) use notes::mapped;
use notes::{
    ASKING, AWAITED, FAILED, MAPPED, fail, finish, is_settled, mapping_of, prepare, status_word,
    unmap,
};
pub(crate) use slot::Slot;
use slot::{Form, copy_padded};

/// The shortest Ethernet frame, without FCS. Shorter ones are padded with zeros.
const MIN_FRAME: usize = 60;
/// Segments of one frame, its header included; a frame in more pieces is copied.
pub(crate) const MAX_SEGMENTS: usize = 18;
/// Completions taken from the queue under one lock.
const REAP_BATCH: usize = 32;

/// What the device has: given back by the queue when it is done.
struct InFlight {
    slot: Slot,
    /// Null for a frame of the driver's own.
    frame: *mut NET_BUFFER,
}

// SAFETY: who holds the value is the only one to touch frame and slot.
unsafe impl Send for InFlight {}

struct State {
    queue: Ring<InFlight>,
    form: Form,
    slots: Vec<Slot>,
    pending: Chain<ToComplete>,
    /// The frame of the first pending list that goes next; null: its first.
    cursor: *mut NET_BUFFER,
    /// Why the device can't be used any more: the status that sends complete with.
    dead: Option<sys::NDIS_STATUS>,
}

// SAFETY: the cursor points into the first pending list, which is ours.
unsafe impl Send for State {}

/// The transmit queue of an adapter.
pub(crate) struct Transmit {
    state: SpinLock<State>,
    max_frame: usize,
}

/// What a look at the queue brought to light, to be acted on without the lock.
#[must_use]
struct Outcome {
    /// Lists whose last frame is finished.
    finished: Chain<ToComplete>,
    ring: bool,
    fault: bool,
}

impl Transmit {
    /// A queue that the device has been told of. `max_frame` is in bytes, without FCS.
    pub(crate) fn new(queue: TransmitQueue, slots: Vec<Slot>, max_frame: usize) -> Self {
        let state = State {
            queue: queue.ring,
            form: queue.form,
            slots,
            pending: Chain::empty(),
            cursor: ptr::null_mut(),
            dead: None,
        };
        Self {
            state: SpinLock::new(state),
            max_frame,
        }
    }

    /// Sends lists, which [`Adapter::complete_sends`] gets when they are done.
    pub(crate) fn send(&self, adapter: &Adapter, sends: Chain<ToComplete>, at: Dispatch<'_>) {
        let (mut good, mut bad) = sends.partition(|list| {
            list.frames().next().is_some() && list.frames().all(|frame| self.fits(frame))
        });
        bad.set_status(sys::NDIS_STATUS_INVALID_LENGTH);
        adapter.complete_sends(bad);
        good.for_each(|list| prepare(adapter, list, at));
        self.work(adapter, good, at);
    }

    fn fits(&self, frame: Frame<'_>) -> bool {
        !frame.is_empty() && frame.len() <= self.max_frame
    }

    /// Sends a frame of the driver's own, if there is a place for it.
    pub(crate) fn send_own(&self, adapter: &Adapter, bytes: &[u8], at: Dispatch<'_>) {
        let ring = {
            // SAFETY: no lock of this queue is held by who announces.
            let mut state = unsafe { self.state.lock_at(at) };
            if state.dead.is_some() || bytes.len() > self.max_frame {
                return;
            }
            let Some(mut slot) = state.slots.pop() else {
                return;
            };
            let form = state.form;
            let len = bytes.len().max(MIN_FRAME);
            slot.write(form, &NetHeader::PLAIN, len, |body| {
                copy_padded(body, |body| {
                    let room = body.get_mut(..bytes.len()).unwrap_or_default();
                    room.copy_from_slice(bytes);
                    bytes.len()
                })
            });
            let mut segments = no_segments();
            let used = slot.segments(form, len, &mut segments);
            let segments = segments.get(..used).unwrap_or_default();
            let own = InFlight {
                slot,
                frame: ptr::null_mut(),
            };
            if let Err(refused) = state.queue.add(segments, used, own) {
                state.slots.push(refused.buffer.slot);
            }
            adapter.publish(&mut state.queue, Device::TRANSMIT)
        };
        if ring {
            adapter.ring(Device::TRANSMIT);
        }
    }

    /// Takes back what the device has sent, and gives it what waits.
    pub(crate) fn reap(&self, adapter: &Adapter, at: Dispatch<'_>) {
        self.work(adapter, Chain::empty(), at);
    }

    /// Whether the device has frames, or frames wait for it.
    pub(crate) fn is_busy(&self) -> bool {
        // SAFETY: asked at IRQL <= DISPATCH_LEVEL without this queue's lock.
        let state = unsafe { self.state.lock() };
        state.queue.in_flight() > 0 || !state.pending.is_empty()
    }

    fn work(&self, adapter: &Adapter, new: Chain<ToComplete>, at: Dispatch<'_>) {
        let mut new = new;
        loop {
            let (mut outcome, more, idle) = {
                // SAFETY: none of our callers holds this queue's lock.
                let mut state = unsafe { self.state.lock_at(at) };
                state.pending.append(new.take());
                let mut outcome = Outcome {
                    finished: Chain::empty(),
                    ring: false,
                    fault: false,
                };
                for _ in 0..REAP_BATCH {
                    match state.queue.pop_used() {
                        Ok(Some((sent, _))) => {
                            finish(adapter, sent.frame, &mut outcome.finished, at);
                            state.slots.push(sent.slot);
                        }
                        Ok(None) => break,
                        Err(_) => {
                            outcome.fault = true;
                            break;
                        }
                    }
                }
                state.submit(adapter, &mut outcome, at);
                let more = !outcome.fault && state.queue.enable_interrupts();
                let idle = state.queue.in_flight() == 0 && state.pending.is_empty();
                (outcome, more, idle)
            };
            if outcome.ring {
                adapter.ring(Device::TRANSMIT);
            }
            adapter.complete_sends(outcome.finished.take());
            if outcome.fault {
                adapter.device_broke(crate::adapter::Broken::TransmitRing);
            }
            if idle {
                adapter.pair().standby_became_idle();
            }
            if !more {
                return;
            }
        }
    }

    /// Completes with `status` what waits, and what the device had: `quiesced` proves that it has
    /// let go of it. New sends complete likewise. What it says it has sent has been sent: whoever is told
    /// otherwise may send it again.
    pub(crate) fn kill(
        &self,
        adapter: &Adapter,
        status: sys::NDIS_STATUS,
        quiesced: &virtio_net::dma::Quiesced,
        at: Dispatch<'_>,
    ) {
        let mut outcome = Outcome {
            finished: Chain::empty(),
            ring: false,
            fault: false,
        };
        {
            // SAFETY: none of our callers holds this queue's lock.
            let mut state = unsafe { self.state.lock_at(at) };
            state.dead.get_or_insert(status);
            state.submit(adapter, &mut outcome, at);
            let State { queue, slots, .. } = &mut *state;
            // The device can't make this last: each is one of those that it had.
            while let Ok(Some((sent, _))) = queue.pop_used() {
                finish(adapter, sent.frame, &mut outcome.finished, at);
                slots.push(sent.slot);
            }
            for back in queue.take_all(quiesced) {
                fail(back.frame, status);
                finish(adapter, back.frame, &mut outcome.finished, at);
                slots.push(back.slot);
            }
        }
        adapter.complete_sends(outcome.finished);
    }

    /// Completes sends with this identifier that wait for the device.
    pub(crate) fn cancel(&self, adapter: &Adapter, id: *mut c_void, at: Dispatch<'_>) {
        let mut cancelled = Chain::empty();
        {
            // SAFETY: NDIS cancels without a lock of ours.
            let mut state = unsafe { self.state.lock_at(at) };
            let started = (!state.cursor.is_null())
                .then(|| state.pending.pop())
                .flatten();
            let (matching, rest) = state
                .pending
                .take()
                .partition(|list| list.cancel_id() == id && is_settled(list));
            cancelled.append(matching);
            if let Some(started) = started {
                state.pending.push(started);
            }
            state.pending.append(rest);
        }
        cancelled.for_each(|list| {
            for frame in list.frames() {
                unmap(adapter, frame.as_ptr(), at);
            }
        });
        cancelled.set_status(sys::NDIS_STATUS_SEND_ABORTED);
        adapter.complete_sends(cancelled);
    }
}

impl State {
    /// Gives the device the frames that wait, in order, until one is not mapped yet or there is no
    /// place left.
    fn submit(&mut self, adapter: &Adapter, outcome: &mut Outcome, at: Dispatch<'_>) {
        let mut added = false;
        while let Some(first) = self.pending.first() {
            let next = if self.cursor.is_null() {
                first.FirstNetBuffer
            } else {
                self.cursor
            };
            let Some(next) = NonNull::new(next) else {
                break;
            };
            match self.submit_one(next) {
                Step::Wait => break,
                Step::Added => added = true,
                Step::Failed(status) => {
                    fail(next.as_ptr(), status);
                }
            }
            // The list itself is popped before its last frame is finished: the device may have
            // finished the others.
            // SAFETY: the frame's list is ours until its last frame is finished.
            let following = unsafe { next.as_ref() }.Next;
            self.cursor = following;
            let list = if following.is_null() {
                self.pending.pop()
            } else {
                None
            };
            if let Some(list) = list {
                // In flight: found again by its frames.
                let _ = list.into_raw();
            }
            if status_word(next.as_ptr()) == FAILED {
                finish(adapter, next.as_ptr(), &mut outcome.finished, at);
            }
        }
        if added {
            outcome.ring |= adapter.publish(&mut self.queue, Device::TRANSMIT);
        }
    }

    fn submit_one(&mut self, buffer: NonNull<NET_BUFFER>) -> Step {
        let how = status_word(buffer.as_ptr());
        if matches!(how, ASKING | AWAITED) {
            return Step::Wait;
        }
        if let Some(status) = self.dead {
            return Step::Failed(status);
        }
        if how == FAILED {
            return Step::Failed(sys::NDIS_STATUS_RESOURCES);
        }
        let Some(mut slot) = self.slots.pop() else {
            return Step::Wait;
        };
        // SAFETY: the frame belongs to a list that is ours.
        let frame = unsafe { Frame::from_raw(buffer) };
        let (form, mut segments) = (self.form, no_segments());
        let gathered = match how {
            MAPPED => gather(form, &mut slot, frame, &mut segments),
            _ => None,
        };
        let (mut slot, why) = match gathered {
            Some(used) => match self.add(slot, buffer, &segments, used) {
                Ok(()) => return Step::Added,
                Err(back) => back,
            },
            None => (slot, Refusal::TooManySegments),
        };
        // In more pieces than a frame may have: as one.
        let why = match why {
            Refusal::TooManySegments => match copy(form, &mut slot, frame, &mut segments) {
                Some(used) => match self.add(slot, buffer, &segments, used) {
                    Ok(()) => return Step::Added,
                    Err((back, why)) => {
                        slot = back;
                        Some(why)
                    }
                },
                None => None,
            },
            why => Some(why),
        };
        self.slots.push(slot);
        match why {
            Some(Refusal::Full) => Step::Wait,
            Some(_) => Step::Failed(sys::NDIS_STATUS_FAILURE),
            None => Step::Failed(sys::NDIS_STATUS_RESOURCES),
        }
    }

    fn add(
        &mut self,
        slot: Slot,
        buffer: NonNull<NET_BUFFER>,
        segments: &[Segment; MAX_SEGMENTS],
        used: usize,
    ) -> Result<(), (Slot, Refusal)> {
        let segments = segments.get(..used).unwrap_or_default();
        let sent = InFlight {
            slot,
            frame: buffer.as_ptr(),
        };
        self.queue
            .add(segments, used, sent)
            .map_err(|refused| (refused.buffer.slot, refused.why))
    }
}

/// What became of a frame that was next.
enum Step {
    Wait,
    Added,
    Failed(sys::NDIS_STATUS),
}

/// A place for segments.
fn no_segments() -> [Segment; MAX_SEGMENTS] {
    // SAFETY: no bytes; the queue refuses such a segment.
    [unsafe { Segment::new(0, 0) }; MAX_SEGMENTS]
}

/// Fills a frame's segments from its mapping; `None`: it has too many pieces.
fn gather(
    form: Form,
    slot: &mut Slot,
    frame: Frame<'_>,
    segments: &mut [Segment; MAX_SEGMENTS],
) -> Option<usize> {
    let len = frame.len();
    let mapping = mapping_of(frame.as_ptr())?;
    slot.write(form, &NetHeader::PLAIN, 0, |_| true);
    let (first, rest) = segments.split_first_mut()?;
    *first = slot.header(form);
    // SAFETY: the frame is ours and mapped.
    let skip = unsafe { (*frame.as_ptr()).CurrentMdlOffset } as usize;
    let (mut used, mut covered) = (1usize, 0usize);
    // SAFETY: the mapping is undone only when the frame is finished.
    for (address, bytes) in unsafe { mapping.pieces(skip, len) } {
        let place = rest.get_mut(used.checked_sub(1)?)?;
        // SAFETY: the piece is part of the frame's mapping, which lives until the device is done.
        *place = unsafe { Segment::new(address, bytes) };
        used = used.saturating_add(1);
        covered = covered.saturating_add(bytes as usize);
    }
    (covered == len && len >= MIN_FRAME).then_some(used)
}

/// Copies a frame into its slot, behind the header.
fn copy(
    form: Form,
    slot: &mut Slot,
    frame: Frame<'_>,
    segments: &mut [Segment; MAX_SEGMENTS],
) -> Option<usize> {
    let len = frame.len().max(MIN_FRAME);
    let copied = slot.write(form, &NetHeader::PLAIN, len, |body| {
        copy_padded(body, |body| frame.copy_to(body).unwrap_or(0))
    });
    copied.then(|| slot.segments(form, len, segments))
}

/// A transmit queue on its way into [`Transmit::new`].
pub(crate) struct TransmitQueue {
    ring: Ring<InFlight>,
    form: Form,
}

impl TransmitQueue {
    /// Makes the queue in memory that the device will be told of.
    pub(crate) fn new(
        interface: Interface,
        size: QueueSize,
        features: Features,
        rings: DmaRegion,
        tables: Option<IndirectTables>,
    ) -> Result<Self, ndis::Failed> {
        let ring = Ring::of(interface, size, features, rings, tables);
        Ok(Self {
            ring: ring.map_err(|_| ndis::Failed::RESOURCES)?,
            form: Form::of(features),
        })
    }

    /// Where the device finds it.
    pub(crate) fn addresses(&self) -> QueueAddresses {
        self.ring.addresses()
    }
}
