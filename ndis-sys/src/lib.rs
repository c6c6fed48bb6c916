//! NDIS 6.x and the WDM pieces around it: types, constants, imports. No logic.
//!
//! The names are those of the Windows Driver Kit, so that its documentation applies; everything is
//! at the crate's root. Each declaration is compared with tables made from the kit's headers (see
//! `abi/README.md`): names and types by the build script, sizes, offsets and values by the compiler.
//!
//! # Conventions
//!
//! * Callbacks are `extern "efiapi"`, which is the calling convention of Windows on x64 and on
//!   ARM64, also when they are compiled for another system. In structures they are nullable.
//! * Pointers have the header's mutability, which says little: many functions take `*mut` and only
//!   read.
//! * C enums are `i32` and flags are integers: open sets, as they are at this border.
//! * Unions of the header are flattened where drivers need one reading. A word of bit-fields is one
//!   integer, with its fields in its documentation.
//! * A record has no `Default`. It begins as [`Zeroed::zeroed`] or [`zeroed`].

#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "the names are those of the WDK headers"
)]

mod adapter;
mod base;
mod config;
mod dma;
mod driver;
mod header;
mod imports_miniport;
mod imports_ndis;
mod imports_ntoskrnl;
mod imports_protocol;
mod interface;
mod interrupt;
mod irp;
mod kernel;
mod lifecycle;
mod link;
mod medium;
mod miniport;
mod nbl;
mod nbl_info;
mod net_pnp;
mod ntstatus;
mod offload;
mod offload_parameters;
mod oid;
mod oid_codes;
mod poll;
mod port;
mod power;
mod processor;
mod protocol;
mod registry;
mod resource;
mod rss;
mod rw_lock;
mod services;
mod statistics;
mod status;
mod sync;
mod timer;

pub use adapter::*;
pub use base::*;
pub use config::*;
pub use dma::*;
pub use driver::*;
pub use header::*;
pub use imports_miniport::*;
pub use imports_ndis::*;
pub use imports_ntoskrnl::*;
pub use imports_protocol::*;
pub use interface::*;
pub use interrupt::*;
pub use irp::*;
pub use kernel::*;
pub use lifecycle::*;
pub use link::*;
pub use medium::*;
pub use miniport::*;
pub use nbl::*;
pub use nbl_info::*;
pub use net_pnp::*;
pub use ntstatus::*;
pub use offload::*;
pub use offload_parameters::*;
pub use oid::*;
pub use oid_codes::*;
pub use poll::*;
pub use port::*;
pub use power::*;
pub use processor::*;
pub use protocol::*;
pub use registry::*;
pub use resource::*;
pub use rss::*;
pub use rw_lock::*;
pub use services::*;
pub use statistics::*;
pub use status::*;
pub use sync::*;
pub use timer::*;

/// Sizes, alignments, offsets and values, compared with the tables in `abi` at compile time.
mod assertions {
    use core::ffi::c_void;
    use core::mem::offset_of;

    use static_assertions::{const_assert, const_assert_eq};

    use crate::*;

    /// Whether a constant has the table's value; a negative `i32` stands there as the unsigned
    /// number with the same bits.
    const fn is_value(declared: i128, size: usize, table: i128) -> bool {
        let same_bits = size == 4 && table <= u32::MAX as i128 && declared == table as i32 as i128;
        declared == table || same_bits
    }

    /// Whether a size lies between the bytes that the C fields span and the room that they have.
    const fn is_between(size: usize, least: usize, most: usize) -> bool {
        least <= size && size <= most
    }

    include!(concat!(env!("OUT_DIR"), "/assertions.rs"));
}
