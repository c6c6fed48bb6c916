//! UNICODE_STRINGs: copied, appended, compared.

use ndis_sys::{BOOLEAN, NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS, UNICODE_STRING};

use crate::ntoskrnl::enter;
use crate::sched::{HIGH_LEVEL, PASSIVE_LEVEL};

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlCopyUnicodeString", copy as *const ()),
        ("RtlAppendUnicodeToString", append as *const ()),
        ("RtlAppendUnicodeStringToString", append_string as *const ()),
        ("RtlEqualUnicodeString", equal as *const ()),
        ("RtlCompareUnicodeString", compare as *const ()),
        ("RtlPrefixUnicodeString", is_prefix as *const ()),
        ("RtlUpcaseUnicodeChar", upcase_char as *const ()),
        ("RtlDowncaseUnicodeChar", downcase_char as *const ()),
    ]
}

/// The words of a string.
///
/// # Safety
///
/// `string` describes readable memory that nobody writes meanwhile.
pub(super) unsafe fn words<'a>(string: *const UNICODE_STRING) -> &'a [u16] {
    // SAFETY: by contract.
    let string = unsafe { &*string };
    let length = usize::from(string.Length) / 2;
    if length == 0 || string.Buffer.is_null() {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts(string.Buffer, length) }
}

/// Puts `text` behind the first `at` words of a string, as far as there is room, and a zero behind
/// it if there is room for that, too; the words that were put there.
///
/// # Safety
///
/// `string` describes writable memory, and holds `at` words.
pub(super) unsafe fn put(string: *mut UNICODE_STRING, at: usize, text: &[u16]) -> usize {
    // SAFETY: by contract.
    let string = unsafe { &mut *string };
    let room = usize::from(string.MaximumLength) / 2;
    let count = text.len().min(room.saturating_sub(at));
    // SAFETY: `at + count` words have room. The source may be the same memory.
    unsafe {
        string.Buffer.add(at).copy_from(text.as_ptr(), count);
        if at + count < room {
            string.Buffer.add(at + count).write(0);
        }
    }
    string.Length = 2 * (at + count) as u16;
    count
}

/// A character in upper case, where that is one character again.
pub(super) fn upper(character: u16) -> u16 {
    mapped(character, |c| {
        let mut upper = c.to_uppercase();
        (upper.next(), upper.next())
    })
}

fn lower(character: u16) -> u16 {
    mapped(character, |c| {
        let mut lower = c.to_lowercase();
        (lower.next(), lower.next())
    })
}

fn mapped(character: u16, map: impl Fn(char) -> (Option<char>, Option<char>)) -> u16 {
    let Some(as_char) = char::from_u32(u32::from(character)) else {
        return character;
    };
    match map(as_char) {
        (Some(single), None) => u16::try_from(u32::from(single)).unwrap_or(character),
        _ => character,
    }
}

/// `RtlCopyUnicodeString`: copies what fits; a null source empties the string. Any level.
///
/// # Safety
///
/// The strings describe valid memory.
unsafe extern "efiapi" fn copy(to: *mut UNICODE_STRING, from: *const UNICODE_STRING) {
    enter("RtlCopyUnicodeString", HIGH_LEVEL);
    // SAFETY: by contract.
    unsafe {
        if from.is_null() {
            (*to).Length = 0;
        } else {
            put(to, 0, words(from));
        }
    }
}

/// `RtlAppendUnicodeToString`: appends a zero-terminated text, all of it or nothing. Any level.
///
/// # Safety
///
/// The string describes valid memory; `text` is null or zero-terminated.
unsafe extern "efiapi" fn append(to: *mut UNICODE_STRING, text: *const u16) -> NTSTATUS {
    enter("RtlAppendUnicodeToString", HIGH_LEVEL);
    if text.is_null() {
        return STATUS_SUCCESS;
    }
    // SAFETY: by contract.
    unsafe {
        let length = (0..).find(|&at| text.add(at).read() == 0).unwrap_or(0);
        append_words(to, std::slice::from_raw_parts(text, length))
    }
}

/// `RtlAppendUnicodeStringToString`: appends a string, all of it or nothing. Any level.
///
/// # Safety
///
/// The strings describe valid memory.
unsafe extern "efiapi" fn append_string(
    to: *mut UNICODE_STRING,
    from: *const UNICODE_STRING,
) -> NTSTATUS {
    enter("RtlAppendUnicodeStringToString", HIGH_LEVEL);
    // SAFETY: by contract.
    unsafe { append_words(to, words(from)) }
}

unsafe fn append_words(to: *mut UNICODE_STRING, text: &[u16]) -> NTSTATUS {
    // SAFETY: by contract.
    unsafe {
        let at = usize::from((*to).Length) / 2;
        let room = usize::from((*to).MaximumLength) / 2;
        if at + text.len() > room {
            return STATUS_BUFFER_TOO_SMALL;
        }
        put(to, at, text);
    }
    STATUS_SUCCESS
}

fn folded(text: &[u16], ignore_case: BOOLEAN) -> Vec<u16> {
    let fold = |character: &u16| {
        if ignore_case == 0 {
            *character
        } else {
            upper(*character)
        }
    };
    text.iter().map(fold).collect()
}

/// `RtlEqualUnicodeString`. At PASSIVE.
///
/// # Safety
///
/// The strings describe valid memory.
unsafe extern "efiapi" fn equal(
    left: *const UNICODE_STRING,
    right: *const UNICODE_STRING,
    ignore_case: BOOLEAN,
) -> BOOLEAN {
    enter("RtlEqualUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let (left, right) = unsafe { (words(left), words(right)) };
    u8::from(folded(left, ignore_case) == folded(right, ignore_case))
}

/// `RtlCompareUnicodeString`: negative, zero or positive. At PASSIVE.
///
/// # Safety
///
/// The strings describe valid memory.
unsafe extern "efiapi" fn compare(
    left: *const UNICODE_STRING,
    right: *const UNICODE_STRING,
    ignore_case: BOOLEAN,
) -> i32 {
    enter("RtlCompareUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let (left, right) = unsafe { (words(left), words(right)) };
    folded(left, ignore_case).cmp(&folded(right, ignore_case)) as i32
}

/// `RtlPrefixUnicodeString`: whether the first string begins the second. At PASSIVE.
///
/// # Safety
///
/// The strings describe valid memory.
unsafe extern "efiapi" fn is_prefix(
    prefix: *const UNICODE_STRING,
    string: *const UNICODE_STRING,
    ignore_case: BOOLEAN,
) -> BOOLEAN {
    enter("RtlPrefixUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let (prefix, string) = unsafe { (words(prefix), words(string)) };
    let (prefix, string) = (folded(prefix, ignore_case), folded(string, ignore_case));
    u8::from(string.starts_with(&prefix))
}

/// `RtlUpcaseUnicodeChar`. At PASSIVE.
extern "efiapi" fn upcase_char(character: u16) -> u16 {
    enter("RtlUpcaseUnicodeChar", PASSIVE_LEVEL);
    upper(character)
}

/// `RtlDowncaseUnicodeChar`. At PASSIVE.
extern "efiapi" fn downcase_char(character: u16) -> u16 {
    enter("RtlDowncaseUnicodeChar", PASSIVE_LEVEL);
    lower(character)
}
