//! Makes the DLL known to netsh, and unknown again: `rundll32 netkvmco.dll,RegisterNetKVMNetShHelper`.

use windows::Win32::Foundation::{HINSTANCE, HWND};
use windows::core::PSTR;
use windows_registry::LOCAL_MACHINE;

/// Where netsh looks for its helpers: one value per DLL.
const KEY: &str = r"SOFTWARE\Microsoft\NetSh";
const VALUE: &str = "netkvmco";

/// Adds the DLL to netsh's helpers. Needs administrator rights; rundll32 has no way to tell of a failure
/// but the debugger's, so it is `netsh` that shows whether it worked.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn RegisterNetKVMNetShHelper(_: HWND, _: HINSTANCE, _: PSTR, _: i32) {
    let done =
        netcfg::own_path().and_then(|path| LOCAL_MACHINE.create(KEY)?.set_string(VALUE, path));
    drop(done);
}

/// Takes the DLL from netsh's helpers.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn UnregisterNetKVMNetShHelper(_: HWND, _: HINSTANCE, _: PSTR, _: i32) {
    let key = LOCAL_MACHINE.options().read().write().open(KEY);
    drop(key.and_then(|key| key.remove_value(VALUE)));
}
