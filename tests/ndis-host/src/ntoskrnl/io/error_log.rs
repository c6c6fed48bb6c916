//! Entries of the event log that a driver writes through the I/O manager.

use std::collections::BTreeMap;

use super::super::{Table, enter};
use crate::sched::{BatonCell, DISPATCH_LEVEL};
use crate::verifier;

/// ERROR_LOG_MAXIMUM_SIZE: a byte counts what is behind the packet's fixed part.
const MOST_BYTES: u8 = 240;
/// Where IO_ERROR_LOG_PACKET has its ErrorCode.
const CODE_OFFSET: usize = 12;

/// Entries that are allocated and not written: length by address.
static ENTRIES: BatonCell<BTreeMap<usize, usize>> = BatonCell::new(BTreeMap::new());
/// Codes of the entries that were written.
static WRITTEN: BatonCell<Vec<u32>> = BatonCell::new(Vec::new());

pub(super) fn exports() -> Table {
    exports! {
        "IoAllocateErrorLogEntry" => allocate,
        "IoWriteErrorLogEntry" => write,
        "IoFreeErrorLogEntry" => free,
    }
}

/// The error codes that drivers have written, oldest first.
pub fn written() -> Vec<u32> {
    WRITTEN.with(|written| written.clone())
}

/// `IoAllocateErrorLogEntry`: null when too much is asked for. At DISPATCH or below.
unsafe extern "efiapi" fn allocate(_object: *const u8, size: u8) -> *mut u8 {
    enter("IoAllocateErrorLogEntry", DISPATCH_LEVEL);
    if size > MOST_BYTES {
        return std::ptr::null_mut();
    }
    let length = usize::from(size).max(CODE_OFFSET + 4);
    let words = length.div_ceil(8);
    let block: &mut [u64] = Box::leak(vec![0_u64; words].into_boxed_slice());
    let entry: *mut u8 = block.as_mut_ptr().cast();
    ENTRIES.with(|entries| entries.insert(entry.addr(), words));
    entry
}

/// `IoWriteErrorLogEntry`: writes an entry, which is the I/O manager's from then on. At DISPATCH or
/// below.
unsafe extern "efiapi" fn write(entry: *mut u8) {
    enter("IoWriteErrorLogEntry", DISPATCH_LEVEL);
    require("IoWriteErrorLogEntry", entry);
    // SAFETY: an entry that is allocated has room for the code.
    let code = unsafe { entry.add(CODE_OFFSET).cast::<u32>().read_unaligned() };
    verifier::note(format!("event log: {code:#x}"));
    WRITTEN.with(|written| written.push(code));
    release(entry);
}

/// `IoFreeErrorLogEntry`: gives an entry up. At DISPATCH or below.
unsafe extern "efiapi" fn free(entry: *mut u8) {
    enter("IoFreeErrorLogEntry", DISPATCH_LEVEL);
    require("IoFreeErrorLogEntry", entry);
    release(entry);
}

fn require(call: &str, entry: *mut u8) {
    let is_known = ENTRIES.with(|entries| entries.contains_key(&entry.addr()));
    verifier::insist(215, is_known, || {
        format!("{call}: {entry:p} is no entry that was allocated")
    });
}

fn release(entry: *mut u8) {
    let Some(words) = ENTRIES.with(|entries| entries.remove(&entry.addr())) else {
        return;
    };
    let block = std::ptr::slice_from_raw_parts_mut(entry.cast::<u64>(), words);
    // SAFETY: leaked by `allocate` with this length; the table had it once.
    drop(unsafe { Box::from_raw(block) });
}
