//! NET_BUFFER_LISTs: pools, the shadow record of each NBL, and who may touch it when.
//!
//! Drivers work on the structures in memory; NDIS keeps a [`shadow`] of each, which the drivers
//! cannot reach. The shadow says which pool an NBL is from, through whose hands it went
//! ([`custody`]), and what it looked like when it was handed over ([`seal`]), so that each
//! hand-over can be judged.

pub(crate) mod contexts;
pub(crate) mod custody;
pub(crate) mod data;
pub(crate) mod mdl;
pub(crate) mod pool;
pub(crate) mod raw;
pub(crate) mod seal;
pub(crate) mod shadow;
