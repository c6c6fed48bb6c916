//! The send path: NdisSendNetBufferLists down, NdisMSendNetBufferListsComplete up.
//!
//! An NBL goes to the miniport below the binding that it is sent on, and comes back exactly once,
//! by whatever grouping. What NDIS does with the lists in between is the [`adversary`]'s choice:
//! at once or a moment later, merged with what others send, in parts, at either level.
//!
//! [`adversary`]: crate::ndis::adversary

pub(crate) mod complete;
pub(crate) mod lists;
mod loopback;
mod outstanding;
pub(crate) mod shape;

use ndis_sys::{
    NDIS_HANDLE, NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK, NDIS_SEND_FLAGS_DISPATCH_LEVEL,
    NDIS_SEND_FLAGS_SINGLE_QUEUE, NDIS_STATUS_SEND_ABORTED, NET_BUFFER_LIST, NetBufferListCancelId,
};

use crate::ndis::adapter::{Adapter, AdapterState};
use crate::ndis::bindings::Binding;
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::held::{Nbls, Way};
use crate::ndis::nbl::custody::Custody;
use crate::ndis::nbl::seal::{self, Direction, Seal};
use crate::ndis::nbl::{pool, raw, shadow, stand_in};
use crate::ndis::offload::transmit::Wishes;
use crate::ndis::{adversary, handles, modules};
use crate::sched;
use crate::verifier;

pub(crate) use complete::complete;
pub(crate) use outstanding::Outstanding;

/// One cancel in so many finds what waits in NDIS.
const ABORT_ONE_IN: u64 = 64;
/// A bit of SendFlags that no page gives a meaning for this kind of miniport.
const UNKNOWN_FLAG: u32 = 0x4000_0000;

/// What the lists of one MiniportSendNetBufferLists call have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    port: u32,
    flags: u32,
}

/// Sends on their way to the miniport.
pub(crate) static SENDS: Way<Route> = Way {
    queue: |adapter| &adapter.held_sends,
    hand: |adapter, route, nbls| {
        for part in lists::split(nbls) {
            hand_to_miniport(adapter, &part, route);
        }
    },
};

/// Microsoft Learn, NdisSendNetBufferLists function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbls` begins a chain of NBLs that the caller owns.
pub(crate) unsafe extern "efiapi" fn send(
    binding_handle: NDIS_HANDLE,
    nbls: *mut NET_BUFFER_LIST,
    port: u32,
    flags: u32,
) {
    const CALL: &str = "NdisSendNetBufferLists";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let chain = shadow::walk(nbls, CALL, 87);
    check_call(CALL, binding, chain[0], flags);
    for nbl in &chain {
        // SAFETY: `walk` found the NBL in the shadow table.
        unsafe { accept(CALL, binding, *nbl) };
    }
    // SAFETY: NDIS has the NBLs.
    let pass = |nbl| unsafe { stand_in::pass(nbl, Direction::Send, CALL) };
    let chain: Vec<_> = chain.into_iter().map(pass).collect();
    let adapter = binding.adapter;
    let count = chain.len();
    binding.state.with(|state| state.sends_out += count);
    loopback::copy(binding, &chain, port, flags);

    let mut route = Route {
        port,
        flags: flags & !NDIS_SEND_FLAGS_DISPATCH_LEVEL,
    };
    let hold = adversary::does(|a| a.hold_sends_one_in);
    if hold || !SENDS.is_idle(adapter) {
        // With the lists of others it may be of several queues.
        route.flags &= !NDIS_SEND_FLAGS_SINGLE_QUEUE;
    }
    SENDS.pass(adapter, route, chain, hold);
}

fn check_call(call: &str, binding: &'static Binding, first: *mut NET_BUFFER_LIST, flags: u32) {
    call::check_dispatch_flag(call, flags);
    let known = NDIS_SEND_FLAGS_DISPATCH_LEVEL
        | NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK
        | NDIS_SEND_FLAGS_SINGLE_QUEUE;
    verifier::require(119, flags & !known == 0, || {
        format!("{call}: SendFlags {flags:#x}")
    });
    // Rule 291 for what is passed on: it has another way to go.
    let passed_on = shadow::with(first, call, |record| !record.custody.is_empty());
    let rule = if passed_on { 291 } else { 243 };
    verifier::require(rule, binding.may_send(), || {
        format!(
            "{call} on {}, which is {:?}",
            binding.describe(),
            binding.phase()
        )
    });
    let asleep = binding.state.with(|state| state.asleep);
    verifier::require(252, !asleep, || {
        format!("{call} on {}, which is in low power", binding.describe())
    });
}

/// Checks an NBL that is sent, and notes that the adapter has it from now on.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn accept(call: &str, binding: &'static Binding, nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the caller's contract.
    let source = unsafe { (*nbl).SourceHandle }.addr() as u64;
    // Rule 98 for one's own NBLs; rule 286 for another's, whose handle has to be exchanged.
    let rule = if shadow::with(nbl, call, |record| record.custody.is_empty()) {
        98
    } else {
        286
    };
    verifier::insist(rule, source == binding.handle, || {
        format!(
            "{call}: SourceHandle of NBL {nbl:p} is {source:#x}, the binding {:#x}",
            binding.handle
        )
    });
    check_sender(call, binding, nbl);
    // SAFETY: as above.
    unsafe {
        seal::check_net_buffers(nbl, call);
        let empty = raw::net_buffers(nbl)
            .iter()
            .any(|nb| (**nb).DataLength == 0);
        verifier::require(107, !empty, || {
            format!("{call}: NBL {nbl:p} has an empty NET_BUFFER")
        });
        shape::check(call, nbl);
        let seal = Box::new(Seal::take(nbl, Direction::Send));
        let custody = Custody::Sent {
            binding: binding.handle,
            adapter: binding.adapter.handle,
            since_ns: sched::now(),
            wishes: Wishes::of(nbl),
            seal,
        };
        shadow::with(nbl, call, |record| record.custody.push(custody));
    }
}

/// The sender owns the NBL: it allocated it, or it has it from an adapter or binding of its own.
fn check_sender(call: &str, binding: &'static Binding, nbl: *mut NET_BUFFER_LIST) {
    let sender = binding.protocol.module;
    let (owner, hands) = shadow::with(nbl, call, |record| {
        let owner = match record.custody.last() {
            None => (record.pool, false),
            Some(Custody::Sent { adapter, .. }) => (*adapter, true),
            Some(Custody::Indicated { holder, .. }) => (holder.unwrap_or(0), true),
        };
        (owner, shadow::describe(record))
    });
    let module = if owner.1 {
        modules::of_handle(owner.0)
    } else {
        pool::module_of(owner.0)
    };
    verifier::insist(94, modules::matches(module, sender), || {
        format!("{call} on {}: NBL {nbl:p} is {hands}", binding.describe())
    });
}

fn hand_to_miniport(adapter: &'static Adapter, part: &[*mut NET_BUFFER_LIST], route: Route) {
    // The system is going down: nobody is called any more, and nobody waits.
    if adapter.phase() == AdapterState::Shutdown {
        return;
    }
    for nbl in part {
        let id = cancel_id_of(*nbl);
        adapter.sends.with(|sends| sends.insert(nbl.addr(), id));
    }
    outstanding::watch(adapter);
    // SAFETY: NDIS has the NBLs between the hands of the protocol and those of the miniport.
    let first = unsafe { raw::link(part) };
    let mut flags = route.flags;
    if adversary::does(|a| a.unknown_flags_one_in) {
        flags |= UNKNOWN_FLAG;
    }
    adapter.state.with(|state| state.in_miniport += 1);
    callback(Callback::Send, adapter.handle, || {
        adapter
            .miniport
            .send(first, route.port, flags | call::dispatch_flag());
    });
    adapter.state.with(|state| state.in_miniport -= 1);
}

/// Microsoft Learn, NdisCancelSendNetBufferLists function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// What still waits in NDIS is completed here; the miniport is asked for the rest.
pub(crate) unsafe extern "efiapi" fn cancel(
    binding_handle: NDIS_HANDLE,
    cancel_id: *mut core::ffi::c_void,
) {
    const CALL: &str = "NdisCancelSendNetBufferLists";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let adapter = binding.adapter;
    let id = cancel_id.addr();
    adapter.sends.with(|sends| sends.cancel(id));
    // What waits is cancelled here, or has just gone on when the cancel comes.
    let abort_here = adapter.phase() == AdapterState::Running && !adapter.is_surprise_removed();
    if abort_here && sched::chance(ABORT_ONE_IN) {
        let waiting = adapter
            .held_sends
            .with(|held| held.withdraw(|nbl| cancel_id_of(nbl) == id));
        if !waiting.is_empty() {
            abort(CALL, adapter, waiting);
        }
    } else {
        SENDS.drain(adapter);
    }
    callback(Callback::CancelSend, adapter.handle, || {
        adapter.miniport.cancel_send(id);
    });
    check_passed_on(CALL, adapter, id);
}

/// The identifier of an NBL that is with NDIS.
fn cancel_id_of(nbl: *mut NET_BUFFER_LIST) -> usize {
    // SAFETY: NBLs that are with NDIS are allocated, and nobody else touches them.
    let slots = unsafe { (*nbl).NetBufferListInfo };
    slots[NetBufferListCancelId as usize].addr()
}

/// Rule 294: who sends on what it is given to send, cancels there what it is asked to cancel.
fn check_passed_on(call: &str, adapter: &'static Adapter, id: usize) {
    if id == 0 {
        return;
    }
    for address in adapter.sends.with(|sends| sends.of_id(id)) {
        let nbl: *mut NET_BUFFER_LIST = std::ptr::with_exposed_provenance_mut(address);
        let below = shadow::with(nbl, call, |record| match record.custody.last() {
            Some(Custody::Sent { adapter: to, .. }) if *to != adapter.handle => Some(*to),
            _ => None,
        });
        let Some(below) = below.and_then(handles::lookup::<Adapter>) else {
            continue;
        };
        let asked = below.sends.with(|sends| sends.was_cancelled(id));
        verifier::require(294, asked, || {
            format!(
                "{call}: {} passed NBL {nbl:p} on to {}, and does not cancel it there",
                adapter.name, below.name
            )
        });
    }
}

/// Completes sends that the miniport has never seen.
fn abort(call: &'static str, adapter: &'static Adapter, nbls: Nbls) {
    for nbl in &nbls {
        // SAFETY: the NBLs waited in NDIS, so they are NDIS's.
        unsafe { (**nbl).Status = NDIS_STATUS_SEND_ABORTED };
    }
    complete::complete_list(call, adapter, nbls);
}
