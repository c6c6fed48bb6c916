//! Routines of the kernel around strings, numbers, registry and tracing, called as a driver does.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod native;

use std::ffi::c_void;

use native::linked::import;
use native::{breaks, holds};
use ndis_host::ntoskrnl::io::{error_log, files};
use ndis_host::pnp;
use ndis_host::registry::{self, SERVICES, Value, utf16};
use ndis_sys::{
    GUID, HANDLE, IO_STATUS_BLOCK, KeyValuePartialInformation, NTSTATUS, OBJECT_ATTRIBUTES,
    STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS, UNICODE_STRING, Zeroed,
};

fn string(text: &mut [u16], room: usize) -> UNICODE_STRING {
    let length = text
        .iter()
        .position(|word| *word == 0)
        .unwrap_or(text.len());
    UNICODE_STRING {
        Length: 2 * length as u16,
        MaximumLength: 2 * room as u16,
        Buffer: text.as_mut_ptr(),
    }
}

fn text(string: &UNICODE_STRING) -> String {
    // SAFETY: the strings of these tests describe live memory.
    let words =
        unsafe { std::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    String::from_utf16_lossy(words)
}

#[test]
fn strings_are_appended_wholly_or_not_at_all() {
    holds!(|| {
        let append =
            import!(RtlAppendUnicodeToString: fn(*mut UNICODE_STRING, *const u16) -> NTSTATUS);
        let mut room = utf16("ab");
        room.resize(6, 0xffff);
        let mut to = string(&mut room, 6);
        let (short, long) = (utf16("cd"), utf16("efg"));
        // SAFETY: the strings are live.
        unsafe {
            assert_eq!(append(&raw mut to, short.as_ptr()), STATUS_SUCCESS);
            assert_eq!(append(&raw mut to, long.as_ptr()), STATUS_BUFFER_TOO_SMALL);
        }
        assert_eq!(text(&to), "abcd");
    });
}

#[test]
fn strings_are_compared_with_and_without_case() {
    holds!(|| {
        let compare = import!(RtlCompareUnicodeString: fn(*const UNICODE_STRING, *const UNICODE_STRING, u8) -> i32);
        let (mut small, mut large) = (utf16("netkvm"), utf16("NETKVM"));
        let (small, large) = (string(&mut small, 7), string(&mut large, 7));
        // SAFETY: the strings are live.
        unsafe {
            assert_eq!(compare(&raw const small, &raw const large, 1), 0);
            assert!(compare(&raw const small, &raw const large, 0) > 0);
        }
    });
}

#[test]
fn numbers_and_guids_become_text_that_fits() {
    holds!(|| {
        let number =
            import!(RtlIntegerToUnicodeString: fn(u32, u32, *mut UNICODE_STRING) -> NTSTATUS);
        let guid = import!(RtlStringFromGUID: fn(*const GUID, *mut UNICODE_STRING) -> NTSTATUS);
        let free = import!(RtlFreeUnicodeString: fn(*mut UNICODE_STRING));
        let mut room = vec![0_u16; 4];
        let mut to = string(&mut room, 4);
        let value = GUID {
            Data1: 0x1234_5678,
            Data2: 0x9abc,
            Data3: 0xdef0,
            Data4: [1, 2, 3, 4, 5, 6, 7, 8],
        };
        // SAFETY: the strings are live; the allocated one is freed.
        unsafe {
            assert_eq!(number(0xBEEF, 16, &raw mut to), STATUS_SUCCESS);
            assert_eq!(text(&to), "BEEF");
            assert_eq!(number(123_456, 10, &raw mut to), STATUS_BUFFER_OVERFLOW);
            let mut made = UNICODE_STRING::zeroed();
            assert_eq!(guid(&raw const value, &raw mut made), STATUS_SUCCESS);
            assert_eq!(text(&made), "{12345678-9ABC-DEF0-0102-030405060708}");
            free(&raw mut made);
        }
    });
}

#[test]
fn formatted_text_is_cut_off_where_the_room_ends() {
    holds!(|| {
        let format = import!(_vsnprintf: fn(*mut u8, usize, *const i8, *const usize) -> i32);
        let mut buffer = [0xff_u8; 8];
        let arguments = [42_usize, 0];
        // SAFETY: the format names one number, of which there is one.
        unsafe {
            let whole = format(buffer.as_mut_ptr(), 8, c"n=%u".as_ptr(), arguments.as_ptr());
            assert_eq!((whole, &buffer[..5]), (4, &b"n=42\0"[..]));
            let cut = format(buffer.as_mut_ptr(), 3, c"n=%u".as_ptr(), arguments.as_ptr());
            assert_eq!((cut, &buffer[..3]), (-1, &b"n=4"[..]));
        }
    });
}

#[test]
fn keys_are_made_listed_and_deleted() {
    holds!(|| {
        let create = import!(ZwCreateKey: fn(*mut HANDLE, u32, *mut OBJECT_ATTRIBUTES, u32, *mut UNICODE_STRING, u32, *mut u32) -> NTSTATUS);
        let set = import!(ZwSetValueKey: fn(HANDLE, *mut UNICODE_STRING, u32, u32, *mut c_void, u32) -> NTSTATUS);
        let list = import!(ZwEnumerateValueKey: fn(HANDLE, u32, i32, *mut c_void, u32, *mut u32) -> NTSTATUS);
        let delete = import!(ZwDeleteKey: fn(HANDLE) -> NTSTATUS);
        let close = import!(ZwClose: fn(HANDLE) -> NTSTATUS);
        let path = format!(r"{SERVICES}\made");
        let mut words = utf16(&path);
        let mut name = string(&mut words, path.len() + 1);
        let mut attributes = OBJECT_ATTRIBUTES::zeroed();
        attributes.Length = size_of::<OBJECT_ATTRIBUTES>() as u32;
        attributes.ObjectName = &raw mut name;
        let (mut key, mut disposition) = (std::ptr::null_mut(), 0);
        let mut value = utf16("Count");
        let mut value = string(&mut value, 6);
        let mut number = 9_u32;
        // SAFETY: all pointers are to locals.
        unsafe {
            let nothing = std::ptr::null_mut();
            let made = create(
                &raw mut key,
                0,
                &raw mut attributes,
                0,
                nothing,
                0,
                &raw mut disposition,
            );
            assert_eq!((made, disposition), (STATUS_SUCCESS, 1));
            let number = (&raw mut number).cast();
            assert_eq!(set(key, &raw mut value, 0, 4, number, 4), STATUS_SUCCESS);
            let (mut found, mut length) = ([0_u32; 8], 0);
            let place = found.as_mut_ptr().cast();
            let listed = list(
                key,
                0,
                KeyValuePartialInformation,
                place,
                32,
                &raw mut length,
            );
            assert_eq!(
                (listed, length, found[1], found[3]),
                (STATUS_SUCCESS, 16, 4, 9)
            );
            assert!(
                list(
                    key,
                    1,
                    KeyValuePartialInformation,
                    place,
                    32,
                    &raw mut length
                ) != STATUS_SUCCESS
            );
            assert_eq!(delete(key), STATUS_SUCCESS);
            assert_eq!(close(key), STATUS_SUCCESS);
        }
        assert!(registry::with(|registry| registry.key(&path).is_none()));
    });
}

/// RTL_QUERY_REGISTRY_TABLE.
#[repr(C)]
struct Query {
    routine: *const c_void,
    flags: u32,
    name: *const u16,
    place: *mut c_void,
    default_type: u32,
    default: *mut c_void,
    default_length: u32,
}

#[test]
fn values_are_put_directly_into_their_places() {
    const DIRECT: u32 = 0x20;
    holds!(|| {
        registry::with(|registry| {
            registry
                .create(&format!(r"{SERVICES}\there"))
                .set("Count", Value::Dword(5));
        });
        let query = import!(RtlQueryRegistryValues: fn(u32, *const u16, *mut Query, *mut c_void, *mut c_void) -> NTSTATUS);
        let (path, name, missing) = (utf16("there"), utf16("Count"), utf16("Missing"));
        let (mut count, mut other, mut default) = (0_u32, 0_u32, 7_u32);
        let entry = |name: *const u16, place: *mut u32, default: *mut u32| Query {
            routine: std::ptr::null(),
            flags: DIRECT,
            name,
            place: place.cast(),
            default_type: 4,
            default: default.cast(),
            default_length: 4,
        };
        let mut table = [
            entry(name.as_ptr(), &raw mut count, &raw mut default),
            entry(missing.as_ptr(), &raw mut other, &raw mut default),
            Query {
                flags: 0,
                ..entry(std::ptr::null(), &raw mut other, &raw mut default)
            },
        ];
        let nothing = std::ptr::null_mut();
        // SAFETY: the table ends with an empty entry; the places take numbers.
        let status = unsafe { query(1, path.as_ptr(), table.as_mut_ptr(), nothing, nothing) };
        assert_eq!((status, count, other), (STATUS_SUCCESS, 5, 7));
    });
}

#[test]
fn a_file_of_the_drivers_folder_can_be_read() {
    holds!(|| {
        files::put("firmware.bin", b"0123456789");
        let open = import!(ZwOpenFile: fn(*mut HANDLE, u32, *mut OBJECT_ATTRIBUTES, *mut IO_STATUS_BLOCK, u32, u32) -> NTSTATUS);
        let read = import!(ZwReadFile: fn(HANDLE, HANDLE, *mut c_void, *mut c_void, *mut IO_STATUS_BLOCK, *mut u8, u32, *const i64, *mut u32) -> NTSTATUS);
        let close = import!(ZwClose: fn(HANDLE) -> NTSTATUS);
        let path = r"\SystemRoot\System32\drivers\firmware.bin";
        let mut words = utf16(path);
        let mut name = string(&mut words, path.len() + 1);
        let mut attributes = OBJECT_ATTRIBUTES::zeroed();
        attributes.Length = size_of::<OBJECT_ATTRIBUTES>() as u32;
        attributes.ObjectName = &raw mut name;
        let (mut file, mut block) = (std::ptr::null_mut(), IO_STATUS_BLOCK::zeroed());
        let (mut buffer, offset) = ([0_u8; 8], 6_i64);
        let nothing = std::ptr::null_mut();
        // SAFETY: all pointers are to locals.
        unsafe {
            let opened = open(&raw mut file, 0, &raw mut attributes, &raw mut block, 0, 0);
            assert_eq!(opened, STATUS_SUCCESS);
            let place = buffer.as_mut_ptr();
            let done = read(
                file,
                nothing,
                nothing,
                nothing,
                &raw mut block,
                place,
                8,
                &raw const offset,
                nothing.cast(),
            );
            assert_eq!((done, block.Information), (STATUS_SUCCESS, 4));
            assert_eq!(&buffer[..4], b"6789");
            assert_eq!(close(file), STATUS_SUCCESS);
        }
    });
}

#[test]
fn an_entry_of_the_event_log_is_written_once() {
    holds!(|| {
        let allocate = import!(IoAllocateErrorLogEntry: fn(*const u8, u8) -> *mut u8);
        let write = import!(IoWriteErrorLogEntry: fn(*mut u8));
        // SAFETY: the entry has 48 bytes.
        unsafe {
            assert!(allocate(std::ptr::null(), 241).is_null());
            let entry = allocate(std::ptr::null(), 48);
            entry.add(12).cast::<u32>().write(0xC004_0001);
            write(entry);
        }
        assert_eq!(error_log::written(), [0xC004_0001]);
    });
}

#[test]
fn r215_breaks_when_an_entry_of_the_event_log_is_written_twice() {
    breaks!(215, || {
        let allocate = import!(IoAllocateErrorLogEntry: fn(*const u8, u8) -> *mut u8);
        let write = import!(IoWriteErrorLogEntry: fn(*mut u8));
        // SAFETY: the entry has 48 bytes; the second call is the fault.
        unsafe {
            let entry = allocate(std::ptr::null(), 48);
            write(entry);
            write(entry);
        }
    });
}

#[test]
fn a_driver_asks_what_its_device_is() {
    holds!(|| {
        let miniport = native::nic::Nic::new(native::nic::Fault::None);
        let nic: &'static native::nic::Nic = Box::leak(Box::new(miniport));
        let device = pnp::add_native_device("Card", &[], move || std::sync::Arc::new(nic));
        pnp::start_device(device).expect("it starts");
        let objects = import!(NdisMGetDeviceProperty: fn(
            *mut c_void,
            *mut *mut c_void,
            *mut *mut c_void,
            *mut *mut c_void,
            *mut *mut c_void,
            *mut *mut c_void,
        ));
        let ask =
            import!(IoGetDeviceProperty: fn(*mut c_void, i32, u32, *mut u8, *mut u32) -> NTSTATUS);
        let adapter = pnp::adapter(device).expect("it is started");
        let adapter = std::ptr::without_provenance_mut(adapter.0 as usize);
        let mut physical: *mut c_void = std::ptr::null_mut();
        let none = std::ptr::null_mut();
        let (mut text, mut length) = ([0_u8; 32], 0);
        // SAFETY: all pointers are to locals, or null where that is allowed.
        unsafe {
            objects(adapter, &raw mut physical, none, none, none, none);
            let short = ask(physical, 0, 4, text.as_mut_ptr(), &raw mut length);
            assert_eq!((short, length), (STATUS_BUFFER_TOO_SMALL, 10));
            let done = ask(physical, 0, 32, text.as_mut_ptr(), &raw mut length);
            assert_eq!(done, STATUS_SUCCESS);
        }
        assert_eq!(text[..4], *b"C\0a\0");
    });
}
