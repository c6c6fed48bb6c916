//! NET_BUFFER_LISTs: pools, the shadow record of each NBL, and who may touch it when.
//!
//! Drivers work on the structures in memory; NDIS keeps a [`shadow`] of each, which the drivers
//! cannot reach. The shadow says which pool an NBL is from, through whose hands it went
//! ([`custody`]), and what it looked like when it was handed over ([`seal`]), so that each
//! hand-over can be judged. Ownership is made physical: freed memory is poisoned ([`piece`]), and
//! in place of an NBL that is handed over, NDIS sometimes hands a [`stand_in`] and hides the NBL
//! itself from who has given it away ([`poison`]).

pub(crate) mod contexts;
pub(crate) mod copy;
pub(crate) mod custody;
pub(crate) mod data;
pub(crate) mod derived;
pub(crate) mod exports;
pub(crate) mod invariants;
pub(crate) mod list;
pub(crate) mod mdl;
pub(crate) mod net_buffer;
pub(crate) mod ownership;
pub(crate) mod piece;
pub(crate) mod poison;
pub(crate) mod pool;
pub(crate) mod raw;
pub(crate) mod retreat;
pub(crate) mod seal;
pub(crate) mod shadow;
pub(crate) mod stand_in;
