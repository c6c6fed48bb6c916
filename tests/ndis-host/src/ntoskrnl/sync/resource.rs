//! Executive resources: `ERESOURCE`, held by one writer or by many readers, each more than once.
//!
//! Who holds one is kept here; the driver's structure is only the name of it.

use std::collections::BTreeMap;
use std::ffi::c_void;

use ndis_sys::{BOOLEAN, NTSTATUS, STATUS_SUCCESS};

use super::critical_region::apcs_are_off;
use super::wait::refuse_held_locks;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter, objects};
use crate::sched::{self, APC_LEVEL, BatonCell, DISPATCH_LEVEL, ThreadId};
use crate::verifier;

/// Size of an ERESOURCE on a 64-bit system.
const SIZE: usize = 104;

/// Who holds a resource, and how often.
#[derive(Default)]
struct Resource {
    is_exclusive: bool,
    holders: BTreeMap<ThreadId, u32>,
}

static RESOURCES: BatonCell<BTreeMap<usize, Resource>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "ExInitializeResourceLite" => initialize,
        "ExReinitializeResourceLite" => reinitialize,
        "ExDeleteResourceLite" => delete,
        "ExAcquireResourceExclusiveLite" => acquire_exclusive,
        "ExAcquireResourceSharedLite" => acquire_shared,
        "ExConvertExclusiveToSharedLite" => convert,
        "ExReleaseResourceLite" => release,
        "ExIsResourceAcquiredExclusiveLite" => is_exclusive,
        "ExIsResourceAcquiredSharedLite" => is_shared,
    }
}

/// `ExInitializeResourceLite`: makes a resource that nobody holds. At DISPATCH or below.
///
/// # Safety
///
/// `resource` must be writable.
unsafe extern "efiapi" fn initialize(resource: *mut c_void) -> NTSTATUS {
    const CALL: &str = "ExInitializeResourceLite";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { resource.cast::<u8>().write_bytes(0, SIZE) };
    let before = RESOURCES.with(|all| all.insert(resource.addr(), Resource::default()));
    verifier::insist(215, before.is_none(), || {
        let place = describe(resource.addr());
        format!("{CALL}: the resource at {place} was not deleted")
    });
    objects::hold(resource.addr(), SIZE, "a resource that was not deleted");
    STATUS_SUCCESS
}

/// `ExReinitializeResourceLite`: makes a resource like a new one. At DISPATCH or below.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn reinitialize(resource: *mut c_void) -> NTSTATUS {
    enter("ExReinitializeResourceLite", DISPATCH_LEVEL);
    with("ExReinitializeResourceLite", resource, |state| {
        *state = Resource::default();
    });
    STATUS_SUCCESS
}

/// `ExDeleteResourceLite`: the end of a resource that nobody holds. At DISPATCH or below.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn delete(resource: *mut c_void) -> NTSTATUS {
    const CALL: &str = "ExDeleteResourceLite";
    enter(CALL, DISPATCH_LEVEL);
    let is_held = with(CALL, resource, |state| !state.holders.is_empty());
    verifier::insist(215, !is_held, || {
        let place = describe(resource.addr());
        format!("{CALL}: the resource at {place} is held")
    });
    RESOURCES.with(|all| all.remove(&resource.addr()));
    objects::let_go(resource.addr());
    STATUS_SUCCESS
}

/// `ExAcquireResourceExclusiveLite`: takes the resource alone; false when it would have to wait and
/// may not. At APC or below, with procedure calls held off.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn acquire_exclusive(resource: *mut c_void, wait: BOOLEAN) -> BOOLEAN {
    acquire("ExAcquireResourceExclusiveLite", resource, wait != 0, true)
}

/// `ExAcquireResourceSharedLite`: the same, with other readers.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn acquire_shared(resource: *mut c_void, wait: BOOLEAN) -> BOOLEAN {
    acquire("ExAcquireResourceSharedLite", resource, wait != 0, false)
}

fn acquire(
    routine: &'static str,
    resource: *mut c_void,
    may_wait: bool,
    exclusive: bool,
) -> BOOLEAN {
    enter(routine, APC_LEVEL);
    verifier::require(79, apcs_are_off(), || {
        format!("{routine} called with procedure calls enabled (0xC4/37)")
    });
    let me = sched::current_thread();
    with(routine, resource, |_| {});
    let address = resource.addr();
    let ready = move || {
        RESOURCES.with(|all| {
            all.get_mut(&address)
                .is_some_and(|state| state.take(me, exclusive))
        })
    };
    let timeout = if may_wait {
        refuse_held_locks(routine);
        None
    } else {
        Some(0)
    };
    BOOLEAN::from(sched::wait("an ERESOURCE", ready, timeout))
}

impl Resource {
    fn take(&mut self, thread: ThreadId, exclusive: bool) -> bool {
        let is_mine_alone = self.holders.len() == 1 && self.holders.contains_key(&thread);
        let is_free = self.holders.is_empty()
            || (is_mine_alone && self.is_exclusive)
            || (!exclusive && !self.is_exclusive);
        if is_free {
            self.is_exclusive |= exclusive;
            *self.holders.entry(thread).or_insert(0) += 1;
        }
        is_free
    }
}

/// `ExConvertExclusiveToSharedLite`: lets other readers in. At DISPATCH or below.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn convert(resource: *mut c_void) {
    const CALL: &str = "ExConvertExclusiveToSharedLite";
    enter(CALL, DISPATCH_LEVEL);
    let me = sched::current_thread();
    let is_mine = with(CALL, resource, |state| {
        let is_mine = state.is_exclusive && state.holders.contains_key(&me);
        state.is_exclusive &= !is_mine;
        is_mine
    });
    verifier::insist(215, is_mine, || {
        format!("{CALL}: the caller is not the writer")
    });
}

/// `ExReleaseResourceLite`: gives one acquisition back. At DISPATCH or below, by its holder.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn release(resource: *mut c_void) {
    const CALL: &str = "ExReleaseResourceLite";
    enter(CALL, DISPATCH_LEVEL);
    let me = sched::current_thread();
    let is_mine = with(CALL, resource, |state| {
        let Some(times) = state.holders.get_mut(&me) else {
            return false;
        };
        *times -= 1;
        if *times == 0 {
            state.holders.remove(&me);
        }
        state.is_exclusive &= !state.holders.is_empty();
        true
    });
    verifier::insist(215, is_mine, || {
        let place = describe(resource.addr());
        format!("{CALL}: the caller does not hold the resource at {place} (0xE3)")
    });
}

/// `ExIsResourceAcquiredExclusiveLite`: whether the caller is the writer. At DISPATCH or below.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn is_exclusive(resource: *mut c_void) -> BOOLEAN {
    const CALL: &str = "ExIsResourceAcquiredExclusiveLite";
    enter(CALL, DISPATCH_LEVEL);
    let me = sched::current_thread();
    let is_writer = with(CALL, resource, |state| {
        state.is_exclusive && state.holders.contains_key(&me)
    });
    BOOLEAN::from(is_writer)
}

/// `ExIsResourceAcquiredSharedLite`: how often the caller holds the resource. At DISPATCH or below.
///
/// # Safety
///
/// `resource` must point to a resource.
unsafe extern "efiapi" fn is_shared(resource: *mut c_void) -> u32 {
    const CALL: &str = "ExIsResourceAcquiredSharedLite";
    enter(CALL, DISPATCH_LEVEL);
    let me = sched::current_thread();
    with(CALL, resource, |state| {
        state.holders.get(&me).copied().unwrap_or(0)
    })
}

/// Opens the state of a resource; one that was not initialised is a fatal breach of rule 215.
fn with<R>(routine: &str, resource: *mut c_void, body: impl FnOnce(&mut Resource) -> R) -> R {
    let result = RESOURCES.with(|all| all.get_mut(&resource.addr()).map(body));
    result.unwrap_or_else(|| {
        let place = describe(resource.addr());
        verifier::fatal(215, format!("{routine}: no resource at {place}"))
    })
}
