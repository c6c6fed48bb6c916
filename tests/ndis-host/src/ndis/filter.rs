//! Packet filters and multicast lists: each binding's own, and their union that the miniport has.
//!
//! The miniport is asked for the union of what the bindings want, and NDIS gives each binding
//! what it wants of that (Microsoft Learn, OID_GEN_CURRENT_PACKET_FILTER).

use ndis_sys::{
    NDIS_PACKET_TYPE_ALL_LOCAL, NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST,
    NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::oid;
use crate::sched;

/// A frame may have been on its way when the filter changed: that long an old one still counts.
const GRACE_NS: u64 = 10_000_000;

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// What somebody wants to receive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) filter: u32,
    pub(crate) multicast: Vec<Mac>,
}

impl Wanted {
    /// Whether a frame to `destination` passes; `own` is the adapter's address.
    ///
    /// With `imperfect`, every multicast frame passes a multicast list that is not empty, as it
    /// does in hardware that hashes addresses.
    pub(crate) fn passes(&self, destination: Mac, own: Mac, imperfect: bool) -> bool {
        let has = |bit| self.filter & bit != 0;
        if has(NDIS_PACKET_TYPE_PROMISCUOUS) || has(NDIS_PACKET_TYPE_ALL_LOCAL) {
            return true;
        }
        if destination == [0xff; 6] {
            return has(NDIS_PACKET_TYPE_BROADCAST);
        }
        if destination[0] & 1 == 0 {
            return has(NDIS_PACKET_TYPE_DIRECTED) && destination == own;
        }
        has(NDIS_PACKET_TYPE_ALL_MULTICAST)
            || (has(NDIS_PACKET_TYPE_MULTICAST)
                && (imperfect || self.multicast.contains(&destination)))
    }
}

/// What the miniport was asked to receive, now and a moment ago.
#[derive(Default)]
pub(crate) struct Merged {
    pub(crate) now: Wanted,
    pub(crate) lookahead: u32,
    before: Vec<(u64, Wanted)>,
}

impl Merged {
    /// Notes what the miniport has accepted.
    pub(crate) fn change(&mut self, wanted: Wanted) {
        let old = std::mem::replace(&mut self.now, wanted);
        let now = sched::now();
        self.before.retain(|(until, _)| *until > now);
        self.before.push((now + GRACE_NS, old));
    }

    /// Whether the miniport may indicate a frame to `destination` (rule 139).
    pub(crate) fn admits(&self, destination: Mac, own: Mac, perfect: bool) -> bool {
        let now = sched::now();
        let recent = self
            .before
            .iter()
            .filter(|(until, _)| *until > now)
            .map(|(_, old)| old);
        recent
            .chain([&self.now])
            .any(|wanted| wanted.passes(destination, own, !perfect))
    }
}

/// The union of what the bindings of an adapter want.
pub(crate) fn union(adapter: &'static Adapter) -> Wanted {
    let mut union = Wanted::default();
    for binding in adapter.bindings() {
        let (filter, multicast) = binding
            .state
            .with(|state| (state.filter, state.multicast.clone()));
        union.filter |= filter;
        for address in multicast {
            if !union.multicast.contains(&address) {
                union.multicast.push(address);
            }
        }
    }
    union
}

/// Tells the miniport what the bindings want, if that has changed. IRQL = PASSIVE_LEVEL.
pub(crate) fn refresh(adapter: &'static Adapter) {
    oid::sets::refresh(adapter);
}

/// The lookahead size that the miniport was told, or the one that it declared.
pub(crate) fn lookahead(adapter: &'static Adapter) -> usize {
    let (told, declared) = adapter.state.with(|state| {
        let declared = state.declared.general.map_or(0, |g| g.LookaheadSize);
        (state.filter.lookahead, declared)
    });
    if told > 0 {
        told as usize
    } else {
        declared as usize
    }
}

/// The adapter's current address.
pub(crate) fn own_address(adapter: &'static Adapter) -> Mac {
    let general = adapter.state.with(|state| state.declared.general);
    let mut address = Mac::default();
    if let Some(general) = general {
        address.copy_from_slice(&general.CurrentMacAddress[..6]);
    }
    address
}
