//! MiniportCheckForHangEx and MiniportResetEx: a miniport that hangs is reset.
//!
//! ```text
//!   every 2 s: MiniportCheckForHangEx --TRUE--+
//!                       NdisMResetMiniport ---+--> RESET_START --> MiniportResetEx
//!                                                  RESET_END   <-- NdisMResetComplete
//! ```
//!
//! A reset does not change the adapter's state. Microsoft Learn, "Miniport Adapter Check-for-Hang
//! and Reset Operations".

use ndis_sys::{
    BOOLEAN, FALSE, NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_HARD_ERRORS, NDIS_STATUS_PENDING,
    NDIS_STATUS_RESET_END, NDIS_STATUS_RESET_IN_PROGRESS, NDIS_STATUS_RESET_START,
    NDIS_STATUS_SOFT_ERRORS, NDIS_STATUS_SUCCESS,
};

use crate::ndis::adapter::{self, Adapter, AdapterState, Operation};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::filter::{self, Wanted};
use crate::ndis::status;
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// How often NDIS asks when the miniport leaves that to it, seconds.
const DEFAULT_CHECK_S: u32 = 2;
/// Time for a reset. The pages state none; NDIS's other watchdogs are of this order.
const RESET_LIMIT_NS: u64 = 10 * SECOND_NS;

/// Reset of an adapter, and the checks that lead to one.
#[derive(Default)]
pub(crate) struct Reset {
    operation: Operation,
    addressing: bool,
    /// MiniportCheckForHangEx runs.
    checking: bool,
    /// A reset was asked for and has not ended.
    due: bool,
    /// The adapter is about to be halted: nothing begins any more.
    closed: bool,
}

impl Reset {
    /// Whether a halt may begin.
    fn is_idle(&self) -> bool {
        !self.checking && !self.due
    }

    /// Whether a halt has begun.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The adapter is about to be initialized again.
    pub(crate) fn open(&mut self) {
        self.closed = false;
    }
}

impl Adapter {
    /// Waits until nothing of NDIS's runs in the miniport; from then on nothing begins but a
    /// halt. The stack is paused and the caller's. IRQL = PASSIVE_LEVEL.
    pub(crate) fn close_for_halt(&'static self) {
        // Callbacks that completed the pause may still be on their way out, and OIDs on theirs in.
        sched::wait("the quiet of an adapter", || self.try_close(), None);
    }

    fn try_close(&'static self) -> bool {
        let idle = self.oids.with(|queue| queue.is_idle());
        self.state.with(|state| {
            let quiet = state.indicating + state.in_miniport == 0;
            let quiet = quiet && idle && state.reset.is_idle();
            state.reset.closed |= quiet;
            quiet
        })
    }

    /// Reserves the right to call the miniport, unless a halt is near or it is in low power.
    fn enter(&'static self, reserve: impl FnOnce(&mut Reset)) -> bool {
        let live = matches!(
            self.phase(),
            AdapterState::Paused
                | AdapterState::Restarting
                | AdapterState::Running
                | AdapterState::Pausing
        );
        let live = live && !self.is_asleep() && !self.is_surprise_removed();
        self.state.with(|state| {
            let open = live && !state.reset.closed;
            if open {
                reserve(&mut state.reset);
            }
            open
        })
    }
}

/// An adapter has been initialized: asks every now and then whether it hangs, if its miniport
/// has a handler for that. IRQL = PASSIVE_LEVEL.
pub(crate) fn watch_for_hangs(adapter: &'static Adapter) {
    if !adapter.miniport.checks_for_hang() {
        return;
    }
    let registration = adapter.state.with(|state| state.declared.registration);
    let asked = registration.map_or(0, |given| given.CheckForHangTimeInSeconds);
    let seconds = if asked == 0 { DEFAULT_CHECK_S } else { asked };
    let period_ns = u64::from(seconds) * SECOND_NS;
    sched::spawn("check for hang", move || {
        let closed = || adapter.state.with(|state| state.reset.closed);
        while !sched::wait("the next check for hang", closed, Some(period_ns)) {
            check(adapter);
        }
    });
}

fn check(adapter: &'static Adapter) {
    if !adapter.enter(|reset| reset.checking = true) {
        return;
    }
    let hangs = callback(Callback::CheckForHang, adapter.handle, || {
        adapter.miniport.check_for_hang()
    });
    let first = adapter.state.with(|state| {
        state.reset.checking = false;
        hangs && !std::mem::replace(&mut state.reset.due, true)
    });
    if first {
        verifier::note(format!("{} hangs", adapter.name));
        run(adapter);
    }
}

/// Microsoft Learn, NdisMResetMiniport function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The reset runs in a system thread; a second request meanwhile is none.
pub(crate) unsafe extern "efiapi" fn request(adapter_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisMResetMiniport";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    start(adapter);
}

/// Begins a reset in a system thread, unless one runs. At or below DISPATCH.
pub(crate) fn start(adapter: &'static Adapter) {
    let mut first = false;
    adapter.enter(|reset| first = !std::mem::replace(&mut reset.due, true));
    if first {
        sched::spawn("reset of an adapter", move || run(adapter));
    }
}

fn run(adapter: &'static Adapter) {
    let before = Before::of(adapter);
    adapter
        .state
        .with(|state| state.reset.operation = Operation::Called);
    status::tell(adapter, NDIS_STATUS_RESET_START);
    let name = adapter.name.clone();
    let watchdog = Watchdog::on(308, RESET_LIMIT_NS, &adapter.name, move || {
        format!("{name}: the reset is not complete")
    });
    let (status, addressing) = call_miniport(adapter);
    drop(watchdog);
    before.judge(adapter, status);
    status::tell(adapter, NDIS_STATUS_RESET_END);
    if addressing {
        adapter
            .state
            .with(|state| state.filter.change(Wanted::default()));
        filter::refresh(adapter);
    }
    adapter.state.with(|state| {
        state.reset.operation = Operation::Idle;
        state.reset.due = false;
    });
}

/// MiniportResetEx; its final status, and whether addressing was reset.
fn call_miniport(adapter: &'static Adapter) -> (NDIS_STATUS, bool) {
    let mut addressing: BOOLEAN = FALSE;
    let returned = callback(Callback::Reset, adapter.handle, || {
        adapter.miniport.reset(&mut addressing)
    });
    let operation = || adapter.state.with(|state| state.reset.operation);
    if returned != NDIS_STATUS_PENDING {
        verifier::insist(71, operation() == Operation::Called, || {
            format!(
                "MiniportResetEx of {} returned {returned:#x} after NdisMResetComplete",
                adapter.name
            )
        });
        return (returned, addressing != FALSE);
    }
    let complete = || operation() != Operation::Called;
    sched::wait("NdisMResetComplete", complete, None);
    let addressing = adapter.state.with(|state| state.reset.addressing);
    match operation() {
        Operation::Completed(status) => (status, addressing),
        Operation::Idle | Operation::Called => (NDIS_STATUS_HARD_ERRORS, addressing),
    }
}

/// What a miniport had when its reset began.
struct Before {
    sends: Vec<(u64, u64)>,
    request: Option<usize>,
}

impl Before {
    fn of(adapter: &'static Adapter) -> Self {
        Self {
            sends: adapter.sends.with(|sends| sends.ages()),
            request: current_request(adapter),
        }
    }

    /// Rule 71: the status is one of the documented, and nothing from before is pending.
    fn judge(&self, adapter: &'static Adapter, status: NDIS_STATUS) {
        let name = &adapter.name;
        let known = [
            NDIS_STATUS_SUCCESS,
            NDIS_STATUS_RESET_IN_PROGRESS,
            NDIS_STATUS_SOFT_ERRORS,
            NDIS_STATUS_HARD_ERRORS,
        ];
        verifier::require(71, known.contains(&status), || {
            format!("the reset of {name} ends with {status:#x}")
        });
        if !adapter.driver.is_at_least(6, 30) {
            return;
        }
        let left = adapter.sends.with(|sends| sends.ages());
        let held = left.iter().filter(|age| self.sends.contains(age)).count();
        verifier::require(71, held == 0, || {
            format!("{held} sends on {name} from before its reset are still out")
        });
        let request = self
            .request
            .filter(|_| self.request == current_request(adapter));
        verifier::require(71, request.is_none(), || {
            format!("an OID request on {name} from before its reset is still pending")
        });
    }
}

fn current_request(adapter: &'static Adapter) -> Option<usize> {
    adapter.oids.with(|queue| {
        let pending = queue
            .current
            .filter(|current| current.outcome == Operation::Called);
        pending.map(|current| current.address)
    })
}

/// Microsoft Learn, NdisMResetComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete(
    adapter_handle: NDIS_HANDLE,
    status: NDIS_STATUS,
    addressing: BOOLEAN,
) {
    const CALL: &str = "NdisMResetComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let pending = adapter.state.with(|state| {
        let pending = state.reset.operation == Operation::Called;
        if pending {
            state.reset.operation = Operation::Completed(status);
            state.reset.addressing = addressing != FALSE;
        }
        pending
    });
    verifier::insist(71, pending, || {
        format!("{CALL}: no reset of {} is pending (7C/0F)", adapter.name)
    });
    let locks = crate::ntoskrnl::locks_held();
    verifier::require(71, locks == 0, || {
        format!("{CALL} by {} with {locks} spin locks held", adapter.name)
    });
}

/// The exports of ndis.sys that are about resets.
pub(super) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        ("NdisMResetMiniport", request as *const () as usize),
        ("NdisMResetComplete", complete as *const () as usize),
    ]
}
