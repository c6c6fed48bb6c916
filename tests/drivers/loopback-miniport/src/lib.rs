//! loopback.sys: a miniport without hardware. Its cable ends in a mirror, which sends every frame
//! back to its sender, with the two addresses changed over.
//!
//! It is here so that the test host has a driver to load that is not netkvm: written against
//! `ndis-sys` alone, of another NDIS version, with line structure and habits of its own. It uses
//! no allocator: what it needs comes from NDIS, when an adapter is initialized.
//!
//! | module | its job |
//! |---|---|
//! | `driver` | DriverEntry, registration, unload |
//! | `adapter` | an adapter's life: initialize, halt, pause, restart |
//! | `attributes` | what NDIS is told of an adapter |
//! | `mirror` | frames go out, and come back |
//! | `pool` | the buffers of the frames that come back |
//! | `oids` | what NDIS asks and sets |

#![cfg_attr(windows, no_std)]

mod adapter;
mod attributes;
mod driver;
mod lock;
mod mirror;
mod oids;
mod pool;

/// Tag of our memory: "LoMi" in a debugger.
const TAG: u32 = u32::from_le_bytes(*b"LoMi");

#[cfg(windows)]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: may be called at any level; it does not return.
    unsafe { ndis_sys::KeBugCheckEx(TAG, 0, 0, 0, 0) }
}
