//! OID requests: from a binding through NDIS to the miniport, and back.
//!
//! [`submit`] takes requests of bindings, [`answer`] answers what NDIS answers itself, [`sets`]
//! merges the settings of several bindings, [`queue`] serialises what goes to a miniport, and
//! [`miniport`] calls it and judges its answer.

pub(crate) mod answer;
pub(crate) mod miniport;
pub(crate) mod queue;
pub(crate) mod request_ref;
pub(crate) mod sets;
pub(crate) mod submit;

use crate::ndis::adapter::Adapter;

/// Whether a request of this RequestHandle waits for a status indication (rule 165).
pub(crate) fn is_indication_awaited(adapter: &'static Adapter, handle: u64) -> bool {
    adapter.oids.with(|queue| queue.awaits_indication(handle))
}
