//! NBLs of native neighbours.

use std::collections::BTreeMap;

use ndis_sys::{
    MDL, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NDIS_STATUS, NET_BUFFER,
    NET_BUFFER_LIST, NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
    Zeroed,
};

use crate::ndis::nbl::piece::Piece;
use crate::ndis::nbl::{data, list, mdl, pool, raw, shadow};
use crate::ndis::{faults, handles, header};
use crate::sched::{self, BatonCell};

/// Data begins at any address: up to this many bytes beyond an aligned one.
const MOST_SKEW: u64 = 16;
/// Tag of the pools made here.
const TAG: u32 = u32::from_le_bytes(*b"tsoH");

/// A pool of NBLs with data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NblPool(u64);

/// Memory of the NBLs made here, by NBL.
static MEMORY: BatonCell<BTreeMap<usize, Vec<Piece>>> = BatonCell::new(BTreeMap::new());

impl NblPool {
    /// Makes a pool; `owner` names it in the trail of notes. At or below DISPATCH.
    ///
    /// # Panics
    ///
    /// When the guest's memory is full.
    pub fn new(owner: &str) -> Self {
        let mut parameters = NET_BUFFER_LIST_POOL_PARAMETERS::zeroed();
        parameters.Header = header::make(
            NDIS_OBJECT_TYPE_DEFAULT,
            NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
            NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
        );
        parameters.fAllocateNetBuffer = 1;
        parameters.PoolTag = TAG;
        // SAFETY: the parameters are valid.
        let pool = faults::spare(|| unsafe {
            pool::allocate_pool(std::ptr::null_mut(), &raw mut parameters)
        });
        assert!(!pool.is_null(), "no NBL pool for {owner}");
        crate::verifier::note(format!("NBL pool {pool:p} of {owner}"));
        Self(handles::number(pool))
    }

    /// Frees the pool; its NBLs are all released (rule 92).
    pub fn free(self) {
        // SAFETY: the handle is checked inside.
        unsafe { pool::free_pool(self.raw()) }
    }

    fn raw(self) -> NDIS_HANDLE {
        handles::raw(self.0)
    }

    /// An NBL with one frame in one MDL.
    ///
    /// # Panics
    ///
    /// When the guest's memory is full.
    pub fn frame(&self, frame: &[u8]) -> *mut NET_BUFFER_LIST {
        self.fragments(&[frame])
    }

    /// An NBL with one frame, an MDL per part; a part may be empty.
    ///
    /// # Panics
    ///
    /// When the guest's memory is full.
    pub fn fragments(&self, parts: &[&[u8]]) -> *mut NET_BUFFER_LIST {
        let mut pieces = Vec::new();
        let (chain, length) = build_chain(parts, &mut pieces);
        // SAFETY: the chain was just built.
        let nbl = faults::spare(|| unsafe {
            list::allocate_with_net_buffer(self.raw(), 0, 0, chain, 0, length)
        });
        assert!(!nbl.is_null(), "no NBL");
        MEMORY.with(|memory| memory.insert(nbl.addr(), pieces));
        nbl
    }

    /// An NBL with a NET_BUFFER per frame.
    ///
    /// # Panics
    ///
    /// When the guest's memory is full, or there is no frame.
    pub fn frames(&self, frames: &[Vec<u8>]) -> *mut NET_BUFFER_LIST {
        let (first, rest) = frames.split_first().expect("there is a frame");
        let nbl = self.frame(first);
        // SAFETY: the NBL was just made with one NET_BUFFER.
        let mut last = unsafe { (*nbl).FirstNetBuffer };
        for frame in rest {
            let mut pieces = Vec::new();
            let (chain, length) = build_chain(&[frame], &mut pieces);
            let body = Piece::allocate(size_of::<NET_BUFFER>(), "a NET_BUFFER").expect("memory");
            let nb: *mut NET_BUFFER = body.pointer().cast();
            // SAFETY: the piece is fresh and as long as a NET_BUFFER; `last` is ours.
            unsafe {
                nb.write(NET_BUFFER::zeroed());
                data::describe(nb, chain, 0, length as u32);
                (*last).Next = nb;
            }
            last = nb;
            pieces.push(body);
            MEMORY.with(|memory| memory.entry(nbl.addr()).or_default().extend(pieces));
        }
        nbl
    }

    /// Frees an NBL with its data.
    pub fn release(&self, nbl: *mut NET_BUFFER_LIST) {
        // SAFETY: the NBL is checked inside.
        unsafe { list::free(nbl) };
        let pieces = MEMORY.with(|memory| memory.remove(&nbl.addr()));
        for piece in pieces.unwrap_or_default() {
            piece.release("NblPool::release");
        }
    }
}

/// Copies the parts into memory of the guest, an MDL each; the chain and its length.
fn build_chain(parts: &[&[u8]], pieces: &mut Vec<Piece>) -> (*mut MDL, usize) {
    let mut chain: *mut MDL = std::ptr::null_mut();
    let mut length = 0;
    for part in parts.iter().rev() {
        let skew = sched::random_below(MOST_SKEW) as usize;
        let data = Piece::allocate(skew + part.len(), "a frame").expect("memory for a frame");
        let start = data.pointer().wrapping_add(skew);
        let (piece, mdl) = mdl::build(start, part.len() as u32).expect("memory");
        // SAFETY: both pieces are fresh and long enough.
        unsafe {
            start.copy_from_nonoverlapping(part.as_ptr(), part.len());
            (*mdl).Next = chain;
        }
        chain = mdl;
        length += part.len();
        pieces.push(data);
        pieces.push(piece);
    }
    (chain, length)
}

/// Links NBLs into one list.
pub fn chain(nbls: &[*mut NET_BUFFER_LIST]) -> *mut NET_BUFFER_LIST {
    for nbl in nbls {
        shadow::with(*nbl, "api::chain", |_| ());
    }
    // SAFETY: the shadow table knows them; the caller owns them.
    unsafe { raw::link(nbls) }
}

/// The NBLs of a list; each is unlinked.
pub fn unchain(first: *mut NET_BUFFER_LIST) -> Vec<*mut NET_BUFFER_LIST> {
    if first.is_null() {
        return Vec::new();
    }
    let nbls = shadow::walk(first, "api::unchain", 87);
    for nbl in &nbls {
        // SAFETY: the shadow table knows it; the caller owns it.
        unsafe { (**nbl).Next = std::ptr::null_mut() };
    }
    nbls
}

/// Copies of the frames of an NBL, one per NET_BUFFER.
pub fn read_frames(nbl: *mut NET_BUFFER_LIST) -> Vec<Vec<u8>> {
    shadow::with(nbl, "api::read_frames", |_| ());
    // SAFETY: the shadow table knows the NBL.
    let net_buffers = unsafe { raw::net_buffers(nbl) };
    // SAFETY: as above.
    net_buffers
        .into_iter()
        .map(|nb| unsafe { raw::read(nb, usize::MAX) })
        .collect()
}

/// The NBL's Status.
pub fn status_of(nbl: *mut NET_BUFFER_LIST) -> NDIS_STATUS {
    shadow::with(nbl, "api::status_of", |_| ());
    // SAFETY: the shadow table knows the NBL.
    unsafe { (*nbl).Status }
}

/// Sets the NBL's Status.
pub fn set_status(nbl: *mut NET_BUFFER_LIST, status: NDIS_STATUS) {
    shadow::with(nbl, "api::set_status", |_| ());
    // SAFETY: the shadow table knows the NBL.
    unsafe { (*nbl).Status = status };
}

/// NetBufferListInfo of a slot; 0 for a slot that does not exist.
pub fn info(nbl: *mut NET_BUFFER_LIST, slot: usize) -> usize {
    shadow::with(nbl, "api::info", |_| ());
    // SAFETY: the shadow table knows the NBL.
    let slots = unsafe { (*nbl).NetBufferListInfo };
    slots.get(slot).map_or(0, |word| word.addr())
}

/// Sets NetBufferListInfo of a slot.
///
/// # Panics
///
/// When the slot does not exist.
pub fn set_info(nbl: *mut NET_BUFFER_LIST, slot: usize, value: usize) {
    shadow::with(nbl, "api::set_info", |_| ());
    // SAFETY: the shadow table knows the NBL; the slot is checked by the index.
    unsafe { (&mut (*nbl).NetBufferListInfo)[slot] = std::ptr::without_provenance_mut(value) };
}

/// Sets the NBL's SourceHandle; `send` and `indicate` do so themselves.
pub fn set_source(nbl: *mut NET_BUFFER_LIST, handle: u64) {
    shadow::with(nbl, "api::set_source", |_| ());
    // SAFETY: the shadow table knows the NBL.
    unsafe { (*nbl).SourceHandle = handles::raw(handle) };
}
