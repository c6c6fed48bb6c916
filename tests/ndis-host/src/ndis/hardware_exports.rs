//! What ndis.sys exports to miniports about their hardware.

use super::interrupts::{self, calls};
use super::{dma, logs, miniport_events, miniport_ports, resources, shared, virtualization};

/// The exports: name and address.
pub(super) fn exports() -> Vec<(&'static str, usize)> {
    [bus(), dma(), interrupts(), adapter(), virtualization()].concat()
}

fn bus() -> Vec<(&'static str, usize)> {
    use resources as r;
    vec![
        ("NdisMGetBusData", r::get_bus_data as *const () as usize),
        ("NdisMSetBusData", r::set_bus_data as *const () as usize),
        (
            "NdisMGetDeviceProperty",
            r::get_device_property as *const () as usize,
        ),
        ("NdisMMapIoSpace", r::map_io_space as *const () as usize),
        ("NdisMUnmapIoSpace", r::unmap_io_space as *const () as usize),
        (
            "NdisMRegisterIoPortRange",
            r::register_io_ports as *const () as usize,
        ),
        (
            "NdisMDeregisterIoPortRange",
            r::deregister_io_ports as *const () as usize,
        ),
    ]
}

fn dma() -> Vec<(&'static str, usize)> {
    vec![
        (
            "NdisMRegisterScatterGatherDma",
            dma::register as *const () as usize,
        ),
        (
            "NdisMDeregisterScatterGatherDma",
            dma::deregister as *const () as usize,
        ),
        (
            "NdisMAllocateNetBufferSGList",
            dma::allocate_list as *const () as usize,
        ),
        (
            "NdisMFreeNetBufferSGList",
            dma::free_list as *const () as usize,
        ),
        ("NdisMGetDmaAlignment", dma::alignment as *const () as usize),
        (
            "NdisMAllocateSharedMemory",
            shared::allocate as *const () as usize,
        ),
        (
            "NdisMAllocateSharedMemoryAsyncEx",
            shared::allocate_async as *const () as usize,
        ),
        ("NdisMFreeSharedMemory", shared::free as *const () as usize),
        (
            "NdisAllocateSharedMemory",
            shared::queue::allocate as *const () as usize,
        ),
        (
            "NdisFreeSharedMemory",
            shared::queue::free as *const () as usize,
        ),
    ]
}

fn interrupts() -> Vec<(&'static str, usize)> {
    vec![
        (
            "NdisMRegisterInterruptEx",
            interrupts::register as *const () as usize,
        ),
        (
            "NdisMDeregisterInterruptEx",
            interrupts::deregister as *const () as usize,
        ),
        (
            "NdisMSynchronizeWithInterruptEx",
            calls::synchronize as *const () as usize,
        ),
        ("NdisMQueueDpc", calls::queue_dpc as *const () as usize),
        ("NdisMQueueDpcEx", calls::queue_dpc_ex as *const () as usize),
        (
            "NdisMConfigMSIXTableEntry",
            calls::configure_entry as *const () as usize,
        ),
    ]
}

fn adapter() -> Vec<(&'static str, usize)> {
    use {miniport_events as events, miniport_ports as ports};
    vec![
        ("NdisMAllocatePort", ports::allocate as *const () as usize),
        ("NdisMFreePort", ports::free as *const () as usize),
        (
            "NdisMNetPnPEvent",
            events::net_pnp_event as *const () as usize,
        ),
        (
            "NdisMQueryAdapterInstanceName",
            events::instance_name as *const () as usize,
        ),
        ("NdisMCreateLog", logs::create as *const () as usize),
        ("NdisMCloseLog", logs::close as *const () as usize),
        ("NdisMFlushLog", logs::flush as *const () as usize),
        ("NdisMWriteLogData", logs::write as *const () as usize),
    ]
}

fn virtualization() -> Vec<(&'static str, usize)> {
    use virtualization as v;
    vec![
        ("NdisMEnableVirtualization", v::enable as *const () as usize),
        (
            "NdisMGetVirtualFunctionBusData",
            v::get_bus_data as *const () as usize,
        ),
        (
            "NdisMSetVirtualFunctionBusData",
            v::set_bus_data as *const () as usize,
        ),
        (
            "NdisMGetVirtualFunctionLocation",
            v::location as *const () as usize,
        ),
        ("NdisMQueryProbedBars", v::probed_bars as *const () as usize),
        ("NdisMReadConfigBlock", v::read_block as *const () as usize),
        (
            "NdisMWriteConfigBlock",
            v::write_block as *const () as usize,
        ),
        (
            "NdisMInvalidateConfigBlock",
            v::invalidate_block as *const () as usize,
        ),
        (
            "NdisMRegisterDmaChannel",
            v::register_channel as *const () as usize,
        ),
        (
            "NdisMDeregisterDmaChannel",
            v::deregister_channel as *const () as usize,
        ),
        ("NdisMReadDmaCounter", v::read_counter as *const () as usize),
    ]
}
