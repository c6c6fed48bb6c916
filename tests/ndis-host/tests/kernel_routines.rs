//! The exports of ntoskrnl.exe, called as a driver calls them: by address.

mod common;

use std::ffi::c_void;

use ndis_host::ntoskrnl::{self, OsVersion};
use ndis_host::registry::{self, SERVICES, Value, utf16};
use ndis_host::sched::{self, BatonCell, DISPATCH_LEVEL, PASSIVE_LEVEL};
use ndis_host::verifier;
use ndis_sys::{
    HANDLE, KEVENT, KSPIN_LOCK, KeyValueFullInformation, KeyValuePartialInformation, NTSTATUS,
    NonPagedPool, NonPagedPoolNx, NotificationEvent, OBJECT_ATTRIBUTES, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, STATUS_TIMEOUT,
    SynchronizationEvent, UNICODE_STRING, Zeroed,
};

const TEST: &str = "routines_do_what_their_pages_say";

#[test]
fn routines_do_what_their_pages_say() {
    match common::role() {
        Some(role) => {
            common::start_small();
            misuse(&role);
            common::finish();
        }
        None => {
            common::start_small();
            spin_locks_exclude_and_restore_the_level();
            events_wake_as_many_as_they_should();
            waits_run_out_in_virtual_time();
            values_are_read_from_the_registry();
            newer_routines_are_found_on_newer_systems_only();
            clocks_agree();
            assert_eq!(verifier::breaches(), []);
            common::expect_breaches(TEST, &CASES);
        }
    }
}

const CASES: [(&str, u16, &str); 18] = [
    ("lock twice", 210, "acquired twice"),
    ("release what is free", 211, "released and not held"),
    (
        "release below dispatch",
        211,
        "released at level 1 (0xC4/32)",
    ),
    (
        "acquire above dispatch",
        211,
        "acquired at level 5 (0xC4/40)",
    ),
    ("dpc acquire below", 211, "\"at DPC level\" at level 0"),
    ("mixed calls", 210, "calls mixed"),
    ("wrong order", 210, "taken later"),
    (
        "wrong level",
        210,
        "released to level 1, acquired from level 0",
    ),
    (
        "uninitialised lock",
        210,
        "is not initialised: its word is 0x1234",
    ),
    ("lock freed", 211, "freed with the spin lock at +0x0 held"),
    ("lower raises", 81, "level lowered from 0 up to 2"),
    ("raise lowers", 81, "level raised from 2 down to 1"),
    (
        "wait at dispatch",
        84,
        "blocking wait (a KEVENT) at level 2",
    ),
    ("no event", 215, "KeSetEvent: no initialised event"),
    (
        "registry at dispatch",
        79,
        "ZwClose called at level 2, 0 at most",
    ),
    ("executable pool", 217, "executable pool"),
    ("long stall", 209, "stalls for 51 us"),
    (
        "bug check",
        0,
        "the driver stopped the system: 0xe2 (0x1, 0x2, 0x3, 0x4)",
    ),
];

/// A spin lock that lives for ever, so that threads may share it.
#[derive(Clone, Copy)]
struct Lock(usize);

impl Lock {
    fn new(word: KSPIN_LOCK) -> Self {
        Self((&raw mut *Box::leak(Box::new(word))).addr())
    }

    fn raise_to_dpc(self) -> u8 {
        let acquire = routine!(KeAcquireSpinLockRaiseToDpc: fn(*mut KSPIN_LOCK) -> u8);
        // SAFETY: the lock lives for ever.
        unsafe { acquire(self.0 as *mut KSPIN_LOCK) }
    }

    fn release(self, irql: u8) {
        let release = routine!(KeReleaseSpinLock: fn(*mut KSPIN_LOCK, u8));
        // SAFETY: the lock lives for ever.
        unsafe { release(self.0 as *mut KSPIN_LOCK, irql) }
    }

    fn acquire_at_dpc(self) {
        let acquire = routine!(KeAcquireSpinLockAtDpcLevel: fn(*mut KSPIN_LOCK));
        // SAFETY: the lock lives for ever.
        unsafe { acquire(self.0 as *mut KSPIN_LOCK) }
    }

    fn release_from_dpc(self) {
        let release = routine!(KeReleaseSpinLockFromDpcLevel: fn(*mut KSPIN_LOCK));
        // SAFETY: the lock lives for ever.
        unsafe { release(self.0 as *mut KSPIN_LOCK) }
    }
}

fn spin_locks_exclude_and_restore_the_level() {
    static COUNT: BatonCell<u32> = BatonCell::new(0);

    let lock = Lock::new(0);
    let contend = move || {
        for _ in 0..300 {
            let old = lock.raise_to_dpc();
            assert_eq!((old, sched::irql()), (PASSIVE_LEVEL, DISPATCH_LEVEL));
            assert_eq!(ntoskrnl::locks_held(), 1);
            let seen = COUNT.with(|count| *count);
            (0..5).for_each(|_| sched::point());
            COUNT.with(|count| *count = seen + 1);
            lock.release(old);
            assert_eq!(sched::irql(), PASSIVE_LEVEL);
        }
    };
    let threads = ["a", "b", "c"].map(|name| sched::spawn(name, contend));
    threads.into_iter().for_each(sched::join);
    assert_eq!(COUNT.with(|count| *count), 900);
    assert_eq!(ntoskrnl::locks_held(), 0);
}

/// An event that lives for ever, so that threads may share its address.
fn new_event(kind: i32) -> usize {
    let event: *mut KEVENT = Box::leak(Box::new(KEVENT::zeroed()));
    let initialize = routine!(KeInitializeEvent: fn(*mut KEVENT, i32, u8));
    // SAFETY: the event lives for ever.
    unsafe { initialize(event, kind, 0) };
    event.addr()
}

fn set(event: usize) -> i32 {
    let set = routine!(KeSetEvent: fn(*mut KEVENT, i32, u8) -> i32);
    // SAFETY: events of `new_event` live for ever.
    unsafe { set(event as *mut KEVENT, 0, 0) }
}

fn wait(event: usize, timeout: Option<i64>) -> NTSTATUS {
    let wait = routine!(KeWaitForSingleObject: fn(*mut c_void, i32, i8, u8, *mut i64) -> NTSTATUS);
    let mut timeout = timeout;
    let timeout = timeout
        .as_mut()
        .map_or(std::ptr::null_mut(), |timeout| &raw mut *timeout);
    // SAFETY: events of `new_event` live for ever.
    unsafe { wait(event as *mut c_void, 0, 0, 0, timeout) }
}

fn events_wake_as_many_as_they_should() {
    static WOKEN: BatonCell<u32> = BatonCell::new(0);

    for (kind, expected) in [(SynchronizationEvent, 1), (NotificationEvent, 3)] {
        WOKEN.with(|woken| *woken = 0);
        let event = new_event(kind);
        let waiter = move || {
            assert_eq!(wait(event, None), STATUS_SUCCESS);
            WOKEN.with(|woken| *woken += 1);
        };
        let threads = ["a", "b", "c"].map(|name| sched::spawn(name, waiter));
        sched::sleep(1_000_000);
        assert_eq!(set(event), 0);
        sched::sleep(1_000_000);
        assert_eq!(WOKEN.with(|woken| *woken), expected);

        let is_still_set = i32::from(kind == NotificationEvent);
        let read = routine!(KeReadStateEvent: fn(*mut KEVENT) -> i32);
        // SAFETY: events of `new_event` live for ever.
        assert_eq!(unsafe { read(event as *mut KEVENT) }, is_still_set);
        for thread in threads {
            while sched::is_alive(thread) {
                set(event);
                sched::sleep(1_000);
            }
        }
    }
}

fn waits_run_out_in_virtual_time() {
    let event = new_event(NotificationEvent);
    let before = sched::now();
    assert_eq!(wait(event, Some(-10_000)), STATUS_TIMEOUT);
    let waited = sched::now() - before;
    assert!(
        (1_000_000..1_010_000).contains(&waited),
        "{waited} ns for 10000 units of 100 ns"
    );
    assert_eq!(wait(event, Some(0)), STATUS_TIMEOUT);

    let absolute = ntoskrnl::time::system_time() + 50_000;
    assert_eq!(wait(event, Some(absolute as i64)), STATUS_TIMEOUT);
    assert!(ntoskrnl::time::system_time() >= absolute);
}

fn unicode(text: &[u16]) -> UNICODE_STRING {
    let initialize = routine!(RtlInitUnicodeString: fn(*mut UNICODE_STRING, *const u16));
    let mut string = UNICODE_STRING::zeroed();
    // SAFETY: callers pass a terminated text.
    unsafe { initialize(&mut string, text.as_ptr()) };
    string
}

fn open(path: &str) -> Result<HANDLE, NTSTATUS> {
    let path = utf16(path);
    let mut name = unicode(&path);
    let mut attributes = OBJECT_ATTRIBUTES::zeroed();
    attributes.Length = size_of::<OBJECT_ATTRIBUTES>() as u32;
    attributes.ObjectName = &mut name;
    let open = routine!(ZwOpenKey: fn(*mut HANDLE, u32, *mut OBJECT_ATTRIBUTES) -> NTSTATUS);
    let mut handle = std::ptr::null_mut();
    // SAFETY: all three arguments live until the call returns.
    match unsafe { open(&mut handle, 0x20019, &mut attributes) } {
        STATUS_SUCCESS => Ok(handle),
        status => Err(status),
    }
}

/// Queries a value into `length` bytes; returns status, needed length and the bytes.
fn query(key: HANDLE, name: &str, class: i32, length: u32) -> (NTSTATUS, u32, Vec<u8>) {
    let query = routine!(ZwQueryValueKey: fn(HANDLE, *mut UNICODE_STRING, i32, *mut c_void, u32, *mut u32) -> NTSTATUS);
    let name = utf16(name);
    let mut name = unicode(&name);
    let (mut bytes, mut needed) = (vec![0xEE; length as usize], 0);
    // SAFETY: all arguments live until the call returns, and the buffer has `length` bytes.
    let status = unsafe {
        query(
            key,
            &mut name,
            class,
            bytes.as_mut_ptr().cast(),
            length,
            &mut needed,
        )
    };
    (status, needed, bytes)
}

fn values_are_read_from_the_registry() {
    registry::with(|registry| {
        let key = registry.create(&format!(r"{SERVICES}\vioprot"));
        key.set("Start", Value::Dword(3));
        key.set("Name", Value::Sz("ab".to_owned()));
    });
    let check = routine!(RtlCheckRegistryKey: fn(u32, *mut u16) -> NTSTATUS);
    let mut name = utf16("VIOPROT");
    // SAFETY: the path is terminated.
    assert_eq!(unsafe { check(1, name.as_mut_ptr()) }, STATUS_SUCCESS);
    assert_eq!(
        open(&format!(r"{SERVICES}\other")),
        Err(STATUS_OBJECT_NAME_NOT_FOUND)
    );

    let key = open(&format!(r"{SERVICES}\vioprot")).unwrap();
    assert_eq!(ntoskrnl::open_handles(), 1);
    let (status, needed, bytes) = query(key, "start", KeyValuePartialInformation, 16);
    assert_eq!((status, needed), (STATUS_SUCCESS, 16));
    assert_eq!(bytes, [0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0]);
    let (status, needed, bytes) = query(key, "Name", KeyValuePartialInformation, 14);
    assert_eq!(
        (status, needed, bytes[12]),
        (STATUS_BUFFER_OVERFLOW, 18, b'a')
    );
    let (status, needed, bytes) = query(key, "Name", KeyValuePartialInformation, 11);
    assert_eq!(
        (status, needed, bytes),
        (STATUS_BUFFER_TOO_SMALL, 18, vec![0xEE; 11])
    );
    let (status, _, bytes) = query(key, "Name", KeyValueFullInformation, 64);
    assert_eq!((status, bytes[8], bytes[28]), (STATUS_SUCCESS, 28, b'a'));
    assert_eq!(
        query(key, "None", KeyValuePartialInformation, 64).0,
        STATUS_OBJECT_NAME_NOT_FOUND
    );

    registry::with(|registry| registry.delete(&format!(r"{SERVICES}\vioprot")));
    const STATUS_KEY_DELETED: NTSTATUS = 0xC000_017C_u32 as NTSTATUS;
    assert_eq!(
        query(key, "Start", KeyValuePartialInformation, 64).0,
        STATUS_KEY_DELETED
    );
    let close = routine!(ZwClose: fn(HANDLE) -> NTSTATUS);
    // SAFETY: the handle is open.
    assert_eq!(unsafe { close(key) }, STATUS_SUCCESS);
    assert_eq!(ntoskrnl::open_handles(), 0);
}

fn look_up(name: &str) -> *mut c_void {
    let look_up = routine!(MmGetSystemRoutineAddress: fn(*mut UNICODE_STRING) -> *mut c_void);
    let name = utf16(name);
    let mut name = unicode(&name);
    // SAFETY: the name lives until the call returns.
    unsafe { look_up(&mut name) }
}

fn newer_routines_are_found_on_newer_systems_only() {
    assert_eq!(
        look_up("KeSetEvent").cast_const().cast(),
        common::export("KeSetEvent")
    );
    assert!(look_up("ExAllocatePool2").is_null());
    assert!(look_up("NoSuchRoutine").is_null());
    ntoskrnl::publish_routines(&[("NdisNewRoutine", 0x1000)]);
    assert_eq!(look_up("NdisNewRoutine").addr(), 0x1000);

    ntoskrnl::start(OsVersion::NEWEST);
    let address = look_up("ExAllocatePool2").cast_const().cast::<()>();
    assert!(!address.is_null());
    // SAFETY: the address is that of a routine of this type.
    let allocate: unsafe extern "efiapi" fn(u64, usize, u32) -> *mut c_void =
        unsafe { std::mem::transmute(address) };
    // SAFETY: any arguments are allowed.
    let block = unsafe { allocate(0x40, 64, 0x3132_3334) };
    // SAFETY: the block has 64 bytes.
    let first_bytes = unsafe { block.cast::<[u8; 64]>().read() };
    assert_eq!(first_bytes, [0; 64], "ExAllocatePool2 zeroes");
    free(block, 0x3132_3334);
}

fn free(block: *mut c_void, tag: u32) {
    let free = routine!(ExFreePoolWithTag: fn(*mut c_void, u32));
    // SAFETY: the block is not used any more.
    unsafe { free(block, tag) };
}

fn clocks_agree() {
    let counter = routine!(KeQueryPerformanceCounter: fn(*mut i64) -> i64);
    let stall = routine!(KeStallExecutionProcessor: fn(u32));
    let mut frequency = 0;
    // SAFETY: the frequency is writable.
    let before = unsafe { counter(&mut frequency) };
    // SAFETY: none needed.
    unsafe { stall(50) };
    // SAFETY: a null pointer is allowed.
    let passed = unsafe { counter(std::ptr::null_mut()) } - before;
    assert_eq!(frequency, 10_000_000);
    assert!((500..510).contains(&passed), "{passed}");
}

fn misuse(role: &str) {
    let (first, second) = (Lock::new(0), Lock::new(0));
    match role {
        "lock twice" => {
            first.raise_to_dpc();
            first.raise_to_dpc();
        }
        "release what is free" => {
            first.raise_to_dpc();
            second.release(0);
        }
        "release below dispatch" => {
            sched::raise(1);
            first.release(0);
        }
        "acquire above dispatch" => {
            sched::raise(5);
            first.raise_to_dpc();
        }
        "dpc acquire below" => first.acquire_at_dpc(),
        "mixed calls" => {
            first.raise_to_dpc();
            first.release_from_dpc();
        }
        "wrong order" => {
            first.raise_to_dpc();
            second.acquire_at_dpc();
            first.release(0);
        }
        "wrong level" => {
            first.raise_to_dpc();
            first.release(1);
        }
        "uninitialised lock" => {
            Lock::new(0x1234).raise_to_dpc();
        }
        other => misuse_others(other),
    }
}

fn misuse_others(role: &str) {
    let allocate = routine!(ExAllocatePoolWithTag: fn(i32, usize, u32) -> *mut c_void);
    // SAFETY: any arguments are allowed.
    let new_pool = |kind| unsafe { allocate(kind, 64, 0x3132_3334) };
    match role {
        "lock freed" => {
            let block = new_pool(NonPagedPoolNx).cast::<KSPIN_LOCK>();
            // SAFETY: the block is large enough for a lock.
            unsafe { block.write(0) };
            Lock(block.addr()).raise_to_dpc();
            free(block.cast(), 0);
        }
        "lower raises" => {
            let lower = routine!(KeLowerIrql: fn(u8));
            // SAFETY: none needed.
            unsafe { lower(2) };
        }
        "raise lowers" => {
            let raise = routine!(KfRaiseIrql: fn(u8) -> u8);
            // SAFETY: none needed.
            unsafe { raise(2) };
            // SAFETY: none needed.
            unsafe { raise(1) };
        }
        "wait at dispatch" => {
            sched::raise(DISPATCH_LEVEL);
            wait(new_event(NotificationEvent), Some(-1));
        }
        "no event" => {
            set(new_pool(NonPagedPoolNx).addr());
        }
        "registry at dispatch" => {
            let close = routine!(ZwClose: fn(HANDLE) -> NTSTATUS);
            let key = open(r"\Registry").unwrap_or(std::ptr::null_mut());
            sched::raise(DISPATCH_LEVEL);
            // SAFETY: any handle is allowed.
            unsafe { close(key) };
        }
        "executable pool" => {
            new_pool(NonPagedPool);
        }
        "long stall" => {
            let stall = routine!(KeStallExecutionProcessor: fn(u32));
            // SAFETY: none needed.
            unsafe { stall(51) };
        }
        "bug check" => {
            let stop = routine!(KeBugCheckEx: fn(u32, usize, usize, usize, usize));
            // SAFETY: none needed.
            unsafe { stop(0xE2, 1, 2, 3, 4) };
        }
        other => panic!("unknown role {other}"),
    }
}
