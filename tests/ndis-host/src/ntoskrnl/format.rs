//! Texts with conversions, as `printf` has them.

use std::ffi::{c_char, c_void};

use ndis_sys::UNICODE_STRING;

use super::text;

/// Replaces the conversions of `format` by the arguments, which are taken one by one.
///
/// # Safety
///
/// The arguments must be of the kinds that the format names.
pub(super) unsafe fn expand(format: &str, mut arguments: impl FnMut() -> usize) -> String {
    let mut line = String::new();
    let mut rest = format;
    while let Some((before, conversion)) = rest.split_once('%') {
        line.push_str(before);
        let len = conversion
            .find(|letter: char| letter.is_ascii_alphabetic() && !matches!(letter, 'l' | 'I' | 'w'))
            .unwrap_or(conversion.len());
        if let Some(after) = conversion.strip_prefix('%') {
            line.push('%');
            rest = after;
            continue;
        }
        let (flags, tail) = conversion.split_at(len);
        let kind = tail.chars().next();
        rest = tail.get(kind.map_or(0, char::len_utf8)..).unwrap_or("");
        let argument = arguments();
        // SAFETY: as the caller promises.
        line.push_str(&unsafe { convert(flags, kind, argument) });
    }
    line.push_str(rest);
    line
}

/// Expands a format whose arguments are a list of words in memory, as a `va_list` of the Windows
/// convention is.
///
/// # Safety
///
/// `format` is zero-terminated and names no more words than there are.
pub(super) unsafe fn expand_list(format: *const c_char, mut arguments: *const usize) -> String {
    // SAFETY: as the caller promises.
    unsafe {
        let format = text::read_ansi(format.cast());
        expand(&format, || {
            let word = arguments.read_unaligned();
            arguments = arguments.add(1);
            word
        })
    }
}

/// One argument as text.
///
/// # Safety
///
/// For `%s`, `%S`, `%ws` and `%wZ` the argument must point to such a string.
unsafe fn convert(flags: &str, kind: Option<char>, argument: usize) -> String {
    let is_wide = flags.ends_with('w') || flags.ends_with('l');
    let is_long = flags.contains("ll") || flags.contains("I64");
    let number = if is_long {
        argument
    } else {
        argument as u32 as usize
    };
    let pointer = argument as *const c_void;
    match kind {
        Some('d' | 'i') if is_long => (argument as isize).to_string(),
        Some('d' | 'i') => (argument as i32).to_string(),
        Some('u') => number.to_string(),
        Some('x') => format!("{number:x}"),
        Some('X') => format!("{number:X}"),
        Some('p') => format!("{argument:016x}"),
        Some('c') => char::from(argument as u8).to_string(),
        Some('s' | 'S' | 'Z') if pointer.is_null() => "(null)".to_owned(),
        // SAFETY: as the caller promises.
        Some('Z') => unsafe { text::read(pointer.cast::<UNICODE_STRING>()) },
        // SAFETY: as the caller promises.
        Some('s') if is_wide => unsafe { text::read_terminated(pointer.cast()) },
        // SAFETY: as the caller promises.
        Some('S') => unsafe { text::read_terminated(pointer.cast()) },
        // SAFETY: as the caller promises.
        Some('s') => unsafe { text::read_ansi(pointer) },
        other => format!("%{flags}{}", other.unwrap_or(' ')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(format: &str, arguments: &[usize]) -> String {
        let mut arguments = arguments.iter();
        let next = || *arguments.next().unwrap_or(&0);
        // SAFETY: the tests below pass pointers where the format names strings.
        unsafe { expand(format, next) }
    }

    #[test]
    fn numbers_are_written_as_the_format_says() {
        let minus_one = u32::MAX as usize;
        assert_eq!(
            expanded("%d %u %x", &[minus_one, minus_one, 0xAB]),
            "-1 4294967295 ab"
        );
        assert_eq!(
            expanded("%I64x|%llu|%08X", &[usize::MAX, 7, 0xAB]),
            "ffffffffffffffff|7|AB"
        );
        assert_eq!(expanded("100%% at %p", &[0x10]), "100% at 0000000000000010");
    }

    #[test]
    fn strings_of_all_kinds_are_written() {
        let wide: Vec<u16> = "wide\0".encode_utf16().collect();
        let counted = UNICODE_STRING {
            Length: 4,
            MaximumLength: 4,
            Buffer: wide.as_ptr().cast_mut(),
        };
        let arguments = [
            c"narrow".as_ptr().addr(),
            wide.as_ptr().addr(),
            (&raw const counted).addr(),
            0,
        ];
        assert_eq!(
            expanded("%s %ws %wZ %s!", &arguments),
            "narrow wide wi (null)!"
        );
    }
}
