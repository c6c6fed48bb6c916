//! The in-process COM server.

use std::ffi::c_void;
use std::ptr;

use windows::Win32::Foundation::{
    CLASS_E_CLASSNOTAVAILABLE, CLASS_E_NOAGGREGATION, E_POINTER, S_FALSE,
};
use windows::Win32::System::Com::{IClassFactory, IClassFactory_Impl};
use windows::core::{BOOL, Error, GUID, HRESULT, IUnknown, Interface, Ref, Result};
use windows_core::implement;

use crate::objects::Engine;

/// CLSID_CNetCfg.
const CLASS: GUID = GUID::from_u128(0x5b035261_40f9_11d1_aaec_00805fc1270e);

#[implement(IClassFactory)]
struct Factory;

impl IClassFactory_Impl for Factory_Impl {
    fn CreateInstance(
        &self,
        outer: Ref<IUnknown>,
        wanted: *const GUID,
        object: *mut *mut c_void,
    ) -> Result<()> {
        if wanted.is_null() || object.is_null() {
            return Err(Error::from_hresult(E_POINTER));
        }
        if !outer.is_null() {
            return Err(Error::from_hresult(CLASS_E_NOAGGREGATION));
        }
        let engine: IUnknown = Engine::new().into();
        // SAFETY: both are valid by the method's contract.
        unsafe { engine.query(wanted, object) }.ok()
    }

    fn LockServer(&self, _lock: BOOL) -> Result<()> {
        Ok(())
    }
}

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
    if class.is_null() || wanted.is_null() || object.is_null() {
        return E_POINTER;
    }
    // SAFETY: not null, so a place for a pointer by our contract.
    unsafe { object.write(ptr::null_mut()) };
    // SAFETY: not null, so a GUID by our contract.
    if unsafe { class.read() } != CLASS {
        return CLASS_E_CLASSNOTAVAILABLE;
    }
    let factory: IUnknown = Factory.into();
    // SAFETY: both are valid by our contract.
    unsafe { factory.query(wanted, object) }
}

/// The stand-in stays until the process ends.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn DllCanUnloadNow() -> HRESULT {
    S_FALSE
}
