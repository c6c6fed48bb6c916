//! COM's enumerators: `Next` until it says that there is no more.

use windows::Win32::Foundation::S_OK;
use windows::core::{HRESULT, Result};

/// Collects what `next` yields. It is given the place for one element, and answers `S_OK` with an
/// element, `S_FALSE` without.
///
/// # Errors
///
/// `next` fails.
pub(crate) fn collect<T>(mut next: impl FnMut(&mut Option<T>) -> HRESULT) -> Result<Vec<T>> {
    let mut all = Vec::new();
    loop {
        let mut slot = None;
        let status = next(&mut slot);
        status.ok()?;
        match slot {
            Some(element) if status == S_OK => all.push(element),
            _ => return Ok(all),
        }
    }
}
