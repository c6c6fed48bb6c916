//! Poison: what an NBL looks like to who has given it away.
//!
//! NDIS keeps the true contents and fills the structures with poison. A pointer read from there is
//! no canonical address, so its use faults; a write shows when the NBL comes back (rule 94).

use std::collections::BTreeMap;

use ndis_sys::{MDL, NET_BUFFER, NET_BUFFER_LIST};

use super::raw;
use crate::memory::poison::POISON;
use crate::sched::BatonCell;
use crate::verifier;

/// The contents of structures that are hidden.
pub(crate) struct Hidden {
    parts: Vec<Part>,
    /// Data that nobody writes meanwhile, neither driver nor device.
    data: Vec<(usize, Vec<u8>)>,
}

struct Part {
    what: &'static str,
    address: usize,
    bytes: Box<[u8]>,
}

/// MDLs that are in use by NBLs that have been handed over, with how many hand-overs.
static MDLS_OUT: BatonCell<BTreeMap<usize, usize>> = BatonCell::new(BTreeMap::new());

/// A device writes where it may not any more, so that changed data says nothing of the driver.
static STRAY_DEVICE: BatonCell<bool> = BatonCell::new(false);

/// Says that a device writes into buffers that it has given back, from now on: what a driver has no
/// means against. Data of NBLs is not watched any more; their structures are.
pub fn expect_stray_device() {
    STRAY_DEVICE.with(|stray| *stray = true);
}

/// Notes that MDLs have been handed over.
pub(crate) fn hand_out_mdls(mdls: &[usize]) {
    MDLS_OUT.with(|out| {
        for mdl in mdls {
            *out.entry(*mdl).or_default() += 1;
        }
    });
}

/// Undoes [`hand_out_mdls`].
pub(crate) fn take_back_mdls(mdls: &[usize]) {
    MDLS_OUT.with(|out| {
        for mdl in mdls {
            if let Some(count) = out.get_mut(mdl) {
                *count -= 1;
                if *count == 0 {
                    out.remove(mdl);
                }
            }
        }
    });
}

/// Hides an NBL with its NET_BUFFERs and MDLs; `own` are the MDLs of its own hand-overs.
///
/// An MDL that another NBL in somebody's hands uses as well is left as it is: who has that one
/// may look at it.
///
/// # Safety
///
/// `nbl` points to an NBL whose NET_BUFFER and MDL chains are valid, and that nobody may touch
/// until [`Hidden::reveal`].
pub(crate) unsafe fn hide(nbl: *mut NET_BUFFER_LIST, own: &[usize]) -> Hidden {
    let others = |mdl: usize| {
        let own = own.iter().filter(|other| **other == mdl).count();
        MDLS_OUT.with(|out| out.get(&mdl).copied().unwrap_or(0)) > own
    };
    // SAFETY: the caller's contract, for this block and those below.
    let net_buffers = unsafe { raw::net_buffers(nbl) };
    let mut parts = vec![("the NBL", nbl.addr(), size_of::<NET_BUFFER_LIST>())];
    for nb in net_buffers {
        parts.push(("a NET_BUFFER of it", nb.addr(), size_of::<NET_BUFFER>()));
        // SAFETY: as above.
        for mdl in unsafe { raw::mdls((*nb).MdlChain) } {
            let known = parts.iter().any(|(_, address, _)| *address == mdl.addr());
            if !known && !others(mdl.addr()) {
                parts.push(("an MDL of it", mdl.addr(), size_of::<MDL>()));
            }
        }
    }
    // All is listed before the first byte is hidden: the chains run through it.
    let parts = parts
        .into_iter()
        // SAFETY: as above.
        .map(|(what, address, length)| unsafe { Part::hide(what, address, length) })
        .collect();
    let data = Vec::new();
    Hidden { parts, data }
}

impl Hidden {
    /// Watches data as well: a breach of rule 94 if it has changed when it is revealed.
    ///
    /// # Safety
    ///
    /// The windows are memory until then.
    pub(crate) unsafe fn watch(&mut self, windows: &[(*mut u8, usize)]) {
        for (start, length) in windows {
            // SAFETY: the caller's contract.
            let bytes = unsafe { std::slice::from_raw_parts(*start, *length) };
            self.data.push((start.expose_provenance(), bytes.to_vec()));
        }
    }

    /// Shows the true contents again; what was written meanwhile is a breach of rule 94.
    ///
    /// # Safety
    ///
    /// The structures are still where they were.
    pub(crate) unsafe fn reveal(self, nbl: *mut NET_BUFFER_LIST, call: &str) {
        for part in &self.parts {
            // SAFETY: the caller's contract.
            let written = unsafe { part.first_written() };
            verifier::require(94, written.is_none(), || {
                format!(
                    "{call}: {} ({:#x}) was written at +{:#x} by who had given NBL {nbl:p} away",
                    part.what,
                    part.address,
                    written.unwrap_or(0)
                )
            });
            // SAFETY: as above.
            unsafe { part.restore() };
        }
        if STRAY_DEVICE.with(|stray| *stray) {
            return;
        }
        for (address, then) in &self.data {
            let start: *const u8 = std::ptr::with_exposed_provenance(*address);
            // SAFETY: the caller's contract.
            let now = unsafe { std::slice::from_raw_parts(start, then.len()) };
            verifier::require(94, now == then, || {
                format!("{call}: the data of NBL {nbl:p} was written below it: {address:#x}")
            });
        }
    }
}

impl Part {
    /// # Safety
    ///
    /// `length` bytes at `address` are NDIS's until they are restored.
    unsafe fn hide(what: &'static str, address: usize, length: usize) -> Self {
        let start: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: the caller's contract.
        let bytes = unsafe { std::slice::from_raw_parts(start, length) }.into();
        // SAFETY: as above.
        unsafe { start.write_bytes(POISON, length) };
        Self {
            what,
            address,
            bytes,
        }
    }

    /// # Safety
    ///
    /// The part is where it was hidden.
    unsafe fn first_written(&self) -> Option<usize> {
        let start: *const u8 = std::ptr::with_exposed_provenance(self.address);
        // SAFETY: the caller's contract.
        let now = unsafe { std::slice::from_raw_parts(start, self.bytes.len()) };
        now.iter().position(|byte| *byte != POISON)
    }

    /// # Safety
    ///
    /// As for [`Part::first_written`].
    unsafe fn restore(&self) {
        let start: *mut u8 = std::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: the caller's contract.
        unsafe { start.copy_from_nonoverlapping(self.bytes.as_ptr(), self.bytes.len()) };
    }
}
