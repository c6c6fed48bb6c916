//! ProtocolBindAdapterEx and ProtocolUnbindAdapterEx.

use ndis_sys::{
    NDIS_HANDLE, NDIS_PAUSE_BIND_PROTOCOL, NDIS_PAUSE_UNBIND_PROTOCOL, NDIS_STATUS,
    NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
};

use super::parameters::BindParameters;
use super::{Binding, BindingState};
use crate::ndis::adapter::{Adapter, AdapterState, Operation};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::native::{BindContext, UnbindContext};
use crate::ndis::protocols::ProtocolDriver;
use crate::ndis::stack;
use crate::sched::{self, BatonCell};
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Time for a bind; Windows documents none, its watchdog for protocols is of this order.
const BIND_LIMIT_NS: u64 = 30 * SECOND_NS;
/// Time for an unbind (table of rule 308).
const UNBIND_LIMIT_NS: u64 = 10 * SECOND_NS;

/// One call of ProtocolBindAdapterEx: what its bind context stands for.
pub(crate) struct BindOperation {
    pub(crate) handle: u64,
    pub(crate) protocol: &'static ProtocolDriver,
    pub(crate) adapter: &'static Adapter,
    pub(crate) state: BatonCell<BindState>,
}

pub(crate) struct BindState {
    pub(crate) binding: Option<&'static Binding>,
    outcome: Operation,
}

impl Object for BindOperation {
    const KIND: Kind = Kind::BindContext;
}

/// One call of ProtocolUnbindAdapterEx.
pub(crate) struct UnbindOperation {
    handle: u64,
    outcome: BatonCell<Operation>,
}

impl Object for UnbindOperation {
    const KIND: Kind = Kind::UnbindContext;
}

/// Bindings that are being bound or unbound now: only then may they be closed.
static BINDING_NOW: BatonCell<Vec<&'static BindOperation>> = BatonCell::new(Vec::new());
static UNBINDING_NOW: BatonCell<Vec<u64>> = BatonCell::new(Vec::new());

impl BindOperation {
    /// Whether the bind that opened `binding` is not complete.
    pub(crate) fn is_running_for(binding: &'static Binding) -> bool {
        let running = BINDING_NOW.with(|running| running.clone());
        running.iter().any(|operation| {
            let opened = operation
                .state
                .with(|state| state.binding.map(|b| b.handle));
            opened == Some(binding.handle)
        })
    }
}

impl UnbindOperation {
    /// Whether an unbind of `binding` is not complete.
    pub(crate) fn is_running_for(binding: &'static Binding) -> bool {
        UNBINDING_NOW.with(|running| running.contains(&binding.handle))
    }
}

/// Offers an adapter to a protocol, and restarts what came of it. IRQL = PASSIVE_LEVEL.
///
/// Returns the protocol's answer; SUCCESS also when the two are bound already.
pub(crate) fn bind(protocol: &'static ProtocolDriver, adapter: &'static Adapter) -> NDIS_STATUS {
    let _stack = adapter.own_stack();
    let alive = handles::lookup::<ProtocolDriver>(protocol.handle).is_some()
        && handles::lookup::<Adapter>(adapter.handle).is_some();
    let ready = matches!(
        adapter.phase(),
        AdapterState::Paused | AdapterState::Running
    );
    if !alive || !ready || adapter.is_surprise_removed() {
        return ndis_sys::NDIS_STATUS_ADAPTER_NOT_FOUND;
    }
    if protocol.binding_to(adapter.handle).is_some() {
        return NDIS_STATUS_SUCCESS;
    }
    // NDIS may bring the stack to rest around a bind, and may not.
    if adapter.phase() == AdapterState::Running && sched::chance(2) {
        stack::pause(adapter, NDIS_PAUSE_BIND_PROTOCOL);
    }
    let status = call_bind(protocol, adapter);
    stack::restart(adapter);
    status
}

fn call_bind(protocol: &'static ProtocolDriver, adapter: &'static Adapter) -> NDIS_STATUS {
    let operation = handles::create(|handle| BindOperation {
        handle,
        protocol,
        adapter,
        state: BatonCell::new(BindState {
            binding: None,
            outcome: Operation::Called,
        }),
    });
    BINDING_NOW.with(|running| running.push(operation));
    let name = format!("{} to {}", protocol.name, adapter.name);
    let what = name.clone();
    let watchdog = Watchdog::on(308, BIND_LIMIT_NS, &name, move || {
        format!("bind of {what} is not complete")
    });
    let mut parameters = BindParameters::of(protocol, adapter);
    let status = parameters.lend(|parameters| {
        let status = callback(Callback::Bind, protocol.handle, || {
            protocol
                .protocol
                .bind(BindContext(operation.handle), parameters)
        });
        // The parameters are valid until the bind completes (rule 232).
        final_status(operation, status)
    });
    drop(watchdog);
    handles::close(operation.handle, "the completion of the bind");
    judge_outcome(operation, status, &name);
    BINDING_NOW.with(|running| running.retain(|other| other.handle != operation.handle));
    verifier::note(format!("bind of {name}: {status:#x}"));
    status
}

fn final_status(operation: &'static BindOperation, status: NDIS_STATUS) -> NDIS_STATUS {
    let completed = || {
        operation
            .state
            .with(|state| state.outcome != Operation::Called)
    };
    if status != NDIS_STATUS_PENDING {
        verifier::insist(232, !completed(), || {
            format!("ProtocolBindAdapterEx returned {status:#x} after NdisCompleteBindAdapterEx")
        });
        return status;
    }
    sched::wait("NdisCompleteBindAdapterEx", completed, None);
    match operation.state.with(|state| state.outcome) {
        Operation::Completed(status) => status,
        Operation::Idle | Operation::Called => ndis_sys::NDIS_STATUS_FAILURE,
    }
}

/// A bind that succeeded has opened the adapter; one that failed leaves nothing open.
fn judge_outcome(operation: &'static BindOperation, status: NDIS_STATUS, name: &str) {
    let binding = operation.state.with(|state| state.binding);
    let open = binding.filter(|binding| {
        let (opened, phase) = binding.state.with(|state| (state.opened, state.phase));
        opened && !matches!(phase, BindingState::Closing | BindingState::Closed)
    });
    if status == NDIS_STATUS_SUCCESS {
        match open {
            Some(binding) => binding.set_phase(BindingState::Paused),
            None => verifier::breach(
                235,
                format!("bind of {name} succeeds without an open adapter"),
            ),
        }
        return;
    }
    verifier::insist(234, open.is_none(), || {
        format!("bind of {name} fails with {status:#x} and leaves the adapter open")
    });
    if let Some(binding) = binding {
        let closed = binding.phase() == BindingState::Closed;
        verifier::require(234, closed, || {
            format!("bind of {name} fails before the close is complete")
        });
    }
}

/// Microsoft Learn, NdisCompleteBindAdapterEx function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete_bind(bind_context: NDIS_HANDLE, status: NDIS_STATUS) {
    const CALL: &str = "NdisCompleteBindAdapterEx";
    import(CALL, Level::UpToDispatch);
    let operation: &'static BindOperation = handles::resolve_for(232, bind_context, CALL);
    let first = operation.state.with(|state| {
        let first = state.outcome == Operation::Called;
        state.outcome = Operation::Completed(status);
        first
    });
    verifier::insist(232, first, || {
        format!("{CALL}: the bind was completed before")
    });
    verifier::require(232, status != NDIS_STATUS_PENDING, || {
        format!("{CALL} with PENDING")
    });
}

/// Takes a protocol off an adapter. IRQL = PASSIVE_LEVEL.
pub(crate) fn unbind(binding: &'static Binding) {
    let adapter = binding.adapter;
    let _stack = adapter.own_stack();
    if handles::lookup::<Binding>(binding.handle).is_none() {
        return;
    }
    // Of a running stack, NDIS brings to rest this binding at least.
    if adapter.phase() == AdapterState::Running && sched::chance(2) {
        stack::pause(adapter, NDIS_PAUSE_UNBIND_PROTOCOL);
    } else {
        binding.pause(NDIS_PAUSE_UNBIND_PROTOCOL);
    }
    call_unbind(binding);
    stack::restart(adapter);
}

/// ProtocolUnbindAdapterEx of a paused binding.
pub(crate) fn call_unbind(binding: &'static Binding) {
    let name = binding.describe();
    binding.set_phase(BindingState::Closing);
    let operation = handles::create(|handle| UnbindOperation {
        handle,
        outcome: BatonCell::new(Operation::Called),
    });
    UNBINDING_NOW.with(|running| running.push(binding.handle));
    let what = name.clone();
    let watchdog = Watchdog::on(308, UNBIND_LIMIT_NS, &name, move || {
        format!("unbind of {what} is not complete")
    });
    let status = callback(Callback::Unbind, binding.handle, || {
        binding
            .protocol
            .protocol
            .unbind(UnbindContext(operation.handle), binding.context)
    });
    let completed = || {
        operation
            .outcome
            .with(|outcome| *outcome != Operation::Called)
    };
    match status {
        NDIS_STATUS_SUCCESS => verifier::insist(240, !completed(), || {
            format!("unbind of {name} returned SUCCESS after NdisCompleteUnbindAdapterEx")
        }),
        NDIS_STATUS_PENDING => {
            sched::wait("NdisCompleteUnbindAdapterEx", completed, None);
        }
        _ => verifier::fatal(240, format!("unbind of {name} returned {status:#x}")),
    }
    drop(watchdog);
    handles::close(operation.handle, "the completion of the unbind");
    UNBINDING_NOW.with(|running| running.retain(|handle| *handle != binding.handle));
    let closed = binding.phase() == BindingState::Closed;
    verifier::insist(240, closed, || {
        format!("unbind of {name} completes, but the adapter is not closed")
    });
    verifier::note(format!("unbound {name}"));
}

/// Microsoft Learn, NdisCompleteUnbindAdapterEx function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete_unbind(unbind_context: NDIS_HANDLE) {
    const CALL: &str = "NdisCompleteUnbindAdapterEx";
    import(CALL, Level::UpToDispatch);
    let operation: &'static UnbindOperation = handles::resolve(unbind_context, CALL);
    let first = operation.outcome.with(|outcome| {
        let first = *outcome == Operation::Called;
        *outcome = Operation::Completed(NDIS_STATUS_SUCCESS);
        first
    });
    verifier::insist(240, first, || {
        format!("{CALL}: the unbind was completed before")
    });
}

/// Microsoft Learn, NdisUnbindAdapter function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The unbind runs in a system thread; the binding may be gone when the call returns.
pub(crate) unsafe extern "efiapi" fn request_unbind(binding_handle: NDIS_HANDLE) -> NDIS_STATUS {
    const CALL: &str = "NdisUnbindAdapter";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let inside = call::is_inside_any(Callback::Bind) || call::is_inside_any(Callback::Unbind);
    verifier::require(237, !inside, || {
        format!("{CALL} called in {}", call::stack())
    });
    sched::spawn("unbind on request", move || unbind(binding));
    sched::point();
    NDIS_STATUS_SUCCESS
}
