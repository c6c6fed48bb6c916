//! The exports that the driver and the tests call, with their types.

use std::ffi::c_void;

use ndis_sys::{
    IO_INTERRUPT_MESSAGE_INFO, IO_INTERRUPT_MESSAGE_INFO_ENTRY, NDIS_HANDLE,
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MSIX_CONFIG_PARAMETERS, NDIS_MSIX_TABLE_OPERATION,
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES, NDIS_OFFLOAD,
    NDIS_SHARED_MEMORY_PARAMETERS, NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MSIX_CONFIG_PARAMETERS_REVISION_1, NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_2,
    NDIS_STATUS, NDIS_STATUS_SUCCESS, NET_BUFFER, SCATTER_GATHER_ELEMENT, SCATTER_GATHER_LIST,
    Zeroed,
};

use super::Hardware;
use crate::native::linked::import;

/// NdisMSetMiniportAttributes.
pub(crate) fn set_attributes(
    adapter: NDIS_HANDLE,
    attributes: &mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
) -> NDIS_STATUS {
    type Attributes = NDIS_MINIPORT_ADAPTER_ATTRIBUTES;
    let call = import!(NdisMSetMiniportAttributes: fn(NDIS_HANDLE, *mut Attributes) -> NDIS_STATUS);
    // SAFETY: the attributes are what their header says, unless the test wants otherwise.
    unsafe { call(adapter, attributes) }
}

/// NdisMMapIoSpace: the address, 0 on failure.
pub(crate) fn map(adapter: NDIS_HANDLE, start: u64, length: u32) -> usize {
    let call = import!(NdisMMapIoSpace: fn(*mut *mut c_void, NDIS_HANDLE, i64, u32) -> NDIS_STATUS);
    let mut at = std::ptr::null_mut();
    // SAFETY: the place is a local.
    unsafe { call(&raw mut at, adapter, start as i64, length) };
    at.expose_provenance()
}

/// NdisMUnmapIoSpace.
pub(crate) fn unmap(adapter: NDIS_HANDLE, at: usize, length: u32) {
    let call = import!(NdisMUnmapIoSpace: fn(NDIS_HANDLE, *mut c_void, u32));
    // SAFETY: checked by the host.
    unsafe { call(adapter, std::ptr::with_exposed_provenance_mut(at), length) }
}

/// NdisMRegisterIoPortRange: what the port routines take, and the status.
pub(crate) fn register_ports(adapter: NDIS_HANDLE, first: u32, count: u32) -> (usize, NDIS_STATUS) {
    let call = import!(NdisMRegisterIoPortRange: fn(*mut *mut c_void, NDIS_HANDLE, u32, u32) -> NDIS_STATUS);
    let mut offset = std::ptr::null_mut();
    // SAFETY: the place is a local.
    let status = unsafe { call(&raw mut offset, adapter, first, count) };
    (offset.addr(), status)
}

/// NdisMDeregisterIoPortRange.
pub(crate) fn deregister_ports(adapter: NDIS_HANDLE, first: u32, count: u32, offset: usize) {
    let call = import!(NdisMDeregisterIoPortRange: fn(NDIS_HANDLE, u32, u32, *mut c_void));
    // SAFETY: checked by the host.
    unsafe {
        call(
            adapter,
            first,
            count,
            std::ptr::without_provenance_mut(offset),
        )
    }
}

/// NdisMAllocateSharedMemory: address and logical address.
pub(crate) fn allocate_shared(adapter: NDIS_HANDLE, length: u32) -> (usize, i64) {
    let call =
        import!(NdisMAllocateSharedMemory: fn(NDIS_HANDLE, u32, u8, *mut *mut c_void, *mut i64));
    let (mut at, mut logical) = (std::ptr::null_mut(), 0);
    // SAFETY: the places are locals.
    unsafe { call(adapter, length, 1, &raw mut at, &raw mut logical) };
    (at.expose_provenance(), logical)
}

/// NdisMFreeSharedMemory.
pub(crate) fn free_shared(adapter: NDIS_HANDLE, length: u32, at: usize, logical: i64) {
    let call = import!(NdisMFreeSharedMemory: fn(NDIS_HANDLE, u32, u8, *mut c_void, i64));
    // SAFETY: checked by the host.
    unsafe {
        call(
            adapter,
            length,
            1,
            std::ptr::with_exposed_provenance_mut(at),
            logical,
        )
    }
}

/// NdisMAllocateSharedMemoryAsyncEx.
pub(crate) fn allocate_shared_async(hardware: &Hardware, length: u32) -> NDIS_STATUS {
    let call = import!(NdisMAllocateSharedMemoryAsyncEx: fn(NDIS_HANDLE, u32, u8, *mut c_void) -> NDIS_STATUS);
    // SAFETY: checked by the host.
    unsafe { call(hardware.dma_handle(), length, 1, std::ptr::null_mut()) }
}

/// NdisMDeregisterScatterGatherDma.
pub(crate) fn deregister_dma(dma: NDIS_HANDLE) {
    let call = import!(NdisMDeregisterScatterGatherDma: fn(NDIS_HANDLE));
    // SAFETY: checked by the host.
    unsafe { call(dma) }
}

/// NdisMAllocateNetBufferSGList.
///
/// # Safety
///
/// `nb` is a NET_BUFFER of the caller's.
pub(crate) unsafe fn allocate_list(
    dma: NDIS_HANDLE,
    nb: *mut NET_BUFFER,
    flags: u32,
) -> NDIS_STATUS {
    type List = *mut c_void;
    let call = import!(NdisMAllocateNetBufferSGList: fn(NDIS_HANDLE, *mut NET_BUFFER, List, u32, List, u32) -> NDIS_STATUS);
    // SAFETY: the caller's contract; NDIS finds memory for the list.
    unsafe {
        call(
            dma,
            nb,
            std::ptr::null_mut(),
            flags,
            std::ptr::null_mut(),
            0,
        )
    }
}

/// NdisMFreeNetBufferSGList.
///
/// # Safety
///
/// As [`allocate_list`]; `list` is what the driver was given.
pub(crate) unsafe fn free_list(
    dma: NDIS_HANDLE,
    list: *mut SCATTER_GATHER_LIST,
    nb: *mut NET_BUFFER,
) {
    type List = *mut SCATTER_GATHER_LIST;
    let call = import!(NdisMFreeNetBufferSGList: fn(NDIS_HANDLE, List, *mut NET_BUFFER));
    // SAFETY: the caller's contract.
    unsafe { call(dma, list, nb) }
}

/// NdisMDeregisterInterruptEx.
pub(crate) fn deregister_interrupt(interrupt: NDIS_HANDLE) {
    let call = import!(NdisMDeregisterInterruptEx: fn(NDIS_HANDLE));
    // SAFETY: checked by the host.
    unsafe { call(interrupt) }
}

/// NdisMSetMiniportAttributes with offload attributes.
pub(crate) fn set_offload(
    adapter: NDIS_HANDLE,
    current: *mut NDIS_OFFLOAD,
    hardware: *mut NDIS_OFFLOAD,
) -> NDIS_STATUS {
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    // SAFETY: the union is all zero, so each member is valid.
    let given = unsafe { &mut all.OffloadAttributes };
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1;
    given.DefaultOffloadConfiguration = current;
    given.HardwareOffloadCapabilities = hardware;
    set_attributes(adapter, &mut all)
}

/// Reads a word of a port, as the inline routine READ_PORT_ULONG does.
pub(crate) fn read_port(port: u16) -> u32 {
    let value: u32;
    // SAFETY: the instruction faults, and the host performs it; it touches nothing else.
    unsafe { std::arch::asm!("in eax, dx", out("eax") value, in("dx") port) };
    value
}

/// NdisMQueueDpc: the CPUs on which it was queued.
pub(crate) fn queue_dpc(hardware: &Hardware, message: u32, cpus: u32) -> u32 {
    let call = import!(NdisMQueueDpc: fn(NDIS_HANDLE, u32, u32, *mut c_void) -> u32);
    // SAFETY: checked by the host.
    unsafe {
        call(
            hardware.interrupt_handle(),
            message,
            cpus,
            std::ptr::null_mut(),
        )
    }
}

unsafe extern "efiapi" fn synchronized(_context: NDIS_HANDLE) -> u8 {
    u8::from(ndis_host::sched::irql() == ndis_host::sched::DIRQL)
}

/// NdisMSynchronizeWithInterruptEx: whether the routine ran at the interrupt's level.
pub(crate) fn synchronize(hardware: &Hardware, message: u32) -> bool {
    type Routine = unsafe extern "efiapi" fn(NDIS_HANDLE) -> u8;
    let call =
        import!(NdisMSynchronizeWithInterruptEx: fn(NDIS_HANDLE, u32, Routine, *mut c_void) -> u8);
    // SAFETY: checked by the host.
    let result = unsafe {
        call(
            hardware.interrupt_handle(),
            message,
            synchronized,
            std::ptr::null_mut(),
        )
    };
    result != 0
}

/// NdisMConfigMSIXTableEntry.
pub(crate) fn configure_entry(
    hardware: &Hardware,
    operation: NDIS_MSIX_TABLE_OPERATION,
    entry: u32,
    message: u32,
) -> NDIS_STATUS {
    type Parameters = NDIS_MSIX_CONFIG_PARAMETERS;
    let call = import!(NdisMConfigMSIXTableEntry: fn(NDIS_HANDLE, *mut Parameters) -> NDIS_STATUS);
    let mut given = Parameters::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_MSIX_CONFIG_PARAMETERS_REVISION_1;
    given.ConfigOperation = operation;
    given.TableEntry = entry;
    given.MessageNumber = message;
    // SAFETY: the parameters are what their header says.
    unsafe { call(hardware.handle(), &raw mut given) }
}

/// NdisAllocateSharedMemory: the allocation and its logical address.
pub(crate) fn allocate_queue_memory(hardware: &Hardware, length: u32) -> (NDIS_HANDLE, i64) {
    type Parameters = NDIS_SHARED_MEMORY_PARAMETERS;
    let call = import!(NdisAllocateSharedMemory: fn(NDIS_HANDLE, *mut Parameters, *mut NDIS_HANDLE) -> NDIS_STATUS);
    // A list with room for one element.
    let mut list = [0u64; 8];
    let mut given = Parameters::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    given.Header.Revision = 2;
    given.Header.Size = NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_2;
    given.Length = length;
    given.SGListBuffer = list.as_mut_ptr().cast();
    given.SGListBufferLength = size_of_val(&list) as u32;
    let mut allocation = std::ptr::null_mut();
    // SAFETY: the parameters are what their header says, and the list has the room that they say.
    let status = unsafe { call(hardware.handle(), &raw mut given, &raw mut allocation) };
    assert_eq!(status, NDIS_STATUS_SUCCESS);
    // SAFETY: NDIS has written one element behind the list's head.
    let element = unsafe {
        let first: *const SCATTER_GATHER_ELEMENT = given.SGListBuffer.add(1).cast();
        first.read()
    };
    assert_eq!(element.Length, length);
    (allocation, element.Address)
}

/// NdisFreeSharedMemory.
pub(crate) fn free_queue_memory(hardware: &Hardware, allocation: NDIS_HANDLE) {
    let call = import!(NdisFreeSharedMemory: fn(NDIS_HANDLE, NDIS_HANDLE));
    // SAFETY: checked by the host.
    unsafe { call(hardware.handle(), allocation) }
}

/// Offsets of wdm.h on x64: the stack location of an IRP, what its status points to, and a list of
/// requirements.
const STACK_LOCATION: usize = 184;
const INFORMATION: usize = 56;
const COUNT: usize = 36;
const DESCRIPTORS: usize = 40;
const DESCRIPTOR: usize = 32;

/// The minor function of an IRP.
pub(crate) fn minor_function(irp: *mut c_void) -> u8 {
    // SAFETY: the IRP is NDIS's, with a stack location.
    unsafe {
        let stack: *const u8 = irp.cast::<*const u8>().byte_add(STACK_LOCATION).read();
        stack.add(1).read()
    }
}

/// Leaves two messages in a list of requirements, both for one CPU.
pub(crate) fn ask_for_two_messages(irp: *mut c_void, cpu: usize) {
    // SAFETY: the IRP is NDIS's, and its list is as long as the count says.
    unsafe {
        let list: *mut u8 = irp.cast::<*mut u8>().byte_add(INFORMATION).read();
        let count = list.add(COUNT).cast::<u32>();
        // The messages are last.
        let all = count.read();
        count.write(all - 2);
        for index in all - 4..all - 2 {
            let descriptor = list.add(DESCRIPTORS + DESCRIPTOR * index as usize);
            descriptor.add(16).cast::<u32>().write(4);
            descriptor.add(24).cast::<u64>().write(1 << cpu);
        }
    }
}

/// The CPUs of each message, by the table that NDIS gave.
pub(crate) fn targets_of_messages(hardware: &Hardware) -> Vec<usize> {
    let table: *const IO_INTERRUPT_MESSAGE_INFO =
        std::ptr::with_exposed_provenance(hardware.message_table);
    // SAFETY: NDIS's table lives until the interrupt is deregistered.
    unsafe {
        let first: *const IO_INTERRUPT_MESSAGE_INFO_ENTRY =
            (&raw const (*table).MessageInfo).cast();
        (0..(*table).MessageCount as usize)
            .map(|index| first.add(index).read().TargetProcessorSet)
            .collect()
    }
}
