//! The in-process COM server.

use std::ffi::c_void;

use netcfg::server::class_object;
use windows::Win32::Foundation::S_FALSE;
use windows::core::{GUID, HRESULT};

use crate::objects::Engine;

/// CLSID_CNetCfg.
const CLASS: GUID = GUID::from_u128(0x5b035261_40f9_11d1_aaec_00805fc1270e);

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
    unsafe { class_object(&CLASS, || Engine::new().into(), class, wanted, object) }
}

/// The stand-in stays until the process ends.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn DllCanUnloadNow() -> HRESULT {
    S_FALSE
}
