//! Indicated NBLs reach the bindings: to look at, or to keep.

use ndis_sys::{NDIS_RECEIVE_FLAGS_RESOURCES, NET_BUFFER_LIST};

use super::{Arrival, checks, take_returned};
use crate::ndis::adapter::{Adapter, AdapterState};
use crate::ndis::bindings::{Binding, BindingState};
use crate::ndis::call::{self, Callback, callback};
use crate::ndis::filter::{self, Mac, Wanted};
use crate::ndis::held::Nbls;
use crate::ndis::nbl::{custody, raw};
use crate::ndis::send::lists;
use crate::sched;
use crate::verifier;

/// An indicated NBL, and where its frame goes.
struct Indicated {
    nbl: *mut NET_BUFFER_LIST,
    destination: Mac,
}

/// Bindings that an indication goes to. None of them comes to rest before it is through, though
/// nothing may be out at one of them for a moment: between two parts, or while another one is shown.
struct Receivers(Vec<(&'static Binding, Wanted)>);

impl Drop for Receivers {
    fn drop(&mut self) {
        for (binding, _) in &self.0 {
            binding.state.with(|state| state.in_callback -= 1);
        }
    }
}

/// The bindings in an order of the seed's choice, each with what it wants.
fn receivers(adapter: &'static Adapter, arrival: Arrival) -> Receivers {
    let flows = |binding: &&'static Binding| {
        let open = matches!(
            binding.phase(),
            BindingState::Running | BindingState::Restarting | BindingState::Pausing
        );
        open && arrival.except != Some(binding.handle)
    };
    let mut receivers: Vec<_> = adapter
        .bindings()
        .into_iter()
        .filter(flows)
        .map(|binding| {
            let wanted = binding.state.with(|state| {
                state.in_callback += 1;
                state.wanted()
            });
            (binding, wanted)
        })
        .collect();
    if receivers.len() > 1 {
        let by = sched::random_below(receivers.len() as u64) as usize;
        receivers.rotate_left(by);
    }
    Receivers(receivers)
}

fn with_destinations(nbls: &[*mut NET_BUFFER_LIST]) -> Vec<Indicated> {
    let indicated = nbls.iter().map(|nbl| Indicated {
        nbl: *nbl,
        // SAFETY: NDIS has the NBLs.
        destination: unsafe { checks::destination(*nbl) },
    });
    indicated.collect()
}

/// Shows the NBLs to every binding that wants them; they come back at once.
pub(super) fn show(adapter: &'static Adapter, arrival: Arrival, nbls: &[*mut NET_BUFFER_LIST]) {
    let own = filter::own_address(adapter);
    let indicated = with_destinations(nbls);
    for (binding, wanted) in &receivers(adapter, arrival).0 {
        let passing = indicated
            .iter()
            .filter(|i| wanted.passes(i.destination, own, false));
        let part: Nbls = passing.map(|indicated| indicated.nbl).collect();
        for part in lists::split(part) {
            show_to(binding, &part, arrival);
        }
    }
}

/// Gives each NBL to the last binding that wants it; those before it are shown it.
pub(super) fn lend(adapter: &'static Adapter, arrival: Arrival, nbls: Nbls) {
    // The system is going down: nothing is delivered any more.
    if adapter.phase() == AdapterState::Shutdown {
        return take_returned("an indication under way", adapter, nbls);
    }
    let own = filter::own_address(adapter);
    let indicated = with_destinations(&nbls);
    let receivers = receivers(adapter, arrival);
    let keeper = |indicated: &Indicated| {
        receivers
            .0
            .iter()
            .rposition(|(_, wanted)| wanted.passes(indicated.destination, own, false))
    };
    let keepers: Vec<_> = indicated.iter().map(keeper).collect();
    for (index, (binding, wanted)) in receivers.0.iter().enumerate() {
        let (mut shown, mut kept) = (Vec::new(), Vec::new());
        for (indicated, keeper) in indicated.iter().zip(&keepers) {
            let wants = || wanted.passes(indicated.destination, own, false);
            match keeper {
                Some(keeper) if *keeper == index => kept.push(indicated.nbl),
                Some(keeper) if *keeper > index && wants() => shown.push(indicated.nbl),
                _ => {}
            }
        }
        if !shown.is_empty() {
            show_to(binding, &shown, arrival);
        }
        for part in lists::split(kept) {
            lend_to(binding, &part, arrival);
        }
    }
    let unwanted = indicated.iter().zip(&keepers);
    let unwanted: Nbls = unwanted
        .filter(|(_, keeper)| keeper.is_none())
        .map(|(indicated, _)| indicated.nbl)
        .collect();
    if !unwanted.is_empty() {
        take_returned("an indication that nobody wants", adapter, unwanted);
    }
}

fn show_to(binding: &'static Binding, part: &[*mut NET_BUFFER_LIST], arrival: Arrival) {
    // SAFETY: NDIS has the NBLs.
    unsafe { raw::link(part) };
    call_receive(binding, part, arrival, NDIS_RECEIVE_FLAGS_RESOURCES);
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

fn lend_to(binding: &'static Binding, part: &[*mut NET_BUFFER_LIST], arrival: Arrival) {
    for nbl in part {
        custody::set_holder(*nbl, Some(binding.handle));
    }
    binding.state.with(|state| state.receives_out += part.len());
    // SAFETY: NDIS has the NBLs until the next line.
    unsafe { raw::link(part) };
    call_receive(binding, part, arrival, 0);
}

fn call_receive(
    binding: &'static Binding,
    part: &[*mut NET_BUFFER_LIST],
    arrival: Arrival,
    extra: u32,
) {
    let count = part.len() as u32;
    callback(Callback::Receive, binding.handle, || {
        let flags = arrival.flags | extra | call::dispatch_flag();
        binding
            .protocol
            .protocol
            .receive(binding.context, part[0], arrival.port, count, flags);
    });
}
