//! Bindings of protocols to adapters: the object, its state, and what is outstanding on it.
//!
//! The state machine is the table of section 1.O of the rules. [`bind`] runs bind and unbind,
//! [`open`] is what a protocol calls inside of them, [`events`] delivers NetPnP events.

pub(crate) mod bind;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod parameters;
pub(crate) mod settings;

use crate::ndis::adapter::Adapter;
use crate::ndis::filter::Wanted;
use crate::ndis::handles::{Kind, Object};
use crate::ndis::protocols::ProtocolDriver;
use crate::sched::BatonCell;
use crate::verifier;
pub(crate) use settings::Settings;

/// State of a binding (Microsoft Learn, "Protocol Binding States and Operations"); Unbound ones
/// have no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingState {
    /// NdisOpenAdapterEx was called; the bind is not complete.
    Opening,
    /// Bound; no data flows.
    Paused,
    /// NetEventRestart was delivered and has not completed.
    Restarting,
    /// Data flows.
    Running,
    /// NetEventPause was delivered and the pause is not complete.
    Pausing,
    /// ProtocolUnbindAdapterEx was called.
    Closing,
    /// NdisCloseAdapterEx has completed.
    Closed,
}

/// An open binding.
pub(crate) struct Binding {
    pub(crate) handle: u64,
    pub(crate) protocol: &'static ProtocolDriver,
    pub(crate) adapter: &'static Adapter,
    /// ProtocolBindingContext.
    pub(crate) context: usize,
    pub(crate) state: BatonCell<State>,
}

/// What changes about a binding.
pub(crate) struct State {
    pub(crate) phase: BindingState,
    /// NdisOpenAdapterEx has completed: OIDs may be sent.
    pub(crate) opened: bool,
    /// The protocol has answered NetEventPause: it must not send any more.
    pub(crate) pause_answered: bool,
    /// The protocol has answered a NetEventSetPower that is not to D0.
    pub(crate) asleep: bool,
    pub(crate) filter: u32,
    pub(crate) multicast: Vec<[u8; 6]>,
    pub(crate) lookahead: u32,
    pub(crate) sends_out: usize,
    pub(crate) receives_out: usize,
    pub(crate) oids_out: usize,
    /// What the protocol has set and has to undo before it closes (rule 238).
    pub(crate) settings: Settings,
    /// Callbacks about sends or receives that run now.
    pub(crate) in_callback: usize,
}

impl State {
    /// What the binding wants to receive.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted {
            filter: self.filter,
            multicast: self.multicast.clone(),
        }
    }
}

impl Object for Binding {
    const KIND: Kind = Kind::Binding;
}

impl Binding {
    /// The state of section 1.O.
    pub(crate) fn phase(&'static self) -> BindingState {
        self.state.with(|state| state.phase)
    }

    /// Enters a state.
    pub(crate) fn set_phase(&'static self, phase: BindingState) {
        self.state.with(|state| state.phase = phase);
        verifier::note(format!("binding {} is {phase:?}", self.describe()));
    }

    /// Sends and receive NBLs that are out.
    pub(crate) fn outstanding(&'static self) -> (usize, usize) {
        self.state
            .with(|state| (state.sends_out, state.receives_out))
    }

    /// Whether nothing is out and no callback about it runs: the condition of Paused.
    pub(crate) fn is_quiet(&'static self) -> bool {
        self.state
            .with(|state| state.sends_out == 0 && state.receives_out == 0 && state.in_callback == 0)
    }

    /// Protocol and adapter, for reports.
    pub(crate) fn describe(&self) -> String {
        format!("{} to {}", self.protocol.name, self.adapter.name)
    }

    /// Whether the protocol may start a send now (rules 243, 250).
    ///
    /// While NetEventPause is being delivered, a send on another CPU may have begun before the
    /// protocol knew; only after its answer is a send a breach.
    pub(crate) fn may_send(&'static self) -> bool {
        self.state.with(|state| match state.phase {
            BindingState::Running | BindingState::Restarting => true,
            BindingState::Pausing => !state.pause_answered,
            _ => false,
        })
    }
}
