//! lightproto.sys: a protocol driver without a miniport. On every adapter that it is bound to it
//! sends numbered frames, and counts those that come back.
//!
//! It is here so that the test host has a driver to load that is not netkvm: written against
//! `ndis-sys` alone. Its counts go to the debugger when an adapter is unbound:
//! `lightproto: sent 200, completed 200, returned 200`.
//!
//! | module | its job |
//! |---|---|
//! | `driver` | DriverEntry, registration, unload |
//! | `binding` | an adapter is bound, opened, paused, restarted, closed |
//! | `traffic` | frames out and in |
//! | `wait` | calls of NDIS that may complete later |

#![cfg_attr(windows, no_std)]
#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod binding;
mod driver;
mod traffic;
mod wait;

/// Tag of our memory: "LiPr" in a debugger.
const TAG: u32 = u32::from_le_bytes(*b"LiPr");

#[cfg(windows)]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: may be called at any level; it does not return.
    unsafe { ndis_sys::KeBugCheckEx(TAG, 0, 0, 0, 0) }
}
