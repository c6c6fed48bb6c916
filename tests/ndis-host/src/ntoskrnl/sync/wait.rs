//! Waits for one or for several objects.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, DISPATCHER_HEADER, KPROCESSOR_MODE, KWAIT_REASON, LARGE_INTEGER, NTSTATUS,
    STATUS_SUCCESS, STATUS_TIMEOUT,
};

use super::dispatcher::{self, Kind};
use crate::ntoskrnl::{Table, locks, objects, require_at_most, time};
use crate::sched::{self, DISPATCH_LEVEL, ThreadId};
use crate::verifier;

/// `WaitAll`: the wait ends when all objects admit it. `WaitAny` is 1.
const WAIT_ALL: i32 = 0;
/// Objects for which a thread has wait blocks of its own.
const THREAD_WAIT_OBJECTS: u32 = 3;
/// Most objects of one wait.
const MAXIMUM_WAIT_OBJECTS: u32 = 64;

pub(super) fn exports() -> Table {
    exports! {
        "KeWaitForSingleObject" => ke_wait_for_single_object,
        "KeWaitForMutexObject" => ke_wait_for_single_object,
        "KeWaitForMultipleObjects" => ke_wait_for_multiple_objects,
    }
}

type Object = (*mut DISPATCHER_HEADER, Kind);

/// `KeWaitForSingleObject`: STATUS_SUCCESS, or STATUS_TIMEOUT. At APC or below; at DISPATCH with a
/// timeout of zero (rule 84). A wait is never alerted here.
///
/// # Safety
///
/// `object` must point to an object that stays valid during the wait; `timeout` must be null or
/// readable.
unsafe extern "efiapi" fn ke_wait_for_single_object(
    object: *mut c_void,
    _wait_reason: KWAIT_REASON,
    _wait_mode: KPROCESSOR_MODE,
    _alertable: BOOLEAN,
    timeout: *mut LARGE_INTEGER,
) -> NTSTATUS {
    const CALL: &str = "KeWaitForSingleObject";
    sched::point();
    let header = object.cast::<DISPATCHER_HEADER>();
    // SAFETY: as the caller promises.
    let kind = unsafe { dispatcher::kind_of(header, CALL) };
    // SAFETY: as the caller promises.
    let timeout = unsafe { check_timeout(CALL, timeout) };
    let thread = sched::current_thread();
    let ready = || {
        // SAFETY: the object stays valid during the wait.
        unsafe { try_one((header, kind), thread) }
    };
    let held = wait(&[(header, kind)], kind.name(), ready, timeout);
    if held { STATUS_SUCCESS } else { STATUS_TIMEOUT }
}

/// `KeWaitForMultipleObjects`: for one of them, whose index is returned, or for all. Levels as
/// above. More than three objects need a wait block for each.
///
/// # Safety
///
/// `objects` must point to `count` pointers, each to an object that stays valid during the wait;
/// `timeout` must be null or readable.
unsafe extern "efiapi" fn ke_wait_for_multiple_objects(
    count: u32,
    objects: *mut *mut c_void,
    wait_type: i32,
    _wait_reason: KWAIT_REASON,
    _wait_mode: KPROCESSOR_MODE,
    _alertable: BOOLEAN,
    timeout: *mut LARGE_INTEGER,
    wait_blocks: *mut c_void,
) -> NTSTATUS {
    const CALL: &str = "KeWaitForMultipleObjects";
    sched::point();
    let has_blocks = count <= THREAD_WAIT_OBJECTS || !wait_blocks.is_null();
    verifier::insist(84, has_blocks && count <= MAXIMUM_WAIT_OBJECTS, || {
        format!("{CALL}: {count} objects, wait blocks at {wait_blocks:p} (bug check 0xC)")
    });
    // SAFETY: as the caller promises.
    let pointers = unsafe { std::slice::from_raw_parts(objects, count as usize) };
    let all: Vec<Object> = pointers
        .iter()
        .map(|object| {
            let header = object.cast::<DISPATCHER_HEADER>();
            // SAFETY: as the caller promises.
            (header, unsafe { dispatcher::kind_of(header, CALL) })
        })
        .collect();
    // SAFETY: as the caller promises.
    let timeout = unsafe { check_timeout(CALL, timeout) };
    let thread = sched::current_thread();
    let mut index = 0;
    let ready = || {
        // SAFETY: the objects stay valid during the wait.
        let found = unsafe { try_many(&all, wait_type == WAIT_ALL, thread) };
        index = found.unwrap_or(0);
        found.is_some()
    };
    let held = wait(&all, "several objects", ready, timeout);
    if held {
        index as NTSTATUS
    } else {
        STATUS_TIMEOUT
    }
}

/// The time until a wait runs out, and the level check of a wait that cannot block.
///
/// # Safety
///
/// `timeout` must be null or readable.
unsafe fn check_timeout(routine: &str, timeout: *mut LARGE_INTEGER) -> Option<u64> {
    // SAFETY: as the caller promises.
    let timeout = unsafe { timeout.as_ref() }.map(|timeout| time::relative_ns(*timeout));
    if timeout == Some(0) {
        require_at_most(&format!("{routine} without waiting"), DISPATCH_LEVEL, 84);
    }
    timeout
}

/// Waits; the objects are in use meanwhile.
fn wait(
    waited: &[Object],
    what: &'static str,
    ready: impl FnMut() -> bool,
    timeout: Option<u64>,
) -> bool {
    if timeout != Some(0) {
        refuse_held_locks(what);
    }
    for (header, kind) in waited {
        objects::hold(
            header.addr(),
            kind.size(),
            "an object that a thread waits for",
        );
    }
    let held = sched::wait(what, ready, timeout);
    for (header, _) in waited {
        objects::let_go(header.addr());
    }
    held
}

/// Rule 85: who blocks holds no spin lock. At DISPATCH the wait itself is the breach.
pub(super) fn refuse_held_locks(what: &str) {
    let is_low = sched::irql() < DISPATCH_LEVEL;
    verifier::insist(85, !is_low || locks::locks_held() == 0, || {
        format!("blocking wait ({what}) with a spin lock held (0xC4/1000)")
    });
}

/// Takes an object if it admits the thread; tells whether it did.
///
/// # Safety
///
/// The object must be valid.
unsafe fn try_one((header, kind): Object, thread: ThreadId) -> bool {
    // SAFETY: as the caller promises.
    let admits = unsafe { dispatcher::admits(header, kind, thread) };
    if admits {
        // SAFETY: as the caller promises.
        unsafe { dispatcher::consume(header, kind, thread) };
    }
    admits
}

/// Takes all objects, or one of those that admit the thread: whichever, decided by the seed. The
/// index of that one, 0 for all.
///
/// # Safety
///
/// The objects must be valid.
unsafe fn try_many(all: &[Object], wants_all: bool, thread: ThreadId) -> Option<usize> {
    let admitting: Vec<usize> = (0..all.len())
        .filter(|index| {
            let (header, kind) = all[*index];
            // SAFETY: as the caller promises.
            unsafe { dispatcher::admits(header, kind, thread) }
        })
        .collect();
    if wants_all {
        let is_complete = admitting.len() == all.len();
        return is_complete.then(|| {
            for (header, kind) in all {
                // SAFETY: as the caller promises.
                unsafe { dispatcher::consume(*header, *kind, thread) };
            }
            0
        });
    }
    let chosen = match admitting.len() {
        0 => return None,
        1 => 0,
        several => sched::random_below(several as u64) as usize,
    };
    let (header, kind) = all[admitting[chosen]];
    // SAFETY: as the caller promises.
    unsafe { dispatcher::consume(header, kind, thread) };
    Some(admitting[chosen])
}
