//! OID requests to the VF: the driver's own, and those of NDIS that the VF has to follow too.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicI32, Ordering};

use ndis::Failed;
use ndis::event::Event;
use ndis::irql::Passive;
use ndis::memory::{try_box, try_vec};
use ndis_sys as sys;
use sys::{NDIS_OID_REQUEST, NDIS_STATUS};

use crate::binding::Binding;
use crate::pair::{Forwarding, Pair};

/// How long the VF may take over a setting. A pause or an unbind may have to wait for what we ask,
/// and NDIS watches how long those take.
const PATIENCE_MS: u32 = 500;

/// A set that we originate. The request comes first: NDIS hands its address back.
#[repr(C)]
struct OwnRequest {
    request: NDIS_OID_REQUEST,
    data: Vec<u8>,
    waiter: Waiter,
}

/// Who wants to know.
enum Waiter {
    /// A thread of ours, at the event. It owns the box.
    Thread { done: Event, status: AtomicI32 },
    /// NDIS, whose request above ours copies. The box owns itself until the completion.
    Ndis {
        pair: NonNull<Pair>,
        original: NonNull<NDIS_OID_REQUEST>,
    },
}

impl OwnRequest {
    fn try_new(oid: u32, data: &[u8], waiter: Waiter) -> Result<Box<Self>, Failed> {
        let data = try_vec::<u8, Failed>(data.len(), |index| {
            Ok(data.get(index).copied().unwrap_or_default())
        })?;
        let mut own = try_box(Self {
            request: sys::zeroed(),
            data,
            waiter,
        })?;
        let buffer = own.data.as_mut_ptr().cast();
        let len = u32::try_from(own.data.len()).unwrap_or(0);
        let id = ptr::from_mut(&mut *own).cast();
        ndis::oid::fill_set(&mut own.request, oid, buffer, len, id);
        Ok(own)
    }

    fn oid(&self) -> u32 {
        // SAFETY: `try_new` made the request a set.
        unsafe { self.request.DATA.SET_INFORMATION.Oid }
    }
}

/// Sets `oid` of the VF to `data` and waits for the answer; a VF that keeps us waiting is asked to
/// give it up.
///
/// # Errors
///
/// The VF's status, or no memory.
pub(crate) fn set(
    binding: &Binding,
    oid: u32,
    data: &[u8],
    at: &Passive<'_>,
) -> Result<(), Failed> {
    let status = AtomicI32::new(sys::NDIS_STATUS_PENDING);
    let waiter = Waiter::Thread {
        done: Event::uninitialized(),
        status,
    };
    let mut own = OwnRequest::try_new(oid, data, waiter)?;
    if let Waiter::Thread { done, .. } = &own.waiter {
        // SAFETY: the event is in its box now, where it stays until we have seen it set.
        unsafe { done.initialize(false) };
    }
    let request = &raw mut own.request;
    // SAFETY: the binding is open: callers hold its engine. The request outlives its completion,
    // which we wait for below.
    let mut status = unsafe { sys::NdisOidRequest(binding.handle(), request) };
    if status == sys::NDIS_STATUS_PENDING
        && let Waiter::Thread {
            done,
            status: answer,
        } = &own.waiter
    {
        if !done.wait_at_most(PATIENCE_MS, at) {
            // SAFETY: as above; NDIS ignores an identifier whose request is complete already.
            unsafe { sys::NdisCancelOidRequest(binding.handle(), request.cast()) };
            done.wait(at);
        }
        status = answer.load(Ordering::Acquire);
    }
    Failed::check(status)
}

/// ProtocolOidRequestComplete.
///
/// # Safety
///
/// `request` is that of an [`OwnRequest`] that this module gave to NDIS.
pub(crate) unsafe fn completed(request: NonNull<NDIS_OID_REQUEST>, status: NDIS_STATUS) {
    let own = request.cast::<OwnRequest>();
    // SAFETY: the request is the first field of an OwnRequest that is alive until now.
    match unsafe { &own.as_ref().waiter } {
        Waiter::Thread {
            done,
            status: answer,
        } => {
            answer.store(status, Ordering::Release);
            done.set();
        }
        Waiter::Ndis { pair, original } => {
            let (pair, original) = (*pair, *original);
            // SAFETY: `forward` leaked the box when the request went pending.
            let own = unsafe { Box::from_raw(own.as_ptr()) };
            // SAFETY: the request holds a reference of the pair's `tx`, which the pair outlives.
            let pair = unsafe { pair.as_ref() };
            pair.note_forwarding(None);
            pair.upper().request_done(original);
            pair.forwarded(own.oid(), status);
        }
    }
}

impl Pair {
    /// Passes a set that the adapter has taken on to the VF, if that carries. True: the VF is at
    /// it, and [`crate::Upper::request_done`] will be called for `original`.
    ///
    /// The request above succeeds in any case: a VF that refuses what the adapter took is the
    /// driver's trouble, and is dealt with by [`Pair::take_over`]. IRQL <= DISPATCH_LEVEL.
    pub fn forward(&self, oid: u32, data: &[u8], original: NonNull<NDIS_OID_REQUEST>) -> bool {
        if self.tx.take(1).is_err() {
            return false;
        }
        // SAFETY: the reference just taken keeps the binding open.
        let Some(binding) = (unsafe { self.vf.load(Ordering::Acquire).as_ref() }) else {
            self.tx.give(1);
            return false;
        };
        let filter = changed_filter(binding, oid, data);
        let data = filter.as_ref().map_or(data, |bytes| &bytes[..]);
        let waiter = Waiter::Ndis {
            pair: NonNull::from(self),
            original,
        };
        let Ok(own) = OwnRequest::try_new(oid, data, waiter) else {
            self.forwarded(oid, sys::NDIS_STATUS_RESOURCES);
            return false;
        };
        let own = Box::leak(own);
        self.note_forwarding(Some(Forwarding {
            // SAFETY: NDIS's request lives until we complete it.
            original: unsafe { original.as_ref() }.RequestId.addr(),
            own: own.request.RequestId.addr(),
        }));
        // SAFETY: the binding is open; the request lives until `completed` frees it.
        let status = unsafe { sys::NdisOidRequest(binding.handle(), &raw mut own.request) };
        if status == sys::NDIS_STATUS_PENDING {
            return true;
        }
        self.note_forwarding(None);
        // SAFETY: NDIS is done with the request, and there will be no completion.
        drop(unsafe { Box::from_raw(own) });
        self.forwarded(oid, status);
        false
    }

    /// Serves MiniportCancelOidRequest: lets the VF give up the request that follows the one with
    /// this identifier, if it is at it. IRQL <= DISPATCH_LEVEL.
    pub fn cancel_request(&self, id: usize) {
        // SAFETY: IRQL <= DISPATCH_LEVEL, by contract; a leaf lock.
        let forwarding = *unsafe { self.forwarding.lock() };
        if let Some(forwarding) = forwarding.filter(|forwarding| forwarding.original == id) {
            self.with_vf(|binding| {
                let own = ptr::without_provenance_mut(forwarding.own);
                // SAFETY: the binding is open; NDIS ignores an identifier that is not pending.
                unsafe { sys::NdisCancelOidRequest(binding.handle(), own) };
            });
        }
    }

    fn note_forwarding(&self, forwarding: Option<Forwarding>) {
        // SAFETY: requests come and end at IRQL <= DISPATCH_LEVEL; a leaf lock.
        *unsafe { self.forwarding.lock() } = forwarding;
    }

    /// The VF has answered a set passed on to it.
    fn forwarded(&self, oid: u32, status: NDIS_STATUS) {
        let matters = oid != sys::OID_GEN_CURRENT_LOOKAHEAD;
        // SAFETY: our reference of `tx` keeps the binding open.
        if let Some(binding) = unsafe { self.vf.load(Ordering::Acquire).as_ref() }
            && matters
            && status != sys::NDIS_STATUS_SUCCESS
        {
            binding.out_of_step.store(true, Ordering::Release);
            self.ask_takeover();
        }
        self.tx.give(1);
    }
}

/// The packet filter for a VF that has to take all multicast, when `oid` sets the filter.
fn changed_filter(binding: &Binding, oid: u32, data: &[u8]) -> Option<[u8; 4]> {
    if oid != sys::OID_GEN_CURRENT_PACKET_FILTER {
        return None;
    }
    let filter = u32::from_ne_bytes(*data.first_chunk()?);
    Some(binding.packet_filter(filter).to_ne_bytes())
}
