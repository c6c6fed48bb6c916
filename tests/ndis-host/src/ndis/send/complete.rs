//! NdisMSendNetBufferListsComplete: sends come back, in whatever grouping, each exactly once.

use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_LOW_POWER_STATE,
    NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_PAUSED, NDIS_STATUS_RESET_IN_PROGRESS,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SEND_ABORTED, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NetBufferListCancelId,
};

use super::{lists, outstanding, shape};
use crate::ndis::adapter::{self, Adapter, AdapterState};
use crate::ndis::bindings::Binding;
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::held::{Nbls, Way};
use crate::ndis::nbl::custody::Custody;
use crate::ndis::nbl::{raw, shadow, stand_in};
use crate::ndis::offload::transmit;
use crate::ndis::{adversary, dma, handles, power};
use crate::verifier;

/// What a miniport may complete a send with (rule 115).
const STATUSES: [i32; 9] = [
    NDIS_STATUS_SUCCESS,
    NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_RESOURCES,
    NDIS_STATUS_PAUSED,
    NDIS_STATUS_SEND_ABORTED,
    NDIS_STATUS_RESET_IN_PROGRESS,
    NDIS_STATUS_FAILURE,
    NDIS_STATUS_LOW_POWER_STATE,
    NDIS_STATUS_NOT_ACCEPTED,
];

/// What a miniport may complete a send with whose device is gone (rule 76).
const HONEST: [i32; 3] = [
    NDIS_STATUS_SUCCESS,
    NDIS_STATUS_NOT_ACCEPTED,
    NDIS_STATUS_PAUSED,
];

/// Completions on their way to the bindings that sent.
pub(crate) static COMPLETIONS: Way<u64> = Way {
    queue: |adapter| &adapter.held_completions,
    hand: |_, binding, nbls| give_back(binding, nbls),
};

/// Microsoft Learn, NdisMSendNetBufferListsComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbls` begins a chain of NBLs that the miniport was given to send.
pub(crate) unsafe extern "efiapi" fn complete(
    adapter_handle: NDIS_HANDLE,
    nbls: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    const CALL: &str = "NdisMSendNetBufferListsComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    call::check_dispatch_flag(CALL, flags);
    call::check_no_lock(CALL);
    verifier::require(119, flags & !3 == 0, || {
        format!("{CALL}: SendCompleteFlags {flags:#x}")
    });
    complete_list(CALL, adapter, shadow::walk(nbls, CALL, 114));
}

/// Judges NBLs that a miniport completes, by whichever call, and sends them on their way back.
pub(crate) fn complete_list(call: &'static str, adapter: &'static Adapter, nbls: Nbls) {
    let mut groups: Vec<(u64, Nbls)> = Vec::new();
    for nbl in nbls {
        // SAFETY: the caller walked the list, so the NBL is in the shadow table.
        let binding = unsafe { take_back(call, adapter, nbl) };
        // SAFETY: the miniport has given the NBL back, or has never had it.
        let nbl = unsafe { stand_in::end(nbl, call) };
        match groups.last_mut() {
            Some((last, group)) if *last == binding => group.push(nbl),
            _ => groups.push((binding, vec![nbl])),
        }
    }
    for (binding, group) in groups {
        let hold = adversary::does(|a| a.hold_completions_one_in);
        COMPLETIONS.pass(adapter, binding, group, hold);
    }
}

/// Checks an NBL that a miniport completes; the binding that it was sent on.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn take_back(call: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) -> u64 {
    let popped = shadow::with(nbl, call, |record| match record.custody.last() {
        Some(Custody::Sent { adapter: to, .. }) if *to == adapter.handle => {
            Ok(record.custody.pop())
        }
        _ => Err(shadow::describe(record)),
    });
    let (binding, wishes, seal) = match popped {
        Ok(Some(Custody::Sent {
            binding,
            wishes,
            seal,
            ..
        })) => (binding, wishes, seal),
        Ok(_) => verifier::fatal(114, format!("{call}: NBL {nbl:p} is not being sent")),
        Err(hands) => verifier::fatal(
            114,
            format!(
                "{call} by {}: NBL {nbl:p} is {hands}; completed twice, or never given",
                adapter.name
            ),
        ),
    };
    // SAFETY: the caller's contract.
    unsafe {
        seal.verify(nbl, call);
        judge_status(call, adapter, nbl);
        transmit::check_completed(call, adapter, nbl, wishes);
    }
    adapter.sends.with(|sends| sends.remove(nbl.addr()));
    outstanding::rest_if_idle(adapter);
    binding
}

/// Rules 76, 115, 124, 126 and 148.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn judge_status(call: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the caller's contract.
    let (status, net_buffers) = unsafe { ((*nbl).Status, raw::net_buffers(nbl)) };
    let mapped = net_buffers.iter().any(|nb| dma::has_list(nb.addr()));
    verifier::require(148, !mapped, || {
        format!("{call}: NBL {nbl:p} is completed before its scatter/gather list is freed")
    });
    power::check_send_status(call, adapter, status);
    let honest = !adapter.is_surprise_removed() || HONEST.contains(&status);
    verifier::require(76, honest, || {
        format!("{call}: {} is gone; status {status:#x}", adapter.name)
    });
    verifier::require(115, STATUSES.contains(&status), || {
        format!("{call}: NBL {nbl:p} completed with status {status:#x}")
    });
    if status == NDIS_STATUS_SUCCESS {
        // SAFETY: as above.
        let longest = unsafe { shape::too_long(adapter, nbl) };
        verifier::require(124, longest.is_none(), || {
            format!(
                "{call} by {}: NBL {nbl:p} has a frame of {} bytes, which cannot have been sent",
                adapter.name,
                longest.unwrap_or(0)
            )
        });
    }
    if status == NDIS_STATUS_SEND_ABORTED && adapter.phase() == AdapterState::Running {
        // SAFETY: as above.
        let id = unsafe { (*nbl).NetBufferListInfo[NetBufferListCancelId as usize] }.addr();
        let asked = id != 0 && adapter.sends.with(|sends| sends.was_cancelled(id));
        verifier::require(126, asked || adapter.is_surprise_removed(), || {
            format!(
                "{call} by {}: NBL {nbl:p} is completed as aborted, and nobody cancelled {id:#x}",
                adapter.name
            )
        });
    }
}

/// Gives completed NBLs to the binding that sent them, in any order and grouping.
pub(super) fn give_back(binding: u64, mut nbls: Nbls) {
    let Some(binding) = handles::lookup::<Binding>(binding) else {
        return;
    };
    lists::shuffle(&mut nbls);
    for part in lists::split(nbls) {
        hand_to_protocol(binding, &part);
    }
}

fn hand_to_protocol(binding: &'static Binding, part: &[*mut NET_BUFFER_LIST]) {
    // SAFETY: NDIS has the NBLs between the hands of the miniport and those of the protocol.
    let first = unsafe { raw::link(part) };
    let count = part.len();
    binding.state.with(|state| {
        state.sends_out = state.sends_out.saturating_sub(count);
        state.in_callback += 1;
    });
    callback(Callback::SendComplete, binding.handle, || {
        binding
            .protocol
            .protocol
            .send_complete(binding.context, first, call::dispatch_flag());
    });
    binding.state.with(|state| state.in_callback -= 1);
}
