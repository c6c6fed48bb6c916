//! The send path: NdisSendNetBufferLists down, NdisMSendNetBufferListsComplete up.
//!
//! An NBL goes to the miniport below the binding that it is sent on, and comes back exactly once,
//! by whatever grouping. NDIS hands lists over in parts by seed, at PASSIVE or DISPATCH by seed.

use std::collections::BTreeMap;

use ndis_sys::{
    NDIS_HANDLE, NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK, NDIS_SEND_FLAGS_DISPATCH_LEVEL,
    NDIS_SEND_FLAGS_SINGLE_QUEUE, NDIS_STATUS_FAILURE, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_PAUSED,
    NDIS_STATUS_RESET_IN_PROGRESS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SEND_ABORTED,
    NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
};

use crate::ndis::adapter::{self, Adapter, AdapterState};
use crate::ndis::bindings::Binding;
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::nbl::custody::Custody;
use crate::ndis::nbl::seal::{self, Direction, Seal};
use crate::ndis::nbl::{pool, raw, shadow, stand_in};
use crate::ndis::{dma, handles, modules, power};
use crate::sched::{self, EventId};
use crate::verifier::{self, SECOND_NS};

/// Longest time of one send (table of rule 308).
const SEND_LIMIT_NS: u64 = 30 * SECOND_NS;
/// Longest time without any completion while sends are out (table of rule 308).
const STALL_LIMIT_NS: u64 = 22 * SECOND_NS;

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

/// NBLs that a miniport has not completed, by age.
#[derive(Default)]
pub(crate) struct Outstanding {
    by_age: BTreeMap<(u64, u64), usize>,
    ages: BTreeMap<usize, (u64, u64)>,
    count: u64,
    last_completion_ns: u64,
    watchdog: Option<EventId>,
}

impl Outstanding {
    /// How many are out.
    pub(crate) fn len(&self) -> usize {
        self.ages.len()
    }

    /// When each was given to the miniport, and a number: one pair names one sending.
    pub(crate) fn ages(&self) -> Vec<(u64, u64)> {
        self.by_age.keys().copied().collect()
    }

    fn insert(&mut self, nbl: usize) {
        self.count += 1;
        let age = (sched::now(), self.count);
        self.by_age.insert(age, nbl);
        self.ages.insert(nbl, age);
    }

    fn remove(&mut self, nbl: usize) {
        if let Some(age) = self.ages.remove(&nbl) {
            self.by_age.remove(&age);
        }
        self.last_completion_ns = sched::now();
    }

    /// When the oldest send or the stall becomes a breach.
    fn deadline(&self) -> Option<u64> {
        let ((since, _), _) = self.by_age.first_key_value()?;
        let stall_since = (*since).max(self.last_completion_ns);
        Some((since + SEND_LIMIT_NS).min(stall_since + STALL_LIMIT_NS))
    }
}

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
    call::check_dispatch_flag(CALL, flags);
    let known = NDIS_SEND_FLAGS_DISPATCH_LEVEL
        | NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK
        | NDIS_SEND_FLAGS_SINGLE_QUEUE;
    verifier::require(119, flags & !known == 0, || {
        format!("{CALL}: SendFlags {flags:#x}")
    });
    verifier::require(243, binding.may_send(), || {
        format!(
            "{CALL} on {}, which is {:?}",
            binding.describe(),
            binding.phase()
        )
    });
    let asleep = binding.state.with(|state| state.asleep);
    verifier::require(252, !asleep, || {
        format!("{CALL} on {}, which is in low power", binding.describe())
    });
    let chain = shadow::walk(nbls, CALL, 87);
    for nbl in &chain {
        // SAFETY: `walk` found the NBL in the shadow table.
        unsafe { accept(CALL, binding, *nbl) };
    }
    // SAFETY: NDIS has the NBLs.
    let pass = |nbl| unsafe { stand_in::pass(nbl, Direction::Send, CALL) };
    let chain: Vec<_> = chain.into_iter().map(pass).collect();
    let adapter = binding.adapter;
    adapter
        .sends
        .with(|sends| chain.iter().for_each(|nbl| sends.insert(nbl.addr())));
    watch(adapter);
    let count = chain.len();
    binding.state.with(|state| state.sends_out += count);
    let rest = flags & !NDIS_SEND_FLAGS_DISPATCH_LEVEL;
    for part in split(chain) {
        hand_to_miniport(adapter, &part, port, rest);
    }
}

/// Checks an NBL that is sent, and notes that the adapter has it from now on.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn accept(call: &str, binding: &'static Binding, nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the caller's contract.
    let source = unsafe { (*nbl).SourceHandle }.addr() as u64;
    verifier::insist(98, source == binding.handle, || {
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
        let seal = Box::new(Seal::take(nbl, Direction::Send));
        let custody = Custody::Sent {
            binding: binding.handle,
            adapter: binding.adapter.handle,
            since_ns: sched::now(),
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

/// Cuts a list into parts: mostly one, sometimes more.
pub(crate) fn split(chain: Vec<*mut NET_BUFFER_LIST>) -> Vec<Vec<*mut NET_BUFFER_LIST>> {
    let mut parts = vec![Vec::new()];
    for nbl in chain {
        let current = parts.last_mut().expect("there is a part");
        if !current.is_empty() && sched::chance(6) {
            parts.push(vec![nbl]);
        } else {
            current.push(nbl);
        }
    }
    parts
}

fn hand_to_miniport(
    adapter: &'static Adapter,
    part: &[*mut NET_BUFFER_LIST],
    port: u32,
    flags: u32,
) {
    // The system is going down: nobody is called any more, and nobody waits.
    if adapter.phase() == AdapterState::Shutdown {
        return;
    }
    // SAFETY: NDIS has the NBLs between the hands of the protocol and those of the miniport.
    let first = unsafe { raw::link(part) };
    adapter.state.with(|state| state.in_miniport += 1);
    callback(Callback::Send, adapter.handle, || {
        adapter
            .miniport
            .send(first, port, flags | call::dispatch_flag());
    });
    adapter.state.with(|state| state.in_miniport -= 1);
}

/// Keeps one watchdog per adapter, at the earliest time at which a send is late.
fn watch(adapter: &'static Adapter) {
    adapter.sends.with(|sends| {
        if sends.watchdog.is_some() {
            return;
        }
        if let Some(deadline) = sends.deadline() {
            sends.watchdog = Some(sched::at(deadline, move || check_late(adapter)));
        }
    });
}

fn check_late(adapter: &'static Adapter) {
    let late = adapter.sends.with(|sends| {
        sends.watchdog = None;
        sends
            .deadline()
            .filter(|deadline| *deadline <= sched::now())
            .map(|_| sends.len())
    });
    if let Some(count) = late {
        verifier::fatal(
            116,
            format!(
                "{count} sends on {} are out; 30 s, or 22 s without a completion",
                adapter.name
            ),
        );
    }
    watch(adapter);
}

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
    verifier::require(119, flags & !3 == 0, || {
        format!("{CALL}: SendCompleteFlags {flags:#x}")
    });
    let mut groups: Vec<(u64, Vec<*mut NET_BUFFER_LIST>)> = Vec::new();
    for nbl in shadow::walk(nbls, CALL, 114) {
        // SAFETY: `walk` found the NBL in the shadow table.
        let binding = unsafe { take_back(CALL, adapter, nbl) };
        // SAFETY: the miniport has given the NBL back.
        let nbl = unsafe { stand_in::end(nbl, CALL) };
        match groups.last_mut() {
            Some((last, group)) if *last == binding => group.push(nbl),
            _ => groups.push((binding, vec![nbl])),
        }
    }
    for (binding, group) in groups {
        let Some(binding) = handles::lookup::<Binding>(binding) else {
            continue;
        };
        for part in split(group) {
            hand_to_protocol(binding, &part);
        }
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
    let (binding, seal) = match popped {
        Ok(Some(Custody::Sent { binding, seal, .. })) => (binding, seal),
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
        let status = (*nbl).Status;
        let mapped = raw::net_buffers(nbl)
            .iter()
            .any(|nb| dma::has_list(nb.addr()));
        verifier::require(148, !mapped, || {
            format!("{call}: NBL {nbl:p} is completed before its scatter/gather list is freed")
        });
        power::check_send_status(call, adapter, status);
        let honest = [
            NDIS_STATUS_SUCCESS,
            NDIS_STATUS_NOT_ACCEPTED,
            NDIS_STATUS_PAUSED,
        ];
        let honest = !adapter.is_surprise_removed() || honest.contains(&status);
        verifier::require(76, honest, || {
            format!("{call}: {} is gone; status {status:#x}", adapter.name)
        });
        verifier::require(115, STATUSES.contains(&status), || {
            format!("{call}: NBL {nbl:p} completed with status {status:#x}")
        });
    }
    adapter.sends.with(|sends| sends.remove(nbl.addr()));
    cancel_watchdog_if_idle(adapter);
    binding
}

fn cancel_watchdog_if_idle(adapter: &'static Adapter) {
    let idle = adapter.sends.with(|sends| {
        if sends.len() == 0 {
            sends.watchdog.take()
        } else {
            None
        }
    });
    if let Some(event) = idle {
        sched::cancel(event);
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

/// Microsoft Learn, NdisCancelSendNetBufferLists function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn cancel(
    binding_handle: NDIS_HANDLE,
    cancel_id: *mut core::ffi::c_void,
) {
    const CALL: &str = "NdisCancelSendNetBufferLists";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let adapter = binding.adapter;
    callback(Callback::CancelSend, adapter.handle, || {
        adapter.miniport.cancel_send(cancel_id.addr());
    });
}
