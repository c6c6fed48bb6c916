//! OID requests that fail, or that wait for ever, on demand.
//!
//! The fault takes effect between NDIS and the miniport, where a filter would be: the miniport
//! does not see the request. What pends does so until it is cancelled, the device goes, or a time
//! has passed within which a miniport would have given up by itself.

use ndis_sys::{NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_REQUEST_ABORTED};

use super::request_ref::OidRequestRef;
use crate::ndis::adapter::Adapter;
use crate::ndis::handles;
use crate::ndis::native::AdapterHandle;
use crate::sched;
use crate::verifier::{self, SECOND_NS};

/// A miniport that has had no answer from its hardware for so long gives up.
const GIVES_UP_NS: u64 = 4 * SECOND_NS;

/// Which requests of bindings a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidChoice {
    /// The one with this number, counted from zero since the setting.
    Nth(u64),
    /// Those for this OID.
    Of(u32),
    /// One in so many, by seed.
    OneIn(u64),
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidFault {
    /// It fails with this status.
    Fail(NDIS_STATUS),
    /// It pends until it is cancelled, or as long as a miniport may keep it.
    Pend,
    /// It goes on after so many nanoseconds.
    Delay(u64),
}

/// The faults of an adapter.
#[derive(Default)]
pub(crate) struct Plan {
    setting: Option<(OidChoice, OidFault)>,
    count: u64,
    hits: u64,
}

/// Sets which requests to an adapter fail from now on.
pub fn set(adapter: AdapterHandle, setting: Option<(OidChoice, OidFault)>) {
    if let Some(adapter) = handles::lookup::<Adapter>(adapter.0) {
        adapter.oids.with(|queue| {
            queue.plan = Plan {
                setting,
                ..Plan::default()
            };
        });
    }
}

/// How many requests a fault has hit since [`set`].
pub fn hits(adapter: AdapterHandle) -> u64 {
    let adapter = handles::lookup::<Adapter>(adapter.0);
    adapter.map_or(0, |adapter| adapter.oids.with(|queue| queue.plan.hits))
}

/// What is to happen to the next request.
pub(super) fn next(adapter: &'static Adapter, oid: u32) -> Option<OidFault> {
    let (setting, number) = adapter.oids.with(|queue| {
        let plan = &mut queue.plan;
        plan.count += 1;
        (plan.setting, plan.count - 1)
    });
    let (choice, fault) = setting?;
    let hit = match choice {
        OidChoice::Nth(nth) => nth == number,
        OidChoice::Of(chosen) => chosen == oid,
        OidChoice::OneIn(one_in) => sched::chance(one_in),
    };
    if !hit {
        return None;
    }
    adapter.oids.with(|queue| queue.plan.hits += 1);
    verifier::note(format!(
        "fault injected: OID {oid:#010x} on {}: {fault:x?}",
        adapter.name
    ));
    Some(fault)
}

/// Whether a fault is set that keeps requests waiting: then no request ends inside of its call.
pub(super) fn may_wait(adapter: &'static Adapter) -> bool {
    adapter.oids.with(|queue| {
        let setting = queue.plan.setting;
        setting.is_some_and(|(_, fault)| !matches!(fault, OidFault::Fail(_)))
    })
}

/// Does to a request what is planned; `None`: it goes on. IRQL = PASSIVE_LEVEL.
pub(super) fn apply(
    adapter: &'static Adapter,
    request: OidRequestRef,
    fault: OidFault,
) -> Option<NDIS_STATUS> {
    let address = request.0.addr();
    let cancelled = move || adapter.oids.with(|queue| queue.is_cancelled(address));
    let (limit, at_limit) = match fault {
        OidFault::Fail(status) => return Some(status),
        OidFault::Pend => (GIVES_UP_NS, Some(NDIS_STATUS_FAILURE)),
        OidFault::Delay(ns) => (ns, None),
    };
    sched::wait(
        "an OID request that a fault keeps",
        move || cancelled() || adapter.is_surprise_removed(),
        Some(limit),
    );
    if cancelled() {
        return Some(NDIS_STATUS_REQUEST_ABORTED);
    }
    at_limit
}
