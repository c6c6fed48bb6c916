//! Copies of received frames that NDIS makes, and owns.
//!
//! Microsoft Learn, "Receiving Network Data": when a miniport needs its NBLs back at once, NDIS
//! may copy them and indicate the copies without the RESOURCES flag.

use std::collections::BTreeMap;

use ndis_sys::{NDIS_STATUS_SUCCESS, NET_BUFFER_LIST};

use super::{hand_over, shape};
use crate::ndis::adapter::Adapter;
use crate::ndis::api::{self, NblPool};
use crate::ndis::filter;
use crate::ndis::nbl::raw;
use crate::sched::BatonCell;

static POOL: BatonCell<Option<NblPool>> = BatonCell::new(None);
/// The copies, each with the adapter whose frame it is.
static COPIES: BatonCell<BTreeMap<usize, u64>> = BatonCell::new(BTreeMap::new());

fn pool() -> NblPool {
    if let Some(pool) = POOL.with(|pool| *pool) {
        return pool;
    }
    let made = NblPool::new("NDIS, for copies");
    POOL.with(|pool| *pool.get_or_insert(made))
}

/// A copy of a frame that an adapter received, in NDIS's hands; `flags` are its NblFlags.
pub(crate) fn of_frame(
    adapter: &'static Adapter,
    frame: &[u8],
    flags: u32,
) -> Option<*mut NET_BUFFER_LIST> {
    let nbl = pool().fragments(&shape::parts(frame, filter::lookahead(adapter)));
    COPIES.with(|copies| copies.insert(nbl.addr(), adapter.handle));
    api::set_source(nbl, adapter.handle);
    // SAFETY: the NBL was just made.
    unsafe {
        (*nbl).NblFlags = flags;
        (*nbl).Status = NDIS_STATUS_SUCCESS;
        hand_over("a copy", adapter, nbl, false);
    }
    Some(nbl)
}

/// A copy of an NBL that a miniport shows, with all that comes with the frame.
pub(super) fn of_nbl(
    adapter: &'static Adapter,
    original: *mut NET_BUFFER_LIST,
) -> Option<*mut NET_BUFFER_LIST> {
    let frame = api::read_frames(original).into_iter().next()?;
    let nbl = pool().fragments(&shape::parts(&frame, filter::lookahead(adapter)));
    COPIES.with(|copies| copies.insert(nbl.addr(), adapter.handle));
    api::set_source(nbl, adapter.handle);
    // SAFETY: the copy was just made; the original is lent for the time of the indication.
    unsafe {
        (*nbl).NblFlags = (*original).NblFlags;
        (*nbl).NetBufferListInfo = (*original).NetBufferListInfo;
        (*nbl).Status = NDIS_STATUS_SUCCESS;
        debug_assert_eq!(raw::net_buffers(nbl).len(), 1, "a copy has one frame");
        hand_over("a copy", adapter, nbl, false);
    }
    Some(nbl)
}

/// Whether an NBL is a copy that NDIS made of a frame of this adapter.
pub(super) fn is_copy(adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) -> bool {
    COPIES.with(|copies| copies.get(&nbl.addr()) == Some(&adapter.handle))
}

/// Frees a copy that is in NDIS's hands.
pub(super) fn release(nbl: *mut NET_BUFFER_LIST) {
    COPIES.with(|copies| copies.remove(&nbl.addr()));
    pool().release(nbl);
}
