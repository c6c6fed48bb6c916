//! netkvm.sys: the miniport for virtio-net, and the glue to its protocol edge, VIOPROT.
//!
//! | module | its job |
//! |---|---|
//! | `driver` | DriverEntry, unload, and what the whole driver shares |
//! | `miniport` | NDIS's handlers; each finds its adapter and hands over |
//! | `initialize` | an adapter comes up: resources, features, queues, attributes |
//! | `adapter` | an adapter's state, and pausing, restarting, halting it |
//! | `transmit`, `receive` | the two virtqueues of frames |
//! | `control` | the control queue: the device's filter, its address, announcements |
//! | `interrupt` | messages, line interrupts and their DPCs |
//! | `link` | what the adapter says of its link |
//! | `oids`, `statistics` | what NDIS asks and sets |
//! | `settings` | INF keywords |
//! | `hardware` | BARs and PCI configuration space |
//! | `query` | what programs ask of the driver |
//! | `upper` | what VIOPROT needs of the adapter |

#![cfg_attr(windows, no_std)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

extern crate alloc;

mod adapter;
mod announcing;
mod control;
mod driver;
mod hardware;
mod initialize;
mod interrupt;
mod link;
#[cfg(windows)]
mod link_symbols;
mod miniport;
mod oids;
mod query;
mod receive;
mod settings;
mod statistics;
mod transmit;
mod upper;

#[cfg(windows)]
mod image {
    //! What a freestanding image needs.

    #[global_allocator]
    static POOL: ndis::memory::NonPagedPool = ndis::memory::NonPagedPool;

    /// Bugcheck code of a Rust panic: DRIVER_VIOLATION-like codes are taken, so a number of our own
    /// with a tag that reads "NKvm" in the dump.
    const PANIC: u32 = ndis::POOL_TAG;

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        let (file, line) = info
            .location()
            .map_or((0, 0), |at| (at.file().as_ptr().addr(), at.line() as usize));
        // SAFETY: may be called at any level; it does not return.
        unsafe { ndis_sys::KeBugCheckEx(PANIC, file, line, 0, 0) }
    }
}
