//! Shared memory: common buffers of a driver and its device.
//!
//! A block is the device's from its allocation until it is freed, to the byte, at an address of
//! its own. Allocation is at once in MiniportInitializeEx, later by way of a completion routine,
//! or for a receive queue ([`queue`]).

pub(crate) mod queue;

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    BOOLEAN, NDIS_HANDLE, NDIS_PHYSICAL_ADDRESS, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES,
};

use crate::memory::{self, PAGE_SIZE};
use crate::ndis::adapter::{self, Adapter, attributes};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles;
use crate::ndis::node::DmaAccess;
use crate::ndis::{dma, faults, resources};
use crate::sched::{self, BatonCell};
use crate::verifier;

/// Bytes before and behind a block that nobody may write.
const GUARD: usize = PAGE_SIZE;
const GUARD_BYTE: u8 = 0xfb;
const FRESH_BYTE: u8 = 0xcd;
const FREED_BYTE: u8 = 0xdd;
/// Longest time until an allocation that was asked for is made.
const LATEST_NS: u64 = 1_000_000;

/// A block of shared memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Block {
    adapter: u64,
    length: u32,
    cached: bool,
    start: usize,
    /// The address that the device is told.
    logical: i64,
}

static BLOCKS: BatonCell<Vec<Block>> = BatonCell::new(Vec::new());
/// Allocations that are under way, by adapter.
static WAITING: BatonCell<Vec<u64>> = BatonCell::new(Vec::new());

impl Block {
    /// Allocates and maps `length` bytes, between guards.
    fn allocate(adapter: &'static Adapter, length: u32, cached: bool) -> Option<Self> {
        if length == 0 {
            return None;
        }
        let start = memory::allocate(length as usize + 2 * GUARD, PAGE_SIZE)?;
        let data = start.as_ptr().wrapping_add(GUARD);
        // SAFETY: fresh memory of that length.
        unsafe {
            start.as_ptr().write_bytes(GUARD_BYTE, GUARD);
            data.write_bytes(FRESH_BYTE, length as usize);
            data.add(length as usize).write_bytes(GUARD_BYTE, GUARD);
        }
        let physical = memory::physical(data).unwrap_or(0);
        let logical = adapter
            .node
            .map_dma(physical, length as usize, DmaAccess::Both);
        Some(Self {
            adapter: adapter.handle,
            length,
            cached,
            start: data.expose_provenance(),
            logical: logical as i64,
        })
    }

    /// Unmaps and frees the block; rule 151 when its guards were written.
    fn free(self, adapter: &'static Adapter, call: &str) {
        let length = self.length as usize;
        adapter.node.unmap_dma(self.logical as u64, length);
        let data: *mut u8 = ptr::with_exposed_provenance_mut(self.start);
        let start = data.wrapping_sub(GUARD);
        // SAFETY: the block was found, so the guards before and behind it are ours.
        let intact = unsafe {
            let guard = |at: *mut u8| std::slice::from_raw_parts(at, GUARD);
            let behind = data.add(length);
            guard(start)
                .iter()
                .chain(guard(behind))
                .all(|byte| *byte == GUARD_BYTE)
        };
        verifier::insist(151, intact, || {
            format!("{call}: memory around {data:p}, {length} bytes, was written (7C/02)")
        });
        if let Some(start) = ptr::NonNull::new(start) {
            let whole = length + 2 * GUARD;
            // SAFETY: the memory is ours until it is freed.
            unsafe { start.as_ptr().write_bytes(FREED_BYTE, whole) };
            memory::free(start, whole, PAGE_SIZE);
        }
    }

    fn address(&self) -> *mut c_void {
        ptr::with_exposed_provenance_mut(self.start)
    }
}

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
    require_channel(adapter, CALL);
    resources::require_before_interrupt(CALL, adapter);
    let block = if faults::allocation_fails(CALL) {
        None
    } else {
        Block::allocate(adapter, length, cached != 0)
    };
    BLOCKS.with(|blocks| blocks.extend(block));
    // SAFETY: the caller's contract.
    unsafe {
        *address = block.map_or(ptr::null_mut(), |block| block.address());
        if let Some(block) = block {
            *physical = block.logical;
        }
    }
}

fn require_channel(adapter: &'static Adapter, call: &str) {
    verifier::require(42, dma::is_registered(adapter.handle), || {
        format!("{call} called before NdisMRegisterScatterGatherDma")
    });
}

/// Microsoft Learn, NdisMAllocateSharedMemoryAsyncEx function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The result comes in MiniportSharedMemoryAllocateComplete.
pub(crate) unsafe extern "efiapi" fn allocate_async(
    dma_handle: NDIS_HANDLE,
    length: u32,
    cached: BOOLEAN,
    context: *mut c_void,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMAllocateSharedMemoryAsyncEx";
    import(CALL, Level::UpToDispatch);
    let channel: &'static dma::Channel = handles::resolve(dma_handle, CALL);
    let known = verifier::require(144, channel.shared_handler().is_some(), || {
        format!("{CALL}: no SharedMemAllocateCompleteHandler was registered")
    });
    if !known {
        return NDIS_STATUS_FAILURE;
    }
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    WAITING.with(|waiting| waiting.push(channel.adapter.handle));
    let context = context.expose_provenance();
    let delay_ns = sched::random_below(LATEST_NS);
    sched::spawn("allocation of shared memory", move || {
        sched::sleep(delay_ns);
        complete(channel, length, cached != 0, context);
    });
    NDIS_STATUS_PENDING
}

/// Allocates, or not, and tells the driver.
fn complete(channel: &'static dma::Channel, length: u32, cached: bool, context: usize) {
    let adapter = channel.adapter;
    let fails = faults::allocation_fails("MiniportSharedMemoryAllocateComplete");
    let block = if fails {
        None
    } else {
        Block::allocate(adapter, length, cached)
    };
    BLOCKS.with(|blocks| blocks.extend(block));
    let mut physical: NDIS_PHYSICAL_ADDRESS = block.map_or(0, |block| block.logical);
    let address = block.map_or(ptr::null_mut(), |block| block.address());
    let owner = adapter.state.with(|state| state.context);
    if let Some(handler) = channel.shared_handler() {
        callback(Callback::SharedMemory, adapter.handle, || {
            // SAFETY: the driver registered the routine; the pointers are valid for the call.
            sched::in_driver(|| unsafe {
                handler(
                    ptr::with_exposed_provenance_mut(owner),
                    address,
                    &raw mut physical,
                    length,
                    ptr::with_exposed_provenance_mut(context),
                );
            });
        });
    }
    WAITING.with(|waiting| {
        if let Some(index) = waiting.iter().position(|of| *of == adapter.handle) {
            waiting.remove(index);
        }
    });
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
        logical: physical,
    };
    let found = BLOCKS.with(|blocks| {
        let index = blocks.iter().position(|block| *block == given);
        index.map(|index| blocks.remove(index))
    });
    let Some(block) = found else {
        verifier::fatal(
            151,
            format!("{CALL}: {length} bytes at {address:p}, {physical:#x}: no such block (7C/03)"),
        );
    };
    block.free(adapter, CALL);
}

/// Blocks of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    let mut left: Vec<String> = BLOCKS.with(|blocks| {
        let of_adapter = blocks.iter().filter(|block| block.adapter == adapter);
        of_adapter
            .map(|b| format!("shared memory {:#x}+{:#x}", b.start, b.length))
            .collect()
    });
    left.extend(queue::leaks_of(adapter));
    left
}

/// How many blocks an adapter has.
pub(crate) fn count_of(adapter: u64) -> usize {
    let blocks = BLOCKS.with(|blocks| {
        let of_adapter = blocks.iter().filter(|block| block.adapter == adapter);
        of_adapter.count()
    });
    blocks + queue::leaks_of(adapter).len()
}

/// How many allocations of an adapter are under way (rule 152).
pub(crate) fn waiting_of(adapter: u64) -> usize {
    WAITING.with(|waiting| waiting.iter().filter(|of| **of == adapter).count())
}
