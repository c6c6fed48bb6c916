//! One adapter's data path: which way a send goes, and which receives count.
//!
//! ```text
//!            send                                   frames in
//!              |                                  ^           ^
//!      carrier?+--- VIRTIO --> virtio ring        | accept()  | accept()
//!              +--- VF ------> VF binding        virtio       VF
//!              +--- HOLD ----> held, in order
//! ```
//!
//! `carrier` says where sends go. A planned switch passes through HOLD: sends wait in order while
//! the old path finishes what it has, a few hundred microseconds at most, so that no flow is
//! reordered. When the VF's link drops there is no HOLD: what the VF has won't get far.
//!
//! Every send that is at the VF holds a reference of the rundown `tx`, which is open only while
//! the VF may be given sends; who waits for `tx` to run down knows that the VF has none of ours.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use control_device::WhyNot;
use ndis::Failed;
use ndis::chain::{Chain, Context, Nbl, Own, ToComplete};
use ndis::event::{Event, PassiveLock};
use ndis::later::Later;
use ndis::lock::SpinLock;
use ndis::rundown::Gate;
use ndis::shared::Shared;
use ndis::timer::Timer;
use ndis::work::Work;
use ndis_sys as sys;

use crate::binding::Binding;
use crate::copies::{Copies, Path};
use crate::engine::Engine;
use crate::{Reason, Upper};

pub(crate) const VIRTIO: u8 = 0;
pub(crate) const VF: u8 = 1;
pub(crate) const HOLD: u8 = 2;

/// Receives count from virtio only.
pub(crate) const FROM_VIRTIO: u8 = 0;
/// Receives count from both: a switch is under way.
pub(crate) const FROM_BOTH: u8 = 1;
/// Unicast receives count from the VF only.
pub(crate) const FROM_VF: u8 = 2;

/// How many cancelled sends are remembered while the VF gives them back.
const CANCELS: usize = 8;

/// The first bytes of an Ethernet frame.
#[derive(Clone, Copy)]
pub struct Addresses {
    /// Whom the frame is for.
    pub destination: [u8; 6],
    /// Who sent it.
    pub source: [u8; 6],
}

impl Addresses {
    /// Bytes that both take.
    pub const LEN: usize = 12;

    /// The addresses of a frame that starts with `header`.
    #[must_use]
    pub fn of(header: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = header;
        Self {
            destination: [a, b, c, d, e, f],
            source: [g, h, i, j, k, l],
        }
    }
}

/// What makes a VF the adapter's.
#[derive(Clone, Copy)]
pub struct Identity {
    /// The adapter's current MAC address.
    pub mac: [u8; 6],
    /// Its MTU in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Its own device, which VIOPROT must not bind to.
    pub physical_device: *mut sys::DEVICE_OBJECT,
    /// Whether the device is a standby (VIRTIO_NET_F_STANDBY). Others have no VF.
    pub standby: bool,
    /// The adapter's interface.
    pub luid: sys::NET_LUID,
}

/// What the engine notes of a switch, under the lock that guards its steps.
pub(crate) struct Switch {
    /// The engine is between the first and the last step of a switch.
    pub(crate) under_way: bool,
}

/// A request that NDIS made of us, and ours to the VF that follows it, by their identifiers.
#[derive(Clone, Copy)]
pub(crate) struct Forwarding {
    pub(crate) original: usize,
    pub(crate) own: usize,
}

/// Sends that wait for a switch to finish.
struct Held {
    /// Sends that the VF gave back: older than all that wait.
    returned: Chain<ToComplete>,
    waiting: Chain<ToComplete>,
}

/// An adapter and, at times, its VF.
pub struct Pair {
    upper: *const dyn Upper,
    pub(crate) identity: Identity,
    pub(crate) carrier: AtomicU8,
    pub(crate) receives_from: AtomicU8,
    /// The binding that sends go to: set whenever `tx` is open.
    pub(crate) vf: AtomicPtr<Binding>,
    pub(crate) tx: Gate,
    /// Open while the binding in `vf` is: who calls down to cancel there holds a reference. It outlives
    /// `tx`, which closes when the VF has sends still.
    pub(crate) cancels: Gate,
    /// Held for every change of `carrier`, `receives_from` and whether `tx` is open. They are read
    /// without it.
    pub(crate) switch: SpinLock<Switch>,
    pub(crate) standby_idle: Event,
    held: SpinLock<Held>,
    copies: SpinLock<Copies>,
    cancelled: SpinLock<[usize; CANCELS]>,
    /// Why the last VF that was offered was not of use; of one that is open, its binding knows.
    pub(crate) refusal: SpinLock<Option<WhyNot>>,
    /// The request of NDIS's that the VF is at.
    pub(crate) forwarding: SpinLock<Option<Forwarding>>,
    pub(crate) engine: PassiveLock<Engine>,
    /// Looks at whether the VF should take over.
    pub(crate) takeover: Later<Work<Pair>>,
    /// Runs while the VF's link has to prove stable.
    pub(crate) stable: Later<Timer<Pair>>,
    /// Runs after a switch, while receives count from both paths.
    pub(crate) settled: Later<Timer<Pair>>,
}

// SAFETY: `upper` is Sync and outlives the pair by `try_new`'s contract, `identity`'s pointer is
// only compared, and all else is synchronised in itself.
unsafe impl Sync for Pair {}
// SAFETY: as above.
unsafe impl Send for Pair {}

impl Pair {
    /// Makes the data path of an adapter: on virtio, with no VF.
    ///
    /// # Errors
    ///
    /// No memory for it.
    ///
    /// # Safety
    ///
    /// `driver` is the miniport driver's handle. `upper` lives until [`crate::edge::Edge::remove`]
    /// has run, which is before the first share is dropped.
    pub unsafe fn try_new(
        driver: sys::NDIS_HANDLE,
        upper: *const dyn Upper,
        identity: Identity,
    ) -> Result<Shared<Self>, Failed> {
        let pair = Shared::try_new(Self {
            upper,
            identity,
            carrier: AtomicU8::new(VIRTIO),
            receives_from: AtomicU8::new(FROM_VIRTIO),
            vf: AtomicPtr::new(ptr::null_mut()),
            tx: Gate::try_new()?,
            cancels: Gate::try_new()?,
            switch: SpinLock::new(Switch { under_way: false }),
            standby_idle: Event::uninitialized(),
            held: SpinLock::new(Held {
                returned: Chain::empty(),
                waiting: Chain::empty(),
            }),
            copies: SpinLock::new(Copies::new()),
            cancelled: SpinLock::new([0; CANCELS]),
            refusal: SpinLock::new(None),
            forwarding: SpinLock::new(None),
            engine: PassiveLock::uninitialized(Engine::new()),
            takeover: Later::empty(),
            stable: Later::empty(),
            settled: Later::empty(),
        })?;
        let target = &raw const *pair;
        // SAFETY: the pair has its final address, and nobody else knows it yet; `remove` stops work
        // and timers before it is dropped.
        unsafe {
            pair.tx.initialize();
            pair.cancels.initialize();
            pair.standby_idle.initialize(true);
            pair.engine.initialize();
            pair.takeover
                .fill(Work::try_new(driver, target, Self::take_over)?);
            pair.stable.fill(Timer::try_new(driver, target, |pair, _| {
                pair.ask_takeover()
            })?);
            pair.settled
                .fill(Timer::try_new(driver, target, |pair, _| pair.settle())?);
        }
        Ok(pair)
    }

    pub(crate) fn upper(&self) -> &dyn Upper {
        // SAFETY: `upper` outlives the pair, by `try_new`'s contract.
        unsafe { &*self.upper }
    }

    /// Whether a VF with this MAC address is the adapter's.
    pub(crate) fn is_for(&self, mac: [u8; 6]) -> bool {
        self.identity.standby && self.identity.mac == mac
    }

    /// Whether the VF carries the adapter's traffic.
    #[must_use]
    pub fn is_on_vf(&self) -> bool {
        self.carrier.load(Ordering::Acquire) == VF
    }

    /// Takes sends that don't belong on virtio at the moment; gives back those that do.
    /// IRQL <= DISPATCH_LEVEL; `send_flags` are those of the miniport's send handler.
    pub fn send(&self, mut sends: Chain<ToComplete>, send_flags: u32) -> Option<Chain<ToComplete>> {
        loop {
            let outcome = match self.carrier.load(Ordering::Acquire) {
                VIRTIO => return Some(sends),
                VF => self.send_on_vf(sends, send_flags),
                _ => self.hold(sends),
            };
            match outcome {
                Ok(rest) => return (!rest.is_empty()).then_some(rest),
                // The carrier changed meanwhile: look again.
                Err(back) => sends = back,
            }
        }
    }

    /// Keeps sends until a switch is done.
    fn hold(&self, sends: Chain<ToComplete>) -> Result<Chain<ToComplete>, Chain<ToComplete>> {
        // SAFETY: IRQL <= DISPATCH_LEVEL, as for all senders; a leaf lock.
        let mut held = unsafe { self.held.lock() };
        if self.carrier.load(Ordering::Acquire) != HOLD {
            return Err(sends);
        }
        held.waiting.append(sends);
        Ok(Chain::empty())
    }

    /// Gives `sends` to the VF. What it can't take is given back: all, when the path has just
    /// closed (`Err`); some, when there was no memory to dress them (`Ok`).
    fn send_on_vf(
        &self,
        sends: Chain<ToComplete>,
        send_flags: u32,
    ) -> Result<Chain<ToComplete>, Chain<ToComplete>> {
        let count = u64::from(sends.len());
        if self.tx.take(count).is_err() {
            return Err(sends);
        }
        // SAFETY: `vf` is set while `tx` is open, and the binding lives until `tx` has run down,
        // which our references prevent.
        let Some(binding) = (unsafe { self.vf.load(Ordering::Acquire).as_ref() }) else {
            self.tx.give(count);
            return Err(sends);
        };
        let (dressed, rest) = sends.partition(|list| dress(list, binding.handle()).is_ok());
        if !dressed.is_empty() {
            let flags = send_flags & sys::NDIS_SEND_FLAGS_DISPATCH_LEVEL;
            // SAFETY: the binding is running: `tx` is open only then, and NDIS waits for what was
            // sent before it pauses. The lists bear the binding's handle.
            unsafe {
                sys::NdisSendNetBufferLists(
                    binding.handle(),
                    dressed.into_raw().0,
                    sys::NDIS_DEFAULT_PORT_NUMBER,
                    flags,
                );
            }
        }
        if !rest.is_empty() {
            self.tx.give(u64::from(rest.len()));
        }
        Ok(rest)
    }

    /// The VF is done with sends that [`Self::send_on_vf`] or an announcement gave it.
    pub(crate) fn vf_sends_done(&self, binding: &Binding, sends: Chain<ToComplete>) {
        let count = u64::from(sends.len());
        let (mut own, mut sends) = sends.partition(|list| binding.announcements.made(list));
        while let Some(list) = own.pop() {
            // SAFETY: the list came from our pool and is back.
            binding
                .announcements
                .free(unsafe { Nbl::<Own>::from_raw(list.into_raw()) });
        }
        sends.for_each(undress);
        let (again, done) =
            sends.partition(|list| was_not_sent(list.fields().Status) && !self.was_cancelled(list));
        self.upper().complete_sends(done);
        if !again.is_empty() {
            self.send_again(again);
        }
        if !cfg!(mutant = "keep_a_reference") {
            self.tx.give(count);
        }
    }

    /// Sends through virtio what the VF gave back, before all that came after it.
    fn send_again(&self, sends: Chain<ToComplete>) {
        {
            // SAFETY: completions come at IRQL <= DISPATCH_LEVEL; a leaf lock.
            let mut held = unsafe { self.held.lock() };
            if self.carrier.load(Ordering::Acquire) == HOLD {
                held.returned.append(sends);
                return;
            }
        }
        self.upper().send_on_standby(sends);
    }

    /// Ends HOLD: what waits goes out on the path `to`, and so does all that comes after it. A VF
    /// that is `unfit` by now, or that gives back what it gets, is not given anything: everything
    /// goes to virtio then. Says which path it is.
    pub(crate) fn release_held(&self, mut to: u8, unfit: impl Fn() -> bool) -> u8 {
        loop {
            let sends = {
                // SAFETY: called at IRQL <= DISPATCH_LEVEL with no lock held. Lock order: switch,
                // held.
                let (_switch, mut held) = unsafe { (self.switch.lock(), self.held.lock()) };
                if to == VF && (!held.returned.is_empty() || unfit()) {
                    to = VIRTIO;
                    self.tx.close();
                }
                let mut sends = held.returned.take();
                sends.append(held.waiting.take());
                if sends.is_empty() {
                    self.carrier.store(to, Ordering::SeqCst);
                    return to;
                }
                sends
            };
            let rest = if to == VF {
                self.send_on_vf(sends, 0)
            } else {
                Err(sends)
            };
            let (Ok(rest) | Err(rest)) = rest;
            if !rest.is_empty() {
                self.upper().send_on_standby(rest);
            }
        }
    }

    /// Serves MiniportCancelSend for sends that wait here or are at the VF. IRQL <= DISPATCH_LEVEL.
    pub fn cancel_sends(&self, id: usize) {
        {
            // SAFETY: IRQL <= DISPATCH_LEVEL, by contract; a leaf lock.
            let mut cancelled = unsafe { self.cancelled.lock() };
            cancelled.rotate_right(1);
            if let Some(slot) = cancelled.first_mut() {
                *slot = id;
            }
        }
        let mut aborted = {
            // SAFETY: as above.
            let mut held = unsafe { self.held.lock() };
            let (aborted, rest) = held
                .waiting
                .take()
                .partition(|list| list.cancel_id().addr() == id);
            held.waiting = rest;
            aborted
        };
        aborted.set_status(if cfg!(mutant = "cancelled_as_sent") {
            sys::NDIS_STATUS_SUCCESS
        } else {
            sys::NDIS_STATUS_SEND_ABORTED
        });
        self.upper().complete_sends(aborted);
        self.with_vf(|binding| {
            // SAFETY: the binding is open for the length of this function.
            unsafe {
                sys::NdisCancelSendNetBufferLists(
                    binding.handle(),
                    ptr::without_provenance_mut(id),
                );
            }
        });
    }

    /// Calls `act` with the VF that carries, or that has sends or requests of the adapter's still, and
    /// keeps it open for as long.
    pub(crate) fn with_vf(&self, act: impl FnOnce(&Binding)) {
        if self.cancels.take(1).is_err() {
            return;
        }
        // SAFETY: the reference keeps the binding open: `let_go` waits for it.
        if let Some(binding) = unsafe { self.vf.load(Ordering::Acquire).as_ref() } {
            act(binding);
        }
        self.cancels.give(1);
    }

    fn was_cancelled(&self, list: &Nbl<ToComplete>) -> bool {
        let id = list.cancel_id().addr();
        // SAFETY: completions come at IRQL <= DISPATCH_LEVEL; a leaf lock.
        id != 0 && unsafe { self.cancelled.lock() }.contains(&id)
    }

    /// The virtio device has completed all its sends: an engine may wait for that.
    pub fn standby_became_idle(&self) {
        if self.carrier.load(Ordering::Acquire) == HOLD {
            self.standby_idle.set();
        }
    }

    /// Whether a frame that came by `from` counts. `digest` is asked for multicast only.
    pub fn accept(&self, from: Path, addresses: Addresses, digest: impl FnOnce() -> u64) -> bool {
        let mode = self.receives_from.load(Ordering::Acquire);
        if mode == FROM_VIRTIO {
            return from == Path::Virtio;
        }
        // What we send to all by one path comes back by the other.
        if addresses.source == self.identity.mac {
            return false;
        }
        let [first, ..] = addresses.destination;
        if first & 1 == 0 {
            return mode == FROM_BOTH || from == Path::Vf;
        }
        let (digest, now) = (digest(), ndis::time::uptime_ms());
        // SAFETY: receives come at IRQL <= DISPATCH_LEVEL; a leaf lock.
        !unsafe { self.copies.lock() }.is_second(from, digest, now)
    }

    /// Says in the event log why a VF is not of use, and keeps it for programs that ask.
    /// IRQL <= DISPATCH_LEVEL.
    pub(crate) fn refuse(&self, reason: Reason, detail: u32) {
        if let Some(why_not) = reason.why_not(detail) {
            self.set_refusal(Some(why_not));
        }
        self.upper().log(reason, detail);
    }

    pub(crate) fn set_refusal(&self, refusal: Option<WhyNot>) {
        // SAFETY: called at IRQL <= DISPATCH_LEVEL; a leaf lock.
        *unsafe { self.refusal.lock() } = refusal;
    }
}

/// Makes a send that NDIS gave to the adapter one of the protocol's own: NDIS finds the sender by
/// SourceHandle, so the sender's is kept in the list's context space meanwhile.
fn dress(list: &mut Nbl<ToComplete>, binding: sys::NDIS_HANDLE) -> Result<(), Failed> {
    let source = list.fields().SourceHandle;
    list.push_context(Context([source.expose_provenance(), 0]))?;
    list.fields_mut().SourceHandle = binding;
    Ok(())
}

/// Gives a send its sender back.
fn undress(list: &mut Nbl<ToComplete>) {
    if let Some(Context([source, _])) = list.pop_context()
        && !cfg!(mutant = "skip_source_handle_restore")
    {
        list.fields_mut().SourceHandle = ptr::with_exposed_provenance_mut(source);
    }
}

/// Whether a VF's completion status says that the frames did not go out.
fn was_not_sent(status: sys::NDIS_STATUS) -> bool {
    matches!(
        status,
        sys::NDIS_STATUS_PAUSED
            | sys::NDIS_STATUS_LOW_POWER_STATE
            | sys::NDIS_STATUS_SEND_ABORTED
            | sys::NDIS_STATUS_RESET_IN_PROGRESS
            | sys::NDIS_STATUS_ADAPTER_NOT_READY
            | sys::NDIS_STATUS_NOT_ACCEPTED
            | sys::NDIS_STATUS_MEDIA_DISCONNECTED
    )
}
