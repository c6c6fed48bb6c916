//! The receive path: NdisMIndicateReceiveNetBufferLists up, NdisReturnNetBufferLists down.
//!
//! Every binding whose filter a frame passes gets it. Of several bindings, one gets the NBL to
//! keep, the others see it with the RESOURCES flag; the seed chooses which. An NBL that nobody
//! wants goes back to the miniport like one that was returned. What was shown may be copied and
//! lent, what was given may only be shown: see [`crate::ndis::adversary`].

pub(crate) mod checks;
pub(crate) mod copies;
mod deliver;
pub(crate) mod shape;

use ndis_sys::{
    NDIS_HANDLE, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL, NDIS_RECEIVE_FLAGS_RESOURCES, NET_BUFFER_LIST,
};

use crate::ndis::adapter::{self, Adapter, AdapterState};
use crate::ndis::bindings::{Binding, BindingState};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::held::{Nbls, Way};
use crate::ndis::nbl::custody::{self, Custody};
use crate::ndis::nbl::seal::{Direction, Seal};
use crate::ndis::nbl::{raw, shadow, stand_in};
use crate::ndis::send::lists;
use crate::ndis::{adversary, handles, power};
use crate::sched;
use crate::verifier;

/// How long after MiniportShutdownEx an indication may still come that had begun before.
const UNDER_WAY_NS: u64 = 1_000_000;
/// Claims about a whole list, which a longer one does not fulfil.
const CLAIMS: u32 = 0x2b00;

/// What the lists of one indication have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    port: u32,
    flags: u32,
    /// A binding that does not get it.
    except: Option<u64>,
}

/// Indicated NBLs on their way to the bindings.
pub(crate) static RECEIVES: Way<Arrival> = Way {
    queue: |adapter| &adapter.held_receives,
    hand: deliver::lend,
};

/// Returned NBLs on their way to the miniport.
pub(crate) static RETURNS: Way<()> = Way {
    queue: |adapter| &adapter.held_returns,
    hand: |adapter, (), nbls| return_to_miniport(adapter, nbls),
};

/// Microsoft Learn, NdisMIndicateReceiveNetBufferLists function (ndis.h).
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbls` begins a chain of NBLs that the miniport owns.
pub(crate) unsafe extern "efiapi" fn indicate(
    adapter_handle: NDIS_HANDLE,
    nbls: *mut NET_BUFFER_LIST,
    port: u32,
    count: u32,
    flags: u32,
) {
    const CALL: &str = "NdisMIndicateReceiveNetBufferLists";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    call::check_dispatch_flag(CALL, flags);
    call::check_no_lock(CALL);
    let chain = shadow::walk(nbls, CALL, 87);
    checks::check_list(CALL, adapter, &chain, port, count, flags);
    accept(CALL, adapter, chain, port, flags);
}

/// Judges NBLs that a miniport indicates, by whichever call, and passes them on.
pub(crate) fn accept(
    call: &'static str,
    adapter: &'static Adapter,
    chain: Nbls,
    port: u32,
    flags: u32,
) {
    power::check_indication(256, call, adapter, 0);
    let flows = may_indicate(call, adapter, chain[0]);
    let resources = flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0;
    let mut passed = Vec::with_capacity(chain.len());
    for nbl in &chain {
        // SAFETY: the caller walked the list, so the NBL is in the shadow table.
        unsafe {
            checks::check_nbl(call, adapter, *nbl, flags);
            hand_over(call, adapter, *nbl, resources);
            passed.push(stand_in::pass(*nbl, Direction::Receive, call));
        }
    }
    let count = chain.len();
    adapter.state.with(|state| {
        state.indicating += 1;
        state.frames_indicated += count as u64;
        if !resources {
            state.receives_out += count;
        }
    });
    let arrival = Arrival {
        port,
        flags: flags & !(NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL | NDIS_RECEIVE_FLAGS_RESOURCES),
        except: None,
    };
    match (resources, flows) {
        (true, _) => {
            show(call, adapter, passed, arrival, flows);
            // SAFETY: nobody above has the NBLs any more; the list is the miniport's again.
            unsafe { raw::link(&chain) };
        }
        (false, true) => give(adapter, passed, arrival),
        (false, false) => return_to_miniport(adapter, passed),
    }
    adapter.state.with(|state| state.indicating -= 1);
}

/// NBLs that come back to the miniport when the indication returns.
fn show(call: &'static str, adapter: &'static Adapter, nbls: Nbls, arrival: Arrival, flows: bool) {
    if flows && (adversary::does(|a| a.clear_resources_one_in) || !RECEIVES.is_idle(adapter)) {
        let copied = nbls
            .iter()
            .filter_map(|nbl| copies::of_nbl(adapter, *nbl))
            .collect();
        pass(adapter, copied, arrival);
    } else if flows {
        deliver::show(adapter, arrival, &nbls);
    }
    for nbl in nbls {
        take_back(call, adapter, nbl);
        // SAFETY: nobody above has the NBL any more.
        unsafe { stand_in::end(nbl, call) };
    }
}

/// NBLs that bindings may keep.
fn give(adapter: &'static Adapter, chain: Nbls, arrival: Arrival) {
    if adversary::does(|a| a.set_resources_one_in) && RECEIVES.is_idle(adapter) {
        deliver::show(adapter, arrival, &chain);
        return_to_miniport(adapter, chain);
    } else {
        pass(adapter, chain, arrival);
    }
}

fn pass(adapter: &'static Adapter, nbls: Nbls, mut arrival: Arrival) {
    if nbls.is_empty() {
        return;
    }
    let running = |binding: &&'static Binding| binding.phase() == BindingState::Running;
    let hold =
        adversary::does(|a| a.hold_receives_one_in) && adapter.bindings().iter().all(running);
    if hold || !RECEIVES.is_idle(adapter) {
        arrival.flags &= !CLAIMS;
    }
    RECEIVES.pass(adapter, arrival, nbls, hold);
}

/// Passes up copies of frames that are sent, except to one binding.
pub(crate) fn loop_back(adapter: &'static Adapter, nbls: Nbls, port: u32, except: Option<u64>) {
    let arrival = Arrival {
        port,
        flags: 0,
        except,
    };
    pass(adapter, nbls, arrival);
}

/// Rules 47, 54, 58: in which states a miniport may indicate.
fn may_indicate(call: &str, adapter: &'static Adapter, first: *mut NET_BUFFER_LIST) -> bool {
    match adapter.phase() {
        // A miniport learns of a pause while it runs; what it had begun may still come.
        AdapterState::Running | AdapterState::Restarting | AdapterState::Pausing => true,
        AdapterState::Shutdown => {
            // A DPC that was under way may be this far; nothing is delivered any more.
            let since = adapter.state.with(|state| state.shut_down_ns);
            let late = since.is_some_and(|since| sched::now() > since + UNDER_WAY_NS);
            verifier::require(52, !late, || {
                format!("{call} by {}, which was shut down", adapter.name)
            });
            false
        }
        phase => {
            // Rule 291 for what comes from another adapter.
            let passed_on = shadow::with(first, call, |record| !record.custody.is_empty());
            verifier::breach(
                if passed_on { 291 } else { 58 },
                format!("{call} by {}, which is {phase:?}", adapter.name),
            );
            false
        }
    }
}

/// Notes that NDIS has the NBL from now on.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn hand_over(
    call: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    resources: bool,
) {
    // SAFETY: the caller's contract.
    let seal = Box::new(unsafe { Seal::take(nbl, Direction::Receive) });
    let custody = Custody::Indicated {
        adapter: adapter.handle,
        resources,
        holder: None,
        seal,
    };
    shadow::with(nbl, call, |record| record.custody.push(custody));
}

/// Takes an NBL back that NDIS has, and compares it with what was handed over.
fn take_back(call: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) {
    let popped = shadow::with(nbl, call, |record| match record.custody.last() {
        Some(Custody::Indicated { adapter: from, .. }) if *from == adapter.handle => {
            Ok(record.custody.pop())
        }
        _ => Err(shadow::describe(record)),
    });
    match popped {
        Ok(Some(Custody::Indicated { seal, .. })) => {
            // SAFETY: the shadow table knows the NBL.
            unsafe { seal.verify(nbl, call) };
        }
        Ok(_) => {}
        Err(hands) => verifier::fatal(
            245,
            format!("{call}: NBL {nbl:p} was shown with RESOURCES and is now {hands}"),
        ),
    }
}

/// Microsoft Learn, NdisReturnNetBufferLists function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbls` begins a chain of NBLs that the binding was lent.
pub(crate) unsafe extern "efiapi" fn return_nbls(
    binding_handle: NDIS_HANDLE,
    nbls: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    const CALL: &str = "NdisReturnNetBufferLists";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    call::check_dispatch_flag(CALL, flags);
    verifier::require(136, flags & !1 == 0, || {
        format!("{CALL}: ReturnFlags {flags:#x}")
    });
    let chain = shadow::walk(nbls, CALL, 245);
    for nbl in &chain {
        check_lent(CALL, binding, *nbl);
        custody::set_holder(*nbl, None);
    }
    binding
        .state
        .with(|state| state.receives_out -= chain.len());
    take_returned(CALL, binding.adapter, chain);
}

/// Rule 245, or 287 for an NBL that another binding has to return.
fn check_lent(call: &str, binding: &'static Binding, nbl: *mut NET_BUFFER_LIST) {
    let lent = shadow::with(nbl, call, |record| match record.custody.last() {
        Some(Custody::Indicated {
            holder: Some(holder),
            resources: false,
            ..
        }) if *holder == binding.handle => Ok(()),
        Some(Custody::Indicated {
            holder: Some(_), ..
        }) => Err((287, shadow::describe(record))),
        _ => Err((245, shadow::describe(record))),
    });
    if let Err((rule, hands)) = lent {
        verifier::fatal(
            rule,
            format!("{call} on {}: NBL {nbl:p} is {hands}", binding.describe()),
        );
    }
}

/// NBLs that NDIS has again: its own copies end here, the others go to the miniport.
fn take_returned(call: &str, adapter: &'static Adapter, nbls: Nbls) {
    let is_copy = |nbl: &*mut NET_BUFFER_LIST| copies::is_copy(adapter, *nbl);
    let (own, others): (Nbls, Nbls) = nbls.into_iter().partition(is_copy);
    for nbl in own {
        take_back(call, adapter, nbl);
        copies::release(nbl);
    }
    if !others.is_empty() {
        let hold = adversary::does(|a| a.hold_returns_one_in);
        RETURNS.pass(adapter, (), others, hold);
    }
}

/// Gives NBLs that NDIS has back to the miniport, in any order and grouping.
fn return_to_miniport(adapter: &'static Adapter, mut nbls: Nbls) {
    const CALL: &str = "MiniportReturnNetBufferLists";
    lists::shuffle(&mut nbls);
    for part in lists::split(nbls) {
        let back = |nbl| {
            take_back(CALL, adapter, nbl);
            // SAFETY: nobody above has the NBL any more.
            unsafe { stand_in::end(nbl, CALL) }
        };
        let part: Nbls = part.into_iter().map(back).collect();
        adapter.state.with(|state| {
            state.receives_out -= part.len();
            state.in_miniport += 1;
        });
        // SAFETY: NDIS has the NBLs until the callback.
        let first = unsafe { raw::link(&part) };
        callback(Callback::Return, adapter.handle, || {
            adapter.miniport.return_nbls(first, call::dispatch_flag());
        });
        adapter.state.with(|state| state.in_miniport -= 1);
    }
}
