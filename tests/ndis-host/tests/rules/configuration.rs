//! 1.N: configuration.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, Ordering};

use ndis_host::pnp;
use ndis_host::registry::{self, SERVICES, Value, utf16};
use ndis_host::sched;
use ndis_sys::{
    DRIVER_OBJECT, NDIS_CONFIGURATION_OBJECT, NDIS_CONFIGURATION_PARAMETER, NDIS_HANDLE,
    NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT, NDIS_PARAMETER_TYPE,
    NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1, NDIS_STATUS, NDIS_STATUS_SUCCESS, NDIS_STRING,
    NTSTATUS, NdisParameterInteger, STATUS_SUCCESS, UNICODE_STRING, Zeroed,
};

use crate::native::linked::{self, import};
use crate::native::{breaks, holds};

/// What the driver does with its configuration, and what it leaves undone.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Right,
    WrongHandle,
    LeaveOpen,
    LeaveSubKeyOpen,
    OpenRaised,
    WriteRaised,
    UseClosed,
}

static WAY: AtomicU32 = AtomicU32::new(0);

fn is(way: Way) -> bool {
    WAY.load(Ordering::Relaxed) == way as u32
}

fn run(way: Way) {
    WAY.store(way as u32, Ordering::Relaxed);
    registry::with(|registry| {
        let key = registry.create(&format!(r"{SERVICES}\test\Parameters"));
        key.set("Size", Value::Dword(7));
        key.create("Below").set("Depth", Value::Sz("12".to_owned()));
    });
    let driver = pnp::load_linked_driver("test", enter).expect("it loads");
    pnp::unload_driver(driver);
    let written = registry::with(|registry| {
        let key = registry.key(&format!(r"{SERVICES}\test\Parameters"));
        key.and_then(|key| key.value("Seen").cloned())
    });
    assert_eq!(written, Some(Value::Dword(7)));
}

unsafe extern "efiapi" fn enter(object: *mut DRIVER_OBJECT, path: *mut UNICODE_STRING) -> NTSTATUS {
    let characteristics = linked::miniport_characteristics();
    // SAFETY: the arguments are those of DriverEntry.
    unsafe {
        match linked::register_miniport(object, path, characteristics) {
            Ok(driver) => configure(driver),
            Err(status) => return status,
        }
    }
    STATUS_SUCCESS
}

/// A string that the driver passes.
struct Text(Vec<u16>);

impl Text {
    fn new(text: &str) -> Self {
        Self(utf16(text))
    }

    fn raw(&mut self) -> NDIS_STRING {
        let bytes = 2 * (self.0.len() - 1) as u16;
        let mut string = NDIS_STRING::zeroed();
        string.Length = bytes;
        string.MaximumLength = bytes + 2;
        string.Buffer = self.0.as_mut_ptr();
        string
    }
}

unsafe fn configure(driver: NDIS_HANDLE) {
    let close = import!(NdisCloseConfiguration: fn(NDIS_HANDLE));
    // SAFETY: the calls get what their pages ask for, but for the fault.
    unsafe {
        let configuration = open(driver);
        assert_eq!(read(configuration, "Size"), Some(7));
        assert_eq!(read(configuration, "Missing"), None);
        assert!(read(configuration, "NdisVersion").is_some_and(|version| version >= 0x6_0052));
        assert!(read(configuration, "ProcessorType").is_some());
        write(configuration, "Seen", 7);
        let below = open_below(configuration, "Below");
        assert_eq!(read(below, "Depth"), Some(12));
        if !is(Way::LeaveSubKeyOpen) {
            close(below);
        }
        if !is(Way::LeaveOpen) {
            close(configuration);
        }
        if is(Way::UseClosed) {
            read(configuration, "Size");
        }
    }
}

unsafe fn open(driver: NDIS_HANDLE) -> NDIS_HANDLE {
    let open = import!(NdisOpenConfigurationEx: fn(
        *mut NDIS_CONFIGURATION_OBJECT,
        *mut NDIS_HANDLE,
    ) -> NDIS_STATUS);
    let mut object = NDIS_CONFIGURATION_OBJECT::zeroed();
    object.Header.Type = NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT;
    object.Header.Revision = 1;
    object.Header.Size = NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1;
    object.NdisHandle = driver;
    let mut configuration: NDIS_HANDLE = std::ptr::null_mut();
    let configuration_place = &raw mut configuration;
    // SAFETY: both are locals.
    unsafe {
        if is(Way::WrongHandle) {
            object.NdisHandle = std::ptr::without_provenance_mut(0x1234);
            open(&raw mut object, configuration_place);
            object.NdisHandle = driver;
        }
        if is(Way::OpenRaised) {
            raised(|| open(&raw mut object, configuration_place));
        }
        let status = open(&raw mut object, configuration_place);
        assert_eq!(status, NDIS_STATUS_SUCCESS);
    }
    configuration
}

/// Runs `body` at DISPATCH_LEVEL.
fn raised<R>(body: impl FnOnce() -> R) -> R {
    let before = sched::raise(sched::DISPATCH_LEVEL);
    let result = body();
    sched::lower(before);
    result
}

unsafe fn read(configuration: NDIS_HANDLE, name: &str) -> Option<u32> {
    let read = import!(NdisReadConfiguration: fn(
        *mut NDIS_STATUS,
        *mut *mut NDIS_CONFIGURATION_PARAMETER,
        NDIS_HANDLE,
        *mut NDIS_STRING,
        NDIS_PARAMETER_TYPE,
    ));
    let mut name = Text::new(name);
    let (mut keyword, mut status) = (name.raw(), 0);
    let mut found: *mut NDIS_CONFIGURATION_PARAMETER = std::ptr::null_mut();
    // SAFETY: all are locals; what is found is NDIS's until the configuration is closed.
    unsafe {
        let place = &raw mut found;
        read(
            &raw mut status,
            place,
            configuration,
            &raw mut keyword,
            NdisParameterInteger,
        );
        (status == NDIS_STATUS_SUCCESS).then(|| (*found).ParameterData.IntegerData)
    }
}

unsafe fn write(configuration: NDIS_HANDLE, name: &str, value: u32) {
    let write = import!(NdisWriteConfiguration: fn(
        *mut NDIS_STATUS,
        NDIS_HANDLE,
        *mut NDIS_STRING,
        *mut NDIS_CONFIGURATION_PARAMETER,
    ));
    let mut name = Text::new(name);
    let (mut keyword, mut status) = (name.raw(), 0);
    let mut parameter = NDIS_CONFIGURATION_PARAMETER::zeroed();
    parameter.ParameterType = NdisParameterInteger;
    parameter.ParameterData.IntegerData = value;
    let mut call = || {
        // SAFETY: all are locals.
        unsafe {
            write(
                &raw mut status,
                configuration,
                &raw mut keyword,
                &raw mut parameter,
            );
        }
    };
    if is(Way::WriteRaised) {
        raised(call);
    } else {
        call();
    }
    assert_eq!(status, NDIS_STATUS_SUCCESS);
}

unsafe fn open_below(configuration: NDIS_HANDLE, name: &str) -> NDIS_HANDLE {
    let open = import!(NdisOpenConfigurationKeyByName: fn(
        *mut NDIS_STATUS,
        NDIS_HANDLE,
        *mut NDIS_STRING,
        *mut NDIS_HANDLE,
    ));
    let mut name = Text::new(name);
    let (mut string, mut status) = (name.raw(), 0);
    let mut key: *mut c_void = std::ptr::null_mut();
    // SAFETY: all are locals.
    unsafe {
        open(
            &raw mut status,
            configuration,
            &raw mut string,
            &raw mut key,
        )
    };
    assert_eq!(status, NDIS_STATUS_SUCCESS);
    key
}

#[test]
fn r219_holds_when_what_is_opened_is_closed() {
    holds!(|| run(Way::Right));
}

#[test]
fn r219_breaks_when_the_handle_leads_to_no_configuration() {
    breaks!(219, || run(Way::WrongHandle));
}

#[test]
fn r219_breaks_when_a_configuration_stays_open() {
    breaks!(219, || run(Way::LeaveOpen));
}

#[test]
fn r219_breaks_when_a_closed_configuration_is_read() {
    breaks!(219, || run(Way::UseClosed));
}

#[test]
fn r079_breaks_when_a_configuration_is_opened_at_dispatch() {
    breaks!(79, || run(Way::OpenRaised));
}

#[test]
fn r079_breaks_when_a_configuration_is_written_at_dispatch() {
    breaks!(79, || run(Way::WriteRaised));
}

#[test]
fn r224_breaks_when_a_sub_key_stays_open() {
    breaks!(224, || run(Way::LeaveSubKeyOpen));
}
