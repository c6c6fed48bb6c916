//! Miniport adapters: the object, its state, and what is outstanding on it.
//!
//! The state machine is the table of section 1.D of the rules: [`bring_up`] runs initialization
//! and halt, [`flow`] pause and restart, [`attributes`] keeps what the miniport declared.

pub(crate) mod add_device;
pub(crate) mod attributes;
pub(crate) mod bring_up;
pub(crate) mod declared;
pub(crate) mod flow;
pub(crate) mod lend;
pub(crate) mod miniport_slot;
pub(crate) mod operation;

use std::sync::Arc;

use ndis_sys::{NDIS_HANDLE, NDIS_STATUS};

use crate::ndis::bindings::Binding;
use crate::ndis::call::{self, Callback};
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::held::Held;
use crate::ndis::native::{AdapterHandle, Miniport};
use crate::ndis::node::DeviceNode;
use crate::ndis::oid::queue::OidQueue;
use crate::ndis::power::{Idle, PowerState};
use crate::ndis::receive::Arrival;
use crate::ndis::reset::Reset;
use crate::ndis::send::{Outstanding, Route};
use crate::ndis::status::Link;
use crate::sched::{BatonCell, ThreadId};
use crate::verifier;
use attributes::Declared;
use miniport_slot::MiniportSlot;

/// State of an adapter (Microsoft Learn, "Miniport Adapter States and Operations").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterState {
    /// No miniport: before MiniportInitializeEx and after MiniportHaltEx.
    Halted,
    /// Inside MiniportInitializeEx.
    Initializing,
    /// Initialized; no data flows.
    Paused,
    /// MiniportRestart was called and has not completed.
    Restarting,
    /// Data flows.
    Running,
    /// MiniportPause was called and has not completed.
    Pausing,
    /// MiniportShutdownEx was called.
    Shutdown,
}

/// An operation that a driver may complete later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Operation {
    /// None is running.
    #[default]
    Idle,
    /// The driver was called and has not completed.
    Called,
    /// The driver completed with this status.
    Completed(NDIS_STATUS),
}

/// An adapter, from the start of its device to its stop. In between it is halted once for each
/// sleep of the system, if its miniport is not power aware.
pub(crate) struct Adapter {
    pub(crate) handle: u64,
    /// `\Device\{GUID}`.
    pub(crate) name: String,
    pub(crate) driver: &'static MiniportDriver,
    pub(crate) miniport: MiniportSlot,
    pub(crate) node: Arc<dyn DeviceNode>,
    pub(crate) if_index: u32,
    pub(crate) state: BatonCell<State>,
    pub(crate) oids: BatonCell<OidQueue>,
    pub(crate) sends: BatonCell<Outstanding>,
    pub(crate) held_sends: BatonCell<Held<Route>>,
    pub(crate) held_completions: BatonCell<Held<u64>>,
    pub(crate) held_receives: BatonCell<Held<Arrival>>,
    pub(crate) held_returns: BatonCell<Held<()>>,
}

/// What changes about an adapter.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// MiniportAdapterContext.
    pub(crate) context: usize,
    pub(crate) declared: Declared,
    pub(crate) pause: Operation,
    pub(crate) restart: Operation,
    pub(crate) reset: Reset,
    pub(crate) power: PowerState,
    pub(crate) idle: Idle,
    /// NBLs indicated and not returned.
    pub(crate) receives_out: usize,
    /// Frames indicated since initialization.
    pub(crate) frames_indicated: u64,
    /// Indications that run now.
    pub(crate) indicating: u32,
    /// Calls of MiniportReturnNetBufferLists and MiniportSendNetBufferLists that run now.
    pub(crate) in_miniport: u32,
    pub(crate) surprise_removed: bool,
    /// When MiniportShutdownEx returned.
    pub(crate) shut_down_ns: Option<u64>,
    /// NdisMRemoveMiniport was called.
    pub(crate) failed: bool,
    pub(crate) link: Link,
    /// How often NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG was indicated.
    pub(crate) offload_configs: u64,
    pub(crate) bindings: Vec<&'static Binding>,
    /// The thread that changes the stack of this adapter.
    pub(crate) stack_owner: Option<ThreadId>,
    pub(crate) filter: crate::ndis::filter::Merged,
    pub(crate) added: add_device::Added,
    pub(crate) offload: crate::ndis::offload::Offload,
}

/// [`AdapterState`] with its initial value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase(pub(crate) AdapterState);

impl Default for Phase {
    fn default() -> Self {
        Self(AdapterState::Halted)
    }
}

impl Object for Adapter {
    const KIND: Kind = Kind::Adapter;
}

static ADAPTERS: BatonCell<Vec<&'static Adapter>> = BatonCell::new(Vec::new());
static NEXT_IF_INDEX: BatonCell<u32> = BatonCell::new(2);

/// Makes the object of an adapter whose device is there. It is Halted.
pub(crate) fn create(
    name: &str,
    driver: &'static MiniportDriver,
    miniport: Arc<dyn Miniport>,
    node: Arc<dyn DeviceNode>,
) -> &'static Adapter {
    let if_index = NEXT_IF_INDEX.with(|next| {
        *next += 1;
        *next
    });
    handles::create(|handle| Adapter {
        handle,
        name: name.to_owned(),
        driver,
        miniport: MiniportSlot::new(miniport),
        node,
        if_index,
        state: BatonCell::new(State::default()),
        oids: BatonCell::new(OidQueue::default()),
        sends: BatonCell::new(Outstanding::default()),
        held_sends: BatonCell::new(Held::default()),
        held_completions: BatonCell::new(Held::default()),
        held_receives: BatonCell::new(Held::default()),
        held_returns: BatonCell::new(Held::default()),
    })
}

/// Counts an adapter among the living: its device starts.
pub(crate) fn enlist(adapter: &'static Adapter) {
    ADAPTERS.with(|adapters| adapters.push(adapter));
}

/// Forgets a halted adapter; its handle is dead from now on (rule 68), unless its driver has
/// added the device and keeps it until that is removed.
pub(crate) fn forget(adapter: &'static Adapter, by: &'static str) {
    if adapter.state.with(|state| state.added.is_added) {
        return adapter.retire();
    }
    ADAPTERS.with(|adapters| adapters.retain(|other| other.handle != adapter.handle));
    handles::close(adapter.handle, by);
}

/// The living adapters.
pub(crate) fn all() -> Vec<&'static Adapter> {
    ADAPTERS.with(|adapters| adapters.clone())
}

/// The adapters of a driver.
pub(crate) fn of_driver(driver: u64) -> Vec<&'static Adapter> {
    all()
        .into_iter()
        .filter(|adapter| adapter.driver.handle == driver)
        .collect()
}

/// The adapter of a device name, `\Device\{GUID}`.
pub(crate) fn by_name(name: &str) -> Option<&'static Adapter> {
    all()
        .into_iter()
        .find(|adapter| adapter.name.eq_ignore_ascii_case(name))
}

/// The adapter behind a handle that a driver passed; rule 68 when it is dead.
///
/// The handle outlives a halt for low power, but between that and the next MiniportInitializeEx
/// the driver has no use of it.
pub(crate) fn resolve(handle: NDIS_HANDLE, call: &str) -> &'static Adapter {
    let adapter: &'static Adapter = handles::resolve(handle, call);
    // A driver that has added the device, or is adding it, has a handle before it initializes.
    let is_added = adapter.state.with(|state| state.added.is_added)
        || call::is_inside(Callback::AddDevice, adapter.handle);
    let is_alive = is_added || adapter.phase() != AdapterState::Halted;
    verifier::insist(68, is_alive, || {
        format!("{call}: {} is halted", adapter.name)
    });
    adapter
}

impl Adapter {
    /// The handle, for native code.
    pub(crate) fn native_handle(&self) -> AdapterHandle {
        AdapterHandle(self.handle)
    }

    /// The state of section 1.D.
    pub(crate) fn phase(&'static self) -> AdapterState {
        self.state.with(|state| state.phase.0)
    }

    /// Enters a state.
    pub(crate) fn set_phase(&'static self, phase: AdapterState) {
        self.state.with(|state| state.phase = Phase(phase));
        verifier::note(format!("adapter {} is {phase:?}", self.name));
    }

    /// NBLs that the miniport has not completed.
    pub(crate) fn sends_out(&'static self) -> usize {
        self.sends.with(|sends| sends.len())
    }

    /// NBLs that have not been returned to the miniport.
    pub(crate) fn receives_out(&'static self) -> usize {
        self.state.with(|state| state.receives_out)
    }

    /// The bindings, in the order in which they were opened.
    pub(crate) fn bindings(&'static self) -> Vec<&'static Binding> {
        self.state.with(|state| state.bindings.clone())
    }

    /// Whether the device vanished without notice.
    pub(crate) fn is_surprise_removed(&'static self) -> bool {
        self.state.with(|state| state.surprise_removed)
    }
}
