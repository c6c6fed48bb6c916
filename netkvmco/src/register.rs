//! Makes the DLL known to netsh, and unknown again: `rundll32 netkvmco.dll,RegisterNetKVMNetShHelper`.

use windows::Win32::Foundation::{HINSTANCE, HMODULE, HWND};
use windows::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
    GetModuleFileNameW, GetModuleHandleExW,
};
use windows::core::{Error, PCWSTR, PSTR, Result};
use windows_registry::LOCAL_MACHINE;

/// Where netsh looks for its helpers: one value per DLL.
const KEY: &str = r"SOFTWARE\Microsoft\NetSh";
const VALUE: &str = "netkvmco";

/// Adds the DLL to netsh's helpers. Needs administrator rights; rundll32 has no way to tell of a failure
/// but the debugger's, so it is `netsh` that shows whether it worked.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn RegisterNetKVMNetShHelper(_: HWND, _: HINSTANCE, _: PSTR, _: i32) {
    let done = own_path().and_then(|path| LOCAL_MACHINE.create(KEY)?.set_string(VALUE, path));
    drop(done);
}

/// Takes the DLL from netsh's helpers.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn UnregisterNetKVMNetShHelper(_: HWND, _: HINSTANCE, _: PSTR, _: i32) {
    let key = LOCAL_MACHINE.options().read().write().open(KEY);
    drop(key.and_then(|key| key.remove_value(VALUE)));
}

/// The handle of this DLL.
pub(crate) fn own_module() -> Result<HMODULE> {
    let mut module = HMODULE::default();
    let here = RegisterNetKVMNetShHelper as *const u16;
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

/// The file that this code was loaded from.
fn own_path() -> Result<String> {
    // The longest path that Windows knows.
    let mut path = vec![0u16; 0x8000];
    // SAFETY: the handle is that of this module, which stays loaded while its code runs.
    let length = unsafe { GetModuleFileNameW(Some(own_module()?), &mut path) };
    let text = path.get(..usize::try_from(length).unwrap_or(0));
    match text {
        Some(text) if !text.is_empty() => Ok(String::from_utf16_lossy(text)),
        _ => Err(Error::from_thread()),
    }
}
