//! What has to hold of an NBL at each hand-over: rules 104, 107 and 110.

use ndis_sys::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL,
    NBL_FLAGS_NDIS_RESERVED, NDIS_ETH_TYPE_802_1Q, NDIS_ETH_TYPE_IPV4, NDIS_ETH_TYPE_IPV6,
    NDIS_NBL_FLAGS_IS_IPV4, NDIS_NBL_FLAGS_IS_IPV6, NDIS_NBL_FLAGS_IS_TCP, NDIS_NBL_FLAGS_IS_UDP,
    NET_BUFFER, NET_BUFFER_LIST,
};

use super::raw;
use crate::memory::{self, PAGE_SIZE};
use crate::verifier;

/// An MDL says by one of these where its pages come from.
const BACKED: i16 =
    MDL_MAPPED_TO_SYSTEM_VA | MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
/// Bytes of a frame that are looked at: Ethernet with a tag, and the fixed part of IPv6.
const HEADERS: usize = 18 + 40;
/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Checks every NET_BUFFER of an NBL at a hand-over, with its MDLs, and the NBL's flags.
///
/// # Safety
///
/// `nbl` points to an NBL whose NET_BUFFER and MDL chains are valid.
pub(crate) unsafe fn check_net_buffers(nbl: *mut NET_BUFFER_LIST, call: &str) {
    if !verifier::is_thorough() {
        return;
    }
    // SAFETY: the caller's contract.
    for nb in unsafe { raw::net_buffers(nbl) } {
        // SAFETY: as above.
        let (fault, mdl_fault) = unsafe { (fault_of(nb), mdl_fault_of(nb)) };
        for (rule, fault) in [(107, fault), (110, mdl_fault)] {
            verifier::require(rule, fault.is_none(), || {
                let fault = fault.unwrap_or_default();
                format!("{call}: NET_BUFFER {nb:p} of NBL {nbl:p}: {fault}")
            });
        }
    }
    // SAFETY: as above.
    unsafe { check_flags(nbl, call) };
}

/// What is wrong with the data description of a NET_BUFFER.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER with a valid MDL chain.
unsafe fn fault_of(nb: *mut NET_BUFFER) -> Option<String> {
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    let (offset, length) = (u64::from(value.DataOffset), u64::from(value.DataLength));
    let mut before = 0u64;
    let mut current_found = value.CurrentMdl.is_null();
    // SAFETY: as above.
    for mdl in unsafe { raw::mdls(value.MdlChain) } {
        // SAFETY: as above.
        let count = u64::from(unsafe { (*mdl).ByteCount });
        if mdl == value.CurrentMdl {
            current_found = true;
            let inside = u64::from(value.CurrentMdlOffset);
            if before + inside != offset {
                return Some(format!(
                    "DataOffset {offset}, but the current MDL begins at {before} and the data \
                     {inside} into it"
                ));
            }
            if inside >= count && length > 0 {
                return Some(format!("data begins {inside} bytes into an MDL of {count}"));
            }
        }
        before += count;
    }
    if !current_found {
        return Some("CurrentMdl is not in the MDL chain".to_owned());
    }
    let end = offset + length;
    (end > before).then(|| format!("data ends at {end}, the MDL chain at {before}"))
}

/// What is wrong with an MDL of a NET_BUFFER.
///
/// # Safety
///
/// As for [`fault_of`].
unsafe fn mdl_fault_of(nb: *mut NET_BUFFER) -> Option<String> {
    // SAFETY: the caller's contract, for this block and the one below.
    let chain = unsafe { raw::mdls((*nb).MdlChain) };
    chain.into_iter().find_map(|mdl| {
        // SAFETY: as above.
        let value = unsafe { *mdl };
        let fault = mdl_fault(&value)?;
        Some(format!("MDL {mdl:p} {fault}"))
    })
}

fn mdl_fault(mdl: &MDL) -> Option<String> {
    if mdl.MdlFlags & BACKED == 0 {
        let flags = mdl.MdlFlags;
        return Some(format!(
            "is neither locked nor built for nonpaged pool: flags {flags:#x}"
        ));
    }
    let start = mdl.StartVa.cast::<u8>();
    if !start.addr().is_multiple_of(PAGE_SIZE) || mdl.ByteOffset as usize >= PAGE_SIZE {
        let offset = mdl.ByteOffset;
        return Some(format!(
            "has StartVa {start:p} and ByteOffset {offset:#x}, no page and an offset into it"
        ));
    }
    let pages = (mdl.ByteOffset as usize + mdl.ByteCount as usize).div_ceil(PAGE_SIZE);
    let needed = size_of::<MDL>() + pages * size_of::<u64>();
    if (mdl.Size as usize) < needed && mdl.Size != i16::MAX {
        let size = mdl.Size;
        return Some(format!(
            "has Size {size}, and {pages} pages, which need {needed}"
        ));
    }
    let at = start.wrapping_add(mdl.ByteOffset as usize);
    let last = at.wrapping_add((mdl.ByteCount as usize).saturating_sub(1));
    let nonpaged = memory::physical(at).is_some() && memory::physical(last).is_some();
    let built = mdl.MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL != 0;
    (built && !nonpaged).then(|| format!("describes {at:p}, which is not nonpaged memory"))
}

/// Rule 104: NDIS's bits are NDIS's, and a hint that is set is true.
///
/// # Safety
///
/// As for [`check_net_buffers`].
unsafe fn check_flags(nbl: *mut NET_BUFFER_LIST, call: &str) {
    // SAFETY: the caller's contract, for this block and the one below.
    let (flags, hints, first) = unsafe { ((*nbl).Flags, (*nbl).NblFlags, (*nbl).FirstNetBuffer) };
    verifier::require(104, flags & NBL_FLAGS_NDIS_RESERVED == 0, || {
        format!("{call}: NBL {nbl:p} has bits of NDIS in Flags {flags:#x}")
    });
    let of_interest = NDIS_NBL_FLAGS_IS_IPV4
        | NDIS_NBL_FLAGS_IS_IPV6
        | NDIS_NBL_FLAGS_IS_TCP
        | NDIS_NBL_FLAGS_IS_UDP;
    if hints & of_interest == 0 || first.is_null() {
        return;
    }
    // SAFETY: as above.
    let frame = unsafe { raw::read(first, HEADERS) };
    let (ether_type, protocol) = protocols_of(&frame);
    let lies = (hints & NDIS_NBL_FLAGS_IS_IPV4 != 0 && ether_type != NDIS_ETH_TYPE_IPV4)
        || (hints & NDIS_NBL_FLAGS_IS_IPV6 != 0 && ether_type != NDIS_ETH_TYPE_IPV6)
        || (hints & NDIS_NBL_FLAGS_IS_TCP != 0 && protocol.is_some_and(|p| p != TCP))
        || (hints & NDIS_NBL_FLAGS_IS_UDP != 0 && protocol.is_some_and(|p| p != UDP));
    verifier::require(104, !lies, || {
        format!(
            "{call}: NBL {nbl:p} has NblFlags {hints:#x}, its frame EtherType {ether_type:#06x} \
             and IP protocol {protocol:?}"
        )
    });
}

/// EtherType of a frame, and its IP protocol; `None` where it takes more than a look.
fn protocols_of(frame: &[u8]) -> (u16, Option<u8>) {
    let word = |at: usize| {
        let bytes = frame.get(at..at + 2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let tagged = word(12) == Some(NDIS_ETH_TYPE_802_1Q);
    let header = if tagged { 18 } else { 14 };
    let ether_type = word(header - 2).unwrap_or(0);
    let byte = |at: usize| frame.get(header + at).copied();
    let protocol = match ether_type {
        NDIS_ETH_TYPE_IPV4 => byte(9),
        // What is neither may be an extension header, with the protocol behind it.
        NDIS_ETH_TYPE_IPV6 => byte(6).filter(|next| matches!(*next, TCP | UDP)),
        _ => None,
    };
    (ether_type, protocol)
}
