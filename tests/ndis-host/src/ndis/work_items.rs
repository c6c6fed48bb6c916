//! I/O work items: routines that run at PASSIVE in a system thread.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{NDIS_HANDLE, NDIS_IO_WORKITEM_FUNCTION};

use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::faults;
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::rw_locks;
use crate::sched::{self, BatonCell};
use crate::{ntoskrnl, verifier};

/// A work item.
pub(crate) struct WorkItem {
    handle: u64,
    owner: u64,
    module: ModuleId,
    queued: BatonCell<bool>,
}

impl Object for WorkItem {
    const KIND: Kind = Kind::WorkItem;
}

static ITEMS: BatonCell<Vec<&'static WorkItem>> = BatonCell::new(Vec::new());
/// Routines that run now, by the module whose code they are.
static RUNNING: BatonCell<Vec<ModuleId>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisAllocateIoWorkItem function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate(ndis_object: NDIS_HANDLE) -> NDIS_HANDLE {
    const CALL: &str = "NdisAllocateIoWorkItem";
    import(CALL, Level::UpToDispatch);
    let owner = handles::number(ndis_object);
    let allowed = matches!(
        handles::kind_of(owner),
        Some(Kind::Adapter | Kind::MiniportDriver | Kind::ControlDevice)
    );
    verifier::require(207, allowed, || {
        format!("{CALL}: {ndis_object:p} is no adapter, miniport driver or device handle")
    });
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let item = handles::create(|handle| WorkItem {
        handle,
        owner,
        module: modules::of_handle(owner),
        queued: BatonCell::new(false),
    });
    ITEMS.with(|items| items.push(item));
    handles::raw(item.handle)
}

/// Microsoft Learn, NdisQueueIoWorkItem function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn queue(
    work_item: NDIS_HANDLE,
    routine: Option<NDIS_IO_WORKITEM_FUNCTION>,
    context: *mut c_void,
) {
    const CALL: &str = "NdisQueueIoWorkItem";
    import(CALL, Level::UpToDispatch);
    let item: &'static WorkItem = handles::resolve(work_item, CALL);
    let Some(routine) = routine else {
        verifier::fatal(207, format!("{CALL}: no routine"));
    };
    let was_queued = item.queued.with(|queued| std::mem::replace(queued, true));
    verifier::insist(207, !was_queued, || {
        format!("{CALL}: the work item is queued already")
    });
    let context = context.expose_provenance();
    sched::spawn("work item", move || run(item, routine, context));
    sched::point();
}

fn run(item: &'static WorkItem, routine: NDIS_IO_WORKITEM_FUNCTION, context: usize) {
    item.queued.with(|queued| *queued = false);
    RUNNING.with(|running| running.push(item.module));
    callback(Callback::WorkItem, item.handle, || {
        let context = ptr::with_exposed_provenance_mut(context);
        // SAFETY: the driver queued the routine with this context.
        sched::in_driver(|| unsafe { routine(context, handles::raw(item.handle)) });
        check_return();
    });
    RUNNING.with(|running| {
        if let Some(index) = running.iter().position(|module| *module == item.module) {
            running.swap_remove(index);
        }
    });
}

/// Rule 208: a routine returns at PASSIVE and holds no lock.
fn check_return() {
    let (irql, locks) = (sched::irql(), ntoskrnl::locks_held() + rw_locks::held());
    verifier::insist(208, irql == sched::PASSIVE_LEVEL && locks == 0, || {
        format!("a work item returns at level {irql} with {locks} locks held")
    });
}

/// Microsoft Learn, NdisFreeIoWorkItem function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(work_item: NDIS_HANDLE) {
    const CALL: &str = "NdisFreeIoWorkItem";
    import(CALL, Level::UpToDispatch);
    let item: &'static WorkItem = handles::resolve(work_item, CALL);
    let queued = item.queued.with(|queued| *queued);
    verifier::insist(207, !queued, || format!("{CALL}: the work item is queued"));
    ITEMS.with(|items| items.retain(|other| other.handle != item.handle));
    handles::close(item.handle, CALL);
}

/// Work items allocated with `owner`, in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    ITEMS.with(|items| {
        let of_owner = items.iter().filter(|item| item.owner == owner);
        of_owner
            .map(|item| format!("work item {:#x}", item.handle))
            .collect()
    })
}

/// Work items charged to a module, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    ITEMS.with(|items| {
        let of_module = items.iter().filter(|item| item.module == module);
        of_module
            .map(|item| format!("work item {:#x}", item.handle))
            .collect()
    })
}

/// Whether a routine of the module's work items runs: its code must not be unmapped under it.
///
/// IoQueueWorkItem holds a reference to the device object, so Windows waits as well.
pub(crate) fn is_running(module: ModuleId) -> bool {
    RUNNING.with(|running| running.contains(&module))
}
