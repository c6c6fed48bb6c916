//! Exports of ndis.sys that protocols ask with: the part of the table that is this module's.

use super::names;

/// Names and addresses.
pub(crate) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        (
            "NdisQueryAdapterInstanceName",
            names::query_adapter as *const () as usize,
        ),
        (
            "NdisQueryBindInstanceName",
            names::query_bind as *const () as usize,
        ),
        (
            "NdisEnumerateFilterModules",
            names::enumerate_filters as *const () as usize,
        ),
        (
            "NdisGeneratePartialCancelId",
            names::partial_cancel_id as *const () as usize,
        ),
    ]
}
