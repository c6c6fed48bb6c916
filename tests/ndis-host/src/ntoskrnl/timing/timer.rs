//! Timers: `KTIMER`, which can be waited for and can queue a DPC.

use std::collections::BTreeMap;

use ndis_sys::{
    BOOLEAN, KDPC, KTIMER, LARGE_INTEGER, NotificationTimer, SynchronizationTimer, TIMER_TYPE,
};

use super::{dpc, time};
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::sync::{self, Kind, read_state, require};
use crate::ntoskrnl::{Table, enter, objects};
use crate::sched::{self, BatonCell, DISPATCH_LEVEL, EventId, HIGH_LEVEL};
use crate::verifier;

const KINDS: [Kind; 2] = [Kind::NotificationTimer, Kind::SynchronizationTimer];
/// Nanoseconds of a millisecond.
const MILLISECOND_NS: u64 = 1_000_000;

/// The timers that are set, with the expiry that they wait for.
static SET: BatonCell<BTreeMap<usize, EventId>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "KeInitializeTimer" => ke_initialize_timer,
        "KeInitializeTimerEx" => ke_initialize_timer_ex,
        "KeSetTimer" => ke_set_timer,
        "KeSetTimerEx" => ke_set_timer_ex,
        "KeSetCoalescableTimer" => ke_set_coalescable_timer,
        "KeCancelTimer" => ke_cancel_timer,
        "KeReadStateTimer" => ke_read_state_timer,
    }
}

/// `KeInitializeTimer`: makes a notification timer. At DISPATCH or below.
///
/// # Safety
///
/// `timer` must be writable.
unsafe extern "efiapi" fn ke_initialize_timer(timer: *mut KTIMER) {
    // SAFETY: as the caller promises.
    unsafe { ke_initialize_timer_ex(timer, NotificationTimer) };
}

/// `KeInitializeTimerEx`: makes a timer that is not set. At DISPATCH or below.
///
/// # Safety
///
/// `timer` must be writable.
unsafe extern "efiapi" fn ke_initialize_timer_ex(timer: *mut KTIMER, kind: TIMER_TYPE) {
    const CALL: &str = "KeInitializeTimerEx";
    enter(CALL, DISPATCH_LEVEL);
    objects::require_none(timer.addr(), size_of::<KTIMER>(), || {
        format!("{CALL} of the memory at {} (0xC7)", describe(timer.addr()))
    });
    let kind = match kind {
        NotificationTimer => Kind::NotificationTimer,
        SynchronizationTimer => Kind::SynchronizationTimer,
        _ => verifier::fatal(215, format!("{CALL}: there is no timer type {kind}")),
    };
    // SAFETY: as the caller promises.
    unsafe { sync::initialize(timer.cast(), kind, 0) };
    // SAFETY: as the caller promises.
    let timer = unsafe { &mut *timer };
    timer.DueTime = 0;
    timer.Dpc = std::ptr::null_mut();
    timer.Processor = 0;
    timer.Period = 0;
}

/// `KeSetTimer`: lets a timer expire once; true when it was set already. At DISPATCH or below.
///
/// # Safety
///
/// `timer` must point to a timer, `dpc` to a DPC or nowhere; both stay valid until the timer has
/// expired or is cancelled.
unsafe extern "efiapi" fn ke_set_timer(
    timer: *mut KTIMER,
    due_time: LARGE_INTEGER,
    dpc: *mut KDPC,
) -> BOOLEAN {
    // SAFETY: as the caller promises.
    unsafe { ke_set_timer_ex(timer, due_time, 0, dpc) }
}

/// `KeSetCoalescableTimer`: the same, with a tolerance, of which no use is made here.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn ke_set_coalescable_timer(
    timer: *mut KTIMER,
    due_time: LARGE_INTEGER,
    period_ms: u32,
    _tolerable_delay_ms: u32,
    dpc: *mut KDPC,
) -> BOOLEAN {
    // SAFETY: as the caller promises.
    unsafe { ke_set_timer_ex(timer, due_time, period_ms as i32, dpc) }
}

/// `KeSetTimerEx`: lets a timer expire once or, with a period, again and again; true when it was
/// set already. At DISPATCH or below.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn ke_set_timer_ex(
    timer: *mut KTIMER,
    due_time: LARGE_INTEGER,
    period_ms: i32,
    dpc: *mut KDPC,
) -> BOOLEAN {
    const CALL: &str = "KeSetTimerEx";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { require(timer.cast(), CALL, &KINDS) };
    let was_set = take_event(timer.addr());
    let due_ns = sched::now().saturating_add(time::relative_ns(due_time));
    // SAFETY: as the caller promises.
    unsafe { sync::set_state(timer.cast(), 0) };
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *timer };
    value.DueTime = time::interrupt_time() + time::relative_ns(due_time) / 100;
    value.Dpc = dpc;
    value.Period = u32::try_from(period_ms).unwrap_or(0);
    arm(timer.expose_provenance(), due_ns);
    BOOLEAN::from(was_set)
}

fn arm(address: usize, due_ns: u64) {
    // SAFETY: the timer stays valid until it has expired.
    let event = sched::at(due_ns, move || unsafe { expire(address) });
    SET.with(|set| set.insert(address, event));
    objects::hold(address, size_of::<KTIMER>(), "a timer that is set");
}

/// Signals a timer and queues its DPC, on whichever processor the clock interrupted.
///
/// # Safety
///
/// There must be a timer at the address.
unsafe fn expire(address: usize) {
    take_event(address);
    let timer: *mut KTIMER = std::ptr::with_exposed_provenance_mut(address);
    // SAFETY: as the caller promises.
    let KTIMER { Dpc, Period, .. } = unsafe { *timer };
    // SAFETY: as the caller promises.
    unsafe { sync::write_state(timer.cast(), 1) };
    if Period != 0 {
        arm(address, sched::now() + u64::from(Period) * MILLISECOND_NS);
    }
    if !Dpc.is_null() {
        let now = time::system_time() as usize;
        let (low, high) = (now & 0xFFFF_FFFF, now >> 32);
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        let argument = std::ptr::without_provenance_mut;
        // SAFETY: the driver gave this DPC with the timer.
        unsafe { dpc::queue(Dpc, argument(low), argument(high), cpu) };
    }
}

/// Ends the setting of a timer; true when it was set.
fn take_event(address: usize) -> bool {
    let event = SET.with(|set| set.remove(&address));
    if let Some(event) = event {
        sched::cancel(event);
        objects::let_go(address);
    }
    event.is_some()
}

/// `KeCancelTimer`: takes a timer back; false when it was not set. A DPC that is queued already
/// stays queued. At DISPATCH or below.
///
/// # Safety
///
/// `timer` must point to a timer.
unsafe extern "efiapi" fn ke_cancel_timer(timer: *mut KTIMER) -> BOOLEAN {
    const CALL: &str = "KeCancelTimer";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { require(timer.cast(), CALL, &KINDS) };
    BOOLEAN::from(take_event(timer.addr()))
}

/// `KeReadStateTimer`: whether a timer has expired. Any level.
///
/// # Safety
///
/// `timer` must point to a timer.
unsafe extern "efiapi" fn ke_read_state_timer(timer: *mut KTIMER) -> BOOLEAN {
    const CALL: &str = "KeReadStateTimer";
    enter(CALL, HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { require(timer.cast(), CALL, &KINDS) };
    // SAFETY: as the caller promises.
    BOOLEAN::from(unsafe { read_state(timer.cast()) } > 0)
}
