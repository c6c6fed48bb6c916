//! The protocol driver: who belongs to whom, and when to look.
//!
//! One [`Edge`] serves all adapters of the driver. NDIS's callbacks are in `callbacks`; they end
//! here. Lock order: roster, then a pair's engine.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use ndis::Failed;
use ndis::event::PassiveLock;
use ndis::irql::Passive;
use ndis::memory::{try_box, try_push};
use ndis::shared::Shared;
use ndis::timer::Timer;
use ndis::work::Work;
use ndis_sys as sys;

use crate::Reason;
use crate::binding::Binding;
use crate::callbacks;
use crate::installed::Installed;
use crate::pair::Pair;

pub use crate::binding::return_receives;

/// How often the edge looks whether VIOPROT was installed or uninstalled, while an adapter depends
/// on it: NDIS does not promise an event for either.
const WATCH_MS: u32 = 2_000;

/// The driver's one protocol edge.
pub static EDGE: Edge = Edge::new();

pub(crate) struct Known {
    binding: NonNull<Binding>,
    stage: Stage,
}

/// Where a binding is in its life. Only while it is open, a pair may be given it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    Closing,
}

// SAFETY: bindings may be used from any CPU; an entry is taken out before its binding is dropped.
unsafe impl Send for Known {}

impl Known {
    pub(crate) fn binding(&self) -> &Binding {
        // SAFETY: bindings in the roster are alive, and the roster is locked.
        unsafe { self.binding.as_ref() }
    }

    /// Whether the entry only reserves the MAC address as yet.
    pub(crate) fn is_opening(&self) -> bool {
        self.stage == Stage::Opening
    }

    fn mac(&self) -> [u8; 6] {
        self.binding().mac
    }
}

pub(crate) struct Roster {
    pub(crate) pairs: Vec<Shared<Pair>>,
    pub(crate) bindings: Vec<Known>,
}

/// What lives from [`Edge::start`] to [`Edge::stop`].
struct Helpers {
    work: Work<Edge>,
    watch: Timer<Edge>,
}

/// The protocol driver VIOPROT.
pub struct Edge {
    protocol: AtomicPtr<c_void>,
    /// What its registration has ended with.
    registered: AtomicI32,
    installed: Installed,
    pub(crate) roster: PassiveLock<Roster>,
    /// NDIS is to be asked for adapters that we refused or that were there before us.
    rebind: AtomicBool,
    /// A second VF of an adapter was refused, and may be wanted when the first goes.
    another: AtomicBool,
    helpers: AtomicPtr<Helpers>,
}

impl Edge {
    const fn new() -> Self {
        Self {
            protocol: AtomicPtr::new(ptr::null_mut()),
            registered: AtomicI32::new(sys::NDIS_STATUS_SUCCESS),
            installed: Installed::new(),
            roster: PassiveLock::uninitialized(Roster {
                pairs: Vec::new(),
                bindings: Vec::new(),
            }),
            rebind: AtomicBool::new(false),
            another: AtomicBool::new(false),
            helpers: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Registers the protocol. Bind callbacks may come before this returns. A registration that
    /// NDIS refuses, as it may while VIOPROT is not installed, is tried again when it is.
    ///
    /// # Errors
    ///
    /// No memory.
    ///
    /// # Safety
    ///
    /// Called once, from DriverEntry, after the miniport driver `driver` was registered;
    /// [`Edge::stop`] is called before that is deregistered.
    pub unsafe fn start(
        &'static self,
        driver: sys::NDIS_HANDLE,
        at: &Passive<'_>,
    ) -> Result<(), Failed> {
        // SAFETY: the edge is a static, and nobody uses it yet.
        unsafe { self.roster.initialize() };
        // SAFETY: the edge is a static; `stop` stops and drops both before the driver's handle
        // dies.
        let helpers = try_box(unsafe {
            Helpers {
                work: Work::try_new(driver, self, Self::look)?,
                watch: Timer::try_new(driver, self, |edge, _| edge.ask())?,
            }
        })?;
        self.helpers
            .store(Box::into_raw(helpers), Ordering::Release);
        self.installed.refresh(at);
        self.register();
        Ok(())
    }

    /// Deregisters the protocol; bindings that are left are unbound inside.
    ///
    /// # Safety
    ///
    /// Called once after [`Edge::start`], from DriverUnload or a failing DriverEntry, with every
    /// pair removed.
    pub unsafe fn stop(&'static self, at: &Passive<'_>) {
        // SAFETY: `start` made the box, and only the lines below take it.
        if let Some(helpers) = unsafe { self.helpers.load(Ordering::Acquire).as_ref() } {
            helpers.work.stop(at);
            helpers.watch.stop(at);
        }
        let protocol = self.protocol.swap(ptr::null_mut(), Ordering::AcqRel);
        if !protocol.is_null() {
            // SAFETY: registered once, deregistered once, from Unload or a failed DriverEntry.
            unsafe { sys::NdisDeregisterProtocolDriver(protocol) };
        }
        // Callbacks of the protocol may have asked for work until the line above.
        let helpers = self.helpers.swap(ptr::null_mut(), Ordering::AcqRel);
        if !helpers.is_null() {
            // SAFETY: `start` made the box; stopped, and nobody comes to use it any more.
            drop(unsafe { Box::from_raw(helpers) });
        }
        let mut roster = self.roster.lock(at);
        roster.pairs = Vec::new();
        roster.bindings = Vec::new();
    }

    fn register(&self) {
        if !self.protocol.load(Ordering::Acquire).is_null() {
            return;
        }
        // A failure leaves the handle null: the next change of the installation tries again.
        let registered = callbacks::register(self.protocol.as_ptr());
        let status = registered.map_or_else(|failed| failed.0, |()| sys::NDIS_STATUS_SUCCESS);
        self.registered.store(status, Ordering::Release);
    }

    /// What the registration of the protocol has ended with, for programs that ask.
    pub(crate) fn registration(&self) -> Result<(), Failed> {
        Failed::check(self.registered.load(Ordering::Acquire))
    }

    /// Whether VIOPROT is installed, as far as is known. Any IRQL.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        self.installed.get()
    }

    /// Makes an adapter known, which may have a VF from now on.
    ///
    /// # Errors
    ///
    /// No memory.
    pub fn add(&self, pair: &Shared<Pair>, at: &Passive<'_>) -> Result<(), Failed> {
        self.refresh(at);
        let mut roster = self.roster.lock(at);
        try_push(&mut roster.pairs, pair.clone())?;
        if !pair.identity.standby {
            return Ok(());
        }
        if !attach_waiting(&roster, pair, at) {
            self.rebind.store(true, Ordering::Release);
        }
        drop(roster);
        self.ask();
        Ok(())
    }

    /// Forgets an adapter: on return it has no VF, and nothing calls its [`crate::Upper`].
    pub fn remove(&self, pair: &Shared<Pair>, at: &Passive<'_>) {
        self.roster
            .lock(at)
            .pairs
            .retain(|known| !ptr::eq(&raw const **known, &raw const **pair));
        pair.detach(at);
        pair.stop(at);
        // Another adapter with the same address may have waited for the VF.
        let roster = self.roster.lock(at);
        if let Some(other) = roster
            .pairs
            .iter()
            .find(|known| known.is_for(pair.identity.mac))
        {
            attach_waiting(&roster, other, at);
        }
    }

    /// Asks for [`Self::look`]. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn ask(&self) {
        // SAFETY: the helpers live until `stop` has deregistered the protocol, whose callbacks, and
        // the helpers' own, are the only ones to ask.
        if let Some(helpers) = unsafe { self.helpers.load(Ordering::Acquire).as_ref() } {
            helpers.work.ask();
        }
    }

    /// Looks whether VIOPROT is installed, and asks NDIS for adapters when that may bring new ones.
    fn look(&self, at: &Passive<'_>) {
        self.refresh(at);
        if self.installed.get() {
            self.register();
        }
        let protocol = self.protocol.load(Ordering::Acquire);
        if self.installed.get() && !protocol.is_null() && self.rebind.swap(false, Ordering::AcqRel)
        {
            self.forget_refusals(at, |_| true);
            // SAFETY: a live protocol handle, in a system thread at PASSIVE_LEVEL, with no lock.
            unsafe { sys::NdisReEnumerateProtocolBindings(protocol) };
        }
        let depends = self
            .roster
            .lock(at)
            .pairs
            .iter()
            .any(|pair| pair.identity.standby);
        // SAFETY: as in `ask`.
        if let Some(helpers) = unsafe { self.helpers.load(Ordering::Acquire).as_ref() }
            && depends
        {
            helpers.watch.set(WATCH_MS);
        }
    }

    pub(crate) fn refresh(&self, at: &Passive<'_>) {
        if self.installed.refresh(at) {
            if self.installed.get() {
                self.rebind.store(true, Ordering::Release);
                self.ask();
            }
            self.tell_pairs(at);
        }
    }

    /// NDIS uninstalls the protocol.
    pub(crate) fn uninstalling(&self, at: &Passive<'_>) {
        if self.installed.uninstalling() {
            self.tell_pairs(at);
        }
    }

    /// What was said of VFs that were offered to these adapters is out of date.
    fn forget_refusals(&self, at: &Passive<'_>, of: impl Fn(&Pair) -> bool) {
        for pair in &self.roster.lock(at).pairs {
            if of(pair) && !cfg!(mutant = "keep_refusal") {
                pair.set_refusal(None);
            }
        }
    }

    fn tell_pairs(&self, at: &Passive<'_>) {
        for pair in &self.roster.lock(at).pairs {
            pair.upper().path_changed();
        }
    }

    /// Serves ProtocolBindAdapterEx: opens the VF of an adapter of ours, refuses all else.
    ///
    /// # Safety
    ///
    /// The arguments are those of the callback.
    pub(crate) unsafe fn bind(
        &self,
        bind_context: sys::NDIS_HANDLE,
        parameters: &sys::NDIS_BIND_PARAMETERS,
        at: &Passive<'_>,
    ) -> Result<(), Failed> {
        self.installed.bind_offered();
        self.refresh(at);
        let binding = NonNull::from(Box::leak(self.reserve(parameters, at)?));
        // SAFETY: the binding is ours and alive; this is its bind callback.
        let opened = unsafe {
            let protocol = self.protocol.load(Ordering::Acquire);
            binding
                .as_ref()
                .open(protocol, bind_context, parameters, at)
        };
        // SAFETY: as above.
        let mac = unsafe { binding.as_ref() }.mac;
        let mut roster = self.roster.lock(at);
        let pair = roster.pairs.iter().find(|pair| pair.is_for(mac)).cloned();
        if let Err(failed) = opened {
            roster.bindings.retain(|known| known.binding != binding);
            if let Some(pair) = pair {
                pair.refuse(Reason::VfNotOpened, failed.0.cast_unsigned());
            }
            // SAFETY: leaked above, and known to nobody any more.
            drop(unsafe { Box::from_raw(binding.as_ptr()) });
            return Err(failed);
        }
        for known in &mut roster.bindings {
            if known.binding == binding {
                known.stage = Stage::Open;
            }
        }
        if let Some(pair) = pair {
            attach_waiting(&roster, &pair, at);
        }
        Ok(())
    }

    /// Decides whether an adapter that NDIS offers is the VF of one of ours, and notes that it is
    /// taken.
    fn reserve(
        &self,
        parameters: &sys::NDIS_BIND_PARAMETERS,
        at: &Passive<'_>,
    ) -> Result<Box<Binding>, Failed> {
        const REFUSED: Failed = Failed(sys::NDIS_STATUS_NOT_RECOGNIZED);
        let mac = *parameters
            .CurrentMacAddress
            .first_chunk::<6>()
            .ok_or(REFUSED)?;
        let ethernet = parameters.MediaType == sys::NdisMedium802_3;
        if !ethernet || parameters.MacAddressLength != 6 {
            return Err(REFUSED);
        }
        let mut roster = self.roster.lock(at);
        let device = parameters.PhysicalDeviceObject;
        if roster
            .pairs
            .iter()
            .any(|pair| pair.identity.physical_device == device)
        {
            return Err(REFUSED);
        }
        let Some(pair) = roster.pairs.iter().find(|pair| pair.is_for(mac)).cloned() else {
            return Err(REFUSED);
        };
        if roster.bindings.iter().any(|known| known.mac() == mac) {
            pair.refuse(Reason::SecondVf, 0);
            self.another.store(true, Ordering::Release);
            return Err(REFUSED);
        }
        if parameters.MtuSize < pair.identity.mtu {
            pair.refuse(Reason::VfMtuTooSmall, parameters.MtuSize);
            return Err(REFUSED);
        }
        let without_memory = |failed: Failed| {
            pair.refuse(Reason::VfNotOpened, failed.0.cast_unsigned());
            failed
        };
        let binding = Binding::try_new(mac, parameters).map_err(without_memory)?;
        let known = Known {
            binding: NonNull::from(&*binding),
            stage: Stage::Opening,
        };
        try_push(&mut roster.bindings, known).map_err(|error| without_memory(error.into()))?;
        Ok(binding)
    }

    /// Serves ProtocolUnbindAdapterEx.
    ///
    /// # Safety
    ///
    /// `binding` is the context of an open binding, and this is its unbind callback.
    pub(crate) unsafe fn unbind(&self, binding: NonNull<Binding>, at: &Passive<'_>) {
        // SAFETY: alive until the end of this function.
        let open = unsafe { binding.as_ref() };
        // No adapter that comes up meanwhile may be given this VF.
        for known in &mut self.roster.lock(at).bindings {
            if known.binding == binding {
                known.stage = Stage::Closing;
            }
        }
        self.for_pairs(open.mac, at, |pair| pair.detach_from(open, at));
        self.forget_refusals(at, |pair| pair.is_for(open.mac));
        open.silence(at);
        // SAFETY: inside the unbind callback; the pair has nothing at the VF any more, and the VF
        // nothing with us.
        unsafe { open.close(at) };
        self.roster
            .lock(at)
            .bindings
            .retain(|known| known.binding != binding);
        // SAFETY: `bind` leaked the box; the close is complete, so NDIS calls no more with it.
        drop(unsafe { Box::from_raw(binding.as_ptr()) });
        // The VF may make room for another one. Only then NDIS is asked: to offer adapters, it may
        // pause the stacks of those that it offers, and so lose frames.
        if self.another.swap(false, Ordering::AcqRel) {
            self.rebind.store(true, Ordering::Release);
        }
        // VIOPROT may be going.
        self.ask();
    }

    /// Calls `act` with each adapter that a VF with this MAC address may belong to. Usually there
    /// is one; nothing keeps an administrator from giving two adapters the same address.
    pub(crate) fn for_pairs(&self, mac: [u8; 6], at: &Passive<'_>, act: impl Fn(&Pair)) {
        let mut index = 0usize;
        loop {
            let next = {
                let roster = self.roster.lock(at);
                roster
                    .pairs
                    .iter()
                    .filter(|pair| pair.is_for(mac))
                    .nth(index)
                    .cloned()
            };
            let Some(pair) = next else { return };
            act(&pair);
            index = index.saturating_add(1);
        }
    }
}

/// Gives a pair the open VF with its address that no other pair has, if there is one that fits.
fn attach_waiting(roster: &Roster, pair: &Pair, at: &Passive<'_>) -> bool {
    let waiting = roster
        .bindings
        .iter()
        .filter(|known| known.stage == Stage::Open)
        .map(Known::binding)
        .filter(|binding| binding.mac == pair.identity.mac)
        .find(|binding| binding.pair.load(Ordering::Acquire).is_null());
    let Some(binding) = waiting else { return false };
    if binding.mtu < pair.identity.mtu {
        pair.refuse(Reason::VfMtuTooSmall, binding.mtu);
    } else {
        pair.attach(binding, at);
    }
    true
}
