//! ProtocolNetPnPEvent: pause, restart and the other events of a binding or of a protocol.

use std::ffi::c_void;

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_PROTOCOL_RESTART_PARAMETERS,
    NDIS_PROTOCOL_PAUSE_PARAMETERS, NDIS_PROTOCOL_RESTART_PARAMETERS,
    NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1,
    NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_PROTOCOL_RESTART_PARAMETERS_REVISION_1, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NET_PNP_EVENT_CODE, NET_PNP_EVENT_NOTIFICATION,
    NetEventPause, NetEventPortActivation, NetEventQueryRemoveDevice, NetEventRestart, Zeroed,
};

use super::{Binding, BindingState};
use crate::ndis::adapter::Operation;
use crate::ndis::adapter::lend::lend;
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::header;
use crate::ndis::nbl::shadow;
use crate::ndis::protocols::ProtocolDriver;
use crate::ndis::receive::RECEIVES;
use crate::sched::{self, BatonCell};
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Time for a NetPnP event and for a pause (table of rule 308).
const EVENT_LIMIT_NS: u64 = 10 * SECOND_NS;

/// One in so many restarts comes after an event that nobody knows.
const UNKNOWN_ONE_IN: u64 = 8;

/// Events that were delivered and are not answered, by the address of their notification.
static PENDING: BatonCell<Vec<(usize, Operation)>> = BatonCell::new(Vec::new());

/// Whether the caller runs inside a NetPnP event of a binding (not a global one).
pub(crate) fn is_inside_binding_event() -> bool {
    call::is_inside_any(Callback::NetPnpEvent) && GLOBAL_EVENTS.with(|count| *count) == 0
}

/// Global events that are being delivered.
static GLOBAL_EVENTS: BatonCell<u32> = BatonCell::new(0);

/// Delivers an event and waits for its answer. IRQL = PASSIVE_LEVEL.
pub(crate) fn deliver(
    protocol: &'static ProtocolDriver,
    binding: Option<&'static Binding>,
    code: NET_PNP_EVENT_CODE,
    buffer: *mut c_void,
    length: u32,
) -> NDIS_STATUS {
    let mut notification = NET_PNP_EVENT_NOTIFICATION::zeroed();
    notification.Header = header::make(
        NDIS_OBJECT_TYPE_DEFAULT,
        1,
        NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1,
    );
    notification.NetPnPEvent.NetEvent = code;
    notification.NetPnPEvent.Buffer = buffer;
    notification.NetPnPEvent.BufferLength = length;
    let name = binding.map_or_else(|| protocol.name.clone(), Binding::describe);
    let what = name.clone();
    let watchdog = Watchdog::on(308, EVENT_LIMIT_NS, &name, move || {
        format!("NetPnP event {code} of {what} is not answered")
    });
    let global = u32::from(binding.is_none());
    GLOBAL_EVENTS.with(|count| *count += global);
    let (status, _) = lend(notification, |place| call_handler(protocol, binding, place));
    GLOBAL_EVENTS.with(|count| *count -= global);
    drop(watchdog);
    judge_answer(&name, code, status);
    status
}

fn call_handler(
    protocol: &'static ProtocolDriver,
    binding: Option<&'static Binding>,
    place: *mut NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS {
    let address = place.addr();
    PENDING.with(|pending| pending.push((address, Operation::Called)));
    let object = binding.map_or(protocol.handle, |binding| binding.handle);
    let context = binding.map(|binding| binding.context);
    let status = callback(Callback::NetPnpEvent, object, || {
        // SAFETY: `place` holds the notification until the event is answered.
        protocol.protocol.net_pnp_event(context, unsafe { &*place })
    });
    let outcome = move || {
        PENDING.with(|pending| {
            let found = pending.iter().find(|(at, _)| *at == address);
            found.map_or(Operation::Idle, |(_, outcome)| *outcome)
        })
    };
    let status = if status == NDIS_STATUS_PENDING {
        sched::wait(
            "NdisCompleteNetPnPEvent",
            || outcome() != Operation::Called,
            None,
        );
        match outcome() {
            Operation::Completed(status) => status,
            Operation::Idle | Operation::Called => NDIS_STATUS_FAILURE,
        }
    } else {
        verifier::insist(249, outcome() == Operation::Called, || {
            format!("NetPnP event returned {status:#x} after NdisCompleteNetPnPEvent")
        });
        status
    };
    PENDING.with(|pending| pending.retain(|(at, _)| *at != address));
    status
}

/// Rule 248: which events may fail.
fn judge_answer(name: &str, code: NET_PNP_EVENT_CODE, status: NDIS_STATUS) {
    let may_fail = [NetEventQueryRemoveDevice, NetEventPortActivation].contains(&code);
    verifier::require(248, status == NDIS_STATUS_SUCCESS || may_fail, || {
        format!("NetPnP event {code} of {name} was answered with {status:#x}")
    });
}

/// Microsoft Learn, NdisCompleteNetPnPEvent function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete(
    _binding: NDIS_HANDLE,
    notification: *mut NET_PNP_EVENT_NOTIFICATION,
    status: NDIS_STATUS,
) {
    const CALL: &str = "NdisCompleteNetPnPEvent";
    import(CALL, Level::Passive);
    let address = notification.addr();
    let first = PENDING.with(|pending| {
        let found = pending.iter_mut().find(|(at, _)| *at == address);
        found.is_some_and(|(_, outcome)| {
            let first = *outcome == Operation::Called;
            *outcome = Operation::Completed(status);
            first
        })
    });
    verifier::insist(249, first, || {
        format!("{CALL}: {notification:p} is no event that waits for its answer (7C/22)")
    });
    verifier::require(249, status != NDIS_STATUS_PENDING, || {
        format!("{CALL} with PENDING")
    });
}

impl Binding {
    /// Running -> Pausing -> Paused: returns when nothing of the binding is out.
    pub(crate) fn pause(&'static self, reason: u32) {
        if self.phase() != BindingState::Running {
            return;
        }
        self.state.with(|state| state.pause_answered = false);
        self.set_phase(BindingState::Pausing);
        let mut parameters = NDIS_PROTOCOL_PAUSE_PARAMETERS::zeroed();
        parameters.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            1,
            NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1,
        );
        parameters.PauseReason = reason;
        let watchdog = Watchdog::on(308, EVENT_LIMIT_NS, &self.describe(), || {
            let (sends, receives) = self.outstanding();
            format!(
                "{} is not paused ({sends} sends, {receives} receives): {}",
                self.describe(),
                shadow::some_out()
            )
        });
        let length = size_of::<NDIS_PROTOCOL_PAUSE_PARAMETERS>() as u32;
        lend(parameters, |place| {
            deliver(
                self.protocol,
                Some(self),
                NetEventPause,
                place.cast(),
                length,
            )
        });
        self.state.with(|state| state.pause_answered = true);
        RECEIVES.drain(self.adapter);
        // What comes to a binding that is pausing goes up, so it is Paused in the moment of its rest.
        let pause = || {
            let rests = self.is_quiet() && RECEIVES.is_idle(self.adapter);
            if rests {
                self.set_phase(BindingState::Paused);
            }
            rests
        };
        sched::wait("the end of a binding's traffic", pause, None);
        drop(watchdog);
    }

    /// An event that no protocol knows: it is answered with SUCCESS (rule 248).
    /// IRQL = PASSIVE_LEVEL.
    fn deliver_unknown(&'static self) {
        /// Above every code that is defined.
        const FIRST_UNKNOWN: NET_PNP_EVENT_CODE = 0x100;
        let code = FIRST_UNKNOWN + sched::random_below(0x100) as NET_PNP_EVENT_CODE;
        let none = std::ptr::null_mut();
        deliver(self.protocol, Some(self), code, none, 0);
    }

    /// Paused -> Restarting -> Running.
    pub(crate) fn restart(&'static self) {
        if self.phase() != BindingState::Paused {
            return;
        }
        if sched::chance(UNKNOWN_ONE_IN) {
            self.deliver_unknown();
        }
        self.set_phase(BindingState::Restarting);
        let mut attributes = self.adapter.restart_attributes();
        let mut parameters = NDIS_PROTOCOL_RESTART_PARAMETERS::zeroed();
        parameters.Header = header::make(
            NDIS_OBJECT_TYPE_PROTOCOL_RESTART_PARAMETERS,
            1,
            NDIS_SIZEOF_PROTOCOL_RESTART_PARAMETERS_REVISION_1,
        );
        parameters.RestartAttributes = (&raw mut attributes).cast();
        let (index, luid) = self.adapter.bound_interface();
        (parameters.BoundIfIndex, parameters.BoundIfNetluid) = (index, luid);
        let length = size_of::<NDIS_PROTOCOL_RESTART_PARAMETERS>() as u32;
        let (status, _) = lend(parameters, |place| {
            deliver(
                self.protocol,
                Some(self),
                NetEventRestart,
                place.cast(),
                length,
            )
        });
        let running = status == NDIS_STATUS_SUCCESS;
        self.set_phase(if running {
            BindingState::Running
        } else {
            BindingState::Paused
        });
    }
}
