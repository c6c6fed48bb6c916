//! Work items of a device object: routines that run at PASSIVE in a system thread.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use ndis_sys::DEVICE_OBJECT;

use crate::ntoskrnl::enter;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL};
use crate::verifier;

type Routine = unsafe extern "efiapi" fn(*mut DEVICE_OBJECT, *mut c_void);
type RoutineEx = unsafe extern "efiapi" fn(*mut c_void, *mut c_void, *mut c_void);

struct Item {
    device: usize,
    driver: usize,
    queued: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Plain(Routine),
    Ex(RoutineEx),
}

static ITEMS: BatonCell<BTreeMap<usize, Item>> = BatonCell::new(BTreeMap::new());
static LAST: BatonCell<usize> = BatonCell::new(0);
/// No canonical address begins like this: nobody looks behind the handle.
const TAG: usize = 0x5749 << 48;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("IoAllocateWorkItem", allocate as *const ()),
        ("IoQueueWorkItem", queue as *const ()),
        ("IoQueueWorkItemEx", queue_ex as *const ()),
        ("IoFreeWorkItem", free as *const ()),
    ]
}

/// Items that a driver has not freed, in words.
pub(super) fn leaks_of(driver: usize) -> Vec<String> {
    let count = ITEMS.with(|items| items.values().filter(|item| item.driver == driver).count());
    match count {
        0 => Vec::new(),
        count => vec![format!("{count} work items of the I/O manager")],
    }
}

/// `IoAllocateWorkItem`. At DISPATCH or below.
///
/// # Safety
///
/// A live device object of the caller's driver.
unsafe extern "efiapi" fn allocate(device: *mut DEVICE_OBJECT) -> *mut c_void {
    enter("IoAllocateWorkItem", DISPATCH_LEVEL);
    let handle = LAST.with(|last| {
        *last += 16;
        TAG | *last
    });
    // SAFETY: by contract.
    let driver = unsafe { (*device).DriverObject.addr() };
    let item = Item {
        device: device.expose_provenance(),
        driver,
        queued: false,
    };
    ITEMS.with(|items| items.insert(handle, item));
    ptr::without_provenance_mut(handle)
}

unsafe extern "efiapi" fn queue(
    item: *mut c_void,
    routine: Routine,
    _queue: i32,
    context: *mut c_void,
) {
    enter("IoQueueWorkItem", DISPATCH_LEVEL);
    start(item, Body::Plain(routine), context);
}

unsafe extern "efiapi" fn queue_ex(
    item: *mut c_void,
    routine: RoutineEx,
    _queue: i32,
    context: *mut c_void,
) {
    enter("IoQueueWorkItemEx", DISPATCH_LEVEL);
    start(item, Body::Ex(routine), context);
}

fn start(item: *mut c_void, body: Body, context: *mut c_void) {
    let handle = item.addr();
    let queued = ITEMS.with(|items| {
        let item = items.get_mut(&handle)?;
        Some((std::mem::replace(&mut item.queued, true), item.device))
    });
    let Some((false, device)) = queued else {
        verifier::fatal(
            215,
            format!("work item {handle:#x} is queued already, or is none (0xC4/CB)"),
        );
    };
    let context = context.expose_provenance();
    sched::spawn("work item of a device", move || {
        ITEMS.with(|items| {
            if let Some(item) = items.get_mut(&handle) {
                item.queued = false;
            }
        });
        let context = ptr::with_exposed_provenance_mut(context);
        let device: *mut DEVICE_OBJECT = ptr::with_exposed_provenance_mut(device);
        // SAFETY: the driver queued the routine with this context; the device object stays.
        sched::in_driver(|| unsafe {
            match body {
                Body::Plain(routine) => routine(device, context),
                Body::Ex(routine) => {
                    routine(device.cast(), context, ptr::without_provenance_mut(handle));
                }
            }
        });
    });
    sched::point();
}

unsafe extern "efiapi" fn free(item: *mut c_void) {
    enter("IoFreeWorkItem", DISPATCH_LEVEL);
    let freed = ITEMS.with(|items| items.remove(&item.addr()));
    let idle = freed.is_some_and(|item| !item.queued);
    verifier::insist(215, idle, || {
        format!("IoFreeWorkItem: {item:p} is queued, or is none (0xC4/CB)")
    });
}
