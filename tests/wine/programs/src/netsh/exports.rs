//! The functions that netsh offers to helpers.

use windows::Win32::Foundation::{HANDLE, HINSTANCE, HMODULE};
use windows::Win32::NetworkManagement::NetShell::{
    NS_CONTEXT_ATTRIBUTES, NS_HELPER_ATTRIBUTES, TAG_TYPE,
};
use windows::Win32::UI::WindowsAndMessaging::LoadStringW;
use windows::core::{BOOL, GUID, PCWSTR, PWSTR};

use super::{REGISTERED, tables};

const ERROR_INVALID_PARAMETER: u32 = 87;
const ERROR_INVALID_SYNTAX: u32 = 15001;
const ERROR_INVALID_OPTION_TAG: u32 = 15011;
const ERROR_NO_TAG: u32 = 15012;
const ERROR_TAG_ALREADY_PRESENT: u32 = 15014;
/// NS_REQ_PRESENT
const REQUIRED: u32 = 1;

/// What a user types may be the begin of a word, in any case.
pub(super) fn is_match(typed: &str, token: &str) -> bool {
    let begin = token.get(..typed.len());
    !typed.is_empty() && begin.is_some_and(|begin| begin.eq_ignore_ascii_case(typed))
}

/// Prints a string of a module's string table.
pub(super) fn print_string(module: HMODULE, number: u32) {
    let mut text = [0u16; 2048];
    let buffer = PWSTR(text.as_mut_ptr());
    // SAFETY: the buffer has the size that is said.
    let length = unsafe { LoadStringW(Some(HINSTANCE(module.0)), number, buffer, 2048) };
    let text = text.get(..usize::try_from(length).unwrap_or(0));
    match text {
        Some(text) if !text.is_empty() => print!("{}", String::from_utf16_lossy(text)),
        _ => println!("(no string {number})"),
    }
}

// SAFETY: no other item of the program exports these names.
#[unsafe(no_mangle)]
unsafe extern "system" fn RegisterHelper(
    _parent: *const GUID,
    helper: *const NS_HELPER_ATTRIBUTES,
) -> u32 {
    // SAFETY: a structure, by the contract of the function.
    let helper = unsafe { helper.read() };
    REGISTERED.with_borrow_mut(|all| {
        let module = all.loading.unwrap_or_default();
        all.helpers.push((module, helper));
    });
    0
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "system" fn RegisterContext(context: *const NS_CONTEXT_ATTRIBUTES) -> u32 {
    // SAFETY: a structure, by the contract of the function.
    let context = unsafe { context.read() };
    // SAFETY: helpers have tables of either layout; an old netsh reads less than a new table has.
    if !unsafe { tables::is_sound(&context) } {
        return ERROR_INVALID_PARAMETER;
    }
    REGISTERED.with_borrow_mut(|all| all.contexts.push(context));
    0
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "system" fn MatchToken(typed: PCWSTR, token: PCWSTR) -> BOOL {
    // SAFETY: null-terminated strings, by the contract of the function.
    let (typed, token) = unsafe { (typed.to_string(), token.to_string()) };
    BOOL::from(typed.is_ok_and(|typed| token.is_ok_and(|token| is_match(&typed, &token))))
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "system" fn PreprocessCommand(
    _module: HANDLE,
    words: *mut PWSTR,
    current: u32,
    count: u32,
    tags: *mut TAG_TYPE,
    tag_count: u32,
    least: u32,
    most: u32,
    kinds: *mut u32,
) -> u32 {
    let given = count.saturating_sub(current);
    if given < least || given > most {
        return ERROR_INVALID_SYNTAX;
    }
    // SAFETY: the function's contract gives the numbers of elements.
    let (words, tags, kinds) = unsafe {
        (
            std::slice::from_raw_parts_mut(words.add(current as usize), given as usize),
            std::slice::from_raw_parts_mut(tags, tag_count as usize),
            std::slice::from_raw_parts_mut(kinds, given as usize),
        )
    };
    for (word, kind) in words.iter_mut().zip(kinds) {
        match assign(word, tags) {
            Ok(tag) => *kind = tag,
            Err(status) => return status,
        }
    }
    let missing = tags
        .iter()
        .any(|tag| tag.dwRequired == REQUIRED && !tag.bPresent.as_bool());
    if missing { ERROR_NO_TAG } else { 0 }
}

/// The place of the tag that `word` is for; takes the tag off the word.
fn assign(word: &mut PWSTR, tags: &mut [TAG_TYPE]) -> Result<u32, u32> {
    // SAFETY: a null-terminated string, by the contract of `PreprocessCommand`.
    let text = unsafe { word.to_string() }.map_err(|_| ERROR_INVALID_SYNTAX)?;
    let place = match text.split_once('=') {
        Some((name, _)) => {
            let is_it = |tag: &TAG_TYPE| {
                // SAFETY: tags are null-terminated strings.
                let token = unsafe { tag.pwszTag.to_string() };
                token.is_ok_and(|token| is_match(name, &token))
            };
            let place = tags
                .iter()
                .position(is_it)
                .ok_or(ERROR_INVALID_OPTION_TAG)?;
            // SAFETY: the tag and the sign are part of the string.
            *word = unsafe { PWSTR(word.0.add(name.encode_utf16().count() + 1)) };
            place
        }
        None => {
            let free = tags.iter().position(|tag| !tag.bPresent.as_bool());
            free.ok_or(ERROR_INVALID_SYNTAX)?
        }
    };
    let tag = tags.get_mut(place).ok_or(ERROR_INVALID_SYNTAX)?;
    if tag.bPresent.as_bool() {
        return Err(ERROR_TAG_ALREADY_PRESENT);
    }
    tag.bPresent = BOOL(1);
    u32::try_from(place).map_err(|_| ERROR_INVALID_SYNTAX)
}

/// Knows the one format that the helper uses: a string as it is. On x64 a function with a variable
/// list is called like any other.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn PrintMessage(format: PCWSTR, text: PCWSTR) -> u32 {
    // SAFETY: null-terminated strings, by the contract of the function and its format.
    let (format, text) = unsafe { (format.to_string(), text.to_string()) };
    assert!(
        format.is_ok_and(|format| format == "%1!s!"),
        "a format that the small netsh does not know"
    );
    print!("{}", text.unwrap_or_default());
    0
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn PrintMessageFromModule(module: HANDLE, number: u32) -> u32 {
    print_string(HMODULE(module.0), number);
    0
}
