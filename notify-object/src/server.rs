//! The in-process COM server: class factory, registration, life of the DLL.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use windows::Win32::Foundation::{
    CLASS_E_CLASSNOTAVAILABLE, CLASS_E_NOAGGREGATION, E_POINTER, ERROR_INSUFFICIENT_BUFFER,
    HMODULE, S_FALSE, S_OK,
};
use windows::Win32::System::Com::{IClassFactory, IClassFactory_Impl};
use windows::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
    GetModuleFileNameW, GetModuleHandleExW,
};
use windows::core::{BOOL, Error, GUID, HRESULT, IUnknown, Interface, PCWSTR, Ref, Result};
use windows_core::implement;
use windows_registry::LOCAL_MACHINE;

use crate::notify::Notify;

/// The class of the notify object, as `vioprot.inf` names it.
const CLASS: GUID = GUID::from_u128(0xf69513f1_8e1a_4f35_82d9_046406970e6d);
const KEY: &str = r"SOFTWARE\Classes\CLSID\{F69513F1-8E1A-4F35-82D9-046406970E6D}";

/// Objects that need the DLL: notify objects, factories, and locks of the server.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Keeps the DLL in the process.
pub(crate) struct Alive(());

impl Alive {
    pub(crate) fn new() -> Self {
        // Relaxed: COM itself orders the last release before the question whether to unload.
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[implement(IClassFactory)]
struct Factory {
    _alive: Alive,
}

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
        // SAFETY: not null; the caller promises a place for one pointer.
        unsafe { object.write(std::ptr::null_mut()) };
        if !outer.is_null() {
            return Err(Error::from_hresult(CLASS_E_NOAGGREGATION));
        }
        let notify: IUnknown = Notify::new().into();
        // SAFETY: both pointers are valid by COM's contract for this method.
        unsafe { notify.query(wanted, object) }.ok()
    }

    fn LockServer(&self, lock: BOOL) -> Result<()> {
        if lock.as_bool() {
            std::mem::forget(Alive::new());
        } else {
            drop(Alive(()));
        }
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
    unsafe { object.write(std::ptr::null_mut()) };
    // SAFETY: not null, so a GUID by our contract.
    if unsafe { class.read() } != CLASS {
        return CLASS_E_CLASSNOTAVAILABLE;
    }
    let factory: IUnknown = Factory {
        _alive: Alive::new(),
    }
    .into();
    // SAFETY: both are valid by our contract.
    unsafe { factory.query(wanted, object) }
}

/// Says whether the DLL may go.
// SAFETY: no other item of this DLL exports the name.
#[unsafe(no_mangle)]
extern "system" fn DllCanUnloadNow() -> HRESULT {
    if ALIVE.load(Ordering::Relaxed) == 0 {
        S_OK
    } else {
        S_FALSE
    }
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
    let path = own_path()?;
    let class = LOCAL_MACHINE.create(KEY)?;
    class.set_string("", "NetKVM failover protocol: notify object")?;
    let server = class.create("InprocServer32")?;
    server.set_string("", &path)?;
    server.set_string("ThreadingModel", "Both")
}

/// The file that this code was loaded from.
fn own_path() -> Result<String> {
    let mut module = HMODULE::default();
    let here = DllCanUnloadNow as *const u16;
    // SAFETY: with FROM_ADDRESS the name is any address in the module; `module` is a place for a handle.
    unsafe {
        GetModuleHandleExW(
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
            PCWSTR(here),
            &raw mut module,
        )
    }?;
    // The longest path that Windows knows.
    let mut path = vec![0u16; 0x8000];
    // SAFETY: the handle is that of this module, which stays loaded while its code runs.
    let length = unsafe { GetModuleFileNameW(Some(module), &mut path) };
    let length = usize::try_from(length).unwrap_or(0);
    match path.get(..length) {
        Some([]) => Err(Error::from_thread()),
        Some(text) if length < path.len() => Ok(String::from_utf16_lossy(text)),
        _ => Err(ERROR_INSUFFICIENT_BUFFER.into()),
    }
}
