//! Memory: pool, lookaside lists, interlocked lists, MDLs, contiguous memory, device memory.

mod contiguous;
mod io_space;
mod lookaside;
mod mdl;
mod mdl_pages;
pub(super) mod pool;
mod slist;

use super::Table;

pub(super) use pool::newer_exports;

/// The routines of this area.
pub(super) fn exports() -> Table {
    let parts = [
        contiguous::exports(),
        io_space::exports(),
        lookaside::exports(),
        mdl::exports(),
        mdl_pages::exports(),
        pool::exports(),
        slist::exports(),
    ];
    parts.concat()
}

/// Memory of these kinds that a driver has left, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    let parts = [
        contiguous::leaks_of(owner),
        io_space::leaks_of(owner),
        mdl::leaks_of(owner),
    ];
    parts.concat()
}
