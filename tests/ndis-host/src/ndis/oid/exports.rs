//! Exports of ndis.sys for direct and synchronous requests and for clones.

use super::{clone, direct};

/// Names and addresses.
pub(crate) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        (
            "NdisDirectOidRequest",
            direct::request as *const () as usize,
        ),
        (
            "NdisCancelDirectOidRequest",
            direct::cancel as *const () as usize,
        ),
        (
            "NdisMDirectOidRequestComplete",
            direct::complete as *const () as usize,
        ),
        (
            "NdisSynchronousOidRequest",
            direct::request_synchronous as *const () as usize,
        ),
        (
            "NdisAllocateCloneOidRequest",
            clone::allocate as *const () as usize,
        ),
        ("NdisFreeCloneOidRequest", clone::free as *const () as usize),
    ]
}
