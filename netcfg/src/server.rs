//! What each in-process COM server of one class has: the class factory, and the count of what keeps it
//! loaded.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{mem, ptr};

use windows::Win32::Foundation::{CLASS_E_CLASSNOTAVAILABLE, CLASS_E_NOAGGREGATION, E_POINTER};
use windows::Win32::System::Com::{IClassFactory, IClassFactory_Impl};
use windows::core::{BOOL, Error, GUID, HRESULT, IUnknown, Interface, Ref, Result};
use windows_core::implement;

/// Objects that need the DLL: those that hold an [`Alive`], factories, and locks of the server.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Keeps the DLL that this crate is linked into in the process: while there is one, [`is_needed`] says so.
#[derive(Debug)]
pub struct Alive(());

impl Alive {
    /// Counts one more.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it counts: it is no plain value"
    )]
    pub fn new() -> Self {
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

/// Tells whether something needs the DLL; if not, `DllCanUnloadNow` may answer yes.
#[must_use]
pub fn is_needed() -> bool {
    ALIVE.load(Ordering::Relaxed) != 0
}

#[implement(IClassFactory)]
struct Factory {
    make: fn() -> IUnknown,
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
        unsafe { object.write(ptr::null_mut()) };
        if !outer.is_null() {
            return Err(Error::from_hresult(CLASS_E_NOAGGREGATION));
        }
        // SAFETY: both pointers are valid by COM's contract for this method.
        unsafe { (self.make)().query(wanted, object) }.ok()
    }

    fn LockServer(&self, lock: BOOL) -> Result<()> {
        if lock.as_bool() {
            mem::forget(Alive::new());
        } else {
            drop(Alive(()));
        }
        Ok(())
    }
}

/// Serves `DllGetClassObject` of a server whose one class is `own`: hands out a factory that makes its
/// objects with `make`.
///
/// # Safety
///
/// `class` and `wanted` point to GUIDs or are null, `object` to a place for a pointer or is null.
pub unsafe fn class_object(
    own: &GUID,
    make: fn() -> IUnknown,
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
    if unsafe { class.read() } != *own {
        return CLASS_E_CLASSNOTAVAILABLE;
    }
    let factory: IUnknown = Factory {
        make,
        _alive: Alive::new(),
    }
    .into();
    // SAFETY: both are valid by our contract.
    unsafe { factory.query(wanted, object) }
}
