//! A NIC that knows of power, resets and idleness, and breaks the rules about them on demand.

mod events;
mod requests;

use std::sync::{Arc, Mutex, OnceLock};

use ndis_host::ndis::api::{self, AdapterAttributes, NblPool};
use ndis_host::ndis::native::AdapterHandle;
use ndis_host::pnp::{self, DeviceId};
use ndis_host::sched;
use ndis_sys::{
    NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND, NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
    NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK, NDIS_STATUS, NET_BUFFER_LIST,
};

use crate::bench::{ONE_SECOND, frame};
use crate::native::nic::MAC;
use crate::native::stack::{self, Stack};

/// How the card breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    // Pause, restart, halt.
    PauseFails,
    PauseCompletesTwice,
    PauseSucceedsTwice,
    PauseForgotten,
    RestartStatus,
    RestartCompletesTwice,
    RestartForgotten,
    RestartAttributesSpoiled,
    RestartFailsAfterSleep,
    HaltKeepsTimer,
    HaltKeepsArmedTimer,
    HaltHangs,
    // Surprise removal, shutdown.
    AbortsWhenGone,
    IndicatesAfterShutdown,
    WaitsInCrash,
    SetsEventInCrash,
    // Reset.
    ResetStatus,
    ResetCompletesTwice,
    ResetForgotten,
    ResetKeepsSends,
    TellsOfReset,
    // Power.
    QueryPowerFails,
    LowPowerFails,
    FullPowerFails,
    KeepsSends,
    KeepsTimer,
    KeepsLink,
    HidesLink,
    IndicatesAsleep,
    TellsStatusAsleep,
    OldCapabilities,
    // Selective suspend.
    IdleSucceeds,
    IdleBusyWhenForced,
    ConfirmsTwice,
    ConfirmsD0,
    IdleForgotten,
    NeverWakes,
    // Time.
    LongDpc,
}

/// What the card knows of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    /// Nothing: it is halted.
    Unaware,
    /// It is paused first.
    Paused,
    /// It goes to low power while it runs.
    Running,
    /// Nothing, and it wants to be called in a crash.
    CrashCallback,
}

/// What was done to the card, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) initialized: u32,
    pub(crate) halts: Vec<i32>,
    pub(crate) pauses: Vec<u32>,
    pub(crate) restarts: u32,
    pub(crate) events: Vec<i32>,
    pub(crate) shutdowns: Vec<i32>,
    pub(crate) checks: Vec<u64>,
    pub(crate) resets: u32,
    pub(crate) filters: Vec<u32>,
    pub(crate) powers: Vec<i32>,
    pub(crate) returned_asleep: u32,
}

#[derive(Default)]
struct State {
    adapter: Option<AdapterHandle>,
    running: bool,
    pausing: bool,
    asleep: bool,
    gone: bool,
    hangs: bool,
    idle: bool,
    hold: bool,
    slept: bool,
    sending: Vec<usize>,
    receives_out: usize,
    timer: usize,
    log: Log,
}

/// The card.
pub(crate) struct Card {
    fault: Fault,
    power: Power,
    checks: bool,
    pool: OnceLock<NblPool>,
    state: Mutex<State>,
}

impl Card {
    /// A card that knows of power as `power` says; one that may hang is asked whether it does.
    fn new(fault: Fault, power: Power, checks: bool) -> Self {
        Self {
            fault,
            power,
            checks,
            pool: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> R {
        body(&mut self.state.lock().expect("no panic while it is locked"))
    }

    pub(crate) fn adapter(&self) -> AdapterHandle {
        let adapter = self.with(|state| state.adapter);
        adapter.expect("the card is initialized")
    }

    pub(crate) fn log(&self) -> Log {
        self.with(|state| state.log.clone())
    }

    /// Has `stack` send a frame that the card keeps. NDIS may hold it back for a while: returns
    /// once the card has it.
    pub(crate) fn keep_a_send_of(&self, stack: &Stack) {
        self.with(|state| state.hold = true);
        stack.send(&[frame([0xff; 6])]);
        while self.with(|state| state.sending.is_empty()) {
            sched::sleep(ONE_SECOND / 1000);
        }
    }

    /// From now on the card hangs.
    pub(crate) fn hang(&self) {
        self.with(|state| state.hangs = true);
    }

    /// Indicates a frame. At or below DISPATCH.
    pub(crate) fn receive(&self, frame: &[u8]) {
        let nbl = self.pool().frame(frame);
        self.with(|state| state.receives_out += 1);
        api::indicate(self.adapter(), nbl, 0, 1, 0);
    }

    /// As [`Self::receive`], while the card has not been paused.
    pub(crate) fn receive_if_running(&self, frame: &[u8]) {
        let running = self.with(|state| {
            state.receives_out += usize::from(state.running);
            state.running
        });
        if running {
            api::indicate(self.adapter(), self.pool().frame(frame), 0, 1, 0);
        }
    }

    fn pool(&self) -> &NblPool {
        self.pool.get_or_init(|| NblPool::new("the test card"))
    }

    /// Completes what is out.
    fn complete_all(&self, status: NDIS_STATUS) {
        let sending = self.with(|state| std::mem::take(&mut state.sending));
        for nbl in sending {
            self.complete(std::ptr::with_exposed_provenance_mut(nbl), status);
        }
    }

    fn complete(&self, nbl: *mut NET_BUFFER_LIST, status: NDIS_STATUS) {
        api::set_status(nbl, status);
        api::send_complete(self.adapter(), nbl, 0);
    }

    fn finish_pause(&self) {
        let done = self.with(|state| {
            let idle = state.sending.is_empty() && state.receives_out == 0;
            let done = state.pausing && idle;
            state.pausing &= !done;
            done
        });
        if done {
            api::pause_complete(self.adapter());
        }
    }

    fn attributes(&self) -> AdapterAttributes {
        let no_halt = NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND;
        let flags = match self.power {
            Power::Unaware => 0,
            Power::CrashCallback => NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK,
            Power::Paused => no_halt,
            Power::Running => no_halt | NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
        };
        AdapterAttributes {
            attribute_flags: flags,
            power: self.capabilities(),
            ..AdapterAttributes::ethernet(MAC)
        }
    }
}

/// What a card may know of power, by seed.
pub(crate) fn any_power() -> Power {
    let all = [Power::Unaware, Power::Paused, Power::Running];
    all[sched::random_below(3) as usize]
}

/// A card with a protocol on it.
pub(crate) fn card(fault: Fault, power: Power) -> (&'static Card, &'static Stack, DeviceId) {
    plug(Card::new(fault, power, false))
}

/// As [`card`], with a handler that is asked whether the card hangs.
pub(crate) fn card_that_may_hang(fault: Fault) -> (&'static Card, &'static Stack, DeviceId) {
    plug(Card::new(fault, Power::Unaware, true))
}

fn plug(card: Card) -> (&'static Card, &'static Stack, DeviceId) {
    let card: &'static Card = Box::leak(Box::new(card));
    let stack: &'static Stack = Box::leak(Box::new(Stack::new(stack::Fault::None)));
    pnp::add_native_protocol("STACK", Arc::new(stack));
    let device = pnp::add_native_device("CARD", &[], move || Arc::new(card));
    pnp::start_device(device).expect("the card starts");
    pnp::settle();
    sched::sleep(1_000_000);
    (card, stack, device)
}
