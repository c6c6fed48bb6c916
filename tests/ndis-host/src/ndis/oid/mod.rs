//! OID requests: from a binding through NDIS to the miniport, and back.
//!
//! [`submit`] takes requests of bindings, [`answer`] answers what NDIS answers itself, [`sets`]
//! merges the settings of several bindings, [`queue`] serialises what goes to a miniport, and
//! [`miniport`] calls it; [`judge`] and [`contents`] look at what it answers. [`direct`] has the
//! two ways past the queue, [`clone`] what intermediate drivers pass requests on with, [`system`]
//! the requests of NDIS itself and of user mode, [`faults`] what goes wrong on demand.

pub(crate) mod answer;
pub(crate) mod clone;
pub(crate) mod contents;
pub(crate) mod copy;
mod counters;
pub(crate) mod direct;
pub(crate) mod exports;
pub mod faults;
mod judge;
pub(crate) mod miniport;
pub(crate) mod queue;
pub(crate) mod request_ref;
pub(crate) mod sets;
pub(crate) mod submit;
pub(crate) mod system;

use crate::ndis::adapter::Adapter;

/// Takes the RequestId of a request that waits for its status indication (rule 165), by its
/// RequestHandle.
pub(crate) fn take_awaited(adapter: &'static Adapter, handle: u64) -> Option<usize> {
    adapter.oids.with(|queue| queue.take_awaited(handle))
}
