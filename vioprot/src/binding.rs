//! One open VF: its handle, its state, and what it receives.

use alloc::boxed::Box;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

use control_device::WhyNot;
use ndis::Failed;
use ndis::chain::{Chain, Context, Nbl, ToReturn};
use ndis::event::Event;
use ndis::irql::Passive;
use ndis::memory::try_box;
use ndis::pool::NblPool;
use ndis::rundown::Gate;
use ndis_sys as sys;
use sys::NET_BUFFER_LIST;

use crate::copies::{Digest, Path};
use crate::edge::EDGE;
use crate::pair::{Addresses, FROM_BOTH, Pair};
use crate::requests;

/// Receive flags of the VF's that hold for the adapter as well. That the VF filtered perfectly, or
/// has shared memory, says nothing of what we indicate.
const FLAGS: u32 = sys::NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL
    | sys::NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE
    | sys::NDIS_RECEIVE_FLAGS_SINGLE_VLAN
    | sys::NDIS_RECEIVE_FLAGS_SINGLE_QUEUE;
/// Room for the longest announcement.
const ANNOUNCEMENT_BYTES: u32 = 128;

/// A VF that VIOPROT has opened, or is opening.
pub(crate) struct Binding {
    handle: AtomicPtr<core::ffi::c_void>,
    pub(crate) mac: [u8; 6],
    /// Bytes, without the Ethernet header.
    pub(crate) mtu: u32,
    /// The VF's interface.
    pub(crate) luid: sys::NET_LUID,
    /// NDIS has restarted the stack of the VF and not paused it since.
    running: AtomicBool,
    link_up: AtomicBool,
    /// The VF's miniport resets it.
    resetting: AtomicBool,
    /// The VF is in D0.
    powered: AtomicBool,
    /// The OID of a setting that the VF can't do without and has refused; 0: none.
    pub(crate) refused: AtomicU32,
    /// The VF has refused a change of the filters, which are to be set again.
    pub(crate) out_of_step: AtomicBool,
    /// The VF has too few multicast slots, and takes all multicast instead.
    pub(crate) all_multicast: AtomicBool,
    /// The adapter whose VF this is; set while `upward` is open.
    pub(crate) pair: AtomicPtr<Pair>,
    /// Callbacks that use the pair, and lists that it has indicated and not got back.
    pub(crate) upward: Gate,
    /// What open or close ended with, once the event is set.
    pending: Event,
    outcome: AtomicI32,
    /// NDIS writes the index of the chosen medium here; it must outlive the open.
    medium: AtomicU32,
    pub(crate) announcements: NblPool,
}

impl Binding {
    /// Prepares a binding to the adapter with the address `mac` that NDIS offers; nothing is open
    /// yet.
    pub(crate) fn try_new(
        mac: [u8; 6],
        offered: &sys::NDIS_BIND_PARAMETERS,
    ) -> Result<Box<Self>, Failed> {
        let link_up = offered.MediaConnectState == sys::MediaConnectStateConnected;
        let binding = try_box(Self {
            handle: AtomicPtr::new(ptr::null_mut()),
            mac,
            mtu: offered.MtuSize,
            // The bound interface would be that of a filter on top of it.
            luid: offered.LowestIfNetluid,
            running: AtomicBool::new(false),
            link_up: AtomicBool::new(link_up),
            resetting: AtomicBool::new(false),
            powered: AtomicBool::new(true),
            refused: AtomicU32::new(0),
            out_of_step: AtomicBool::new(false),
            all_multicast: AtomicBool::new(false),
            pair: AtomicPtr::new(ptr::null_mut()),
            upward: Gate::try_new()?,
            pending: Event::uninitialized(),
            outcome: AtomicI32::new(sys::NDIS_STATUS_SUCCESS),
            medium: AtomicU32::new(0),
            // SAFETY: the pool belongs to no adapter; its lists are back when the pair has let go
            // of the binding, which comes before the drop.
            announcements: unsafe { NblPool::with_data(ptr::null_mut(), ANNOUNCEMENT_BYTES)? },
        })?;
        // SAFETY: the events are in their box, where they stay.
        unsafe {
            binding.upward.initialize();
            binding.pending.initialize(false);
        }
        Ok(binding)
    }

    /// Opens the adapter that NDIS offers, and waits for that.
    ///
    /// # Errors
    ///
    /// NDIS's status; nothing is open then.
    ///
    /// # Safety
    ///
    /// Called inside ProtocolBindAdapterEx with its context and parameters.
    pub(crate) unsafe fn open(
        &self,
        protocol: sys::NDIS_HANDLE,
        bind_context: sys::NDIS_HANDLE,
        parameters: &sys::NDIS_BIND_PARAMETERS,
        at: &Passive<'_>,
    ) -> Result<(), Failed> {
        let mut medium = [sys::NdisMedium802_3];
        let mut open: sys::NDIS_OPEN_PARAMETERS = sys::zeroed();
        open.Header = ndis::header(
            sys::NDIS_OBJECT_TYPE_OPEN_PARAMETERS,
            sys::NDIS_OPEN_PARAMETERS_REVISION_1,
            sys::NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1,
        );
        open.AdapterName = parameters.AdapterName;
        open.MediumArray = medium.as_mut_ptr();
        open.MediumArraySize = 1;
        open.SelectedMediumIndex = self.medium.as_ptr();
        let context = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: inside the bind callback, by contract; the handle's storage is ours and outlives
        // the open.
        let status = unsafe {
            sys::NdisOpenAdapterEx(
                protocol,
                context,
                &raw mut open,
                bind_context,
                self.handle.as_ptr(),
            )
        };
        Failed::check(self.final_status(status, at))
    }

    /// Closes the adapter and waits for that. Its handle is dead from the call on.
    ///
    /// # Safety
    ///
    /// Called inside ProtocolBindAdapterEx (to undo) or ProtocolUnbindAdapterEx, with nothing of
    /// ours at the VF and nothing of the VF's with us.
    pub(crate) unsafe fn close(&self, at: &Passive<'_>) {
        self.pending.clear();
        // SAFETY: by contract.
        let status = unsafe { sys::NdisCloseAdapterEx(self.handle()) };
        self.final_status(status, at);
    }

    fn final_status(&self, status: sys::NDIS_STATUS, at: &Passive<'_>) -> sys::NDIS_STATUS {
        if status != sys::NDIS_STATUS_PENDING {
            return status;
        }
        self.pending.wait(at);
        self.outcome.load(Ordering::Acquire)
    }

    /// An open or close that was pending is done.
    pub(crate) fn completed(&self, status: sys::NDIS_STATUS) {
        self.outcome.store(status, Ordering::Release);
        self.pending.set();
    }

    pub(crate) fn handle(&self) -> sys::NDIS_HANDLE {
        self.handle.load(Ordering::Acquire)
    }

    /// Whether the VF could carry traffic as far as is known.
    pub(crate) fn is_fit(&self) -> bool {
        self.unfit().is_none()
    }

    /// Why the VF could not carry traffic, as far as is known.
    pub(crate) fn unfit(&self) -> Option<WhyNot> {
        let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        if !is(&self.running) {
            Some(WhyNot::Paused)
        } else if !is(&self.powered) {
            Some(WhyNot::Asleep)
        } else if !is(&self.link_up) {
            Some(WhyNot::LinkDown)
        } else if is(&self.resetting) {
            Some(WhyNot::Resetting)
        } else {
            let oid = self.refused.load(Ordering::SeqCst);
            (oid != 0).then_some(WhyNot::RefusedSetting(oid))
        }
    }

    /// Whether the VF's link is up.
    pub(crate) fn is_link_up(&self) -> bool {
        self.link_up.load(Ordering::SeqCst)
    }

    /// NDIS restarts (true) or pauses the VF's stack.
    pub(crate) fn run(&self, running: bool, at: &Passive<'_>) {
        self.running.store(running, Ordering::SeqCst);
        self.follow(running, at);
    }

    /// The VF goes to D0 (true) or to sleep.
    pub(crate) fn power(&self, on: bool, at: &Passive<'_>) {
        self.powered.store(on, Ordering::SeqCst);
        self.follow(on, at);
    }

    fn follow(&self, fit: bool, at: &Passive<'_>) {
        if fit {
            self.with_pair(|pair| pair.ask_when_stable(self));
        } else {
            EDGE.for_pairs(self.mac, at, |pair| pair.leave_planned(self, at));
        }
    }

    /// The VF's link is up (true) or down. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn link(&self, up: bool) {
        if self.link_up.swap(up, Ordering::SeqCst) == up {
            return;
        }
        // A link that comes back is a new chance.
        self.refused.store(0, Ordering::Release);
        self.changed(up);
    }

    /// The VF's miniport begins (true) or ends a reset. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn reset(&self, begins: bool) {
        self.resetting.store(begins, Ordering::SeqCst);
        self.changed(!begins);
    }

    fn changed(&self, better: bool) {
        self.with_pair(|pair| {
            if better {
                pair.ask_when_stable(self)
            } else {
                pair.leave_now()
            }
        });
    }

    /// Lets the VF receive nothing more for us.
    pub(crate) fn silence(&self, at: &Passive<'_>) {
        if cfg!(mutant = "leave_filter_open") {
            return;
        }
        if !self.powered.load(Ordering::SeqCst) {
            return;
        }
        // A VF that is gone already refuses, which is as good.
        let _ = requests::set(self, sys::OID_GEN_CURRENT_PACKET_FILTER, &[0; 4], at);
        let _ = requests::set(self, sys::OID_802_3_MULTICAST_LIST, &[], at);
    }

    /// Calls `act` with the pair, if there is one, which stays for as long.
    pub(crate) fn with_pair(&self, act: impl FnOnce(&Pair)) {
        if self.upward.take(1).is_err() {
            return;
        }
        // SAFETY: `pair` is set while `upward` is open, and is cleared only after it ran down.
        if let Some(pair) = unsafe { self.pair.load(Ordering::Acquire).as_ref() } {
            act(pair);
        }
        self.upward.give(1);
    }

    /// The packet filter that the VF needs for the adapter to have `filter`.
    pub(crate) fn packet_filter(&self, filter: u32) -> u32 {
        if self.all_multicast.load(Ordering::Acquire) {
            filter | sys::NDIS_PACKET_TYPE_ALL_MULTICAST
        } else {
            filter
        }
    }

    /// ProtocolReceiveNetBufferLists: passes on to the adapter what counts for it.
    ///
    /// # Safety
    ///
    /// The arguments are those of the callback.
    pub(crate) unsafe fn receive(&self, lists: *mut NET_BUFFER_LIST, flags: u32) {
        // SAFETY: NDIS lends us the lists: until we return them, or, with RESOURCES, until we
        // return.
        let lists = unsafe { Chain::<ToReturn>::from_raw(lists) };
        let at_dispatch = flags & sys::NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL != 0;
        if flags & sys::NDIS_RECEIVE_FLAGS_RESOURCES != 0 {
            self.show_each(lists, flags);
            return;
        }
        // One reference per list, and one for this call: the lists may be back before it ends.
        let count = u64::from(lists.len());
        if self.upward.take(count.saturating_add(1)).is_err() {
            self.give_back(lists, at_dispatch);
            return;
        }
        // SAFETY: `pair` is set while `upward` is open, and our references keep it so.
        let unwanted = match unsafe { self.pair.load(Ordering::Acquire).as_ref() } {
            Some(pair) if pair.upper().admit_receives(lists.len()) => {
                let unwanted = self.lend(pair, lists, flags);
                pair.upper().receives_done(unwanted.len().saturating_add(1));
                unwanted
            }
            _ => lists,
        };
        let returned = u64::from(unwanted.len());
        self.give_back(unwanted, at_dispatch);
        self.upward.give(returned.saturating_add(1));
    }

    /// Indicates what counts, until the protocols above return it; gives back the rest.
    fn lend(&self, pair: &Pair, lists: Chain<ToReturn>, flags: u32) -> Chain<ToReturn> {
        if pair.receives_from.load(Ordering::Acquire) == FROM_BOTH {
            // What virtio has was sent before the switch on the host knew of the VF: it comes
            // first.
            pair.upper().poll_standby();
        }
        let miniport = pair.upper().miniport();
        let (counting, mut unwanted) = lists.partition(|list| counts(pair, list));
        let (dressed, plain) = counting.partition(|list| self.dress(list, miniport).is_ok());
        let count = dressed.len();
        if count > 0 {
            // SAFETY: admitted, ours, and the adapter's by their SourceHandle.
            unsafe {
                pair.upper()
                    .indicate(dressed.into_raw().0, count, flags & FLAGS)
            };
        }
        // Without memory to remember their owner they can't be lent, but they can be shown.
        unwanted.append(self.show(pair, plain, flags));
        unwanted
    }

    /// Indicates lists that the VF wants back when its call returns.
    fn show_each(&self, lists: Chain<ToReturn>, flags: u32) {
        let mut shown = Chain::empty();
        let mut rest = Some(lists);
        self.with_pair(|pair| {
            let Some(lists) = rest.take() else { return };
            let count = lists.len();
            if pair.upper().admit_receives(count) {
                shown = self.show_counting(pair, lists, flags);
                pair.upper().receives_done(count.saturating_add(1));
            } else {
                shown = lists;
            }
        });
        // The lists are linked as they came: NDIS has them back when we return.
        let _ = (shown.into_raw(), rest.map(Chain::into_raw));
    }

    fn show_counting(
        &self,
        pair: &Pair,
        mut lists: Chain<ToReturn>,
        flags: u32,
    ) -> Chain<ToReturn> {
        let mut seen = Chain::empty();
        while let Some(mut list) = lists.pop() {
            if counts(pair, &mut list) {
                let mut one = Chain::empty();
                one.push(list);
                seen.append(self.show(pair, one, flags));
            } else {
                seen.push(list);
            }
        }
        seen
    }

    /// Indicates lists with RESOURCES, so that they are ours again at once.
    fn show(&self, pair: &Pair, mut lists: Chain<ToReturn>, flags: u32) -> Chain<ToReturn> {
        let flags = flags & FLAGS | sys::NDIS_RECEIVE_FLAGS_RESOURCES;
        let mut shown = Chain::empty();
        while let Some(mut list) = lists.pop() {
            let source = list.fields().SourceHandle;
            list.fields_mut().SourceHandle = pair.upper().miniport();
            let raw = list.into_raw();
            // SAFETY: admitted, ours, and the adapter's by its SourceHandle; with RESOURCES it is
            // ours again when the call returns.
            let mut list = unsafe {
                pair.upper().indicate(raw.as_ptr(), 1, flags);
                Nbl::<ToReturn>::from_raw(raw)
            };
            if !cfg!(mutant = "keep_a_shown_receive") {
                list.fields_mut().SourceHandle = source;
            }
            shown.push(list);
        }
        shown
    }

    /// Makes a list of the VF's one of the adapter's; the owner's handle and this binding are kept
    /// in its context space.
    fn dress(&self, list: &mut Nbl<ToReturn>, miniport: sys::NDIS_HANDLE) -> Result<(), Failed> {
        let source = list.fields().SourceHandle.expose_provenance();
        list.push_context(Context([source, ptr::from_ref(self).expose_provenance()]))?;
        list.fields_mut().SourceHandle = miniport;
        Ok(())
    }

    fn give_back(&self, lists: Chain<ToReturn>, at_dispatch: bool) {
        // SAFETY: the lists were indicated on this binding, which is open: a close waits for
        // receives to end.
        unsafe {
            lists.give_back(
                self.handle(),
                at_dispatch || cfg!(mutant = "return_as_if_at_dispatch"),
            )
        };
    }
}

/// Whether the frame of a list from the VF counts for the adapter.
fn counts(pair: &Pair, list: &mut Nbl<ToReturn>) -> bool {
    let Some(frame) = list.frames().next() else {
        return false;
    };
    let mut header = [0u8; Addresses::LEN];
    if frame.copy_to(&mut header) != Ok(Addresses::LEN) {
        return false;
    }
    let addresses = Addresses::of(header);
    pair.upper().wants(addresses.destination)
        && pair.accept(Path::Vf, addresses, || {
            let mut digest = Digest::new();
            // A frame that can't be mapped can't be read above either.
            let _ = frame.pieces(|piece| {
                digest.add(piece);
                true
            });
            digest.value()
        })
}

/// Gives receives of VFs that the protocols above have returned to the adapter back to the VFs.
/// IRQL <= DISPATCH_LEVEL.
pub fn return_receives(mut lists: Chain<ToReturn>, at_dispatch: bool) {
    if cfg!(mutant = "keep_a_vf_receive")
        && let Some(kept) = lists.pop()
    {
        let _ = kept.into_raw();
    }
    let mut run = Chain::empty();
    let mut owner = None;
    while let Some(mut list) = lists.pop() {
        let Some(Context([source, binding])) = list.pop_context() else {
            continue;
        };
        list.fields_mut().SourceHandle = ptr::with_exposed_provenance_mut(source);
        let binding = NonNull::new(ptr::with_exposed_provenance_mut::<Binding>(binding));
        if binding != owner {
            end_run(owner, run.take(), at_dispatch);
            owner = binding;
        }
        run.push(list);
    }
    end_run(owner, run, at_dispatch);
}

fn end_run(owner: Option<NonNull<Binding>>, run: Chain<ToReturn>, at_dispatch: bool) {
    let Some(owner) = owner else { return };
    let count = u64::from(run.len());
    // SAFETY: the lists hold references of the binding's `upward`, which keep it alive.
    let binding = unsafe { owner.as_ref() };
    binding.give_back(run, at_dispatch);
    // The last touch: the binding may go now.
    binding.upward.give(count);
}
