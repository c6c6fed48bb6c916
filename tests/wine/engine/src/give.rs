//! Places for what COM methods hand out.

use windows::Win32::Foundation::{E_OUTOFMEMORY, E_POINTER};
use windows::core::{Error, PWSTR, Result};

/// Hands out a copy of `text`.
///
/// # Safety
///
/// `place` is null or a place for a string pointer.
pub(crate) unsafe fn give_text(place: *mut PWSTR, text: &str) -> Result<()> {
    let copy = netcfg::hand_out(text);
    if copy.is_null() {
        return Err(Error::from_hresult(E_OUTOFMEMORY));
    }
    // SAFETY: our contract.
    unsafe { give(place, copy) }
}

/// Hands out a plain value.
///
/// # Safety
///
/// `place` is null or a place for a `T`.
pub(crate) unsafe fn give<T>(place: *mut T, value: T) -> Result<()> {
    if place.is_null() {
        return Err(Error::from_hresult(E_POINTER));
    }
    // SAFETY: not null, and a place by our contract.
    unsafe { place.write(value) };
    Ok(())
}
