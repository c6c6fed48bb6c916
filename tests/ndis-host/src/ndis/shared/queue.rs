//! Shared memory for receive queues (VMQ): NDIS is its own provider.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_SHARED_MEMORY_PARAMETERS,
    NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_2, NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, SCATTER_GATHER_ELEMENT, SCATTER_GATHER_LIST,
    Zeroed,
};

use super::{Block, require_channel};
use crate::ndis::adapter::{self, Adapter};
use crate::ndis::call::{Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::{faults, header};
use crate::sched::BatonCell;

/// An allocation.
struct Allocation {
    handle: u64,
    adapter: &'static Adapter,
    block: Block,
}

impl Object for Allocation {
    const KIND: Kind = Kind::SharedMemory;
}

static ALLOCATIONS: BatonCell<Vec<&'static Allocation>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisAllocateSharedMemory function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// The memory is contiguous whether or not that is asked for.
///
/// # Safety
///
/// The pointers are valid; the list buffer is as long as the parameters say.
pub(crate) unsafe extern "efiapi" fn allocate(
    ndis_handle: NDIS_HANDLE,
    parameters: *mut NDIS_SHARED_MEMORY_PARAMETERS,
    allocation: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisAllocateSharedMemory";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(ndis_handle, CALL);
    require_channel(adapter, CALL);
    // SAFETY: the caller's contract.
    let given = unsafe { &mut *parameters };
    let revisions = [
        (1, NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_1),
        (2, NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_2),
    ];
    let kind = NDIS_OBJECT_TYPE_DEFAULT;
    header::check(CALL, given.Header, kind, &revisions);
    // SAFETY: the caller's contract.
    unsafe { *allocation = std::ptr::null_mut() };
    let least = size_of::<SCATTER_GATHER_LIST>() + size_of::<SCATTER_GATHER_ELEMENT>();
    let has_room = !given.SGListBuffer.is_null() && given.SGListBufferLength as usize >= least;
    if given.Length == 0 || !has_room {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let Some(block) = Block::allocate(adapter, given.Length, true) else {
        return NDIS_STATUS_RESOURCES;
    };
    let made = handles::create(|handle| Allocation {
        handle,
        adapter,
        block,
    });
    ALLOCATIONS.with(|all| all.push(made));
    let mut element = SCATTER_GATHER_ELEMENT::zeroed();
    element.Address = block.logical;
    element.Length = given.Length;
    given.VirtualAddress = block.address();
    given.SharedMemoryHandle = handles::raw(made.handle);
    // SAFETY: the caller's contract; the buffer has room for one element.
    unsafe {
        (*given.SGListBuffer).NumberOfElements = 1;
        (*given.SGListBuffer).Reserved = 0;
        let first: *mut SCATTER_GATHER_ELEMENT = given.SGListBuffer.add(1).cast();
        first.write(element);
        *allocation = handles::raw(made.handle);
    }
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisFreeSharedMemory function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn free(ndis_handle: NDIS_HANDLE, allocation: NDIS_HANDLE) {
    const CALL: &str = "NdisFreeSharedMemory";
    import(CALL, Level::Passive);
    adapter::resolve(ndis_handle, CALL);
    let allocation: &'static Allocation = handles::resolve(allocation, CALL);
    ALLOCATIONS.with(|all| all.retain(|other| other.handle != allocation.handle));
    allocation.block.free(allocation.adapter, CALL);
    handles::close(allocation.handle, CALL);
}

/// Allocations of an adapter, in words.
pub(super) fn leaks_of(adapter: u64) -> Vec<String> {
    ALLOCATIONS.with(|all| {
        let of_adapter = all.iter().filter(|a| a.adapter.handle == adapter);
        of_adapter
            .map(|a| format!("queue memory of {:#x} bytes", a.block.length))
            .collect()
    })
}
