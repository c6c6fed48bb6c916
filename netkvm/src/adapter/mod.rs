//! An adapter: its parts, and pausing, restarting, removing, halting it.

mod ending;
mod failover;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use ndis::chain::{Chain, ToComplete, ToReturn};
use ndis::dma::{BusMaster, SharedMemory};
use ndis::irql::{Dispatch, raised};
use ndis::later::Later;
use ndis::lock::SpinLock;
use ndis::rundown::{Gate, Rundown};
use ndis::shared::Shared;
use ndis::timer::Timer;
use ndis::work::Work;
use ndis_sys as sys;
use vioprot::Filters;
use vioprot::announce::Address;
use vioprot::pair::Pair;
use virtio_net::bring_up::Live;
use virtio_net::queue::{Notify, Virtqueue};
use virtio_net::transport::pci::queues::Doorbell;

use crate::announcing::Announcing;
use crate::control::Controller;
use crate::hardware::Bars;
use crate::interrupt::Vectors;
use crate::link::Link;
use crate::receive::Receive;
use crate::settings::Settings;
use crate::statistics::Statistics;
use crate::transmit::Transmit;
pub(crate) use failover::PairOrNone;

/// Protocol addresses that are remembered for announcements.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// How a device broke the rules: the first number of the event log's entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Broken {
    /// The transmit ring's used elements.
    TransmitRing = 0x201,
    /// The receive ring's used elements, or a header in a receive buffer.
    ReceiveRing = 0x202,
    /// The device says itself that it needs a reset.
    NeedsReset = 0x203,
}

/// One of a device's doorbells, if it has it.
pub(crate) type WhichDoorbell = fn(&Device) -> Option<Doorbell>;

/// The device, once it runs.
pub(crate) struct Device {
    pub(crate) live: Live<Bars>,
    pub(crate) receive_doorbell: Doorbell,
    pub(crate) transmit_doorbell: Doorbell,
    pub(crate) control_doorbell: Option<Doorbell>,
    pub(crate) vectors: Vectors,
}

impl Device {
    /// The receive queue's doorbell.
    pub(crate) const RECEIVE: WhichDoorbell = |device| Some(device.receive_doorbell);

    /// The transmit queue's doorbell.
    pub(crate) const TRANSMIT: WhichDoorbell = |device| {
        if cfg!(mutant = "forget_doorbell") {
            return None;
        }
        Some(device.transmit_doorbell)
    };

    /// The control queue's doorbell.
    pub(crate) const CONTROL: WhichDoorbell = |device| device.control_doorbell;
}

/// The addresses that the protocols above use.
pub(crate) struct Addresses {
    pub(crate) known: [Address; MAX_ADDRESSES],
    pub(crate) len: usize,
}

/// An adapter. Its fields are dropped in this order: what uses comes before what is used.
pub(crate) struct Adapter {
    pub(crate) pair: Later<Shared<Pair>>,
    pub(crate) grace: Later<Timer<Adapter>>,
    pub(crate) recovery: Later<Work<Adapter>>,
    /// Runs while the device owes an answer to a command.
    pub(crate) answer_due: Later<Timer<Adapter>>,
    pub(crate) transmit: Transmit,
    pub(crate) receive: Receive,
    /// `None`: the device has no control queue.
    pub(crate) control: Option<Box<Controller>>,
    /// Rings, indirect tables, transmit slots, and commands.
    pub(crate) _memory: Vec<SharedMemory>,
    pub(crate) bus_master: BusMaster,
    pub(crate) device: Later<Device>,
    pub(crate) interrupt: AtomicPtr<c_void>,
    pub(crate) handle: sys::NDIS_HANDLE,
    pub(crate) settings: Settings,
    pub(crate) permanent_mac: [u8; 6],
    pub(crate) mac: [u8; 6],
    /// Bytes, without the Ethernet header.
    pub(crate) mtu: u32,
    /// Open while the adapter runs; sends and receives that are under way hold references.
    pub(crate) data_path: Rundown,
    /// Open while the device runs; whoever rings one of its doorbells holds a reference: a device
    /// that was reset must not be notified (virtio 1.2, 3.1.1).
    pub(crate) doorbells: Gate,
    /// The device can't be used: broken, or removed.
    pub(crate) dead: AtomicBool,
    /// It was removed by surprise: its registers must not be touched.
    pub(crate) gone: AtomicBool,
    pub(crate) filters: SpinLock<Filters>,
    pub(crate) addresses: SpinLock<Addresses>,
    pub(crate) statistics: Statistics,
    pub(crate) link: Link,
    pub(crate) announcing: Announcing,
}

// SAFETY: NDIS handles may be used on any CPU; all else is synchronised in itself.
unsafe impl Sync for Adapter {}
// SAFETY: as above.
unsafe impl Send for Adapter {}

impl Adapter {
    pub(crate) fn handle(&self) -> sys::NDIS_HANDLE {
        self.handle
    }

    pub(crate) fn bus_master(&self) -> &BusMaster {
        &self.bus_master
    }

    pub(crate) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The failover's view of the adapter. Every handler runs after it was filled in.
    pub(crate) fn pair(&self) -> PairOrNone<'_> {
        PairOrNone(self.pair.get())
    }

    /// The longest frame, in bytes without FCS.
    pub(crate) fn max_frame(&self) -> u32 {
        self.mtu.saturating_add(crate::settings::ETHERNET_HEADER)
    }

    /// Serves MiniportSendNetBufferLists. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn send(&self, mut sends: Chain<ToComplete>, flags: u32) {
        // One reference per list, and one for this call: the lists may be done before it ends.
        if !self.take_references(sends.len().saturating_add(1)) {
            sends.set_status(self.refusal());
            // SAFETY: the lists came from this adapter's send handler.
            unsafe {
                sends.complete(
                    self.handle,
                    flags & sys::NDIS_SEND_FLAGS_DISPATCH_LEVEL != 0,
                )
            };
            return;
        }
        if cfg!(mutant = "lose_a_send")
            && let Some(lost) = sends.pop()
        {
            let _ = lost.into_raw();
        }
        if let Some(rest) = self.pair().send(sends, flags) {
            self.send_on_virtio(rest);
        }
        self.settle(1);
    }

    /// References of the data path for `count` sends or receives; none for a removed adapter.
    fn take_references(&self, count: u32) -> bool {
        !self.gone.load(Ordering::Acquire)
            && self
                .data_path
                .take(u64::from(count), || self.pause_complete())
                .is_ok()
    }

    /// Why sends are refused while the data path is closed.
    fn refusal(&self) -> sys::NDIS_STATUS {
        if self.gone.load(Ordering::Acquire) {
            sys::NDIS_STATUS_NOT_ACCEPTED
        } else {
            sys::NDIS_STATUS_PAUSED
        }
    }

    /// Sends through the device. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn send_on_virtio(&self, mut sends: Chain<ToComplete>) {
        if sends.is_empty() {
            return;
        }
        if !self.link.carries_on_virtio() {
            // A standby that has no leave to carry yet: its link is down.
            sends.set_status(sys::NDIS_STATUS_FAILURE);
            self.complete_sends(sends);
            return;
        }
        // SAFETY: called at IRQL <= DISPATCH_LEVEL, with no Passive token in use inside.
        unsafe { raised(|at| self.transmit.send(self, sends, at)) };
    }

    /// Counts and completes sends whose status is set. IRQL <= DISPATCH_LEVEL, no lock held.
    pub(crate) fn complete_sends(&self, mut sends: Chain<ToComplete>) {
        if sends.is_empty() {
            return;
        }
        let count = sends.len();
        self.count_sent(&mut sends);
        // SAFETY: the lists came from this adapter's send handler, which took references of the
        // data path for them.
        unsafe { complete(self.handle, sends) };
        self.settle(count);
    }

    fn count_sent(&self, sends: &mut Chain<ToComplete>) {
        if cfg!(mutant = "count_virtio_only") && self.pair().is_on_vf() {
            return;
        }
        self.statistics.count(|here| {
            sends.for_each(|list| {
                let sent = list.fields().Status == sys::NDIS_STATUS_SUCCESS;
                for frame in list.frames() {
                    let mut to = [0; 6];
                    if sent && frame.copy_to(&mut to) == Ok(6) {
                        here.sent.frame(to, frame.len());
                    } else {
                        here.sent.error();
                    }
                }
            });
        });
    }

    /// Asks to indicate `count` lists. On success they have a reference each, and the call one.
    pub(crate) fn admit(&self, count: u32) -> bool {
        let references = count.saturating_add(1);
        if cfg!(mutant = "indicate_while_paused") {
            self.data_path.take_more(u64::from(references));
            return true;
        }
        let admitted = self.take_references(references);
        if !admitted {
            self.statistics
                .count(|here| here.received.discard(u64::from(count)));
        }
        admitted
    }

    /// Takes a reference for somebody who knows that one is out.
    pub(crate) fn take_more(&self) {
        self.data_path.take_more(1);
    }

    /// Counts and indicates lists.
    ///
    /// # Safety
    ///
    /// The lists were admitted, bear this adapter's SourceHandle, and are the caller's to indicate.
    pub(crate) unsafe fn indicate(&self, lists: *mut sys::NET_BUFFER_LIST, count: u32, flags: u32) {
        // SAFETY: ours until the call below; the chain is given up again at once.
        let mut chain = unsafe { Chain::<ToReturn>::from_raw(lists) };
        self.statistics.count(|here| {
            chain.for_each(|list| {
                for frame in list.frames() {
                    let mut to = [0; 6];
                    if frame.copy_to(&mut to) == Ok(6) {
                        here.received.frame(to, frame.len());
                    }
                }
            });
        });
        let _ = chain.into_raw();
        // SAFETY: by this function's contract.
        unsafe {
            sys::NdisMIndicateReceiveNetBufferLists(
                self.handle,
                lists,
                sys::NDIS_DEFAULT_PORT_NUMBER,
                count,
                flags,
            );
        }
    }

    /// Serves MiniportReturnNetBufferLists. IRQL <= DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// The lists are those that this adapter indicated.
    pub(crate) unsafe fn take_back(&self, lists: *mut sys::NET_BUFFER_LIST, flags: u32) {
        let at_dispatch = flags & sys::NDIS_RETURN_FLAGS_DISPATCH_LEVEL != 0;
        // SAFETY: by contract.
        let lists = unsafe { Chain::<ToReturn>::from_raw(lists) };
        let count = lists.len();
        let (ours, from_vf) = lists.partition(|list| self.receive.pool.made(list));
        if !from_vf.is_empty() {
            vioprot::edge::return_receives(from_vf, at_dispatch);
        }
        if !ours.is_empty() {
            // SAFETY: return handlers run at IRQL <= DISPATCH_LEVEL.
            unsafe { raised(|at| self.receive.take_back(self, ours, at)) };
        }
        self.settle(count);
    }

    /// `count` references of the data path come back.
    pub(crate) fn settle(&self, count: u32) {
        self.data_path
            .give(u64::from(count), || self.pause_complete());
    }

    /// The last send or receive is through: the pause that waits for it is complete.
    fn pause_complete(&self) {
        // SAFETY: `pause` has returned PENDING: only then does the news come to others, and once.
        unsafe { sys::NdisMPauseComplete(self.handle) };
        if cfg!(mutant = "complete_pause_twice") {
            // SAFETY: none; the judge has to notice.
            unsafe { sys::NdisMPauseComplete(self.handle) };
        }
    }

    /// Serves MiniportPause.
    pub(crate) fn pause(&self) -> sys::NDIS_STATUS {
        if self.data_path.close() || cfg!(mutant = "pause_without_waiting") {
            sys::NDIS_STATUS_SUCCESS
        } else {
            sys::NDIS_STATUS_PENDING
        }
    }

    /// Serves MiniportRestart.
    pub(crate) fn restart(&self) {
        if !self.gone.load(Ordering::Acquire) {
            self.data_path.open();
        }
    }

    /// Serves MiniportCancelSend. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn cancel_sends(&self, id: *mut c_void) {
        self.pair().cancel_sends(id);
        // SAFETY: cancel handlers run at IRQL <= DISPATCH_LEVEL.
        unsafe { raised(|at| self.transmit.cancel(self, id, at)) };
    }

    /// Whether the packet filter wants a frame to this address.
    pub(crate) fn wants(&self, to: [u8; 6]) -> bool {
        // SAFETY: asked at DISPATCH_LEVEL with no lock held; a leaf lock.
        unsafe { self.filters.lock() }.want(to, self.mac)
    }

    /// Shows the device what was added to `queue`, whose lock the caller holds, and says whether
    /// its doorbell is still to be rung, with [`Self::ring`], once the lock is let go.
    pub(crate) fn publish<T>(
        &self,
        queue: &mut impl Virtqueue<T>,
        doorbell: WhichDoorbell,
    ) -> bool {
        let notify = queue.publish();
        self.ring_in_order(notify, queue.notification_data(), doorbell)
    }

    /// Rings now, under the queue's lock, what must not wait: a doorbell that tells how far the
    /// queue was filled (`NOTIFICATION_DATA`). Says whether it is still to be rung.
    ///
    /// A device may take the number from the doorbell and not look into the ring (virtio 1.2, 2.9);
    /// an older doorbell that came after a newer one would take buffers back, or make 65535 of
    /// them. So the doorbells of a queue go out in the order of what they tell, which only the
    /// queue's lock sees to. One that tells nothing can't be out of date, and the lock is not held
    /// for the time that a hypervisor takes for it.
    pub(crate) fn ring_in_order(
        &self,
        notify: Notify,
        progress: u16,
        doorbell: WhichDoorbell,
    ) -> bool {
        if !notify.is_needed() {
            return false;
        }
        let tells = self.device.get().and_then(doorbell);
        if tells.is_some_and(Doorbell::tells_progress) && !cfg!(mutant = "forget_progress") {
            self.notify(doorbell, progress);
            return false;
        }
        true
    }

    /// Rings a doorbell that tells nothing of its queue, as [`Self::publish`] or [`Self::ring_in_order`] asked for.
    pub(crate) fn ring(&self, doorbell: WhichDoorbell) {
        self.notify(doorbell, 0);
    }

    fn notify(&self, doorbell: WhichDoorbell, progress: u16) {
        if self.doorbells.take(1).is_ok() {
            if let Some(device) = self.usable_device()
                && let Some(doorbell) = doorbell(device)
            {
                device.live.notify(doorbell, progress);
            }
            self.doorbells.give(1);
        }
    }

    /// The device, if it runs and may be touched.
    pub(crate) fn usable_device(&self) -> Option<&Device> {
        if self.dead.load(Ordering::Acquire) {
            None
        } else {
            self.device.get()
        }
    }

    /// The device, if it is there: for what has to be done of a broken one too.
    pub(crate) fn present_device(&self) -> Option<&Device> {
        if self.gone.load(Ordering::Acquire) {
            None
        } else {
            self.device.get()
        }
    }

    /// Tells the device, if it can be told, what NDIS wants received. At PASSIVE_LEVEL.
    pub(crate) fn tell_filters(&self) {
        if let Some(control) = &self.control {
            // SAFETY: at PASSIVE_LEVEL; a leaf lock.
            let filters = *unsafe { self.filters.lock() };
            control.follow(self, &filters);
        }
    }

    /// Serves a new wish of the device's: announces the adapter's addresses on the path that carries,
    /// and tells the device. IRQL <= DISPATCH_LEVEL, with no lock held.
    pub(crate) fn announce(&self) {
        if let Some(pair) = self.pair.get()
            && (pair.is_on_vf() || self.link.carries_on_virtio())
            && self.announcing.is_time(ndis::time::uptime_ms())
        {
            pair.announce_again();
        }
        if let Some(control) = &self.control {
            control.acknowledge_announcement(self);
        }
    }

    pub(crate) fn reap_transmit(&self, at: Dispatch<'_>) {
        self.transmit.reap(self, at);
    }
}

/// Completes sends at the level we are at.
///
/// # Safety
///
/// As for [`Chain::complete`].
unsafe fn complete(miniport: sys::NDIS_HANDLE, sends: Chain<ToComplete>) {
    // SAFETY: by contract.
    unsafe {
        if cfg!(mutant = "complete_above_dispatch") {
            let old = sys::KfRaiseIrql(sys::DISPATCH_LEVEL.saturating_add(1));
            sends.complete(miniport, false);
            sys::KeLowerIrql(old);
        } else if cfg!(mutant = "complete_twice") {
            let (head, _) = sends.into_raw();
            sys::NdisMSendNetBufferListsComplete(miniport, head, 0);
            sys::NdisMSendNetBufferListsComplete(miniport, head, 0);
        } else {
            sends.complete(miniport, false);
        }
    }
}
