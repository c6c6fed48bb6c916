//! Timers of `ExAllocateTimer`: the kernel's own objects, with a callback.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::{BOOLEAN, EXT_CALLBACK, EXT_DELETE_CALLBACK, EXT_DELETE_PARAMETERS, KTIMER};

use super::{dpc, time};
use crate::memory;
use crate::ndis::call::{Callback, callback};
use crate::ndis::faults;
use crate::ntoskrnl::pool::caller_of;
use crate::ntoskrnl::sync::{self, Kind};
use crate::ntoskrnl::{KernelCallback, Table, enter, require_at_most};
use crate::sched::{self, APC_LEVEL, BatonCell, DISPATCH_LEVEL, EventId};
use crate::verifier;

/// `EX_TIMER_HIGH_RESOLUTION`.
const HIGH_RESOLUTION: u32 = 4;
/// `EX_TIMER_NO_WAKE`.
const NO_WAKE: u32 = 8;
/// `EX_TIMER_NOTIFICATION`: threads that wait for the timer are all let through.
const NOTIFICATION: u32 = 1 << 31;

#[derive(Clone, Copy)]
struct Timer {
    owner: &'static str,
    callback: Option<EXT_CALLBACK>,
    context: usize,
    /// The expiry that it waits for.
    event: Option<EventId>,
    period_ns: u64,
    /// Callbacks that are queued or run.
    calls: u32,
    /// Set by ExDeleteTimer: what to call when it is gone.
    deletion: Option<Option<(EXT_DELETE_CALLBACK, usize)>>,
}

static TIMERS: BatonCell<BTreeMap<usize, Timer>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "ExAllocateTimer" => ex_allocate_timer,
        "ExSetTimer" => ex_set_timer,
        "ExCancelTimer" => ex_cancel_timer,
        "ExDeleteTimer" => ex_delete_timer,
    }
}

/// The timers that a driver has not deleted, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    TIMERS.with(|timers| {
        let of_owner = timers.values().filter(|timer| timer.owner == owner);
        of_owner
            .map(|_| "a timer of ExAllocateTimer".to_owned())
            .collect()
    })
}

/// `ExAllocateTimer`: makes a timer that is not set; null when there is no memory. At DISPATCH or
/// below. Passes its return address on, which tells whose it is.
///
/// # Safety
///
/// To be called by a driver's code, with the Windows calling convention.
#[unsafe(naked)]
unsafe extern "efiapi" fn ex_allocate_timer(
    _callback: Option<EXT_CALLBACK>,
    _context: *mut c_void,
    _attributes: u32,
) -> *mut c_void {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym allocate)
}

extern "efiapi" fn allocate(
    callback: Option<EXT_CALLBACK>,
    context: *mut c_void,
    attributes: u32,
    caller: usize,
) -> *mut c_void {
    const CALL: &str = "ExAllocateTimer";
    enter(CALL, DISPATCH_LEVEL);
    let known = HIGH_RESOLUTION | NO_WAKE | NOTIFICATION;
    let is_clear = attributes & HIGH_RESOLUTION == 0 || attributes & NO_WAKE == 0;
    verifier::require(215, attributes & !known == 0 && is_clear, || {
        format!("{CALL}: attributes {attributes:#x}")
    });
    if faults::allocation_fails(CALL) {
        return std::ptr::null_mut();
    }
    let Some(memory) = memory::allocate(size_of::<KTIMER>(), 64) else {
        return std::ptr::null_mut();
    };
    let kind = if attributes & NOTIFICATION == 0 {
        Kind::SynchronizationTimer
    } else {
        Kind::NotificationTimer
    };
    // SAFETY: fresh memory of that size.
    unsafe { sync::initialize(memory.as_ptr().cast(), kind, 0) };
    let timer = Timer {
        owner: caller_of(caller).0,
        callback,
        context: context.expose_provenance(),
        event: None,
        period_ns: 0,
        calls: 0,
        deletion: None,
    };
    TIMERS.with(|timers| timers.insert(memory.as_ptr().expose_provenance(), timer));
    memory.as_ptr().cast()
}

/// Opens a timer; one that is not there, or is being deleted, is a fatal breach of rule 215.
fn with<R>(routine: &str, timer: *mut c_void, body: impl FnOnce(&mut Timer) -> R) -> R {
    let result = TIMERS.with(|timers| {
        let timer = timers.get_mut(&timer.addr());
        timer.filter(|timer| timer.deletion.is_none()).map(body)
    });
    result.unwrap_or_else(|| {
        verifier::fatal(
            215,
            format!("{routine}: {timer:p} is no timer, or was deleted"),
        )
    })
}

/// `ExSetTimer`: lets a timer expire once or, with a period, again and again; true when it was set
/// already. Times in units of 100 ns. At DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ex_set_timer(
    timer: *mut c_void,
    due_time: i64,
    period: i64,
    _parameters: *mut c_void,
) -> BOOLEAN {
    const CALL: &str = "ExSetTimer";
    enter(CALL, DISPATCH_LEVEL);
    let was_set = take_event(CALL, timer);
    verifier::require(215, period >= 0, || format!("{CALL}: a period of {period}"));
    let period_ns = u64::try_from(period).unwrap_or(0).saturating_mul(100);
    with(CALL, timer, |timer| timer.period_ns = period_ns);
    // SAFETY: the timer is there.
    unsafe { sync::set_state(timer.cast(), 0) };
    arm(
        timer.addr(),
        sched::now().saturating_add(time::relative_ns(due_time)),
    );
    BOOLEAN::from(was_set)
}

fn arm(address: usize, due_ns: u64) {
    let event = sched::at(due_ns, move || expire(address));
    TIMERS.with(|timers| {
        if let Some(timer) = timers.get_mut(&address) {
            timer.event = Some(event);
        }
    });
}

/// Signals a timer and queues its callback.
fn expire(address: usize) {
    let timer = TIMERS.with(|timers| {
        timers.get_mut(&address).map(|timer| {
            timer.event = None;
            *timer
        })
    });
    let Some(timer) = timer else { return };
    let header = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: the timer is there.
    unsafe { sync::write_state(header, 1) };
    if timer.period_ns != 0 {
        arm(address, sched::now() + timer.period_ns);
    }
    if timer.callback.is_some() {
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        if sched::queue_dpc(cpu, dpc::id(address), move || run(address)) {
            count_calls(address, |calls| calls + 1);
        }
    }
}

fn count_calls(address: usize, change: impl FnOnce(u32) -> u32) {
    TIMERS.with(|timers| {
        if let Some(timer) = timers.get_mut(&address) {
            timer.calls = change(timer.calls);
        }
    });
}

/// Calls the callback of a timer.
fn run(address: usize) {
    let timer = TIMERS.with(|timers| timers.get(&address).copied());
    if let Some((routine, timer)) = timer.and_then(|timer| Some((timer.callback?, timer))) {
        let raw = std::ptr::with_exposed_provenance_mut(address);
        let context = std::ptr::with_exposed_provenance_mut(timer.context);
        callback(
            Callback::Kernel(KernelCallback::ExTimer),
            address as u64,
            || {
                // SAFETY: the driver gave this routine and its context.
                sched::in_driver(|| unsafe { routine(raw, context) })
            },
        );
    }
    count_calls(address, |calls| calls - 1);
    end_if_deleted(address);
}

/// Ends the setting of a timer; true when it was set.
fn take_event(routine: &str, timer: *mut c_void) -> bool {
    let event = with(routine, timer, |timer| timer.event.take());
    event.is_some_and(sched::cancel)
}

/// `ExCancelTimer`: takes a timer back; false when it was not set. At DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ex_cancel_timer(timer: *mut c_void, _parameters: *mut c_void) -> BOOLEAN {
    enter("ExCancelTimer", DISPATCH_LEVEL);
    BOOLEAN::from(take_event("ExCancelTimer", timer))
}

/// `ExDeleteTimer`: the end of a timer, after its last callback; true when `cancel` took a setting
/// back. With `wait` it returns only then, at APC or below; else at DISPATCH or below.
///
/// # Safety
///
/// `parameters` must be null or readable.
unsafe extern "efiapi" fn ex_delete_timer(
    timer: *mut c_void,
    cancel: BOOLEAN,
    wait: BOOLEAN,
    parameters: *mut EXT_DELETE_PARAMETERS,
) -> BOOLEAN {
    const CALL: &str = "ExDeleteTimer";
    enter(CALL, DISPATCH_LEVEL);
    if wait != 0 {
        require_at_most("ExDeleteTimer(Wait = TRUE)", APC_LEVEL, 84);
        verifier::require(215, cancel != 0, || format!("{CALL}: Wait without Cancel"));
    }
    let was_set = cancel != 0 && take_event(CALL, timer);
    // SAFETY: as the caller promises.
    let parameters = unsafe { parameters.as_ref() };
    let gone = parameters.and_then(|given| {
        let context = given.DeleteContext.expose_provenance();
        given.DeleteCallback.map(|gone| (gone, context))
    });
    with(CALL, timer, |timer| {
        // Without Cancel a timer that is set expires once more.
        timer.period_ns = 0;
        timer.deletion = Some(gone);
    });
    let address = timer.addr();
    end_if_deleted(address);
    if wait != 0 {
        let is_gone = || TIMERS.with(|timers| !timers.contains_key(&address));
        sched::wait(CALL, is_gone, None);
    }
    BOOLEAN::from(was_set)
}

/// Forgets a deleted timer that is neither set nor running, and says so.
fn end_if_deleted(address: usize) {
    let gone = TIMERS.with(|timers| {
        let timer = timers.get(&address)?;
        let deletion = timer.deletion?;
        let is_idle = timer.event.is_none() && timer.calls == 0;
        is_idle.then(|| {
            timers.remove(&address);
            deletion
        })
    });
    // The memory is not given back: a handle that is used once more must be recognised.
    if let Some(Some((routine, context))) = gone {
        let context = std::ptr::with_exposed_provenance_mut(context);
        let kind = KernelCallback::TimerDeleted;
        callback(Callback::Kernel(kind), address as u64, || {
            // SAFETY: the driver gave this routine and its context.
            sched::in_driver(|| unsafe { routine(context) })
        });
    }
}
