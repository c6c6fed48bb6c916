//! Debugger output and bug checks.

use std::collections::VecDeque;
use std::ffi::{c_char, c_void};

use ndis_sys::{NTSTATUS, STATUS_SUCCESS, UNICODE_STRING};

use super::{enter, text};
use crate::sched::{BatonCell, HIGH_LEVEL};
use crate::verifier;

/// How many lines of debugger output are kept.
const KEPT_LINES: usize = 1000;
/// How many arguments behind the format are read.
const ARGUMENTS: usize = 8;

static OUTPUT: BatonCell<VecDeque<String>> = BatonCell::new(VecDeque::new());

/// What drivers have written to the debugger, oldest first.
pub fn debug_output() -> Vec<String> {
    OUTPUT.with(|output| output.iter().cloned().collect())
}

/// `DbgPrintEx`: writes to the debugger. Any level.
///
/// The real routine is variadic. In this calling convention its arguments are read in the same way
/// as fixed ones: the fourth from a register, the others from the stack.
///
/// # Safety
///
/// `format` must be zero-terminated, and name as many arguments, and of such kinds, as there are.
pub(super) unsafe extern "efiapi" fn dbg_print_ex(
    _component: u32,
    level: u32,
    format: *const c_char,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
    g: usize,
    h: usize,
) -> NTSTATUS {
    enter("DbgPrintEx", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let format = unsafe { text::read_ansi(format.cast()) };
    // SAFETY: as the caller promises.
    let line = unsafe { expand(&format, [a, b, c, d, e, f, g, h]) };
    let line = line.trim_end().to_owned();
    verifier::note(format!("DbgPrintEx({level}): {line}"));
    OUTPUT.with(|output| {
        if output.len() == KEPT_LINES {
            output.pop_front();
        }
        output.push_back(line);
    });
    STATUS_SUCCESS
}

/// Replaces the conversions of `format` by the arguments.
///
/// # Safety
///
/// The arguments must be of the kinds that the format names.
unsafe fn expand(format: &str, arguments: [usize; ARGUMENTS]) -> String {
    let mut arguments = arguments.into_iter();
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
        let argument = arguments.next().unwrap_or(0);
        // SAFETY: as the caller promises.
        line.push_str(&unsafe { convert(flags, kind, argument) });
    }
    line.push_str(rest);
    line
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

/// `KeBugCheckEx`: the driver gives up. Ends the run as a breach of rule 0: the code says why.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn ke_bug_check_ex(
    code: u32,
    first: usize,
    second: usize,
    third: usize,
    fourth: usize,
) -> ! {
    let parameters = format!("{first:#x}, {second:#x}, {third:#x}, {fourth:#x}");
    verifier::fatal(
        0,
        format!("the driver stopped the system: {code:#x} ({parameters})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(format: &str, arguments: &[usize]) -> String {
        let mut all = [0; ARGUMENTS];
        all[..arguments.len()].copy_from_slice(arguments);
        // SAFETY: the tests below pass pointers where the format names strings.
        unsafe { expand(format, all) }
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
