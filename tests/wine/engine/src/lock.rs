//! The write lock: a named mutex of the system, and the name of who holds it.

use windows::Win32::Foundation::{CloseHandle, HANDLE, WAIT_ABANDONED, WAIT_OBJECT_0};
use windows::Win32::System::Threading::{CreateMutexW, ReleaseMutex, WaitForSingleObject};
use windows::core::{Result, w};
use windows_registry::LOCAL_MACHINE;

const KEY: &str = r"SOFTWARE\NetcfgStandIn\Lock";

/// The lock, held by this thread.
pub(crate) struct WriteLock(HANDLE);

impl WriteLock {
    /// Waits up to `patience_ms`; `None` when somebody else holds it until then.
    pub(crate) fn take(client: &str, patience_ms: u32) -> Result<Option<Self>> {
        // SAFETY: the name is a literal; there are no attributes.
        let mutex = unsafe { CreateMutexW(None, false, w!("Global\\NetcfgStandInWriteLock")) }?;
        // SAFETY: the handle is open.
        let outcome = unsafe { WaitForSingleObject(mutex, patience_ms) };
        if outcome != WAIT_OBJECT_0 && outcome != WAIT_ABANDONED {
            // SAFETY: the handle is ours and not used again.
            unsafe { CloseHandle(mutex) }?;
            return Ok(None);
        }
        let lock = Self(mutex);
        LOCAL_MACHINE.create(KEY)?.set_string("Holder", client)?;
        Ok(Some(lock))
    }

    /// Who holds it, by what it said of itself.
    pub(crate) fn holder() -> String {
        let key = LOCAL_MACHINE.open(KEY).ok();
        let holder = key.and_then(|key| key.get_string("Holder").ok());
        holder.unwrap_or_default()
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // A key that stays names nobody, as the mutex is free.
        let _ = LOCAL_MACHINE.remove_tree(KEY);
        // SAFETY: this thread owns the mutex; apartment rules keep the object on its thread.
        let _ = unsafe { ReleaseMutex(self.0) };
        // SAFETY: the handle is ours and not used again.
        let _ = unsafe { CloseHandle(self.0) };
    }
}
