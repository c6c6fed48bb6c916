//! 1.A, rule 15: control devices, from the program's side and the driver's.

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use ndis_host::ntoskrnl::io::security::Who;
use ndis_host::ntoskrnl::io::user;
use ndis_host::pnp;
use ndis_host::registry::utf16;
use ndis_host::sched;
use ndis_sys::{
    DEVICE_OBJECT, DRIVER_DISPATCH, DRIVER_OBJECT, IO_STACK_LOCATION, IRP, IRP_MJ_CLEANUP,
    IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_MAXIMUM_FUNCTION,
    NDIS_DEVICE_OBJECT_ATTRIBUTES, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES,
    NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1, NDIS_STATUS, NDIS_STATUS_SUCCESS, NDIS_STRING,
    NTSTATUS, STATUS_ACCESS_DENIED, STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS,
    UNICODE_STRING, Zeroed,
};

use crate::native::linked::{self, import};
use crate::native::{breaks, holds};

/// A buffered control code of a network device.
const ECHO: u32 = 0x12 << 16 | 0x800 << 2;
/// The same, for files that may be read, and written.
const ECHO_TO_READERS: u32 = ECHO | 1 << 14;
const ECHO_TO_WRITERS: u32 = ECHO | 2 << 14;
/// The system may do everything, administrators may read.
const SECURITY: &str = "D:P(A;;GA;;;SY)(A;;GR;;;BA)";

/// What the driver does wrong.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LeaveDevice,
    ForgetRequest,
    ReturnAnother,
    CompleteTwice,
    AnswerTooMuch,
    MalformedSecurity,
}

static FAULT: AtomicU32 = AtomicU32::new(0);
static DEVICE: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(std::ptr::null_mut());

fn is(fault: Fault) -> bool {
    FAULT.load(Ordering::Relaxed) == fault as u32
}

/// A program opens the device, has a few bytes echoed, and closes it.
fn run(fault: Fault) {
    FAULT.store(fault as u32, Ordering::Relaxed);
    let driver = pnp::load_linked_driver("test", enter).expect("it loads");
    let file = user::open(r"\\.\Echo").expect("the device is there");
    let (status, answer) = file.control(ECHO, b"hello", 16);
    assert_eq!(status, STATUS_SUCCESS);
    assert!(answer.starts_with(b"hello"), "{answer:?}");
    let (status, _) = file.control(ECHO + 4, b"hello", 16);
    assert_eq!(status, STATUS_NOT_SUPPORTED);
    file.close();
    pnp::unload_driver(driver);
    assert!(fault != Fault::None || user::open(r"\\.\Echo").is_err());
}

unsafe extern "efiapi" fn enter(object: *mut DRIVER_OBJECT, path: *mut UNICODE_STRING) -> NTSTATUS {
    let deregister_miniport = import!(NdisMDeregisterMiniportDriver: fn(NDIS_HANDLE));
    let mut characteristics = linked::miniport_characteristics();
    characteristics.UnloadHandler = Some(unload);
    // SAFETY: the arguments are those of DriverEntry.
    unsafe {
        match linked::register_miniport(object, path, characteristics) {
            Ok(driver) => {
                let status = add_device(driver);
                if status != STATUS_SUCCESS {
                    deregister_miniport(driver);
                }
                status
            }
            Err(status) => status,
        }
    }
}

fn string(text: &mut Vec<u16>) -> NDIS_STRING {
    let bytes = 2 * (text.len() - 1) as u16;
    let mut string = NDIS_STRING::zeroed();
    string.Length = bytes;
    string.MaximumLength = bytes + 2;
    string.Buffer = text.as_mut_ptr();
    string
}

unsafe fn add_device(driver: NDIS_HANDLE) -> NTSTATUS {
    let register = import!(NdisRegisterDeviceEx: fn(
        NDIS_HANDLE,
        *mut NDIS_DEVICE_OBJECT_ATTRIBUTES,
        *mut *mut DEVICE_OBJECT,
        *mut NDIS_HANDLE,
    ) -> NDIS_STATUS);
    let (mut name, mut link) = (utf16(r"\Device\Echo"), utf16(r"\DosDevices\Echo"));
    let (mut name, mut link) = (string(&mut name), string(&mut link));
    let mut dispatch: [Option<DRIVER_DISPATCH>; IRP_MJ_MAXIMUM_FUNCTION as usize + 1] =
        [None; IRP_MJ_MAXIMUM_FUNCTION as usize + 1];
    for major in [
        IRP_MJ_CREATE,
        IRP_MJ_CLEANUP,
        IRP_MJ_CLOSE,
        IRP_MJ_DEVICE_CONTROL,
    ] {
        dispatch[usize::from(major)] = Some(serve);
    }
    let mut attributes = NDIS_DEVICE_OBJECT_ATTRIBUTES::zeroed();
    attributes.Header.Type = NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES;
    attributes.Header.Revision = 1;
    attributes.Header.Size = NDIS_SIZEOF_DEVICE_OBJECT_ATTRIBUTES_REVISION_1;
    attributes.DeviceName = &raw mut name;
    attributes.SymbolicName = &raw mut link;
    attributes.MajorFunctions = dispatch.as_mut_ptr();
    let security = if is(Fault::MalformedSecurity) {
        "administrators"
    } else {
        SECURITY
    };
    let mut security = utf16(security);
    let security = string(&mut security);
    attributes.DefaultSDDLString = &raw const security;
    let mut object: *mut DEVICE_OBJECT = std::ptr::null_mut();
    let handle = DEVICE.as_ptr();
    // SAFETY: everything is a local, or static.
    unsafe { register(driver, &raw mut attributes, &raw mut object, handle) }
}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    let deregister_device = import!(NdisDeregisterDeviceEx: fn(NDIS_HANDLE));
    let deregister = import!(NdisMDeregisterMiniportDriver: fn(NDIS_HANDLE));
    // SAFETY: both handles are those of the registrations.
    unsafe {
        if !is(Fault::LeaveDevice) {
            deregister_device(DEVICE.load(Ordering::Relaxed));
        }
        deregister(linked::miniport_driver());
    }
}

/// Echoes the input of the one control code that there is.
unsafe extern "efiapi" fn serve(
    _device: *mut DEVICE_OBJECT,
    irp: *mut std::ffi::c_void,
) -> NTSTATUS {
    let complete = import!(IofCompleteRequest: fn(*mut IRP, i8));
    let irp: *mut IRP = irp.cast();
    // SAFETY: the packet is the driver's until it completes it.
    unsafe {
        let location = *irp
            .byte_add(IRP::CURRENT_STACK_LOCATION)
            .cast::<*mut IO_STACK_LOCATION>();
        let is_control = (*location).MajorFunction == IRP_MJ_DEVICE_CONTROL;
        let is_echo = is_control && (*location).IoControlCode & !(3 << 14) == ECHO;
        let status = if is_control && !is_echo {
            STATUS_NOT_SUPPORTED
        } else {
            NDIS_STATUS_SUCCESS
        };
        (*irp).IoStatus.Status = status;
        (*irp).IoStatus.Information = if is_echo {
            (*location).InputBufferLength as usize
        } else {
            0
        };
        if is_echo && is(Fault::AnswerTooMuch) {
            (*irp).IoStatus.Information = (*location).OutputBufferLength as usize + 1;
        }
        if is_echo && is(Fault::ForgetRequest) {
            return status;
        }
        complete(irp, 0);
        if is_echo && is(Fault::CompleteTwice) {
            complete(irp, 0);
        }
        if is_echo && is(Fault::ReturnAnother) {
            return STATUS_PENDING;
        }
        status
    }
}

#[test]
fn r015_holds_when_the_device_goes_before_the_driver() {
    holds!(|| run(Fault::None));
}

#[test]
fn r015_breaks_when_the_driver_leaves_its_device() {
    breaks!(15, || run(Fault::LeaveDevice));
}

#[test]
fn r015_breaks_when_a_request_is_forgotten() {
    breaks!(15, || run(Fault::ForgetRequest));
}

#[test]
fn r015_breaks_when_the_answer_is_not_the_status() {
    breaks!(15, || run(Fault::ReturnAnother));
}

#[test]
fn r015_breaks_when_more_comes_back_than_there_is_room_for() {
    breaks!(15, || run(Fault::AnswerTooMuch));
}

#[test]
fn r215_breaks_when_a_request_is_completed_twice() {
    breaks!(215, || run(Fault::CompleteTwice));
}

/// Loads the driver, which keeps the rules, and unloads it after `body`.
fn with_device(body: impl FnOnce()) {
    FAULT.store(Fault::None as u32, Ordering::Relaxed);
    let driver = pnp::load_linked_driver("test", enter).expect("it loads");
    body();
    pnp::unload_driver(driver);
}

fn opened_by(who: Who) -> Result<[NTSTATUS; 3], NTSTATUS> {
    let file = user::open_as(r"\\.\Echo", who)?;
    let statuses =
        [ECHO, ECHO_TO_READERS, ECHO_TO_WRITERS].map(|code| file.control(code, b"", 0).0);
    file.close();
    Ok(statuses)
}

#[test]
fn programs_have_the_rights_that_the_device_grants() {
    holds!(|| with_device(|| {
        assert_eq!(opened_by(Who::System), Ok([STATUS_SUCCESS; 3]));
        assert_eq!(
            opened_by(Who::Administrator),
            Ok([STATUS_SUCCESS, STATUS_SUCCESS, STATUS_ACCESS_DENIED])
        );
        assert_eq!(opened_by(Who::User), Err(STATUS_ACCESS_DENIED));
    }));
}

#[test]
fn a_device_with_a_malformed_descriptor_is_not_made() {
    holds!(|| {
        FAULT.store(Fault::MalformedSecurity as u32, Ordering::Relaxed);
        assert!(pnp::load_linked_driver("test", enter).is_err());
    });
}

#[test]
fn a_driver_stays_while_a_program_has_its_device_open() {
    holds!(|| {
        FAULT.store(Fault::None as u32, Ordering::Relaxed);
        let driver = pnp::load_linked_driver("test", enter).expect("it loads");
        let file = user::open(r"\\.\Echo").expect("the device is there");
        let opened_ns = sched::now();
        let stays_ns = 5_000_000_000;
        sched::spawn("program", move || {
            sched::sleep(stays_ns);
            let (status, answer) = file.control(ECHO, b"hello", 16);
            assert_eq!((status, &answer[..5]), (STATUS_SUCCESS, &b"hello"[..]));
            file.close();
        });
        pnp::unload_driver(driver);
        assert!(sched::now() >= opened_ns + stays_ns);
    });
}
