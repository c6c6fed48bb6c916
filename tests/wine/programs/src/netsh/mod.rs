//! Helpers, contexts and the way from words to a handler.

use std::cell::RefCell;
use std::ffi::c_void;
use std::{mem, ptr, slice};

use windows::Win32::Foundation::HMODULE;
use windows::Win32::NetworkManagement::NetShell::{
    CMD_ENTRY, NS_CONTEXT_ATTRIBUTES, NS_HELPER_ATTRIBUTES,
};
use windows::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryW};
use windows::core::{BOOL, GUID, HSTRING, PCWSTR, PWSTR, s};
use windows_registry::LOCAL_MACHINE;

mod exports;
mod tables;

use exports::{is_match, print_string};

/// What the real one says of itself to helpers.
const VERSION: u32 = 2;
const ERROR_CMD_NOT_FOUND: u32 = 15004;

/// A helper with the module that it is in, and its contexts.
#[derive(Default)]
struct Registered {
    loading: Option<HMODULE>,
    helpers: Vec<(HMODULE, NS_HELPER_ATTRIBUTES)>,
    contexts: Vec<NS_CONTEXT_ATTRIBUTES>,
}

thread_local! {
    static REGISTERED: RefCell<Registered> = RefCell::default();
}

type Init = unsafe extern "system" fn(u32, *mut c_void) -> u32;

/// Loads the helpers and starts them.
fn load() {
    let key = LOCAL_MACHINE.open(r"SOFTWARE\Microsoft\NetSh");
    let values = key.and_then(|key| Ok(key.values()?.collect::<Vec<_>>()));
    for (_, value) in values.into_iter().flatten() {
        let path: String = value.try_into().unwrap_or_default();
        // SAFETY: loading runs the helper's own start-up; it is there to be tried.
        let module = unsafe { LoadLibraryW(&HSTRING::from(&path)) };
        let Ok(module) = module else {
            println!("{path} can't be loaded");
            continue;
        };
        REGISTERED.with_borrow_mut(|all| all.loading = Some(module));
        // SAFETY: the module is loaded, and the name null-terminated.
        let Some(init) = (unsafe { GetProcAddress(module, s!("InitHelperDll")) }) else {
            println!("{path} is no helper");
            continue;
        };
        // SAFETY: the function of that name has this type.
        let init: Init = unsafe { mem::transmute(init) };
        // SAFETY: the second argument is reserved.
        let status = unsafe { init(VERSION, ptr::null_mut()) };
        assert_eq!(status, 0, "{path} does not start");
    }
    let helpers = REGISTERED.with_borrow(|all| all.helpers.clone());
    for (_, helper) in helpers {
        if let Some(start) = helper.pfnStart {
            // SAFETY: the GUID outlives the call.
            let status = unsafe { start(&GUID::zeroed(), VERSION) };
            assert_eq!(status, 0, "a helper does not start");
        }
    }
}

/// Runs the command of `words`, the first of which is a context; `--old-tables` before it makes this the
/// netsh of an older version of Windows. Gives the status of the handler.
pub(crate) fn run(words: &[String]) -> u32 {
    let words = match words.split_first() {
        Some((first, rest)) if first == "--old-tables" => {
            tables::be_old();
            rest
        }
        _ => words,
    };
    load();
    let Some((name, rest)) = words.split_first() else {
        return ERROR_CMD_NOT_FOUND;
    };
    let contexts = REGISTERED.with_borrow(|all| all.contexts.clone());
    // SAFETY: the names stay valid, as helpers promise.
    let is_it =
        |context: &&NS_CONTEXT_ATTRIBUTES| is_match(name, &text(PCWSTR(context.pwszContext.0)));
    match contexts.iter().find(is_it) {
        Some(context) => in_context(context, words, rest),
        None => {
            println!("The following command was not found: {}.", words.join(" "));
            ERROR_CMD_NOT_FOUND
        }
    }
}

/// Copies a string of a helper.
fn text(text: PCWSTR) -> String {
    // SAFETY: helpers register null-terminated strings that stay valid.
    unsafe { text.to_string() }.unwrap_or_default()
}

fn in_context(context: &NS_CONTEXT_ATTRIBUTES, words: &[String], rest: &[String]) -> u32 {
    let module = REGISTERED.with_borrow(|all| {
        let helpers = all.helpers.iter();
        let mut own = helpers.filter(|(_, helper)| helper.guidHelper == context.guidHelper);
        own.next().map(|(module, _)| *module).unwrap_or_default()
    });
    // SAFETY: tables have the numbers of elements that the helper says, and stay valid.
    let (top, groups) = unsafe {
        (
            tables::read(context.pTopCmds, context.ulNumTopCmds),
            slice::from_raw_parts(context.pCmdGroups, context.ulNumGroups as usize),
        )
    };
    let list = |commands: &[CMD_ENTRY], group: &str| {
        for command in commands {
            print!("{group}{:<16} - ", text(command.pwszCmdToken));
            print_string(module, command.dwShortCmdHelpToken);
        }
    };
    let Some(first) = rest.first().filter(|word| *word != "?") else {
        list(&top, "");
        for group in groups {
            print!("{:<16} - ", text(group.pwszCmdGroupToken));
            print_string(module, group.dwShortCmdHelpToken);
        }
        return 0;
    };
    if first.eq_ignore_ascii_case("dump")
        && let Some(dump) = context.pfnDumpFn
    {
        // SAFETY: there are no arguments.
        return unsafe { dump(PCWSTR::null(), ptr::null(), 0, ptr::null()) };
    }
    if let Some(command) = top
        .iter()
        .find(|command| is_match(first, &text(command.pwszCmdToken)))
    {
        return call(module, command, words, 2);
    }
    let group = groups
        .iter()
        .find(|group| is_match(first, &text(group.pwszCmdGroupToken)));
    if let Some(group) = group {
        // SAFETY: as above.
        let commands = unsafe { tables::read(group.pCmdGroup, group.ulCmdGroupSize) };
        let name = format!("{} ", text(group.pwszCmdGroupToken));
        let Some(second) = rest.get(1).filter(|word| *word != "?") else {
            list(&commands, &name);
            return 0;
        };
        if let Some(command) = commands
            .iter()
            .find(|command| is_match(second, &text(command.pwszCmdToken)))
        {
            return call(module, command, words, 3);
        }
    }
    println!("The following command was not found: {}.", words.join(" "));
    ERROR_CMD_NOT_FOUND
}

/// Calls a handler, or prints the help of the command.
fn call(module: HMODULE, command: &CMD_ENTRY, words: &[String], current: usize) -> u32 {
    if words.get(current).is_some_and(|word| word == "?") {
        print_string(module, command.dwCmdHlpToken);
        return 0;
    }
    let mut wide: Vec<Vec<u16>> = words
        .iter()
        .map(|word| word.encode_utf16().chain([0]).collect())
        .collect();
    let mut pointers: Vec<PWSTR> = wide
        .iter_mut()
        .map(|word| PWSTR(word.as_mut_ptr()))
        .collect();
    let Some(handler) = command.pfnCmdHandler else {
        return ERROR_CMD_NOT_FOUND;
    };
    let (current, count) = (current as u32, pointers.len() as u32);
    let mut done = BOOL(0);
    // SAFETY: the words are null-terminated and outlive the call; netsh gives no machine and no data.
    unsafe {
        handler(
            PCWSTR::null(),
            pointers.as_mut_ptr(),
            current,
            count,
            0,
            ptr::null(),
            &raw mut done,
        )
    }
}
