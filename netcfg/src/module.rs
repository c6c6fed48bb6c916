//! The DLL, or the program, that this code runs in.

use windows::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, HMODULE};
use windows::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
    GetModuleFileNameW, GetModuleHandleExW,
};
use windows::core::{Error, PCWSTR, Result};

/// The longest path that Windows knows, in UTF-16 units.
const LONGEST: usize = 0x8000;

/// The handle of the module that this crate is linked into. It counts as no reference: the module has to
/// stay loaded while the handle is used, which it does while code of it runs.
///
/// # Errors
///
/// Windows does not know the module, as it was not loaded by its loader.
pub fn own_module() -> Result<HMODULE> {
    let mut module = HMODULE::default();
    let here = own_module as *const u16;
    // SAFETY: with FROM_ADDRESS the name is any address in the module; `module` is a place for a handle.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
            PCWSTR(here),
            &raw mut module,
        )
    }?;
    Ok(module)
}

/// The file that the module was loaded from.
///
/// # Errors
///
/// As for [`own_module`]; or the path is cut off or no text: another file may go by what is left of it.
pub fn own_path() -> Result<String> {
    let mut path = vec![0u16; LONGEST];
    // SAFETY: the handle is that of this module, which stays loaded while its code runs.
    let length = unsafe { GetModuleFileNameW(Some(own_module()?), &mut path) };
    let length = usize::try_from(length).unwrap_or(LONGEST);
    match path.get(..length) {
        Some([]) => Err(Error::from_thread()),
        // One that has been cut off fills the buffer, with or without a terminator.
        Some(text) if length < path.len() => Ok(String::from_utf16(text)?),
        _ => Err(ERROR_INSUFFICIENT_BUFFER.into()),
    }
}
