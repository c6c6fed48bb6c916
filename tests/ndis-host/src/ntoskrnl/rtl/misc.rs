//! What else the run-time library has: memory, versions, chance, call stacks.

use std::ffi::c_void;

use ndis_sys::{BOOLEAN, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING};

use crate::ntoskrnl::{enter, os, text};
use crate::sched::{self, APC_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL};
use crate::verifier;

/// RTL_OSVERSIONINFOW, and what RTL_OSVERSIONINFOEXW adds: five words and two bytes.
#[repr(C)]
struct OsVersionInfo {
    size: u32,
    major: u32,
    minor: u32,
    build: u32,
    platform: u32,
    service_pack: [u16; 128],
    service_pack_major: u16,
    service_pack_minor: u16,
    suite: u16,
    product: u8,
    reserved: u8,
}

/// Bytes of RTL_OSVERSIONINFOW.
const SHORT: u32 = 276;
/// Bytes of RTL_OSVERSIONINFOEXW.
const LONG: u32 = 284;
const _: () = assert!(size_of::<OsVersionInfo>() == LONG as usize);
/// VER_PLATFORM_WIN32_NT.
const PLATFORM_NT: u32 = 2;
/// VER_NT_SERVER.
const SERVER: u8 = 3;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlCompareMemory", compare_memory as *const ()),
        ("RtlGetVersion", get_version as *const ()),
        ("PsGetVersion", ps_get_version as *const ()),
        ("RtlRandomEx", random as *const ()),
        ("RtlRandom", random as *const ()),
        ("RtlCaptureStackBackTrace", capture_stack as *const ()),
        ("RtlAssert", assertion as *const ()),
    ]
}

/// `RtlCompareMemory`: how many bytes are equal before the first that differs. Any level.
///
/// # Safety
///
/// `length` bytes can be read at both places.
unsafe extern "efiapi" fn compare_memory(
    left: *const u8,
    right: *const u8,
    length: usize,
) -> usize {
    enter("RtlCompareMemory", HIGH_LEVEL);
    // SAFETY: by contract.
    (0..length)
        .find(|&at| unsafe { left.add(at).read() != right.add(at).read() })
        .unwrap_or(length)
}

/// `RtlGetVersion`: the short structure or the long one, by its size. At PASSIVE.
///
/// # Safety
///
/// `info` is as long as its first member says.
unsafe extern "efiapi" fn get_version(info: *mut OsVersionInfo) -> NTSTATUS {
    enter("RtlGetVersion", PASSIVE_LEVEL);
    let os = os();
    // SAFETY: by contract.
    unsafe {
        let size = (*info).size;
        if size != SHORT && size != LONG {
            return STATUS_INVALID_PARAMETER;
        }
        (*info).major = 10;
        (*info).minor = 0;
        (*info).build = os.build;
        (*info).platform = PLATFORM_NT;
        (*info).service_pack[0] = 0;
        if size == LONG {
            (*info).service_pack_major = 0;
            (*info).service_pack_minor = 0;
            (*info).suite = 0;
            (*info).product = SERVER;
        }
    }
    STATUS_SUCCESS
}

/// `PsGetVersion`: false, as for a free build. At PASSIVE.
///
/// # Safety
///
/// Each pointer is null or can be written.
unsafe extern "efiapi" fn ps_get_version(
    major: *mut u32,
    minor: *mut u32,
    build: *mut u32,
    service_pack: *mut UNICODE_STRING,
) -> BOOLEAN {
    enter("PsGetVersion", PASSIVE_LEVEL);
    for (place, value) in [(major, 10), (minor, 0), (build, os().build)] {
        if !place.is_null() {
            // SAFETY: by contract.
            unsafe { place.write(value) };
        }
    }
    if !service_pack.is_null() {
        // SAFETY: by contract.
        unsafe { (*service_pack).Length = 0 };
    }
    0
}

/// `RtlRandomEx`: below 2^31 - 1, by the run's seed; the caller's seed changes, too. At APC or
/// below.
///
/// # Safety
///
/// `seed` can be read and written.
unsafe extern "efiapi" fn random(seed: *mut u32) -> u32 {
    enter("RtlRandomEx", APC_LEVEL);
    let value = sched::random_below((1 << 31) - 1) as u32;
    // SAFETY: by contract.
    unsafe { *seed = seed.read().wrapping_mul(0x7fff_ffed).wrapping_add(value) };
    value
}

/// `RtlCaptureStackBackTrace`: the host keeps no frame chain of drivers, so it captures nothing.
/// Any level.
///
/// # Safety
///
/// `hash` is null or can be written.
unsafe extern "efiapi" fn capture_stack(
    _skip: u32,
    _capture: u32,
    _trace: *mut *mut c_void,
    hash: *mut u32,
) -> u16 {
    enter("RtlCaptureStackBackTrace", HIGH_LEVEL);
    if !hash.is_null() {
        // SAFETY: by contract.
        unsafe { hash.write(0) };
    }
    0
}

/// `RtlAssert`: an assertion of a checked driver has failed. Any level.
///
/// # Safety
///
/// The texts are null or zero-terminated.
unsafe extern "efiapi" fn assertion(
    what: *const c_void,
    file: *const c_void,
    line: u32,
    message: *const c_void,
) {
    let read = |text: *const c_void| {
        if text.is_null() {
            String::new()
        } else {
            // SAFETY: by contract.
            unsafe { text::read_ansi(text) }
        }
    };
    let (what, file, message) = (read(what), read(file), read(message));
    verifier::fatal(
        0,
        format!("assertion failed: {what} ({file}:{line}) {message}"),
    )
}
