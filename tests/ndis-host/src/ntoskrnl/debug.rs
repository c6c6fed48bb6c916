//! Debugger output and bug checks.

use std::collections::VecDeque;
use std::ffi::c_char;

use ndis_sys::{NTSTATUS, STATUS_SUCCESS};

use super::format::{expand, expand_list};
use super::{enter, text};
use crate::sched::{BatonCell, HIGH_LEVEL};
use crate::verifier;

/// How many lines of debugger output are kept.
const KEPT_LINES: usize = 1000;

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
    let mut arguments = [a, b, c, d, e, f, g, h].into_iter();
    // SAFETY: as the caller promises.
    let line = unsafe { expand(&format, || arguments.next().unwrap_or(0)) };
    print(level, &line)
}

/// Keeps a line.
fn print(level: u32, line: &str) -> NTSTATUS {
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

/// `DbgPrint`, as [`dbg_print_ex`] without component and level. Any level.
///
/// # Safety
///
/// As there.
unsafe extern "efiapi" fn dbg_print(
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
    // SAFETY: as the caller promises.
    unsafe { dbg_print_ex(0, 0, format, a, b, c, d, e, f, g, h) }
}

/// `vDbgPrintEx`: the arguments are a list. Any level.
///
/// # Safety
///
/// `arguments` has as many words as the format names.
unsafe extern "efiapi" fn v_dbg_print_ex(
    _component: u32,
    level: u32,
    format: *const c_char,
    arguments: *const usize,
) -> NTSTATUS {
    enter("vDbgPrintEx", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let line = unsafe { expand_list(format, arguments) };
    print(level, &line)
}

/// `vDbgPrintExWithPrefix`. Any level.
///
/// # Safety
///
/// As [`v_dbg_print_ex`]; `prefix` is zero-terminated.
unsafe extern "efiapi" fn v_dbg_print_ex_with_prefix(
    prefix: *const c_char,
    _component: u32,
    level: u32,
    format: *const c_char,
    arguments: *const usize,
) -> NTSTATUS {
    enter("vDbgPrintExWithPrefix", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let line = unsafe { text::read_ansi(prefix.cast()) + &expand_list(format, arguments) };
    print(level, &line)
}

/// `DbgBreakPointWithStatus`, `DbgBreakPoint`: without a debugger that stops the system. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn break_point(status: u32) {
    verifier::fatal(0, format!("break point of a driver, status {status:#x}"))
}

/// The routines of this module: name and address.
pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("DbgPrint", dbg_print as *const ()),
        ("vDbgPrintEx", v_dbg_print_ex as *const ()),
        (
            "vDbgPrintExWithPrefix",
            v_dbg_print_ex_with_prefix as *const (),
        ),
        ("DbgBreakPointWithStatus", break_point as *const ()),
        ("DbgBreakPoint", break_point as *const ()),
        ("KeBugCheck", ke_bug_check as *const ()),
    ]
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

/// `KeBugCheck`: [`ke_bug_check_ex`] without parameters.
///
/// # Safety
///
/// As there.
unsafe extern "efiapi" fn ke_bug_check(code: u32) -> ! {
    // SAFETY: as the caller promises.
    unsafe { ke_bug_check_ex(code, 0, 0, 0, 0) }
}
