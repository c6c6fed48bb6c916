//! The edge to netsh: what it calls, and what we call of it.
//!
//! netsh exports its functions from the program itself. They are looked up there at run time, so that
//! the DLL can also be loaded by `rundll32`, which has no such functions.

use std::ffi::c_void;
use std::{mem, ptr, slice};

use netcfg::own_module;
use windows::Win32::Foundation::{ERROR_PROC_NOT_FOUND, HANDLE};
use windows::Win32::NetworkManagement::NetShell::{
    CMD_GROUP_ENTRY, NS_CONTEXT_ATTRIBUTES, NS_CONTEXT_ATTRIBUTES_0, NS_CONTEXT_ATTRIBUTES_0_0,
    NS_HELPER_ATTRIBUTES, NS_HELPER_ATTRIBUTES_0, NS_HELPER_ATTRIBUTES_0_0, TAG_TYPE,
};
use windows::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows::core::{BOOL, GUID, HSTRING, PCSTR, PCWSTR, PWSTR, s, w};

use crate::commands::{self, Command, INVALID_PARAMETER};
use crate::devices::Windows;
use crate::tables::{self, Layout};

/// The helper, as earlier versions of it were known.
const HELPER: GUID = GUID::from_u128(0xd9c599c4_8dcf_4a6a_93aa_a16fe6d5125c);
/// netsh itself is the parent of the context.
const ROOT: GUID = GUID::zeroed();
const VERSION: u32 = 1;
/// NS_REQ_PRESENT: the tag has to be there.
const REQUIRED: u32 = 1;
/// The most tags that a command has.
const MAX_TAGS: usize = 3;

type RegisterHelper = unsafe extern "system" fn(*const GUID, *const NS_HELPER_ATTRIBUTES) -> u32;
type RegisterContext = unsafe extern "system" fn(*const NS_CONTEXT_ATTRIBUTES) -> u32;
type PreprocessCommand = unsafe extern "system" fn(
    HANDLE,
    *mut PWSTR,
    u32,
    u32,
    *mut TAG_TYPE,
    u32,
    u32,
    u32,
    *mut u32,
) -> u32;
type PrintMessage = unsafe extern "C" fn(PCWSTR, ...) -> u32;
type PrintMessageFromModule = unsafe extern "C" fn(HANDLE, u32, ...) -> u32;

/// An export of the program that has loaded us.
///
/// # Safety
///
/// `F` is the type of the function of that name.
unsafe fn export<F: Copy>(name: PCSTR) -> Result<F, u32> {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    // SAFETY: null names the program itself, which stays loaded.
    let program = unsafe { GetModuleHandleW(PCWSTR::null()) };
    let program = program.map_err(|error| crate::devices::code(&error))?;
    // SAFETY: the module is loaded, and the name null-terminated.
    let function = unsafe { GetProcAddress(program, name) }.ok_or(ERROR_PROC_NOT_FOUND.0)?;
    // SAFETY: both are pointers to functions, the second of the type that the caller vouches for.
    Ok(unsafe { mem::transmute_copy(&function) })
}

/// The first function that netsh calls.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn InitHelperDll(_netsh_version: u32, _reserved: *mut c_void) -> u32 {
    let attributes = NS_HELPER_ATTRIBUTES {
        Anonymous: NS_HELPER_ATTRIBUTES_0 {
            Anonymous: NS_HELPER_ATTRIBUTES_0_0 {
                dwVersion: VERSION,
                dwReserved: 0,
            },
        },
        guidHelper: HELPER,
        pfnStart: Some(start),
        pfnStop: None,
    };
    // SAFETY: the type is that of netsh's RegisterHelper.
    let register = unsafe { export::<RegisterHelper>(s!("RegisterHelper")) };
    // SAFETY: both structures outlive the call; netsh copies them.
    register.map_or_else(
        |code| code,
        |register| unsafe { register(&ROOT, &raw const attributes) },
    )
}

/// Says what commands there are.
unsafe extern "system" fn start(_parent: *const GUID, _version: u32) -> u32 {
    match register(Layout::New) {
        INVALID_PARAMETER => register(Layout::Old),
        status => status,
    }
}

/// Registers the context, with tables of that layout; netsh's status.
fn register(layout: Layout) -> u32 {
    // netsh keeps the tables, so they stay for ever; this runs once for each layout.
    let show = tables::leak(
        layout,
        &[
            (w!("devices"), Command::ShowDevices, Some(show_devices)),
            (
                w!("parameters"),
                Command::ShowParameters,
                Some(show_parameters),
            ),
            (
                w!("paraminfo"),
                Command::ShowParamInfo,
                Some(show_param_info),
            ),
        ],
    );
    let top = tables::leak(
        layout,
        &[
            (w!("getparam"), Command::GetParam, Some(get_param)),
            (w!("setparam"), Command::SetParam, Some(set_param)),
            (w!("restart"), Command::Restart, Some(restart)),
        ],
    );
    let group = Box::leak(Box::new(CMD_GROUP_ENTRY {
        pwszCmdGroupToken: w!("show"),
        dwShortCmdHelpToken: 13,
        ulCmdGroupSize: show.count,
        pCmdGroup: show.first,
        ..CMD_GROUP_ENTRY::default()
    }));
    let mut name: Vec<u16> = "netkvm\0".encode_utf16().collect();
    let attributes = NS_CONTEXT_ATTRIBUTES {
        Anonymous: NS_CONTEXT_ATTRIBUTES_0 {
            Anonymous: NS_CONTEXT_ATTRIBUTES_0_0 {
                dwVersion: VERSION,
                dwReserved: 0,
            },
        },
        pwszContext: PWSTR(name.as_mut_ptr()),
        guidHelper: HELPER,
        ulNumTopCmds: top.count,
        pTopCmds: top.first,
        ulNumGroups: 1,
        pCmdGroups: group,
        pfnDumpFn: Some(dump),
        ..NS_CONTEXT_ATTRIBUTES::default()
    };
    // The name, too: what netsh copies of it is not documented.
    mem::forget(name);
    // SAFETY: the type is that of netsh's RegisterContext.
    let register = unsafe { export::<RegisterContext>(s!("RegisterContext")) };
    // SAFETY: the structure outlives the call, what it points to the process.
    register.map_or_else(
        |code| code,
        |register| unsafe { register(&raw const attributes) },
    )
}

/// A handler of one command, as netsh calls it.
macro_rules! handler {
    ($name:ident, $command:expr) => {
        unsafe extern "system" fn $name(
            _machine: PCWSTR,
            words: *mut PWSTR,
            current: u32,
            count: u32,
            _flags: u32,
            _data: *const c_void,
            _done: *mut BOOL,
        ) -> u32 {
            // SAFETY: netsh's contract for handlers is that of `handle`.
            unsafe { handle($command, words, current, count) }
        }
    };
}

handler!(show_devices, Command::ShowDevices);
handler!(show_parameters, Command::ShowParameters);
handler!(show_param_info, Command::ShowParamInfo);
handler!(get_param, Command::GetParam);
handler!(set_param, Command::SetParam);
handler!(restart, Command::Restart);

/// What netsh calls for `dump`.
unsafe extern "system" fn dump(
    _router: PCWSTR,
    _words: *const PCWSTR,
    _count: u32,
    _data: *const c_void,
) -> u32 {
    finish(Command::Dump, &[])
}

/// Does a command: its arguments are the words from `current` on.
///
/// # Safety
///
/// `words` points to `count` null-terminated strings that stay valid for the call.
unsafe fn handle(command: Command, words: *mut PWSTR, current: u32, count: u32) -> u32 {
    // SAFETY: our contract.
    match unsafe { arguments(command, words, current, count) } {
        Ok(arguments) => finish(command, &arguments),
        Err(_) => {
            print_help(command);
            INVALID_PARAMETER
        }
    }
}

/// Sorts the arguments by tag, with netsh's own function for it.
///
/// # Safety
///
/// As for [`handle`].
unsafe fn arguments(
    command: Command,
    words: *mut PWSTR,
    current: u32,
    count: u32,
) -> Result<Vec<String>, u32> {
    let names: Vec<HSTRING> = command
        .tags()
        .iter()
        .map(|tag| HSTRING::from(*tag))
        .collect();
    let needed = u32::try_from(names.len()).unwrap_or(0);
    let given = count.saturating_sub(current);
    if given != needed {
        return Err(INVALID_PARAMETER);
    }
    let mut tags: Vec<TAG_TYPE> = names
        .iter()
        .map(|name| TAG_TYPE {
            pwszTag: PCWSTR(name.as_ptr()),
            dwRequired: REQUIRED,
            bPresent: BOOL(0),
        })
        .collect();
    let mut kinds = [0u32; MAX_TAGS];
    if needed == 0 {
        return Ok(Vec::new());
    }
    let module = own_module().map_err(|error| crate::devices::code(&error))?;
    // SAFETY: the type is that of netsh's PreprocessCommand.
    let preprocess = unsafe { export::<PreprocessCommand>(s!("PreprocessCommand")) }?;
    // SAFETY: words and tags have the numbers of elements that are said, `kinds` one for each argument.
    let status = unsafe {
        preprocess(
            HANDLE(module.0),
            words,
            current,
            count,
            tags.as_mut_ptr(),
            needed,
            needed,
            needed,
            kinds.as_mut_ptr(),
        )
    };
    if status != 0 {
        return Err(status);
    }
    let (first, count) = (current as usize, count as usize);
    // SAFETY: `count` words, by our contract.
    let words = unsafe { slice::from_raw_parts(words, count) };
    let mut sorted = vec![String::new(); names.len()];
    for (word, kind) in words.iter().skip(first).zip(kinds) {
        let place = sorted.get_mut(kind as usize).ok_or(INVALID_PARAMETER)?;
        // SAFETY: a null-terminated string, by our contract; netsh has only moved its begin.
        *place = unsafe { word.to_string() }.map_err(|_| INVALID_PARAMETER)?;
    }
    Ok(sorted)
}

/// Runs the command, prints what it tells, and gives what netsh wants to know.
fn finish(command: Command, arguments: &[String]) -> u32 {
    match commands::run(&Windows, command, arguments) {
        Ok(text) => {
            print(&text);
            0
        }
        Err(failure) => {
            print(&format!("{failure}\n"));
            if failure.is_usage() {
                print_help(command);
            }
            failure.code()
        }
    }
}

/// Line by line: how much netsh's function prints at once is limited.
fn print(text: &str) {
    // SAFETY: the type is that of netsh's PrintMessage.
    let Ok(print) = (unsafe { export::<PrintMessage>(s!("PrintMessage")) }) else {
        return;
    };
    for line in text.split_inclusive('\n') {
        let line = HSTRING::from(line.replace('\n', "\r\n"));
        // SAFETY: the format takes one string, and gets one that outlives the call.
        unsafe { print(w!("%1!s!"), line.as_ptr()) };
    }
}

fn print_help(command: Command) {
    let number = u32::from(command.help()).saturating_add(1);
    // SAFETY: the type is that of netsh's PrintMessageFromModule.
    let print = unsafe { export::<PrintMessageFromModule>(s!("PrintMessageFromModule")) };
    if let (Ok(print), Ok(module)) = (print, own_module()) {
        // SAFETY: the string of that number is in this module, and takes no arguments.
        unsafe { print(HANDLE(module.0), number, ptr::null::<u16>()) };
    }
}
