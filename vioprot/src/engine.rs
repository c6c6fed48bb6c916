//! Switching an adapter's data path.
//!
//! | from | to | when | how |
//! |---|---|---|---|
//! | virtio | VF | the VF is bound, running, and its link has been up for 100 ms | [`Pair::take_over`], at PASSIVE_LEVEL |
//! | VF | virtio | NDIS pauses or unbinds the VF, or the adapter halts | `leave`, at PASSIVE_LEVEL |
//! | VF | virtio | the VF's link goes down | [`Pair::leave_now`], at up to DISPATCH_LEVEL |
//!
//! In every switch the new path receives before the old one stops, and the adapter's link above
//! stays as it is.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use ndis::Failed;
use ndis::irql::Passive;
use ndis::later::Later;
use ndis_sys as sys;

use crate::announce::{Address, Announcement};
use crate::binding::Binding;
use crate::pair::{FROM_BOTH, FROM_VF, FROM_VIRTIO, HOLD, Pair, Switch, VF, VIRTIO};
use crate::requests;
use crate::{Filters, Reason};

/// How long a VF's link must have been up before the VF takes over: a flapping one costs nothing.
const STABLE_MS: u32 = 100;
/// How long receives count from both paths after a switch: until the switch on the host has
/// learned the new port and what it had queued for the old one is through.
const SETTLE_MS: u32 = 200;
/// How long sends are held, at most, while the old path finishes those that it has.
const HOLD_MS: u32 = 20;
/// How long a VF is left alone that gave sends back when it was about to take over.
const RETRY_MS: u32 = 2_000;
/// One look at whether the VF still receives, when it is about to be closed.
const QUIET_US: u32 = 1_000;
/// Looks without a receive that count as quiet, and looks in all.
const QUIET_LOOKS: u32 = 3;
const MAX_LOOKS: u32 = 20;
/// Addresses that one switch announces.
const MAX_ANNOUNCED: usize = 16;
/// How often the VF is configured anew because the filters changed meanwhile.
const MAX_CONFIGURATIONS: u32 = 8;

/// What the engine knows; its lock is held during a planned switch.
pub(crate) struct Engine {
    binding: Option<NonNull<Binding>>,
}

// SAFETY: a binding may be used from any CPU, and outlives its place here.
unsafe impl Send for Engine {}

impl Engine {
    pub(crate) const fn new() -> Self {
        Self { binding: None }
    }

    /// The binding; alive for as long as the engine's lock is held, whatever the lifetime says.
    fn binding<'a>(&self) -> Option<&'a Binding> {
        // SAFETY: a binding is dropped by its unbind, which takes it out of here first.
        self.binding.map(|binding| unsafe { &*binding.as_ptr() })
    }

    fn has(&self, binding: &Binding) -> bool {
        self.binding
            .is_some_and(|known| ptr::eq(known.as_ptr(), binding))
    }
}

impl Pair {
    /// Gives the adapter its VF, which is open and not running yet or running already.
    pub(crate) fn attach(&self, binding: &Binding, at: &Passive<'_>) {
        self.set_refusal(None);
        self.engine.lock(at).binding = Some(NonNull::from(binding));
        binding
            .pair
            .store(ptr::from_ref(self).cast_mut(), Ordering::Release);
        binding.upward.open();
        self.ask_when_stable(binding);
    }

    /// Takes its VF, if any, from the adapter: on return the VF has none of the adapter's sends,
    /// the adapter none of the VF's receives, and the VF's filter is closed.
    pub(crate) fn detach(&self, at: &Passive<'_>) {
        let mut engine = self.engine.lock(at);
        if let Some(binding) = engine.binding() {
            self.let_go(binding, at);
            engine.binding = None;
        }
    }

    /// As [`Self::detach`], if `binding` is the adapter's VF.
    pub(crate) fn detach_from(&self, binding: &Binding, at: &Passive<'_>) {
        let mut engine = self.engine.lock(at);
        if engine.has(binding) {
            self.let_go(binding, at);
            engine.binding = None;
        }
    }

    fn let_go(&self, binding: &Binding, at: &Passive<'_>) {
        self.cancel_takeover();
        self.leave(binding, at);
        self.tx.close_and_wait(at);
        self.cancels.close_and_wait(at);
        binding.silence(at);
        binding.upward.close_and_wait(at);
        binding.pair.store(ptr::null_mut(), Ordering::Release);
        self.vf.store(ptr::null_mut(), Ordering::Release);
    }

    /// Ends the pair's timers and work.
    pub(crate) fn stop(&self, at: &Passive<'_>) {
        if let Some(work) = self.takeover.get() {
            work.stop(at);
        }
        if cfg!(mutant = "keep_timers") {
            return;
        }
        for timer in [&self.stable, &self.settled]
            .into_iter()
            .filter_map(Later::get)
        {
            timer.stop(at);
        }
    }

    /// The VF's stack is running or its link is up: let it take over if that lasts.
    pub(crate) fn ask_when_stable(&self, binding: &Binding) {
        if binding.is_fit()
            && let Some(timer) = self.stable.get()
        {
            timer.set(STABLE_MS);
        }
    }

    pub(crate) fn ask_takeover(&self) {
        if let Some(work) = self.takeover.get() {
            work.ask();
        }
    }

    fn cancel_takeover(&self) {
        if let Some(timer) = self.stable.get() {
            timer.cancel();
        }
    }

    /// Moves the adapter to the VF if that is fit; makes a VF that carries follow the filters if
    /// it refused to.
    pub(crate) fn take_over(&self, at: &Passive<'_>) {
        let engine = self.engine.lock(at);
        let Some(binding) = engine.binding() else {
            return;
        };
        if self.is_on_vf() {
            if binding.out_of_step.swap(false, Ordering::AcqRel) {
                self.configure_or_leave(binding, at);
            }
            return;
        }
        if !binding.is_fit() {
            return;
        }
        // Receives from the VF must count before its filter opens.
        self.step(|switch| {
            switch.under_way = true;
            self.receives_from.store(FROM_BOTH, Ordering::SeqCst);
        });
        if let Ok(generation) = self.configure(binding, at) {
            self.move_to(binding, generation, at);
        }
        self.switched();
    }

    /// `generation` is that of the filters that the VF has.
    fn move_to(&self, binding: &Binding, generation: u32, at: &Passive<'_>) {
        self.step(|_| {
            self.vf
                .store(ptr::from_ref(binding).cast_mut(), Ordering::SeqCst);
            self.cancels.open();
            self.tx.open();
            self.standby_idle.clear();
            self.carrier.store(HOLD, Ordering::SeqCst);
        });
        if self.upper().standby_has_sends() {
            self.standby_idle.wait_at_most(HOLD_MS, at);
        }
        if self.release_held(VF, || !binding.is_fit()) != VF {
            // Whoever wanted one meanwhile relied on this switch for it.
            self.announce(|frame| self.upper().announce_on_standby(frame));
            // What made it do so may end without a word.
            if let Some(timer) = self.stable.get() {
                timer.set(RETRY_MS);
            }
            return;
        }
        // From here on the VF's callbacks move the adapter back when it is not fit any more; the
        // lock of the last step sees to it that none falls between.
        if !binding.is_fit() {
            self.leave_now();
            return;
        }
        if self.upper().filters().generation != generation {
            // They changed before the VF carried, so nobody forwarded that.
            self.configure_or_leave(binding, at);
        }
        self.announce(|frame| self.announce_on_vf(binding, frame));
    }

    /// Moves the adapter back to virtio in good order, while the VF still works; on return none of
    /// its sends or requests is at the VF.
    pub(crate) fn leave_planned(&self, binding: &Binding, at: &Passive<'_>) {
        let engine = self.engine.lock(at);
        if engine.has(binding) {
            self.cancel_takeover();
            self.leave(binding, at);
            self.tx.close_and_wait(at);
        }
    }

    fn leave(&self, binding: &Binding, at: &Passive<'_>) {
        let leaves = self.step(|switch| {
            let leaves = self.carrier.load(Ordering::SeqCst) == VF;
            if leaves {
                switch.under_way = true;
                self.receives_from.store(FROM_BOTH, Ordering::SeqCst);
                self.carrier.store(HOLD, Ordering::SeqCst);
                self.tx.close();
            }
            leaves
        });
        if !leaves {
            return;
        }
        if !cfg!(mutant = "leave_without_draining") {
            self.tx.wait_at_most(HOLD_MS, at);
        }
        self.release_held(VIRTIO, || false);
        self.announce(|frame| self.upper().announce_on_standby(frame));
        self.switched();
        self.wait_until_quiet(binding, at);
    }

    /// Moves the adapter back to virtio at once: the VF's link is down. IRQL <= DISPATCH_LEVEL.
    ///
    /// During a planned switch there is nothing to do: the engine looks at the VF before it ends
    /// the switch.
    pub(crate) fn leave_now(&self) {
        self.cancel_takeover();
        let leaves = self.step(|_| {
            let leaves = self.carrier.load(Ordering::SeqCst) == VF;
            if leaves {
                self.receives_from.store(FROM_BOTH, Ordering::SeqCst);
                self.carrier.store(VIRTIO, Ordering::SeqCst);
                self.tx.close();
            }
            leaves
        });
        if leaves {
            self.announce(|frame| self.upper().announce_on_standby(frame));
            self.settle_later();
            self.upper().path_changed();
        }
    }

    /// Takes one step of a switch.
    fn step<R>(&self, change: impl FnOnce(&mut Switch) -> R) -> R {
        // SAFETY: the engine runs at IRQL <= DISPATCH_LEVEL, with no spin lock held.
        let mut switch = unsafe { self.switch.lock() };
        change(&mut switch)
    }

    /// Frames that were on their way to the VF when the switch on the host heard of the new port
    /// arrive within microseconds; the VF stays open until no more come.
    fn wait_until_quiet(&self, binding: &Binding, at: &Passive<'_>) {
        let (mut quiet, mut before) = (0u32, binding.upward.taken());
        for _ in 0..MAX_LOOKS {
            ndis::time::sleep_us(QUIET_US, at);
            let now = binding.upward.taken();
            quiet = if now == before {
                quiet.saturating_add(1)
            } else {
                0
            };
            before = now;
            if quiet >= QUIET_LOOKS {
                return;
            }
        }
    }

    /// Ends a switch, whichever way it went.
    fn switched(&self) {
        self.step(|switch| switch.under_way = false);
        self.settle_later();
        self.upper().path_changed();
    }

    fn settle_later(&self) {
        if let Some(timer) = self.settled.get() {
            timer.set(SETTLE_MS);
        }
    }

    /// The time after a switch is over: from now on only the path that carries brings unicast.
    pub(crate) fn settle(&self) {
        self.step(|switch| {
            let from = match self.carrier.load(Ordering::SeqCst) {
                VF => FROM_VF,
                VIRTIO => FROM_VIRTIO,
                _ => return,
            };
            // A switch that is under way sets the timer when it ends.
            if !switch.under_way {
                self.receives_from.store(from, Ordering::SeqCst);
            }
        });
    }

    /// Announces the adapter's addresses once more, on the path that carries; a switch that is under
    /// way does so by itself. IRQL <= DISPATCH_LEVEL, with no lock held.
    pub fn announce_again(&self) {
        if self.carrier.load(Ordering::SeqCst) == VIRTIO {
            self.announce(|frame| self.upper().announce_on_standby(frame));
        }
        // Also when the path has changed meanwhile: what went out by virtio, perhaps after the switch's
        // own announcement, would have the network look for the guest there.
        if self.carrier.load(Ordering::SeqCst) == VF {
            self.with_vf(|binding| self.announce(|frame| self.announce_on_vf(binding, frame)));
        }
    }

    fn announce(&self, send: impl Fn(&[u8])) {
        if cfg!(mutant = "announce_nothing") {
            return;
        }
        let mac = self.identity.mac;
        let mut known = [Address::V4([0; 4]); MAX_ANNOUNCED];
        let count = self.upper().addresses(&mut known);
        if count == 0 {
            send(Announcement::of_mac(mac).bytes());
        }
        for address in known.iter().take(count) {
            send(Announcement::of(mac, *address).bytes());
        }
    }

    fn announce_on_vf(&self, binding: &Binding, frame: &[u8]) {
        let Ok(mut list) = binding.announcements.allocate_with(frame) else {
            return;
        };
        if self.tx.take(1).is_err() {
            binding.announcements.free(list);
            return;
        }
        list.fields_mut().SourceHandle = binding.handle();
        // SAFETY: the binding is running, since `tx` is open; the list is ours and bears the
        // binding's handle. The debt is the VF's until the completion handler frees the list.
        unsafe {
            sys::NdisSendNetBufferLists(
                binding.handle(),
                list.into_raw().as_ptr(),
                sys::NDIS_DEFAULT_PORT_NUMBER,
                0,
            );
        }
    }

    /// Tells the VF what NDIS wants received, until that does not change meanwhile; says as of
    /// which generation.
    fn configure(&self, binding: &Binding, at: &Passive<'_>) -> Result<u32, Failed> {
        let mut filters = self.upper().filters();
        for _ in 0..MAX_CONFIGURATIONS {
            self.apply(binding, &filters, at)?;
            let now = self.upper().filters();
            if now.generation == filters.generation {
                break;
            }
            filters = now;
        }
        Ok(filters.generation)
    }

    fn apply(&self, binding: &Binding, filters: &Filters, at: &Passive<'_>) -> Result<(), Failed> {
        let lookahead = filters.lookahead.to_ne_bytes();
        // A VF without lookahead indicates whole frames: nothing is lost.
        let _ = requests::set(binding, sys::OID_GEN_CURRENT_LOOKAHEAD, &lookahead, at);
        let multicast = filters
            .multicast
            .get(..filters.multicast_len)
            .unwrap_or_default();
        let multicast = multicast.as_flattened();
        // With fewer slots than ours the VF takes all multicast, and we pick.
        let too_many =
            requests::set(binding, sys::OID_802_3_MULTICAST_LIST, multicast, at).is_err();
        binding.all_multicast.store(too_many, Ordering::Release);
        if cfg!(mutant = "forget_vf_filter") {
            return Ok(());
        }
        let oid = sys::OID_GEN_CURRENT_PACKET_FILTER;
        let packet_filter = binding.packet_filter(filters.packet_filter).to_ne_bytes();
        requests::set(binding, oid, &packet_filter, at).inspect_err(|_| {
            binding.refused.store(oid, Ordering::Release);
            self.refuse(Reason::VfRefusedSetting, oid);
        })
    }

    fn configure_or_leave(&self, binding: &Binding, at: &Passive<'_>) {
        if self.configure(binding, at).is_err() {
            self.leave(binding, at);
        }
    }
}
