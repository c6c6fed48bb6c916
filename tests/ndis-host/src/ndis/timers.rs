//! Timer objects.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, LARGE_INTEGER, NDIS_HANDLE, NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
    NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_BAD_CHARACTERISTICS,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_TIMER_CHARACTERISTICS,
    NDIS_TIMER_CHARACTERISTICS_REVISION_1, NDIS_TIMER_FUNCTION,
};

use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::{dpc, faults, header};
use crate::sched::{self, BatonCell, EventId};
use crate::verifier;

/// Nanoseconds in the system's unit of time.
const TICK_NS: u64 = 100;
const MILLISECOND_NS: u64 = 1_000_000;

/// A timer.
pub(crate) struct Timer {
    handle: u64,
    owner: u64,
    module: ModuleId,
    function: NDIS_TIMER_FUNCTION,
    default_context: usize,
    state: BatonCell<State>,
}

#[derive(Default)]
struct State {
    /// The expiry that the timer waits for.
    event: Option<EventId>,
    period_ns: u64,
    context: usize,
    running: u32,
}

impl Object for Timer {
    const KIND: Kind = Kind::Timer;
}

static TIMERS: BatonCell<Vec<&'static Timer>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisAllocateTimerObject function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn allocate(
    ndis_handle: NDIS_HANDLE,
    characteristics: *mut NDIS_TIMER_CHARACTERISTICS,
    timer_object: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisAllocateTimerObject";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let characteristics = unsafe { *characteristics };
    header::check(
        CALL,
        characteristics.Header,
        NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS,
        &[(
            NDIS_TIMER_CHARACTERISTICS_REVISION_1,
            NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1,
        )],
    );
    let tagged = characteristics.AllocationTag != 0;
    verifier::require(204, tagged, || format!("{CALL}: AllocationTag is zero"));
    let Some(function) = characteristics.TimerFunction else {
        verifier::breach(204, format!("{CALL}: no TimerFunction"));
        return NDIS_STATUS_BAD_CHARACTERISTICS;
    };
    let owner = handles::number(ndis_handle);
    let module = modules::of_handle(owner);
    verifier::require(204, module != modules::UNKNOWN, || {
        format!("{CALL}: {ndis_handle:p} is no adapter, filter or driver handle")
    });
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let timer = handles::create(|handle| Timer {
        handle,
        owner,
        module,
        function,
        default_context: characteristics.FunctionContext.addr(),
        state: BatonCell::new(State::default()),
    });
    TIMERS.with(|timers| timers.push(timer));
    // SAFETY: the caller's contract.
    unsafe { *timer_object = handles::raw(timer.handle) };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisSetTimerObject function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn set(
    timer_object: NDIS_HANDLE,
    due_time: LARGE_INTEGER,
    period_ms: i32,
    context: *mut c_void,
) -> BOOLEAN {
    start(
        "NdisSetTimerObject",
        timer_object,
        due_time,
        period_ms,
        context,
        0,
    )
}

/// Microsoft Learn, NdisSetCoalescableTimerObject function (ndis.h): the timer may expire up to
/// `tolerance_ms` later. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn set_coalescable(
    timer_object: NDIS_HANDLE,
    due_time: LARGE_INTEGER,
    period_ms: i32,
    context: *mut c_void,
    tolerance_ms: u32,
) -> BOOLEAN {
    let late = sched::random_below(u64::from(tolerance_ms) + 1) * MILLISECOND_NS;
    start(
        "NdisSetCoalescableTimerObject",
        timer_object,
        due_time,
        period_ms,
        context,
        late,
    )
}

fn start(
    call: &str,
    timer_object: NDIS_HANDLE,
    due_time: LARGE_INTEGER,
    period_ms: i32,
    context: *mut c_void,
    late_ns: u64,
) -> BOOLEAN {
    import(call, Level::UpToDispatch);
    let timer: &'static Timer = handles::resolve(timer_object, call);
    verifier::require(204, period_ms >= 0, || {
        format!("{call}: MillisecondsPeriod {period_ms}")
    });
    let was_queued = timer.take_event();
    let context = if context.is_null() {
        timer.default_context
    } else {
        context.addr()
    };
    timer.state.with(|state| {
        state.context = context;
        state.period_ns = u64::try_from(period_ms).unwrap_or(0) * MILLISECOND_NS;
    });
    // Virtual time is the system time: an absolute time is one since the start of the run.
    let due_ns = due_time.unsigned_abs().saturating_mul(TICK_NS);
    let due_ns = if due_time < 0 {
        sched::now().saturating_add(due_ns)
    } else {
        due_ns
    };
    timer.arm(due_ns.saturating_add(late_ns));
    sched::point();
    BOOLEAN::from(was_queued)
}

/// Microsoft Learn, NdisCancelTimerObject function (ndis.h). IRQL <= DISPATCH_LEVEL; PASSIVE for
/// a periodic timer, whose callback has ended when the call returns.
pub(crate) unsafe extern "efiapi" fn cancel(timer_object: NDIS_HANDLE) -> BOOLEAN {
    const CALL: &str = "NdisCancelTimerObject";
    import(CALL, Level::UpToDispatch);
    let timer: &'static Timer = handles::resolve(timer_object, CALL);
    let was_queued = timer.take_event();
    let periodic = timer
        .state
        .with(|state| std::mem::take(&mut state.period_ns))
        != 0;
    if periodic {
        let irql = sched::irql();
        verifier::insist(205, irql == sched::PASSIVE_LEVEL, || {
            format!("{CALL}: a periodic timer is cancelled at level {irql}")
        });
        sched::wait("flush of a periodic timer", || !timer.is_in_flight(), None);
    }
    BOOLEAN::from(was_queued)
}

/// Microsoft Learn, NdisFreeTimerObject function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(timer_object: NDIS_HANDLE) {
    const CALL: &str = "NdisFreeTimerObject";
    import(CALL, Level::UpToDispatch);
    let timer: &'static Timer = handles::resolve(timer_object, CALL);
    let queued = timer.state.with(|state| state.event.is_some());
    verifier::insist(206, !queued, || format!("{CALL}: the timer is queued"));
    verifier::insist(206, !timer.is_in_flight(), || {
        format!("{CALL}: the callback of the timer is queued or running")
    });
    TIMERS.with(|timers| timers.retain(|other| other.handle != timer.handle));
    handles::close(timer.handle, CALL);
}

impl Timer {
    /// Takes the timer out of the queue; false when it was not queued.
    fn take_event(&'static self) -> bool {
        let event = self.state.with(|state| state.event.take());
        event.is_some_and(sched::cancel)
    }

    fn arm(&'static self, due_ns: u64) {
        let event = sched::at(due_ns, move || self.expire(due_ns));
        self.state.with(|state| state.event = Some(event));
    }

    /// World event: the time has come. The callback runs as a DPC on a CPU of the seed's choice.
    fn expire(&'static self, due_ns: u64) {
        let period_ns = self.state.with(|state| {
            state.event = None;
            state.period_ns
        });
        if period_ns > 0 {
            self.arm(due_ns.saturating_add(period_ns));
        }
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        sched::queue_dpc(cpu, self.dpc(), move || self.run());
    }

    fn run(&'static self) {
        let context = self.state.with(|state| {
            state.running += 1;
            state.context
        });
        let context = std::ptr::with_exposed_provenance_mut(context);
        let reserved = std::ptr::null_mut();
        callback(Callback::Timer, self.handle, || {
            // SAFETY: the driver registered the function, and the timer has not been freed.
            sched::in_driver(|| unsafe { (self.function)(reserved, context, reserved, reserved) })
        });
        self.state.with(|state| state.running -= 1);
    }

    /// Whether the callback is queued or running.
    fn is_in_flight(&'static self) -> bool {
        sched::is_dpc_active(self.dpc()) || self.state.with(|state| state.running > 0)
    }

    fn dpc(&self) -> sched::DpcId {
        dpc::id(dpc::Source::Timer, self.handle)
    }
}

/// Timers allocated with `owner` (an adapter or driver handle), in words; armed ones say so.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    let timers = TIMERS.with(|timers| timers.clone());
    timers
        .iter()
        .filter(|timer| timer.owner == owner)
        .map(|timer| timer.describe())
        .collect()
}

/// Timers charged to a module, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    let timers = TIMERS.with(|timers| timers.clone());
    timers
        .iter()
        .filter(|timer| timer.module == module)
        .map(|timer| timer.describe())
        .collect()
}

/// Whether a timer allocated with `owner` is still queued.
pub(crate) fn is_any_armed(owner: u64) -> bool {
    let timers = TIMERS.with(|timers| timers.clone());
    timers
        .iter()
        .any(|t| t.owner == owner && t.state.with(|state| state.event.is_some()))
}

impl Timer {
    fn describe(&'static self) -> String {
        let armed = self.state.with(|state| state.event.is_some());
        let suffix = if armed { ", still armed" } else { "" };
        format!("timer {:#x}{suffix}", self.handle)
    }
}
