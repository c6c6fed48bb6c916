//! SR-IOV and slave DMA: what no device of this machine has.
//!
//! The routines answer as their pages say for a device without the ability: they fail, read
//! nothing, and change nothing. What they can tell about a plain function they tell.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_SUCCESS,
};

use crate::ndis::adapter;
use crate::ndis::call::{Level, import};
use crate::ndis::handles;
use crate::verifier;

/// Configuration space registers: command, base addresses.
const COMMAND: u32 = 0x04;
const BARS: u32 = 0x10;
const BAR_COUNT: usize = 6;

/// Microsoft Learn, NdisMEnableVirtualization function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn enable(
    adapter_handle: NDIS_HANDLE,
    _count: u16,
    _migration: BOOLEAN,
    _migration_interrupt: BOOLEAN,
    _virtualization: BOOLEAN,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMEnableVirtualization";
    import(CALL, Level::Passive);
    adapter::resolve(adapter_handle, CALL);
    NDIS_STATUS_NOT_SUPPORTED
}

/// Microsoft Learn, NdisMGetVirtualFunctionBusData function (ndis.h): the bytes read.
/// IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn get_bus_data(
    adapter_handle: NDIS_HANDLE,
    _function: u16,
    _buffer: *mut c_void,
    _offset: u32,
    _length: u32,
) -> u32 {
    const CALL: &str = "NdisMGetVirtualFunctionBusData";
    import(CALL, Level::UpToDispatch);
    adapter::resolve(adapter_handle, CALL);
    0
}

/// Microsoft Learn, NdisMSetVirtualFunctionBusData function (ndis.h): the bytes written.
/// IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn set_bus_data(
    adapter_handle: NDIS_HANDLE,
    _function: u16,
    _buffer: *mut c_void,
    _offset: u32,
    _length: u32,
) -> u32 {
    const CALL: &str = "NdisMSetVirtualFunctionBusData";
    import(CALL, Level::UpToDispatch);
    adapter::resolve(adapter_handle, CALL);
    0
}

/// Microsoft Learn, NdisMGetVirtualFunctionLocation function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn location(
    adapter_handle: NDIS_HANDLE,
    _function: u16,
    segment: *mut u16,
    bus: *mut u8,
    function_number: *mut u8,
) {
    const CALL: &str = "NdisMGetVirtualFunctionLocation";
    import(CALL, Level::Passive);
    adapter::resolve(adapter_handle, CALL);
    // SAFETY: the caller's contract.
    unsafe {
        *segment = 0;
        *bus = 0;
        *function_number = 0;
    }
}

/// Microsoft Learn, NdisMQueryProbedBars function (ndis.h): what the base address registers read
/// after all ones were written. IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `values` has room for six words.
pub(crate) unsafe extern "efiapi" fn probed_bars(
    adapter_handle: NDIS_HANDLE,
    values: *mut u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMQueryProbedBars";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let node = &adapter.node;
    let mut command = [0; 2];
    if node.config_read(COMMAND, &mut command) == 0 {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    // A register that is being probed decodes nothing.
    node.config_write(COMMAND, &[command[0] & !3, command[1]]);
    for index in 0..BAR_COUNT {
        let register = BARS + 4 * index as u32;
        let (mut before, mut probed) = ([0; 4], [0; 4]);
        node.config_read(register, &mut before);
        node.config_write(register, &[0xff; 4]);
        node.config_read(register, &mut probed);
        node.config_write(register, &before);
        // SAFETY: the caller's contract.
        unsafe { values.add(index).write(u32::from_le_bytes(probed)) };
    }
    node.config_write(COMMAND, &command);
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisMReadConfigBlock function (ndis.h): for the miniport of a VF.
/// IRQL < DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn read_block(
    adapter_handle: NDIS_HANDLE,
    _block: u32,
    _buffer: *mut c_void,
    _length: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMReadConfigBlock";
    import(CALL, Level::UpToApc);
    adapter::resolve(adapter_handle, CALL);
    NDIS_STATUS_NOT_SUPPORTED
}

/// Microsoft Learn, NdisMWriteConfigBlock function (ndis.h): for the miniport of a VF.
/// IRQL < DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn write_block(
    adapter_handle: NDIS_HANDLE,
    _block: u32,
    _buffer: *mut c_void,
    _length: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMWriteConfigBlock";
    import(CALL, Level::UpToApc);
    adapter::resolve(adapter_handle, CALL);
    NDIS_STATUS_NOT_SUPPORTED
}

/// Microsoft Learn, NdisMInvalidateConfigBlock function (ndis.h): tells a VF that blocks have
/// changed. There is none to tell. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn invalidate_block(
    adapter_handle: NDIS_HANDLE,
    _function: u16,
    _blocks: u64,
) {
    const CALL: &str = "NdisMInvalidateConfigBlock";
    import(CALL, Level::UpToDispatch);
    adapter::resolve(adapter_handle, CALL);
}

/// Microsoft Learn, NdisMRegisterDmaChannel function (ndis.h): a channel of a DMA controller on
/// the board. PCI devices have none. IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `channel_handle` points to a handle.
pub(crate) unsafe extern "efiapi" fn register_channel(
    channel_handle: *mut NDIS_HANDLE,
    adapter_handle: NDIS_HANDLE,
    _channel: u32,
    _addresses_32: BOOLEAN,
    _description: *mut c_void,
    _most: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMRegisterDmaChannel";
    import(CALL, Level::Passive);
    adapter::resolve(adapter_handle, CALL);
    // SAFETY: the caller's contract.
    unsafe { *channel_handle = std::ptr::null_mut() };
    NDIS_STATUS_FAILURE
}

/// Microsoft Learn, NdisMDeregisterDmaChannel function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn deregister_channel(channel: NDIS_HANDLE) {
    const CALL: &str = "NdisMDeregisterDmaChannel";
    import(CALL, Level::Passive);
    refuse_channel(CALL, channel);
}

/// Microsoft Learn, NdisMReadDmaCounter function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn read_counter(channel: NDIS_HANDLE) -> u32 {
    const CALL: &str = "NdisMReadDmaCounter";
    import(CALL, Level::UpToDispatch);
    refuse_channel(CALL, channel);
}

fn refuse_channel(call: &str, channel: NDIS_HANDLE) -> ! {
    let number = handles::number(channel);
    verifier::fatal(
        145,
        format!("{call}: {number:#x} is no channel; none was ever registered"),
    )
}
