//! Requests on their way down and up a stack of devices (Microsoft Learn, "Completing IRPs").

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, DEVICE_OBJECT, IO_STACK_LOCATION, IO_STATUS_BLOCK, IRP, IRP_MJ_DEVICE_CONTROL, KIRQL,
    NTSTATUS, SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS, SL_PENDING_RETURNED,
    STATUS_PENDING,
};

use super::{devices, irp};
use crate::ntoskrnl::enter;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL};
use crate::verifier;

/// STATUS_MORE_PROCESSING_REQUIRED.
const MORE_PROCESSING_REQUIRED: NTSTATUS = 0xC000_0016_u32 as NTSTATUS;
/// STATUS_INVALID_DEVICE_REQUEST.
const INVALID_DEVICE_REQUEST: NTSTATUS = 0xC000_0010_u32 as NTSTATUS;
/// IRP_MJ_INTERNAL_DEVICE_CONTROL.
const INTERNAL_DEVICE_CONTROL: u8 = 0x0f;

type CompletionRoutine =
    unsafe extern "efiapi" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void) -> NTSTATUS;
type CancelRoutine = unsafe extern "efiapi" fn(*mut DEVICE_OBJECT, *mut IRP);

/// Packets whose last completion routine has run, and who waits for them takes them out.
static COMPLETED: BatonCell<Vec<usize>> = BatonCell::new(Vec::new());

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("IofCallDriver", call_driver as *const ()),
        ("IofCompleteRequest", complete_request as *const ()),
        ("PoCallDriver", call_driver as *const ()),
        ("PoStartNextPowerIrp", start_next_power_irp as *const ()),
        ("IoCancelIrp", cancel as *const ()),
        ("IoAcquireCancelSpinLock", acquire_cancel_lock as *const ()),
        ("IoReleaseCancelSpinLock", release_cancel_lock as *const ()),
        (
            "IoBuildDeviceIoControlRequest",
            build_control_request as *const (),
        ),
        ("IoIs32bitProcess", is_32bit_process as *const ()),
    ]
}

/// Passes a request to a device; what its dispatch routine returns.
///
/// # Safety
///
/// Device and packet are live.
pub(super) unsafe fn send(device: *mut DEVICE_OBJECT, request: *mut IRP) -> NTSTATUS {
    // SAFETY: by contract.
    unsafe {
        let next = (*request).CurrentLocation - 1;
        verifier::insist(215, next > 0, || {
            format!("IofCallDriver: {request:p} has no stack location left (0x35)")
        });
        irp::set_location(request, next);
        let location = irp::location(request, next);
        (*location).DeviceObject = device;
        let major = (*location).MajorFunction;
        let Some(routine) = devices::dispatch_of(device, major) else {
            (*request).IoStatus.Status = INVALID_DEVICE_REQUEST;
            (*request).IoStatus.Information = 0;
            complete(request);
            return INVALID_DEVICE_REQUEST;
        };
        let status = sched::call_at(sched::irql(), "a dispatch routine", || {
            sched::in_driver(|| routine(device, request.cast()))
        });
        check_answer(request, location, status);
        status
    }
}

/// Driver Verifier's rules of I/O: a request that is kept was marked pending, and the status that
/// a dispatch routine returns is the one that it completed with.
unsafe fn check_answer(request: *mut IRP, location: *mut IO_STACK_LOCATION, status: NTSTATUS) {
    if !irp::is_live(request) {
        return;
    }
    // SAFETY: the packet is live, and so are its locations.
    let marked = unsafe { (*location).Control & SL_PENDING_RETURNED != 0 };
    verifier::require(15, marked == (status == STATUS_PENDING), || {
        format!("a dispatch routine returned {status:#x}; marked pending: {marked}")
    });
    if is_completed(request) && status != STATUS_PENDING {
        // SAFETY: as above.
        let completed = unsafe { (*request).IoStatus.Status };
        verifier::require(15, completed == status, || {
            format!("a dispatch routine returned {status:#x} and completed with {completed:#x}")
        });
    }
}

/// Whether the last completion routine of a packet has run.
pub(super) fn is_completed(request: *mut IRP) -> bool {
    COMPLETED.with(|completed| completed.contains(&request.addr()))
}

/// Forgets that a packet is completed, before it is freed.
pub(super) fn forget(request: *mut IRP) {
    COMPLETED.with(|completed| completed.retain(|other| *other != request.addr()));
}

/// Takes a request up its stack: every driver that asked to be told is.
///
/// # Safety
///
/// The packet is live and belongs to the caller.
unsafe fn complete(request: *mut IRP) {
    // SAFETY: by contract; the locations are those of the packet.
    unsafe {
        let count = (*request).StackCount;
        verifier::insist(215, (*request).CurrentLocation <= count, || {
            format!("IofCompleteRequest: {request:p} is completed twice (0x44)")
        });
        verifier::insist(15, (*request).CancelRoutine.is_null(), || {
            format!("IofCompleteRequest: {request:p} has a cancel routine still (0xC9)")
        });
        let pending = (*request).IoStatus.Status == STATUS_PENDING;
        verifier::require(15, !pending, || {
            format!("IofCompleteRequest: {request:p} with PENDING")
        });
        while (*request).CurrentLocation <= count {
            let location = irp::location(request, (*request).CurrentLocation);
            let above = (*request).CurrentLocation + 1;
            irp::set_location(request, above);
            (*request).PendingReturned =
                BOOLEAN::from((*location).Control & SL_PENDING_RETURNED != 0);
            if wants_to_know(request, location) {
                let device = if above <= count {
                    (*irp::location(request, above)).DeviceObject
                } else {
                    std::ptr::null_mut()
                };
                if call_completion(location, device, request) == MORE_PROCESSING_REQUIRED {
                    return;
                }
            } else if (*request).PendingReturned != 0 && above <= count {
                (*irp::location(request, above)).Control |= SL_PENDING_RETURNED;
            }
        }
        finish(request);
    }
}

unsafe fn wants_to_know(request: *mut IRP, location: *mut IO_STACK_LOCATION) -> bool {
    // SAFETY: by the callers' contract.
    unsafe {
        let wanted = if (*request).Cancel != 0 {
            SL_INVOKE_ON_CANCEL
        } else {
            0
        };
        let wanted = wanted
            | if (*request).IoStatus.Status >= 0 {
                SL_INVOKE_ON_SUCCESS
            } else {
                SL_INVOKE_ON_ERROR
            };
        !(*location).CompletionRoutine.is_null() && (*location).Control & wanted != 0
    }
}

unsafe fn call_completion(
    location: *mut IO_STACK_LOCATION,
    device: *mut DEVICE_OBJECT,
    request: *mut IRP,
) -> NTSTATUS {
    // SAFETY: a driver put the routine there.
    unsafe {
        let routine: CompletionRoutine = std::mem::transmute((*location).CompletionRoutine);
        let context = (*location).Context;
        sched::call_at(sched::irql(), "a completion routine", || {
            sched::in_driver(|| routine(device, request, context))
        })
    }
}

unsafe fn finish(request: *mut IRP) {
    // SAFETY: the packet is live; the caller of the request keeps both places until then.
    unsafe {
        if !(*request).UserIosb.is_null() {
            (*request).UserIosb.write((*request).IoStatus);
        }
        let event = (*request).UserEvent;
        COMPLETED.with(|completed| completed.push(request.addr()));
        if !event.is_null() {
            crate::ntoskrnl::set_event(event.cast());
            // A request that a driver built is the I/O manager's to free.
            forget(request);
            irp::free(request);
        }
    }
}

/// `IofCallDriver`, `PoCallDriver`. At DISPATCH or below.
///
/// # Safety
///
/// Device and packet are live.
unsafe extern "efiapi" fn call_driver(device: *mut DEVICE_OBJECT, request: *mut IRP) -> NTSTATUS {
    enter("IofCallDriver", DISPATCH_LEVEL);
    // SAFETY: by contract.
    unsafe { send(device, request) }
}

/// `IofCompleteRequest`. At DISPATCH or below.
///
/// # Safety
///
/// The packet is live and the caller's.
unsafe extern "efiapi" fn complete_request(request: *mut IRP, _boost: i8) {
    enter("IofCompleteRequest", DISPATCH_LEVEL);
    verifier::insist(215, irp::is_live(request), || {
        format!("IofCompleteRequest: {request:p} is no IRP (0x44)")
    });
    // SAFETY: by contract.
    unsafe { complete(request) }
}

/// `PoStartNextPowerIrp`: nothing to do since Windows Vista. At DISPATCH or below.
unsafe extern "efiapi" fn start_next_power_irp(_request: *mut IRP) {
    enter("PoStartNextPowerIrp", DISPATCH_LEVEL);
}

/// Level before the cancel spin lock was taken, while it is held.
static CANCEL_LOCK: BatonCell<Option<KIRQL>> = BatonCell::new(None);

unsafe extern "efiapi" fn acquire_cancel_lock(irql: *mut KIRQL) {
    enter("IoAcquireCancelSpinLock", DISPATCH_LEVEL);
    let before = take_cancel_lock();
    // SAFETY: the caller gives a place for the level.
    unsafe { irql.write(before) };
}

fn take_cancel_lock() -> KIRQL {
    let before = sched::raise(DISPATCH_LEVEL);
    sched::spin("the cancel spin lock", || {
        CANCEL_LOCK.with(|held| held.is_none())
    });
    CANCEL_LOCK.with(|held| *held = Some(before));
    before
}

unsafe extern "efiapi" fn release_cancel_lock(irql: KIRQL) {
    enter("IoReleaseCancelSpinLock", DISPATCH_LEVEL);
    let held = CANCEL_LOCK.with(Option::take);
    verifier::insist(211, held.is_some(), || {
        "IoReleaseCancelSpinLock: the lock is not held".to_owned()
    });
    sched::lower(irql);
}

/// `IoCancelIrp`: marks a request cancelled and calls its cancel routine, which releases the
/// cancel spin lock; whether there was one. At DISPATCH or below.
///
/// # Safety
///
/// The packet is live.
pub(super) unsafe extern "efiapi" fn cancel(request: *mut IRP) -> BOOLEAN {
    enter("IoCancelIrp", DISPATCH_LEVEL);
    let before = take_cancel_lock();
    // SAFETY: by contract.
    unsafe {
        (*request).Cancel = 1;
        let routine = std::mem::replace(&mut (*request).CancelRoutine, std::ptr::null_mut());
        if routine.is_null() {
            release_cancel_lock(before);
            return 0;
        }
        (*request).CancelIrql = before;
        let current = irp::location(request, (*request).CurrentLocation);
        let device = (*current).DeviceObject;
        let routine: CancelRoutine = std::mem::transmute(routine);
        sched::in_driver(|| routine(device, request));
    }
    verifier::require(211, CANCEL_LOCK.with(|held| held.is_none()), || {
        "a cancel routine returned with the cancel spin lock held".to_owned()
    });
    1
}

/// Fills the first location of a control request.
///
/// # Safety
///
/// The packet is fresh, with a location.
pub(super) unsafe fn describe_control(
    request: *mut IRP,
    major: u8,
    code: u32,
    input: u32,
    output: u32,
) {
    // SAFETY: by contract: the next location is the one before the current.
    unsafe {
        let location = irp::location(request, (*request).CurrentLocation - 1);
        (*location).MajorFunction = major;
        (*location).IoControlCode = code;
        (*location).InputBufferLength = input;
        (*location).OutputBufferLength = output;
    }
}

/// `IoBuildDeviceIoControlRequest`, for buffered requests and those that pass pointers on; null
/// for direct I/O, as when memory is short. At PASSIVE.
///
/// # Safety
///
/// The buffers, the event and the status block are the caller's until the request is complete.
unsafe extern "efiapi" fn build_control_request(
    code: u32,
    device: *mut DEVICE_OBJECT,
    input: *mut c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    internal: BOOLEAN,
    event: *mut c_void,
    status: *mut IO_STATUS_BLOCK,
) -> *mut IRP {
    const METHOD_NEITHER: u32 = 3;
    enter("IoBuildDeviceIoControlRequest", sched::PASSIVE_LEVEL);
    if code & 3 != METHOD_NEITHER {
        verifier::note(
            "IoBuildDeviceIoControlRequest: buffers are passed on by METHOD_NEITHER only",
        );
        return std::ptr::null_mut();
    }
    let major = if internal == 0 {
        IRP_MJ_DEVICE_CONTROL
    } else {
        INTERNAL_DEVICE_CONTROL
    };
    // SAFETY: by contract.
    unsafe {
        let request = irp::allocate((*device).StackSize, "the I/O manager");
        describe_control(request, major, code, input_length, output_length);
        let location = irp::location(request, (*request).CurrentLocation - 1);
        (*location).Type3InputBuffer = input;
        (*request).UserBuffer = output;
        (*request).UserEvent = event;
        (*request).UserIosb = status;
        request
    }
}

/// `IoIs32bitProcess`: the programs of this machine are of 64 bits. At DISPATCH or below.
unsafe extern "efiapi" fn is_32bit_process(_request: *mut IRP) -> BOOLEAN {
    enter("IoIs32bitProcess", DISPATCH_LEVEL);
    0
}
