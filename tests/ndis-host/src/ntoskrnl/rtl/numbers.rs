//! Numbers to and from text.

use ndis_sys::{
    NTSTATUS, STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

use super::strings::{put, words};
use crate::ntoskrnl::enter;
use crate::sched::PASSIVE_LEVEL;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlUnicodeStringToInteger", to_integer as *const ()),
        ("RtlIntegerToUnicodeString", from_integer as *const ()),
        ("RtlInt64ToUnicodeString", from_int64 as *const ()),
    ]
}

/// `RtlUnicodeStringToInteger`: base 2, 8, 10, 16, or 0 to take it from a prefix `0b`, `0o`, `0x`.
/// Blanks, control characters and a sign may come first; what is no digit ends the number. At
/// PASSIVE.
///
/// # Safety
///
/// `string` describes valid memory, `value` can be written.
unsafe extern "efiapi" fn to_integer(
    string: *const UNICODE_STRING,
    base: u32,
    value: *mut u32,
) -> NTSTATUS {
    enter("RtlUnicodeStringToInteger", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let text = String::from_utf16_lossy(unsafe { words(string) });
    let Some(number) = parse(&text, base) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: by contract.
    unsafe { value.write(number) };
    STATUS_SUCCESS
}

/// `None` for a base that there is not.
fn parse(text: &str, base: u32) -> Option<u32> {
    let text = text.trim_start_matches(|c: char| c <= ' ');
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixes = [("0b", 2), ("0o", 8), ("0x", 16)];
    let prefixed = prefixes
        .iter()
        .find_map(|(prefix, base)| Some((text.strip_prefix(prefix)?, *base)));
    let (digits, base) = match base {
        0 => prefixed.unwrap_or((text, 10)),
        2 | 8 | 10 | 16 => (text, base),
        _ => return None,
    };
    let digits = digits.chars().map_while(|c| c.to_digit(base));
    let number = digits.fold(0_u32, |number, digit| {
        number.wrapping_mul(base).wrapping_add(digit)
    });
    Some(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}

/// `RtlIntegerToUnicodeString`: base 2, 8, 10, 16, or 0 for 10. At PASSIVE.
///
/// # Safety
///
/// `string` describes writable memory.
unsafe extern "efiapi" fn from_integer(
    value: u32,
    base: u32,
    string: *mut UNICODE_STRING,
) -> NTSTATUS {
    enter("RtlIntegerToUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe { write(u64::from(value), base, string) }
}

/// `RtlInt64ToUnicodeString`, as [`from_integer`]. At PASSIVE.
///
/// # Safety
///
/// `string` describes writable memory.
unsafe extern "efiapi" fn from_int64(
    value: u64,
    base: u32,
    string: *mut UNICODE_STRING,
) -> NTSTATUS {
    enter("RtlInt64ToUnicodeString", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe { write(value, base, string) }
}

unsafe fn write(value: u64, base: u32, string: *mut UNICODE_STRING) -> NTSTATUS {
    let text = match base {
        2 => format!("{value:b}"),
        8 => format!("{value:o}"),
        0 | 10 => format!("{value}"),
        16 => format!("{value:X}"),
        _ => return STATUS_INVALID_PARAMETER,
    };
    let text: Vec<u16> = text.encode_utf16().collect();
    // SAFETY: by contract.
    unsafe {
        if 2 * text.len() > usize::from((*string).MaximumLength) {
            return STATUS_BUFFER_OVERFLOW;
        }
        put(string, 0, &text);
    }
    STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_of_zero_is_taken_from_the_prefix() {
        assert_eq!(parse("  +0x1f tail", 0), Some(0x1f));
        assert_eq!(parse("0b101", 0), Some(5));
        assert_eq!(parse("-1", 0), Some(u32::MAX));
        assert_eq!(parse("12", 0), Some(12));
    }

    #[test]
    fn a_base_that_there_is_not_is_refused_and_a_digit_too_high_ends_the_number() {
        assert_eq!(parse("12", 7), None);
        assert_eq!(parse("1289", 8), Some(0o12));
        assert_eq!(parse("", 10), Some(0));
    }
}
