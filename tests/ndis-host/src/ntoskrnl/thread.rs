//! System threads.
//!
//! A thread is an object that lives as long as anybody refers to it: the thread itself while it
//! runs, and each handle and pointer. Threads that the host started have no object.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::{
    HANDLE, KPROCESSOR_MODE, KSTART_ROUTINE, NTSTATUS, OBJECT_ATTRIBUTES, PASSIVE_LEVEL,
    STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER, STATUS_NO_MEMORY, STATUS_OBJECT_TYPE_MISMATCH,
    STATUS_SUCCESS,
};

use super::memory::describe;
use super::pool::caller_of;
use super::sync::{self, Kind};
use super::{KernelCallback, Table, enter, handle, locks};
use crate::memory;
use crate::ndis::call::{Callback, callback};
use crate::ndis::faults;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL, HIGH_LEVEL, ThreadId};
use crate::verifier;

/// Bytes of a thread object; drivers see none of them.
const OBJECT_BYTES: usize = 1024;
/// Priority of a new system thread.
const NORMAL_PRIORITY: i32 = 8;
/// Lowest and highest priority that a thread can be given.
const PRIORITIES: std::ops::RangeInclusive<i32> = 1..=31;

struct Thread {
    /// The driver whose code it runs.
    owner: &'static str,
    /// `None` until it has run for the first time.
    id: Option<ThreadId>,
    priority: i32,
    has_ended: bool,
    references: usize,
}

/// Threads by the address of their object.
static THREADS: BatonCell<BTreeMap<usize, Thread>> = BatonCell::new(BTreeMap::new());

/// An object type; only its address counts.
struct ObjectType(#[expect(dead_code, reason = "drivers compare its address")] u64);

/// The type of threads.
static THREAD_TYPE: ObjectType = ObjectType(0);

/// What the exported variable `PsThreadType` holds: the address of the type.
struct Variable(&'static ObjectType);

static PS_THREAD_TYPE: Variable = Variable(&THREAD_TYPE);

pub(super) fn exports() -> Table {
    let mut all: Table = exports! {
        "PsCreateSystemThread" => ps_create_system_thread,
        "PsTerminateSystemThread" => ps_terminate_system_thread,
        "KeSetPriorityThread" => ke_set_priority_thread,
        "KeQueryPriorityThread" => ke_query_priority_thread,
        "ObReferenceObjectByHandle" => ob_reference_object_by_handle,
        "ObfReferenceObject" => obf_reference_object,
        "ObfDereferenceObject" => obf_dereference_object,
    };
    all.push(("PsThreadType", (&raw const PS_THREAD_TYPE.0).cast()));
    all
}

/// The threads of a driver that have not ended, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    THREADS.with(|threads| {
        let of_owner = threads
            .values()
            .filter(|thread| thread.owner == owner && !thread.has_ended);
        of_owner.map(|_| "a system thread".to_owned()).collect()
    })
}

/// `PsCreateSystemThread`: starts a thread at PASSIVE and opens a handle to it. At PASSIVE.
///
/// # Safety
///
/// `handle` must be writable, `attributes` null or readable; the routine must be the body of a
/// thread.
unsafe extern "efiapi" fn ps_create_system_thread(
    handle: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
    _process: HANDLE,
    _client: *mut c_void,
    routine: Option<KSTART_ROUTINE>,
    context: *mut c_void,
) -> NTSTATUS {
    const CALL: &str = "PsCreateSystemThread";
    enter(CALL, PASSIVE_LEVEL);
    let Some(routine) = routine else {
        verifier::breach(215, format!("{CALL}: no StartRoutine"));
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: as the caller promises.
    let is_kernels = unsafe { attributes.as_ref() }
        .is_some_and(|given| given.Attributes & ndis_sys::OBJ_KERNEL_HANDLE != 0);
    if !is_kernels {
        verifier::advice(215, format!("{CALL} without OBJ_KERNEL_HANDLE"));
    }
    if faults::allocation_fails(CALL) {
        return STATUS_NO_MEMORY;
    }
    let Some(object) = new_object(caller_of(routine as usize).0) else {
        return STATUS_NO_MEMORY;
    };
    let context = context.expose_provenance();
    let opened = handle::open_thread(object);
    sched::spawn("system thread", move || run(object, routine, context));
    // SAFETY: as the caller promises.
    unsafe { handle.write(opened) };
    sched::point();
    STATUS_SUCCESS
}

/// Makes the object of a thread, with a reference for the thread and one for its handle.
fn new_object(owner: &'static str) -> Option<usize> {
    let memory = memory::allocate(OBJECT_BYTES, 64)?;
    // SAFETY: fresh memory of that size.
    unsafe { memory.as_ptr().write_bytes(0, OBJECT_BYTES) };
    // SAFETY: fresh memory that is large enough.
    unsafe { sync::initialize(memory.as_ptr().cast(), Kind::Thread, 0) };
    let object = memory.as_ptr().expose_provenance();
    let thread = Thread {
        owner,
        id: None,
        priority: NORMAL_PRIORITY,
        has_ended: false,
        references: 2,
    };
    THREADS.with(|threads| threads.insert(object, thread));
    Some(object)
}

fn run(object: usize, routine: KSTART_ROUTINE, context: usize) {
    let me = sched::current_thread();
    THREADS.with(|threads| {
        if let Some(thread) = threads.get_mut(&object) {
            thread.id = Some(me);
        }
    });
    callback(
        Callback::Kernel(KernelCallback::Thread),
        object as u64,
        || {
            // SAFETY: the driver gave this routine and its context.
            sched::in_driver(|| unsafe {
                routine(std::ptr::with_exposed_provenance_mut(context));
            });
        },
    );
    end(object);
}

/// Signals the object of a thread that ends.
fn end(object: usize) {
    sync::check_end_of_thread();
    THREADS.with(|threads| {
        if let Some(thread) = threads.get_mut(&object) {
            thread.has_ended = true;
        }
    });
    // SAFETY: the thread's own reference keeps the object.
    unsafe { sync::set_state(std::ptr::with_exposed_provenance_mut(object), 1) };
    dereference("the end of a thread", object);
}

/// `PsTerminateSystemThread`: ends the calling system thread and does not return. For another
/// thread STATUS_INVALID_PARAMETER. At PASSIVE.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ps_terminate_system_thread(_status: NTSTATUS) -> NTSTATUS {
    const CALL: &str = "PsTerminateSystemThread";
    enter(CALL, PASSIVE_LEVEL);
    let me = sched::current_thread();
    let object = THREADS.with(|threads| {
        let mut mine = threads.iter().filter(|(_, thread)| thread.id == Some(me));
        mine.next().map(|(object, _)| *object)
    });
    let Some(object) = object else {
        return STATUS_INVALID_PARAMETER;
    };
    verifier::insist(210, locks::locks_held() == 0, || {
        format!("{CALL} with a spin lock held")
    });
    end(object);
    sched::exit_thread()
}

/// `KeSetPriorityThread`: sets the priority, of which no use is made here; returns the old one. At
/// PASSIVE.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_set_priority_thread(thread: *mut c_void, priority: i32) -> i32 {
    const CALL: &str = "KeSetPriorityThread";
    enter(CALL, PASSIVE_LEVEL);
    verifier::insist(215, PRIORITIES.contains(&priority), || {
        format!("{CALL}: priority {priority}")
    });
    with(CALL, thread.addr(), |thread| {
        std::mem::replace(&mut thread.priority, priority)
    })
}

/// `KeQueryPriorityThread`: the priority. At DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_query_priority_thread(thread: *mut c_void) -> i32 {
    const CALL: &str = "KeQueryPriorityThread";
    enter(CALL, DISPATCH_LEVEL);
    with(CALL, thread.addr(), |thread| thread.priority)
}

/// `ObReferenceObjectByHandle`: a pointer to the object behind a handle, with a reference. Threads
/// only: other objects are not reached by pointers here. At PASSIVE.
///
/// # Safety
///
/// `object` must be writable.
unsafe extern "efiapi" fn ob_reference_object_by_handle(
    handle: HANDLE,
    _access: u32,
    object_type: *mut c_void,
    _mode: KPROCESSOR_MODE,
    object: *mut *mut c_void,
    _information: *mut c_void,
) -> NTSTATUS {
    const CALL: &str = "ObReferenceObjectByHandle";
    enter(CALL, PASSIVE_LEVEL);
    let Some(found) = handle::thread(handle) else {
        let is_open = handle::path(handle).is_some();
        return if is_open {
            STATUS_OBJECT_TYPE_MISMATCH
        } else {
            STATUS_INVALID_HANDLE
        };
    };
    let is_thread = object_type.is_null() || object_type.addr() == (&raw const THREAD_TYPE).addr();
    if !is_thread {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    with(CALL, found, |thread| thread.references += 1);
    // SAFETY: as the caller promises.
    unsafe { object.write(std::ptr::with_exposed_provenance_mut(found)) };
    STATUS_SUCCESS
}

/// `ObfReferenceObject`: one more reference; returns their number. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn obf_reference_object(object: *mut c_void) -> isize {
    enter("ObfReferenceObject", HIGH_LEVEL);
    with("ObfReferenceObject", object.addr(), |thread| {
        thread.references += 1;
        thread.references as isize
    })
}

/// `ObfDereferenceObject`: one reference less; returns their number. At DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn obf_dereference_object(object: *mut c_void) -> isize {
    enter("ObfDereferenceObject", DISPATCH_LEVEL);
    dereference("ObfDereferenceObject", object.addr()) as isize
}

/// Gives the reference of a closed handle back.
pub(super) fn handle_closed(object: usize) {
    dereference("ZwClose", object);
}

fn dereference(routine: &str, object: usize) -> usize {
    let left = with(routine, object, |thread| {
        thread.references -= 1;
        thread.references
    });
    // The memory is not given back: a pointer that is used once more must be recognised.
    if left == 0 {
        THREADS.with(|threads| threads.remove(&object));
    }
    left
}

/// Opens a thread; an address that is none, any more, is a fatal breach of rule 215.
fn with<R>(routine: &str, object: usize, body: impl FnOnce(&mut Thread) -> R) -> R {
    let result = THREADS.with(|threads| threads.get_mut(&object).map(body));
    result.unwrap_or_else(|| {
        let place = describe(object);
        verifier::fatal(215, format!("{routine}: no object at {place} (0x18)"))
    })
}
