//! The in-process COM server: exports, and registration.

use std::ffi::c_void;

use netcfg::server;
use windows::Win32::Foundation::{S_FALSE, S_OK};
use windows::core::{GUID, HRESULT, Result};
use windows_registry::LOCAL_MACHINE;

use crate::notify::Notify;

/// The class of the notify object, as `vioprot.inf` names it.
const CLASS: GUID = GUID::from_u128(0xf69513f1_8e1a_4f35_82d9_046406970e6d);
const KEY: &str = r"SOFTWARE\Classes\CLSID\{F69513F1-8E1A-4F35-82D9-046406970E6D}";

/// Hands out the class factory.
///
/// # Safety
///
/// `class` and `wanted` point to GUIDs or are null, `object` to a place for a pointer or is null.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
unsafe extern "system" fn DllGetClassObject(
    class: *const GUID,
    wanted: *const GUID,
    object: *mut *mut c_void,
) -> HRESULT {
    // SAFETY: our contract is the contract of the function.
    unsafe { server::class_object(&CLASS, || Notify::new().into(), class, wanted, object) }
}

/// Says whether the DLL may go.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn DllCanUnloadNow() -> HRESULT {
    if server::is_needed() { S_FALSE } else { S_OK }
}

/// Enters the class into the registry, with the path that this DLL was loaded from.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn DllRegisterServer() -> HRESULT {
    register().into()
}

/// Takes the class out of the registry. That it is not there is no failure.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn DllUnregisterServer() -> HRESULT {
    if LOCAL_MACHINE.open(KEY).is_err() {
        return S_OK;
    }
    LOCAL_MACHINE.remove_tree(KEY).into()
}

fn register() -> Result<()> {
    let path = netcfg::own_path()?;
    let class = LOCAL_MACHINE.create(KEY)?;
    class.set_string("", "NetKVM failover protocol: notify object")?;
    let server = class.create("InprocServer32")?;
    server.set_string("", &path)?;
    server.set_string("ThreadingModel", "Both")
}
