//! What the device is told besides frames: which of them the adapter wants, its address, and that a
//! wish for an announcement was seen.
//!
//! [`Wishes`] knows what is wanted and which command that takes, [`Control`] what became of it. The
//! crank is turned by who has a new wish, by the control queue's interrupt, and by a timer while an
//! answer is due. Nobody waits for an answer.
//!
//! The device's filter is an economy: it spares frames that the adapter would drop. What counts is
//! what the packet filter and the pair say of each frame, so a device that has no filter, or refuses
//! one, or stops answering, is as good. The device's filter follows NDIS's, and neither the path that
//! carries nor a packet filter of nothing closes it. When a VF goes, its frames come to virtio at
//! once, and they would be lost until the device had taken the command that opens the filter again;
//! the same goes for those that come right after a protocol has opened its binding.

use alloc::boxed::Box;
use core::mem::MaybeUninit;

use ndis::Failed;
use ndis::lock::SpinLock;
use ndis::memory::try_box;
use ndis_sys as sys;
use vioprot::{Filters, MAX_MULTICAST};
use virtio_net::config::MacAddress;
use virtio_net::control::wishes::{ReceiveModes, Wishes};
use virtio_net::control::{Control, ControlLayout, Event, GroupAddress, Limits, Loan, SubmitError};
use virtio_net::dma::{DmaRegion, Quiesced};
use virtio_net::features::Features;
use virtio_net::queue::{QueueAddresses, Ring, Virtqueue};

use crate::adapter::{Adapter, Device};

/// Commands that the device may have at a time: one, and those that it is late with.
const SLOTS: u16 = 4;
/// Descriptors for those, of which a command takes three, rounded up to a power of two.
pub(crate) const QUEUE_SIZE: u16 = 16;
/// How long an answer may take. Emulated devices answer at once; hardware asks its firmware.
const PATIENCE_MS: u64 = 3_000;

/// What commands may contain: one address of the adapter's own, and as many groups as NDIS may name.
const LIMITS: Limits = Limits {
    unicast: 1,
    multicast: MAX_MULTICAST as u16,
    queue_pairs: 1,
    rss_entries: 0,
    hash_key: 0,
    hash_types: 0,
};
/// How the commands' memory is divided.
pub(crate) const LAYOUT: ControlLayout = ControlLayout::new(SLOTS, LIMITS);

/// The first number of the event log's entry when the control queue is of no use. Detail: below.
const CONTROL_QUEUE: u32 = 0x204;
/// The device wrote what it must not into the ring.
const BROKEN: u32 = 0;
/// The device answers no command.
const SILENT: u32 = 1;

/// The control queue of an adapter.
pub(crate) struct Controller {
    state: SpinLock<State>,
}

struct State {
    control: Control<Ring<Loan>>,
    wishes: Box<Wishes>,
    /// The adapter's address, if it is not what the device takes for its own.
    address: Option<MacAddress>,
    /// Nothing more is told.
    has_ended: bool,
    /// The event log has an entry.
    is_reported: bool,
}

/// What a turn of the crank leaves to be done without the lock.
#[derive(Default)]
struct Turned {
    ring: bool,
    /// Detail of an entry for the event log.
    report: Option<u32>,
    /// When an answer is overdue, in milliseconds of uptime.
    deadline: Option<u64>,
    /// The device has accepted that its wish for an announcement was seen.
    is_acknowledged: bool,
}

impl Controller {
    /// A queue that the device is to be told of, with nothing to say. `region` has the bytes of
    /// [`LAYOUT`]; `address` is the adapter's, if the device has another one, or none.
    ///
    /// # Errors
    ///
    /// No memory for it.
    #[inline(never)] // large, as what it is made of; so is `new_wishes`
    pub(crate) fn try_new(
        queue: Ring<Loan>,
        region: DmaRegion,
        features: Features,
        address: Option<MacAddress>,
    ) -> Result<Box<Self>, Failed> {
        let place = try_box(MaybeUninit::<Self>::uninit())?;
        let wishes = new_wishes(features)?;
        // Devices tell wrong lengths here, and no command of ours needs one.
        let control = Control::new(queue.clamping_lengths(), region, LAYOUT, features)
            .map_err(|_| Failed::RESOURCES)?;
        let state = State {
            control,
            wishes,
            address,
            has_ended: false,
            is_reported: false,
        };
        let made = Self {
            state: SpinLock::new(state),
        };
        Ok(Box::write(place, made))
    }

    /// Where the device finds the queue.
    pub(crate) fn addresses(&self) -> QueueAddresses {
        // SAFETY: at PASSIVE_LEVEL, with no lock held.
        unsafe { self.state.lock() }.control.queue().addresses()
    }

    /// Tells the device of the adapter's address, if it has to be told. At PASSIVE_LEVEL.
    pub(crate) fn use_address(&self, adapter: &Adapter) {
        self.wish(adapter, |wishes, address| {
            if let Some(mac) = address {
                wishes.want_mac(mac);
                wishes.want_addresses(&[mac], &[]);
            }
        });
    }

    /// Tells the device what NDIS wants received: at once, or when it has answered the command
    /// before. At PASSIVE_LEVEL.
    pub(crate) fn follow(&self, adapter: &Adapter, filters: &Filters) {
        // Nothing is indicated then anyway.
        if filters.packet_filter == 0 {
            return;
        }
        let mut groups = [BROADCAST; MAX_MULTICAST];
        let mut count = 0usize;
        let known = filters.multicast.iter().take(filters.multicast_len);
        for (to, group) in groups
            .iter_mut()
            .zip(known.filter_map(|it| GroupAddress::new(*it)))
        {
            *to = group;
            count = count.saturating_add(1);
        }
        let groups = groups.get(..count).unwrap_or_default();
        let modes = modes(adapter, filters.packet_filter);
        self.wish(adapter, |wishes, address| {
            wishes.want_addresses(address.as_slice(), groups);
            wishes.want_modes(modes);
        });
    }

    /// Tells the device that its wish for an announcement was seen. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn acknowledge_announcement(&self, adapter: &Adapter) {
        if cfg!(mutant = "never_acknowledge") {
            return;
        }
        self.wish(adapter, |wishes, _| wishes.acknowledge_announcement());
    }

    /// Adds a wish, and sends what it takes. IRQL <= DISPATCH_LEVEL, with no lock held.
    fn wish(&self, adapter: &Adapter, wish: impl FnOnce(&mut Wishes, Option<MacAddress>)) {
        {
            // SAFETY: by contract.
            let mut state = unsafe { self.state.lock() };
            let address = state.address;
            wish(&mut state.wishes, address);
        }
        self.turn(adapter);
    }

    /// Looks what the device has answered and what has become overdue, and sends what is next.
    /// IRQL <= DISPATCH_LEVEL, with no lock held.
    pub(crate) fn turn(&self, adapter: &Adapter) {
        let now = ndis::time::uptime_ms();
        let turned = {
            // SAFETY: by contract.
            let mut state = unsafe { self.state.lock() };
            state.turn(adapter, now)
        };
        if turned.ring {
            adapter.ring(Device::CONTROL);
        }
        if turned.is_acknowledged {
            adapter.announcing.acknowledged();
        }
        if let Some(detail) = turned.report {
            // SAFETY: the adapter is initialised and not halted.
            unsafe {
                let code = sys::NDIS_ERROR_CODE_INVALID_VALUE_FROM_ADAPTER;
                ndis::event_log::write(adapter.handle(), code, CONTROL_QUEUE, detail);
            }
        }
        if let (Some(deadline), Some(timer)) = (turned.deadline, adapter.answer_due.get()) {
            let left = deadline.saturating_sub(now).clamp(1, PATIENCE_MS);
            timer.set(left as u32);
        }
    }

    /// Tells the device nothing, since it has no such queue after all.
    pub(crate) fn give_up(&self) {
        // SAFETY: at PASSIVE_LEVEL, with no lock held.
        unsafe { self.state.lock() }.has_ended = true;
    }

    /// Tells the device nothing more, and takes from it what it had: `quiesced` proves that it has
    /// let go of it. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn kill(&self, quiesced: &Quiesced) {
        // SAFETY: none of our callers holds this queue's lock.
        let mut state = unsafe { self.state.lock() };
        state.has_ended = true;
        let features = state.control.features();
        // The queue gives back all that it has, and what becomes of the commands nobody asks.
        let _ = state.control.reset(quiesced, features, |_| {});
    }
}

impl State {
    fn turn(&mut self, adapter: &Adapter, now: u64) -> Turned {
        let mut turned = Turned::default();
        // Ends: the device answers what it was sent, and each wish is sent a few times only.
        while !self.has_ended {
            loop {
                match self.control.poll() {
                    Ok(Some(event)) => {
                        let was_met = self.wishes.is_announcement_acknowledged();
                        self.wishes.settle(&event);
                        turned.is_acknowledged |=
                            !was_met && self.wishes.is_announcement_acknowledged();
                    }
                    Ok(None) => break,
                    Err(_) => {
                        // The rings of frames are as sound as before, and so are their frames.
                        self.has_ended = true;
                        turned.report = Some(BROKEN);
                        return turned;
                    }
                }
            }
            while let Some(done) = self.control.expire(now) {
                self.wishes.settle(&Event::Done(done));
            }
            let deadline = now.saturating_add(PATIENCE_MS);
            match self.wishes.advance(&mut self.control, deadline) {
                Ok(Some(_)) => {
                    let notify = self.control.publish();
                    let progress = self.control.queue().notification_data();
                    turned.ring |= adapter.ring_in_order(notify, progress, Device::CONTROL);
                }
                // A device that comes back after all finds the newest wishes.
                Err(SubmitError::Stuck) if !self.is_reported => {
                    self.is_reported = true;
                    turned.report = Some(SILENT);
                }
                _ => {}
            }
            if !self.control.enable_interrupts() {
                break;
            }
        }
        if !self.has_ended {
            turned.deadline = self.control.next_deadline();
        }
        turned
    }
}

#[inline(never)]
fn new_wishes(features: Features) -> Result<Box<Wishes>, Failed> {
    let place = try_box(MaybeUninit::<Wishes>::uninit())?;
    let wishes = Wishes::new(features, LIMITS).map_err(|_| Failed::RESOURCES)?;
    Ok(Box::write(place, wishes))
}

/// A place holder that is a group's address.
const BROADCAST: GroupAddress = match GroupAddress::new([0xff; 6]) {
    Some(address) => address,
    None => unreachable!(),
};

/// What lets through what this packet filter wants.
fn modes(adapter: &Adapter, packet_filter: u32) -> ReceiveModes {
    if cfg!(mutant = "close_filter_under_vf") && adapter.pair().is_on_vf() {
        return ReceiveModes::CLOSED;
    }
    let has = |bits: u32| packet_filter & (bits | sys::NDIS_PACKET_TYPE_PROMISCUOUS) != 0;
    let multicast = sys::NDIS_PACKET_TYPE_MULTICAST | sys::NDIS_PACKET_TYPE_ALL_MULTICAST;
    ReceiveModes {
        promiscuous: has(0),
        all_multicast: packet_filter & sys::NDIS_PACKET_TYPE_ALL_MULTICAST != 0,
        all_unicast: false,
        no_multicast: !has(multicast),
        no_unicast: !has(sys::NDIS_PACKET_TYPE_DIRECTED),
        no_broadcast: !has(sys::NDIS_PACKET_TYPE_BROADCAST),
    }
}
