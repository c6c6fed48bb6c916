//! Strings of bytes, and the way between them and UTF-16. The code page is Windows-1252's lower
//! half and Latin-1: one byte, one character.

use ndis_sys::{
    BOOLEAN, NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS,
    UNICODE_STRING,
};

use super::strings::{put, upper, words};
use crate::memory::pool::{self, Kind, Request, Tag};
use crate::ntoskrnl::{caller_of, enter};
use crate::sched::{DISPATCH_LEVEL, PASSIVE_LEVEL};

/// Tag of the buffers that conversions allocate.
const TAG: Tag = Tag(u32::from_le_bytes(*b"RtlS"));

/// STRING and ANSI_STRING.
#[repr(C)]
struct AnsiString {
    length: u16,
    maximum: u16,
    buffer: *mut u8,
}

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlInitAnsiString", initialize as *const ()),
        ("RtlInitString", initialize as *const ()),
        ("RtlEqualString", equal as *const ()),
        ("RtlCompareString", compare as *const ()),
        ("RtlAnsiStringToUnicodeString", to_unicode as *const ()),
        ("RtlUnicodeStringToAnsiString", to_ansi as *const ()),
        ("RtlUpcaseUnicodeString", upcase as *const ()),
        ("RtlFreeUnicodeString", free_unicode as *const ()),
        ("RtlFreeAnsiString", free_ansi as *const ()),
    ]
}

/// The bytes of a string.
unsafe fn bytes<'a>(string: *const AnsiString) -> &'a [u8] {
    // SAFETY: the callers' contract: the string describes readable memory.
    unsafe {
        let (start, length) = ((*string).buffer, usize::from((*string).length));
        if length == 0 || start.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(start, length)
    }
}

/// `RtlInitAnsiString`: describes a zero-terminated text. At DISPATCH or below.
///
/// # Safety
///
/// `source` is null or zero-terminated.
unsafe extern "efiapi" fn initialize(string: *mut AnsiString, source: *const u8) {
    enter("RtlInitAnsiString", DISPATCH_LEVEL);
    let length = if source.is_null() {
        0
    } else {
        // SAFETY: by contract.
        unsafe { std::ffi::CStr::from_ptr(source.cast()) }.count_bytes()
    };
    let length = length.min(usize::from(u16::MAX) - 1) as u16;
    let maximum = length + u16::from(!source.is_null());
    // SAFETY: the caller gives a place for the string.
    unsafe {
        string.write(AnsiString {
            length,
            maximum,
            buffer: source.cast_mut(),
        })
    };
}

fn folded(text: &[u8], ignore_case: BOOLEAN) -> Vec<u8> {
    if ignore_case == 0 {
        text.to_vec()
    } else {
        text.to_ascii_uppercase()
    }
}

unsafe extern "efiapi" fn equal(
    left: *const AnsiString,
    right: *const AnsiString,
    ignore_case: BOOLEAN,
) -> BOOLEAN {
    enter("RtlEqualString", PASSIVE_LEVEL);
    // SAFETY: the strings describe valid memory.
    let (left, right) = unsafe { (bytes(left), bytes(right)) };
    u8::from(folded(left, ignore_case) == folded(right, ignore_case))
}

unsafe extern "efiapi" fn compare(
    left: *const AnsiString,
    right: *const AnsiString,
    ignore_case: BOOLEAN,
) -> i32 {
    enter("RtlCompareString", PASSIVE_LEVEL);
    // SAFETY: the strings describe valid memory.
    let (left, right) = unsafe { (bytes(left), bytes(right)) };
    folded(left, ignore_case).cmp(&folded(right, ignore_case)) as i32
}

/// A buffer for a driver whose code is at `caller`.
fn allocate(size: usize, caller: usize) -> *mut u8 {
    let (owner, site) = caller_of(caller);
    let request = Request {
        size: size.max(1),
        tag: TAG,
        kind: Kind::Paged,
        zeroed: true,
        owner,
        site,
    };
    pool::allocate(&request).map_or(std::ptr::null_mut(), |block| block.as_ptr())
}

/// Makes a string with a buffer of its own, zero-terminated.
///
/// # Safety
///
/// `string` can be written.
pub(super) unsafe fn allocate_unicode(
    string: *mut UNICODE_STRING,
    text: &[u16],
    caller: usize,
) -> NTSTATUS {
    let size = 2 * text.len() + 2;
    let Ok(maximum) = u16::try_from(size) else {
        return STATUS_BUFFER_OVERFLOW;
    };
    let buffer = allocate(size, caller);
    if buffer.is_null() {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: by contract; the buffer has the size.
    unsafe {
        string.write(UNICODE_STRING {
            Length: 0,
            MaximumLength: maximum,
            Buffer: buffer.cast(),
        });
        put(string, 0, text);
    }
    STATUS_SUCCESS
}

/// Writes into the string's own buffer, or allocates one.
unsafe fn give(
    string: *mut UNICODE_STRING,
    text: &[u16],
    allocated: BOOLEAN,
    caller: usize,
) -> NTSTATUS {
    // SAFETY: the callers' contract.
    unsafe {
        if allocated != 0 {
            return allocate_unicode(string, text, caller);
        }
        if 2 * text.len() > usize::from((*string).MaximumLength) {
            return STATUS_BUFFER_OVERFLOW;
        }
        put(string, 0, text);
    }
    STATUS_SUCCESS
}

/// `RtlAnsiStringToUnicodeString`. At PASSIVE. Passes its return address on.
///
/// # Safety
///
/// The strings describe valid memory. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn to_unicode(
    _to: *mut UNICODE_STRING,
    _from: *const AnsiString,
    _allocate: BOOLEAN,
) -> NTSTATUS {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym to_unicode_for)
}

unsafe extern "efiapi" fn to_unicode_for(
    to: *mut UNICODE_STRING,
    from: *const AnsiString,
    allocated: BOOLEAN,
    caller: usize,
) -> NTSTATUS {
    enter("RtlAnsiStringToUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let text: Vec<u16> = bytes(from).iter().map(|byte| u16::from(*byte)).collect();
        give(to, &text, allocated, caller)
    }
}

/// `RtlUpcaseUnicodeString`. At PASSIVE. Passes its return address on.
///
/// # Safety
///
/// The strings describe valid memory. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn upcase(
    _to: *mut UNICODE_STRING,
    _from: *const UNICODE_STRING,
    _allocate: BOOLEAN,
) -> NTSTATUS {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym upcase_for)
}

unsafe extern "efiapi" fn upcase_for(
    to: *mut UNICODE_STRING,
    from: *const UNICODE_STRING,
    allocated: BOOLEAN,
    caller: usize,
) -> NTSTATUS {
    enter("RtlUpcaseUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let text: Vec<u16> = words(from).iter().map(|word| upper(*word)).collect();
        give(to, &text, allocated, caller)
    }
}

/// `RtlUnicodeStringToAnsiString`: a character that the code page lacks becomes a question mark. At
/// PASSIVE. Passes its return address on.
///
/// # Safety
///
/// The strings describe valid memory. Called by a driver's code.
#[unsafe(naked)]
unsafe extern "efiapi" fn to_ansi(
    _to: *mut AnsiString,
    _from: *const UNICODE_STRING,
    _allocate: BOOLEAN,
) -> NTSTATUS {
    std::arch::naked_asm!("mov r9, [rsp]", "jmp {}", sym to_ansi_for)
}

unsafe extern "efiapi" fn to_ansi_for(
    to: *mut AnsiString,
    from: *const UNICODE_STRING,
    allocated: BOOLEAN,
    caller: usize,
) -> NTSTATUS {
    enter("RtlUnicodeStringToAnsiString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let text: Vec<u8> = words(from)
            .iter()
            .map(|word| u8::try_from(*word).unwrap_or(b'?'))
            .chain([0])
            .collect();
        if allocated != 0 {
            let Ok(maximum) = u16::try_from(text.len()) else {
                return STATUS_BUFFER_OVERFLOW;
            };
            (*to).buffer = allocate(text.len(), caller);
            (*to).maximum = maximum;
            if (*to).buffer.is_null() {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
        }
        if text.len() > usize::from((*to).maximum) {
            return STATUS_BUFFER_OVERFLOW;
        }
        (*to).buffer.copy_from(text.as_ptr(), text.len());
        (*to).length = (text.len() - 1) as u16;
    }
    STATUS_SUCCESS
}

/// `RtlFreeUnicodeString`: frees an allocated buffer. At PASSIVE.
///
/// # Safety
///
/// The string was made by a conversion that allocated, or is empty.
unsafe extern "efiapi" fn free_unicode(string: *mut UNICODE_STRING) {
    enter("RtlFreeUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe {
        if !(*string).Buffer.is_null() {
            pool::free((*string).Buffer.cast(), Some(TAG));
        }
        string.write(UNICODE_STRING {
            Length: 0,
            MaximumLength: 0,
            Buffer: std::ptr::null_mut(),
        });
    }
}

/// `RtlFreeAnsiString`, as [`free_unicode`]. At PASSIVE.
///
/// # Safety
///
/// As there.
unsafe extern "efiapi" fn free_ansi(string: *mut AnsiString) {
    enter("RtlFreeAnsiString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe {
        if !(*string).buffer.is_null() {
            pool::free((*string).buffer, Some(TAG));
        }
        string.write(AnsiString {
            length: 0,
            maximum: 0,
            buffer: std::ptr::null_mut(),
        });
    }
}
