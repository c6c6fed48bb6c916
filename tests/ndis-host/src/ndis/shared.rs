//! Shared memory: common buffers of a driver and its device.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{BOOLEAN, NDIS_HANDLE, NDIS_PHYSICAL_ADDRESS};

use crate::memory::{self, PAGE_SIZE};
use crate::ndis::adapter::{self, attributes};
use crate::ndis::call::{self, Callback, Level, import};
use crate::ndis::{dma, faults};
use crate::sched::{self, BatonCell};
use crate::verifier;

/// Bytes before and behind a block that nobody may write.
const GUARD: usize = PAGE_SIZE;
const GUARD_BYTE: u8 = 0xfb;
const FRESH_BYTE: u8 = 0xcd;

/// A block of shared memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Block {
    adapter: u64,
    length: u32,
    cached: bool,
    start: usize,
    physical: i64,
}

static BLOCKS: BatonCell<Vec<Block>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisMAllocateSharedMemory function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn allocate(
    adapter_handle: NDIS_HANDLE,
    length: u32,
    cached: BOOLEAN,
    address: *mut *mut c_void,
    physical: *mut NDIS_PHYSICAL_ADDRESS,
) {
    const CALL: &str = "NdisMAllocateSharedMemory";
    let irql = sched::irql();
    verifier::insist(150, irql == sched::PASSIVE_LEVEL, || {
        format!("{CALL} called at level {irql} (7C/01)")
    });
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    attributes::require_registration(adapter, CALL);
    let inside = call::is_inside(Callback::Initialize, adapter.handle);
    verifier::require(150, inside, || {
        format!(
            "{CALL} called outside of MiniportInitializeEx, in {}",
            call::stack()
        )
    });
    let registered = dma::is_registered(adapter.handle);
    verifier::require(42, registered, || {
        format!("{CALL} called before NdisMRegisterScatterGatherDma")
    });
    let start = if faults::allocation_fails(CALL) || length == 0 {
        None
    } else {
        memory::allocate(length as usize + 2 * GUARD, PAGE_SIZE)
    };
    let Some(start) = start else {
        // SAFETY: the caller's contract.
        unsafe { *address = ptr::null_mut() };
        return;
    };
    let data = start.as_ptr().wrapping_add(GUARD);
    // SAFETY: fresh memory of that length.
    unsafe {
        start
            .as_ptr()
            .write_bytes(GUARD_BYTE, length as usize + 2 * GUARD);
        data.write_bytes(FRESH_BYTE, length as usize);
    }
    let block = Block {
        adapter: adapter.handle,
        length,
        cached: cached != 0,
        start: data.expose_provenance(),
        physical: memory::physical(data).unwrap_or(0) as i64,
    };
    BLOCKS.with(|blocks| blocks.push(block));
    // SAFETY: the caller's contract.
    unsafe {
        *address = data.cast();
        *physical = block.physical;
    }
}

/// Microsoft Learn, NdisMFreeSharedMemory function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(
    adapter_handle: NDIS_HANDLE,
    length: u32,
    cached: BOOLEAN,
    address: *mut c_void,
    physical: NDIS_PHYSICAL_ADDRESS,
) {
    const CALL: &str = "NdisMFreeSharedMemory";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    verifier::require(70, !call::is_inside_any(Callback::Shutdown), || {
        format!("{CALL} called in MiniportShutdownEx")
    });
    let given = Block {
        adapter: adapter.handle,
        length,
        cached: cached != 0,
        start: address.addr(),
        physical,
    };
    let found = BLOCKS.with(|blocks| {
        let index = blocks.iter().position(|block| *block == given);
        index.map(|index| blocks.remove(index))
    });
    verifier::insist(151, found.is_some(), || {
        format!("{CALL}: {length} bytes at {address:p}, {physical:#x}: no such block (7C/03)")
    });
    let start = address.cast::<u8>().wrapping_sub(GUARD);
    let whole = length as usize + 2 * GUARD;
    // SAFETY: the block was found, so the guards before and behind it are ours.
    let intact = unsafe {
        let guard = |at: *mut u8| std::slice::from_raw_parts(at, GUARD);
        let behind = start.add(GUARD + length as usize);
        guard(start)
            .iter()
            .chain(guard(behind))
            .all(|byte| *byte == GUARD_BYTE)
    };
    verifier::insist(151, intact, || {
        format!("{CALL}: memory around {address:p}, {length} bytes, was written (7C/02)")
    });
    if let Some(start) = ptr::NonNull::new(start) {
        // SAFETY: the memory is ours until it is freed.
        unsafe { start.as_ptr().write_bytes(0xdd, whole) };
        memory::free(start, whole, PAGE_SIZE);
    }
}

/// Blocks of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    BLOCKS.with(|blocks| {
        let of_adapter = blocks.iter().filter(|block| block.adapter == adapter);
        of_adapter
            .map(|b| format!("shared memory {:#x}+{:#x}", b.start, b.length))
            .collect()
    })
}

/// How many blocks an adapter has.
pub(crate) fn count_of(adapter: u64) -> usize {
    BLOCKS.with(|blocks| {
        blocks
            .iter()
            .filter(|block| block.adapter == adapter)
            .count()
    })
}
