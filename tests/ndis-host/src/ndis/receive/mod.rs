//! The receive path: NdisMIndicateReceiveNetBufferLists up, NdisReturnNetBufferLists down.
//!
//! Every binding whose filter a frame passes gets it. Of several bindings, one gets the NBL to
//! keep, the others see it with the RESOURCES flag; the seed chooses which. An NBL that nobody
//! wants goes back to the miniport like one that was returned.

use ndis_sys::{
    NDIS_HANDLE, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL, NDIS_RECEIVE_FLAGS_RESOURCES, NET_BUFFER_LIST,
};

use crate::ndis::adapter::{self, Adapter, AdapterState};
use crate::ndis::bindings::{Binding, BindingState};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::filter::{self, Mac, Wanted};
use crate::ndis::handles;
use crate::ndis::nbl::custody::{self, Custody};
use crate::ndis::nbl::seal::{Direction, Seal};
use crate::ndis::nbl::{raw, shadow, stand_in};
use crate::ndis::{power, receive_checks, send};
use crate::sched;
use crate::verifier;

/// How long after MiniportShutdownEx an indication may still come that had begun before.
const UNDER_WAY_NS: u64 = 1_000_000;

/// An indicated NBL, and where its frame goes.
pub(crate) struct Indicated {
    pub(crate) nbl: *mut NET_BUFFER_LIST,
    pub(crate) destination: Mac,
}

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
    let chain = shadow::walk(nbls, CALL, 87);
    receive_checks::check_list(CALL, adapter, &chain, port, count, flags);
    power::check_indication(256, CALL, adapter, 0);
    let flows = may_indicate(CALL, adapter);
    let resources = flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0;
    let mut indicated = Vec::with_capacity(chain.len());
    for nbl in &chain {
        // SAFETY: `walk` found the NBL in the shadow table.
        let destination = unsafe { receive_checks::check_nbl(CALL, adapter, *nbl, flags) };
        // SAFETY: as above.
        unsafe { hand_over(CALL, adapter, *nbl, resources) };
        // SAFETY: as above.
        let nbl = unsafe { stand_in::pass(*nbl, Direction::Receive, CALL) };
        indicated.push(Indicated { nbl, destination });
    }
    adapter.state.with(|state| {
        state.indicating += 1;
        if !resources {
            state.receives_out += indicated.len();
        }
    });
    let rest = flags & !(NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL | NDIS_RECEIVE_FLAGS_RESOURCES);
    let delivery = Delivery {
        adapter,
        port,
        flags: rest,
    };
    if resources {
        delivery.show(&indicated, flows);
        for Indicated { nbl, .. } in indicated {
            take_back_shown(CALL, adapter, nbl);
            // SAFETY: nobody above has the NBL any more.
            unsafe { stand_in::end(nbl, CALL) };
        }
        // SAFETY: nobody above has the NBLs any more; the list is the miniport's again.
        unsafe { raw::link(&chain) };
    } else {
        delivery.lend(indicated, flows);
    }
    adapter.state.with(|state| state.indicating -= 1);
}

/// Rules 47, 54, 58: in which states a miniport may indicate.
fn may_indicate(call: &str, adapter: &'static Adapter) -> bool {
    match adapter.phase() {
        AdapterState::Running | AdapterState::Restarting => true,
        AdapterState::Pausing => {
            // The miniport learns of the pause while it runs; what it had begun may still come.
            true
        }
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
            verifier::breach(
                58,
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

/// Takes an NBL back that was shown with RESOURCES.
fn take_back_shown(call: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) {
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

/// One indication on its way up.
struct Delivery {
    adapter: &'static Adapter,
    port: u32,
    flags: u32,
}

impl Delivery {
    /// The bindings in an order of the seed's choice, each with what it wants.
    fn receivers(&self) -> Vec<(&'static Binding, Wanted)> {
        let mut receivers: Vec<_> = self
            .adapter
            .bindings()
            .into_iter()
            .filter(|binding| {
                matches!(
                    binding.phase(),
                    BindingState::Running | BindingState::Restarting | BindingState::Pausing
                )
            })
            .map(|binding| {
                let wanted = binding.state.with(|state| Wanted {
                    filter: state.filter,
                    multicast: state.multicast.clone(),
                });
                (binding, wanted)
            })
            .collect();
        if receivers.len() > 1 {
            let by = sched::random_below(receivers.len() as u64) as usize;
            receivers.rotate_left(by);
        }
        receivers
    }

    /// Shows the NBLs to every binding that wants them; they come back at once.
    fn show(&self, indicated: &[Indicated], flows: bool) {
        if !flows {
            return;
        }
        let own = filter::own_address(self.adapter);
        for (binding, wanted) in self.receivers() {
            let passing = indicated
                .iter()
                .filter(|i| wanted.passes(i.destination, own, false));
            let part: Vec<_> = passing.map(|indicated| indicated.nbl).collect();
            if !part.is_empty() {
                self.show_to(binding, &part);
            }
        }
    }

    /// Gives each NBL to the last binding that wants it; those before it are shown it.
    fn lend(&self, indicated: Vec<Indicated>, flows: bool) {
        let own = filter::own_address(self.adapter);
        let receivers = if flows { self.receivers() } else { Vec::new() };
        let keeper = |indicated: &Indicated| {
            receivers
                .iter()
                .rposition(|(_, wanted)| wanted.passes(indicated.destination, own, false))
        };
        let keepers: Vec<_> = indicated.iter().map(keeper).collect();
        let mut unwanted: Vec<_> = Vec::new();
        for (index, (binding, wanted)) in receivers.iter().enumerate() {
            let mut shown = Vec::new();
            let mut kept = Vec::new();
            for (indicated, keeper) in indicated.iter().zip(&keepers) {
                if *keeper == Some(index) {
                    kept.push(indicated.nbl);
                } else if keeper.is_some_and(|keeper| keeper > index)
                    && wanted.passes(indicated.destination, own, false)
                {
                    shown.push(indicated.nbl);
                }
            }
            if !shown.is_empty() {
                self.show_to(binding, &shown);
            }
            for part in send::split(kept) {
                if !part.is_empty() {
                    self.lend_to(binding, &part);
                }
            }
        }
        for (indicated, keeper) in indicated.iter().zip(&keepers) {
            if keeper.is_none() {
                unwanted.push(indicated.nbl);
            }
        }
        if !unwanted.is_empty() {
            return_to_miniport(self.adapter, unwanted);
        }
    }

    fn show_to(&self, binding: &'static Binding, part: &[*mut NET_BUFFER_LIST]) {
        // SAFETY: NDIS has the NBLs.
        unsafe { raw::link(part) };
        self.call_receive(binding, part, NDIS_RECEIVE_FLAGS_RESOURCES);
        let restored = part.iter().enumerate().all(|(index, nbl)| {
            let next = part.get(index + 1).copied().unwrap_or(std::ptr::null_mut());
            // SAFETY: as above.
            unsafe { (**nbl).Next == next }
        });
        verifier::require(245, restored, || {
            format!(
                "{} returns a list shown with RESOURCES in another order",
                binding.describe()
            )
        });
    }

    fn lend_to(&self, binding: &'static Binding, part: &[*mut NET_BUFFER_LIST]) {
        for nbl in part {
            custody::set_holder(*nbl, Some(binding.handle));
        }
        binding.state.with(|state| state.receives_out += part.len());
        // SAFETY: NDIS has the NBLs until the next line.
        unsafe { raw::link(part) };
        self.call_receive(binding, part, 0);
    }

    fn call_receive(&self, binding: &'static Binding, part: &[*mut NET_BUFFER_LIST], extra: u32) {
        let flags = self.flags | extra;
        let count = part.len() as u32;
        binding.state.with(|state| state.in_callback += 1);
        callback(Callback::Receive, binding.handle, || {
            let flags = flags | call::dispatch_flag();
            binding
                .protocol
                .protocol
                .receive(binding.context, part[0], self.port, count, flags);
        });
        binding.state.with(|state| state.in_callback -= 1);
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
    let chain = shadow::walk(nbls, CALL, 245);
    for nbl in &chain {
        let lent = shadow::with(*nbl, CALL, |record| match record.custody.last() {
            Some(Custody::Indicated {
                holder,
                resources: false,
                ..
            }) if *holder == Some(binding.handle) => Ok(()),
            _ => Err(shadow::describe(record)),
        });
        if let Err(hands) = lent {
            verifier::fatal(
                245,
                format!("{CALL} on {}: NBL {nbl:p} is {hands}", binding.describe()),
            );
        }
        custody::set_holder(*nbl, None);
    }
    binding
        .state
        .with(|state| state.receives_out -= chain.len());
    return_to_miniport(binding.adapter, chain);
}

/// Gives NBLs that NDIS has back to the miniport, in an order and in parts of the seed's choice.
fn return_to_miniport(adapter: &'static Adapter, mut nbls: Vec<*mut NET_BUFFER_LIST>) {
    const CALL: &str = "MiniportReturnNetBufferLists";
    if nbls.len() > 1 && sched::chance(3) {
        let by = sched::random_below(nbls.len() as u64) as usize;
        nbls.rotate_left(by);
    }
    for part in send::split(nbls) {
        let back = |nbl| {
            take_back_shown(CALL, adapter, nbl);
            // SAFETY: nobody above has the NBL any more.
            unsafe { stand_in::end(nbl, CALL) }
        };
        let part: Vec<_> = part.into_iter().map(back).collect();
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
