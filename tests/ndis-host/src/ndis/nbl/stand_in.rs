//! Stand-ins: NBLs of NDIS that go in place of those that are handed over.
//!
//! A filter driver, and NDIS itself, may copy or clone an NBL and pass the copy on; who gets it
//! cannot tell. So sometimes NDIS does that here, and hides the original ([`super::poison`]) from
//! who has given it away until the stand-in comes back. Both sides then see exactly what is
//! theirs.

use std::ptr;

use ndis_sys::{
    MDL, MDL_PAGES_LOCKED, NDIS_NBL_FLAGS_HD_SPLIT, NET_BUFFER, NET_BUFFER_LIST,
    TcpLargeSendNetBufferListInfo,
};

use super::custody::Custody;
use super::list::GARBAGE;
use super::piece::Piece;
use super::seal::{Direction, Seal};
use super::shadow::{self, Origin};
use super::{data, list, mdl, net_buffer, ownership, poison, pool, raw};
use crate::{sched, verifier};

/// A frame up to this length may be copied.
const MOST_COPIED: u32 = 16 << 10;
/// One NET_BUFFER in so many goes down with MDLs that are not mapped.
const UNMAPPED_ONE_IN: u64 = 4;
/// A status that no driver completes with: a miniport writes one of its own (rule 101).
const NO_STATUS: i32 = 0x5c5c_5c5c;

/// How a stand-in describes the data of the original.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// MDL for MDL, the unused space in front included.
    Mirror,
    /// From the first byte of data to the last.
    Trim,
    /// In memory of its own.
    Copy,
}

/// Hands an NBL on, whose hand-over has just been noted: itself, or a stand-in.
///
/// # Safety
///
/// `nbl` is in the shadow table, with valid chains; its giver does not touch it any more.
pub(crate) unsafe fn pass(
    nbl: *mut NET_BUFFER_LIST,
    direction: Direction,
    call: &str,
) -> *mut NET_BUFFER_LIST {
    // SAFETY: the caller's contract, for all blocks of this function.
    unsafe { check_generation(nbl, call) };
    if ownership::is_light() {
        return nbl;
    }
    // SAFETY: as above.
    unsafe { scribble(nbl, direction) };
    let stand_in = if ownership::wants_stand_in() {
        // SAFETY: as above.
        unsafe { build(nbl, direction) }
    } else {
        None
    };
    // SAFETY: as above.
    unsafe { hand_out(nbl) };
    let Some(stand_in) = stand_in else {
        return nbl;
    };
    // SAFETY: as above; the stand-in is valid, and with NDIS.
    unsafe {
        let seal = Seal::take(stand_in, direction);
        let custody = shadow::with(nbl, call, |record| {
            record
                .custody
                .last()
                .map(|custody| custody.of_stand_in(seal))
        });
        shadow::with(stand_in, call, |record| record.custody.extend(custody));
        hand_out(stand_in);
        let own = shadow::with(nbl, call, |record| record.mdls_out.concat());
        let data = private_data(nbl, stand_in, direction);
        let mut hidden = poison::hide(nbl, &own);
        hidden.watch(&data);
        shadow::with(nbl, call, |record| record.hidden = Some(hidden));
    }
    stand_in
}

/// The data of a received NBL whose stand-in has a copy: nobody has a right to it.
///
/// # Safety
///
/// As for [`pass`].
unsafe fn private_data(
    nbl: *mut NET_BUFFER_LIST,
    stand_in: *mut NET_BUFFER_LIST,
    direction: Direction,
) -> Vec<(*mut u8, usize)> {
    let mut private = Vec::new();
    if direction == Direction::Send {
        return private;
    }
    // SAFETY: the caller's contract, for this block and the one below.
    let (ours, copies) = unsafe { (raw::net_buffers(nbl), raw::net_buffers(stand_in)) };
    for (ours, copy) in ours.into_iter().zip(copies) {
        // SAFETY: as above.
        let (mut ours, copy) = unsafe {
            let ours = raw::windows(ours, 0, usize::MAX);
            (ours, raw::windows(copy, 0, usize::MAX))
        };
        if ours.first() != copy.first() {
            private.append(&mut ours);
        }
    }
    private
}

/// Takes an NBL back, whose hand-over has just been undone: the NBL that was handed over.
///
/// # Safety
///
/// `nbl` came from [`pass`]; who had it does not touch it any more.
pub(crate) unsafe fn end(nbl: *mut NET_BUFFER_LIST, call: &'static str) -> *mut NET_BUFFER_LIST {
    let (origin, mdls, is_home) = shadow::with(nbl, call, |record| {
        let mdls = record.mdls_out.pop();
        (record.origin, mdls, record.custody.is_empty())
    });
    poison::take_back_mdls(&mdls.unwrap_or_default());
    let original = match origin {
        // Who had it may have handed it on: then it comes back to him.
        Origin::StandIn { original } if is_home => original,
        _ => return nbl,
    };
    let original: *mut NET_BUFFER_LIST = ptr::with_exposed_provenance_mut(original);
    let (custody, hidden, mdls) = shadow::with(original, call, |record| {
        let mdls = record.mdls_out.pop();
        (record.custody.pop(), record.hidden.take(), mdls)
    });
    poison::take_back_mdls(&mdls.unwrap_or_default());
    // SAFETY: the original is as it was hidden, and the stand-in is back.
    unsafe {
        if let Some(hidden) = hidden {
            hidden.reveal(original, call);
        }
        if matches!(custody, Some(Custody::Sent { .. })) {
            let slot = TcpLargeSendNetBufferListInfo as usize;
            (*original).Status = (*nbl).Status;
            let answer = (&(*nbl).NetBufferListInfo)[slot];
            (&mut (*original).NetBufferListInfo)[slot] = answer;
        }
    }
    list::release(nbl, call);
    original
}

/// Rule 105: a derived NBL names its parent, which stays behind while there are children.
///
/// # Safety
///
/// As for [`pass`].
unsafe fn check_generation(nbl: *mut NET_BUFFER_LIST, call: &str) {
    let (parent, children) = shadow::with(nbl, call, |record| {
        (record.origin.parent(), record.children)
    });
    // SAFETY: the caller's contract.
    let (named, counted) = unsafe { ((*nbl).ParentNetBufferList, (*nbl).ChildRefCount) };
    verifier::require(105, counted == 0 && children == 0, || {
        format!(
            "{call}: NBL {nbl:p} is passed on with ChildRefCount {counted} and {children} NBLs \
             derived from it"
        )
    });
    if parent == 0 {
        return;
    }
    // SAFETY: the parent outlives its children, else rule 105 is broken already.
    let counts = named.addr() == parent && unsafe { (*named).ChildRefCount } > 0;
    verifier::require(105, counts, || {
        format!(
            "{call}: NBL {nbl:p} was derived from {parent:#x}; its parent is {named:p}, or counts \
             no child"
        )
    });
}

/// Spoils what is lost at a hand-over (rules 96, 97).
///
/// # Safety
///
/// As for [`pass`].
unsafe fn scribble(nbl: *mut NET_BUFFER_LIST, direction: Direction) {
    // SAFETY: the caller's contract, for all blocks of this function.
    unsafe { (*nbl).Scratch = ptr::without_provenance_mut(GARBAGE) };
    if direction == Direction::Receive {
        return;
    }
    // SAFETY: as above.
    unsafe { (*nbl).MiniportReserved = [ptr::without_provenance_mut(GARBAGE); 2] };
    // SAFETY: as above.
    for nb in unsafe { raw::net_buffers(nbl) } {
        // SAFETY: as above.
        unsafe { (*nb).MiniportReserved = [ptr::without_provenance_mut(GARBAGE); 4] };
    }
}

/// Notes the MDLs of an NBL that goes out.
///
/// # Safety
///
/// As for [`pass`].
unsafe fn hand_out(nbl: *mut NET_BUFFER_LIST) {
    let mut mdls = Vec::new();
    // SAFETY: the caller's contract, for all blocks of this function.
    for nb in unsafe { raw::net_buffers(nbl) } {
        // SAFETY: as above.
        let chain = unsafe { raw::mdls((*nb).MdlChain) };
        mdls.extend(chain.into_iter().map(|mdl| mdl.addr()));
    }
    poison::hand_out_mdls(&mdls);
    shadow::try_with(nbl, |record| record.mdls_out.push(mdls));
}

/// Builds a stand-in; `None` when the guest's memory is full.
///
/// # Safety
///
/// As for [`pass`].
unsafe fn build(nbl: *mut NET_BUFFER_LIST, direction: Direction) -> Option<*mut NET_BUFFER_LIST> {
    let origin = Origin::StandIn {
        original: nbl.expose_provenance(),
    };
    let stand_in = list::build(pool::internal(), origin, 0, 0)?;
    // SAFETY: the caller's contract, for this block and those below; the stand-in is fresh.
    let value = unsafe { *nbl };
    // SAFETY: as above.
    unsafe {
        (*stand_in).SourceHandle = value.SourceHandle;
        (*stand_in).NblFlags = value.NblFlags;
        (*stand_in).Flags = value.Flags;
        (*stand_in).NetBufferListInfo = value.NetBufferListInfo;
        (*stand_in).ProtocolReserved = [ptr::without_provenance_mut(GARBAGE); 4];
        (*stand_in).MiniportReserved = [ptr::without_provenance_mut(GARBAGE); 2];
        (*stand_in).Status = match direction {
            Direction::Send => NO_STATUS,
            Direction::Receive => value.Status,
        };
    }
    let split = value.NblFlags & NDIS_NBL_FLAGS_HD_SPLIT != 0;
    let mut last: *mut NET_BUFFER = ptr::null_mut();
    // SAFETY: as above.
    for nb in unsafe { raw::net_buffers(nbl) } {
        let mut pieces = Vec::new();
        // SAFETY: as above.
        let built = unsafe { build_net_buffer(nb, manner(nb, split), &mut pieces) };
        if direction == Direction::Send && sched::chance(UNMAPPED_ONE_IN) {
            // SAFETY: as above; the stand-in's MDLs are NDIS's own.
            built.into_iter().for_each(|nb| unsafe { unmap(nb) });
        }
        shadow::try_with(stand_in, |record| record.pieces.append(&mut pieces));
        let Some(built) = built else {
            list::release(stand_in, "a stand-in");
            return None;
        };
        // SAFETY: as above; all are NDIS's own.
        unsafe {
            if last.is_null() {
                (*stand_in).FirstNetBuffer = built;
            } else {
                (*last).Next = built;
            }
        }
        last = built;
    }
    Some(stand_in)
}

/// Makes the MDLs of a NET_BUFFER such that their pages are locked but not mapped, as those of
/// what a program sends: who looks at the data maps them first, which may fail (rule 113).
///
/// # Safety
///
/// `nb` is a NET_BUFFER of NDIS, with MDLs of its own.
unsafe fn unmap(nb: *mut NET_BUFFER) {
    // SAFETY: the caller's contract, for this block and the one below.
    for mdl in unsafe { raw::mdls((*nb).MdlChain) } {
        // SAFETY: as above.
        unsafe {
            (*mdl).MdlFlags = MDL_PAGES_LOCKED;
            (*mdl).MappedSystemVa = ptr::without_provenance_mut(GARBAGE);
        }
    }
}

/// Chooses how the data of a NET_BUFFER is described.
///
/// # Safety
///
/// `nb` points to a valid NET_BUFFER.
unsafe fn manner(nb: *mut NET_BUFFER, split: bool) -> Manner {
    // SAFETY: the caller's contract.
    let length = unsafe { (*nb).DataLength };
    match sched::random_below(3) {
        1 => Manner::Trim,
        2 if !split && length <= MOST_COPIED => Manner::Copy,
        _ => Manner::Mirror,
    }
}

/// # Safety
///
/// `nb` points to a valid NET_BUFFER.
unsafe fn build_net_buffer(
    nb: *mut NET_BUFFER,
    manner: Manner,
    pieces: &mut Vec<Piece>,
) -> Option<*mut NET_BUFFER> {
    // SAFETY: the caller's contract, for all blocks of this function.
    let value = unsafe { *nb };
    let (body, built) = net_buffer::build_bare(pool::internal().handle)?;
    pieces.push(body);
    let length = value.DataLength;
    // SAFETY: as above.
    let (chain, offset) = unsafe {
        match manner {
            Manner::Mirror => (mirror(value.MdlChain, pieces)?, value.DataOffset),
            Manner::Trim => (mdl::build_window(nb, 0, length, pieces)?, 0),
            Manner::Copy => copy(nb, pieces)?,
        }
    };
    // SAFETY: as above; `built` is fresh.
    unsafe {
        data::describe(built, chain, offset, length);
        (*built).ChecksumBias = value.ChecksumBias;
        (*built).ProtocolReserved = [ptr::without_provenance_mut(GARBAGE); 6];
        (*built).MiniportReserved = [ptr::without_provenance_mut(GARBAGE); 4];
        if manner != Manner::Copy {
            (*built).DataPhysicalAddress = value.DataPhysicalAddress;
            (*built).ScatterGatherList = value.ScatterGatherList;
        }
    }
    Some(built)
}

/// An MDL for each of a chain, for the same memory.
///
/// # Safety
///
/// `chain` is null or begins a valid MDL chain.
unsafe fn mirror(chain: *mut MDL, pieces: &mut Vec<Piece>) -> Option<*mut MDL> {
    let mut windows = Vec::new();
    // SAFETY: the caller's contract, for this block and the one below.
    for mdl in unsafe { raw::mdls(chain) } {
        // SAFETY: as above.
        windows.push(unsafe { raw::mdl_bytes(mdl) });
    }
    mdl::build_chain(&windows, pieces)
}

/// A copy of the data of a NET_BUFFER in one MDL, with some unused space in front of it.
///
/// # Safety
///
/// `nb` points to a valid NET_BUFFER.
unsafe fn copy(nb: *mut NET_BUFFER, pieces: &mut Vec<Piece>) -> Option<(*mut MDL, u32)> {
    // SAFETY: the caller's contract.
    let bytes = unsafe { raw::read(nb, usize::MAX) };
    let unused = sched::random_below(64) as usize;
    let data = Piece::allocate((unused + bytes.len()).max(1), "a copy of a frame")?;
    // SAFETY: the piece is fresh and long enough.
    unsafe {
        let start = data.pointer().add(unused);
        start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
    let window = (data.pointer(), unused + bytes.len());
    pieces.push(data);
    let chain = mdl::build_chain(&[window], pieces)?;
    Some((chain, unused as u32))
}
