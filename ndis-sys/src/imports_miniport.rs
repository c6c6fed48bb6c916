//! Functions of `ndis.sys` for the miniport.

use core::ffi::c_void;

use crate::{
    BOOLEAN, CM_RESOURCE_LIST, DEVICE_OBJECT, DRIVER_OBJECT, GROUP_AFFINITY, KAFFINITY,
    MINIPORT_SYNCHRONIZE_INTERRUPT, NDIS_DEVICE_OBJECT_ATTRIBUTES, NDIS_DRIVER_OPTIONAL_HANDLERS,
    NDIS_HANDLE, NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_MSIX_CONFIG_PARAMETERS, NDIS_OID_REQUEST,
    NDIS_PHYSICAL_ADDRESS, NDIS_PORT_NUMBER, NDIS_SG_DMA_DESCRIPTION, NDIS_STATUS,
    NDIS_STATUS_INDICATION, NET_BUFFER, NET_BUFFER_LIST, SCATTER_GATHER_LIST, UNICODE_STRING,
};

#[cfg_attr(
    windows,
    link(name = "ndis.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Registers a miniport driver, from `DriverEntry`. At `PASSIVE_LEVEL`; undone by
    /// `NdisMDeregisterMiniportDriver`.
    pub fn NdisMRegisterMiniportDriver(
        driver_object: *mut DRIVER_OBJECT,
        registry_path: *mut UNICODE_STRING,
        miniport_driver_context: NDIS_HANDLE,
        miniport_driver_characteristics: *mut NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
        ndis_miniport_driver_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Deregisters the miniport driver, from `MiniportDriverUnload`. At `PASSIVE_LEVEL`.
    pub fn NdisMDeregisterMiniportDriver(ndis_miniport_driver_handle: NDIS_HANDLE);

    /// Creates a device that programs open. At `PASSIVE_LEVEL`; undone by
    /// `NdisDeregisterDeviceEx`.
    pub fn NdisRegisterDeviceEx(
        ndis_handle: NDIS_HANDLE,
        device_object_attributes: *mut NDIS_DEVICE_OBJECT_ATTRIBUTES,
        device_object: *mut *mut DEVICE_OBJECT,
        ndis_device_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Deletes such a device and the link to it. At `PASSIVE_LEVEL`.
    pub fn NdisDeregisterDeviceEx(ndis_device_handle: NDIS_HANDLE);

    /// Registers optional services, from `SetOptions`. At `PASSIVE_LEVEL`.
    pub fn NdisSetOptionalHandlers(
        ndis_handle: NDIS_HANDLE,
        optional_handlers: *mut NDIS_DRIVER_OPTIONAL_HANDLERS,
    ) -> NDIS_STATUS;

    /// Tells NDIS about the adapter, from `MiniportInitializeEx` or `MiniportAddDevice`. At
    /// `PASSIVE_LEVEL`.
    pub fn NdisMSetMiniportAttributes(
        ndis_miniport_handle: NDIS_HANDLE,
        miniport_attributes: *mut NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
    ) -> NDIS_STATUS;

    /// Reads configuration space, returns the bytes read. Any level.
    pub fn NdisMGetBusData(
        ndis_miniport_handle: NDIS_HANDLE,
        which_space: u32,
        offset: u32,
        buffer: *mut c_void,
        length: u32,
    ) -> u32;

    /// Writes configuration space, returns the bytes written. Any level.
    pub fn NdisMSetBusData(
        ndis_miniport_handle: NDIS_HANDLE,
        which_space: u32,
        offset: u32,
        buffer: *mut c_void,
        length: u32,
    ) -> u32;

    /// Returns device objects and resources of the adapter; each pointer may be null. At
    /// `PASSIVE_LEVEL`.
    pub fn NdisMGetDeviceProperty(
        miniport_adapter_handle: NDIS_HANDLE,
        physical_device_object: *mut *mut DEVICE_OBJECT,
        functional_device_object: *mut *mut DEVICE_OBJECT,
        next_device_object: *mut *mut DEVICE_OBJECT,
        allocated_resources: *mut *mut CM_RESOURCE_LIST,
        allocated_resources_translated: *mut *mut CM_RESOURCE_LIST,
    );

    /// Maps device memory. From `MiniportInitializeEx` only, at `PASSIVE_LEVEL`; undone by
    /// `NdisMUnmapIoSpace`.
    pub fn NdisMMapIoSpace(
        virtual_address: *mut *mut c_void,
        miniport_adapter_handle: NDIS_HANDLE,
        physical_address: NDIS_PHYSICAL_ADDRESS,
        length: u32,
    ) -> NDIS_STATUS;

    /// Unmaps device memory. At `PASSIVE_LEVEL`.
    pub fn NdisMUnmapIoSpace(
        miniport_adapter_handle: NDIS_HANDLE,
        virtual_address: *mut c_void,
        length: u32,
    );

    /// Claims I/O ports and maps them where necessary. From `MiniportInitializeEx` only, at
    /// `PASSIVE_LEVEL`.
    pub fn NdisMRegisterIoPortRange(
        port_offset: *mut *mut c_void,
        miniport_adapter_handle: NDIS_HANDLE,
        initial_port: u32,
        number_of_ports: u32,
    ) -> NDIS_STATUS;

    /// Gives I/O ports back. At `PASSIVE_LEVEL`.
    pub fn NdisMDeregisterIoPortRange(
        miniport_adapter_handle: NDIS_HANDLE,
        initial_port: u32,
        number_of_ports: u32,
        port_offset: *mut c_void,
    );

    /// Sets up DMA, from `MiniportInitializeEx`. At `PASSIVE_LEVEL`; undone by
    /// `NdisMDeregisterScatterGatherDma`.
    pub fn NdisMRegisterScatterGatherDma(
        miniport_adapter_handle: NDIS_HANDLE,
        dma_description: *mut NDIS_SG_DMA_DESCRIPTION,
        ndis_miniport_dma_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Ends DMA. At `PASSIVE_LEVEL`, when no list is out.
    pub fn NdisMDeregisterScatterGatherDma(ndis_miniport_dma_handle: NDIS_HANDLE);

    /// Builds the scatter/gather list of a frame and hands it to the registered handler, possibly
    /// before it returns. At `DISPATCH_LEVEL`.
    pub fn NdisMAllocateNetBufferSGList(
        ndis_miniport_dma_handle: NDIS_HANDLE,
        net_buffer: *mut NET_BUFFER,
        context: *mut c_void,
        flags: u32,
        scatter_gather_list_buffer: *mut c_void,
        scatter_gather_list_buffer_size: u32,
    ) -> NDIS_STATUS;

    /// Frees the scatter/gather list of a frame. At `DISPATCH_LEVEL`.
    pub fn NdisMFreeNetBufferSGList(
        ndis_miniport_dma_handle: NDIS_HANDLE,
        sgl: *mut SCATTER_GATHER_LIST,
        net_buffer: *mut NET_BUFFER,
    );

    /// Allocates memory that processor and device share; a null address on failure. From
    /// `MiniportInitializeEx` only, at `PASSIVE_LEVEL`.
    pub fn NdisMAllocateSharedMemory(
        miniport_adapter_handle: NDIS_HANDLE,
        length: u32,
        cached: BOOLEAN,
        virtual_address: *mut *mut c_void,
        physical_address: *mut NDIS_PHYSICAL_ADDRESS,
    );

    /// Frees shared memory. Up to `DISPATCH_LEVEL`; at `PASSIVE_LEVEL` for cached memory.
    pub fn NdisMFreeSharedMemory(
        miniport_adapter_handle: NDIS_HANDLE,
        length: u32,
        cached: BOOLEAN,
        virtual_address: *mut c_void,
        physical_address: NDIS_PHYSICAL_ADDRESS,
    );

    /// Connects the adapter's interrupts, from `MiniportInitializeEx`; they may come before it
    /// returns. At `PASSIVE_LEVEL`.
    pub fn NdisMRegisterInterruptEx(
        miniport_adapter_handle: NDIS_HANDLE,
        miniport_interrupt_context: NDIS_HANDLE,
        miniport_interrupt_characteristics: *mut NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
        ndis_interrupt_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Disconnects the interrupts and waits for their handlers and DPCs. At `PASSIVE_LEVEL`.
    pub fn NdisMDeregisterInterruptEx(ndis_interrupt_handle: NDIS_HANDLE);

    /// Calls a function at DIRQL, holding the interrupt's lock; returns what it returns. Up to
    /// DIRQL.
    pub fn NdisMSynchronizeWithInterruptEx(
        ndis_interrupt_handle: NDIS_HANDLE,
        message_id: u32,
        synchronize_function: Option<MINIPORT_SYNCHRONIZE_INTERRUPT>,
        synchronize_context: *mut c_void,
    ) -> BOOLEAN;

    /// Queues an interrupt's DPC on processors of one group, returns those where it was not queued
    /// before. Any level.
    pub fn NdisMQueueDpcEx(
        ndis_interrupt_handle: NDIS_HANDLE,
        message_id: u32,
        target_processors: *mut GROUP_AFFINITY,
        miniport_dpc_context: *mut c_void,
    ) -> KAFFINITY;

    /// Hands received frames up: gives them away until `MiniportReturnNetBufferLists`, or only
    /// shows them with `NDIS_RECEIVE_FLAGS_RESOURCES`. Up to `DISPATCH_LEVEL`.
    pub fn NdisMIndicateReceiveNetBufferLists(
        miniport_adapter_handle: NDIS_HANDLE,
        net_buffer_list: *mut NET_BUFFER_LIST,
        port_number: NDIS_PORT_NUMBER,
        number_of_net_buffer_lists: u32,
        receive_flags: u32,
    );

    /// Gives sent lists back; each has its `Status`. Up to `DISPATCH_LEVEL`.
    pub fn NdisMSendNetBufferListsComplete(
        miniport_adapter_handle: NDIS_HANDLE,
        net_buffer_list: *mut NET_BUFFER_LIST,
        send_complete_flags: u32,
    );

    /// Tells drivers above of a status. Up to `DISPATCH_LEVEL`.
    pub fn NdisMIndicateStatusEx(
        miniport_adapter_handle: NDIS_HANDLE,
        status_indication: *mut NDIS_STATUS_INDICATION,
    );

    /// Completes an OID request that was pending. Up to `DISPATCH_LEVEL`.
    pub fn NdisMOidRequestComplete(
        miniport_adapter_handle: NDIS_HANDLE,
        oid_request: *mut NDIS_OID_REQUEST,
        status: NDIS_STATUS,
    );

    /// Completes a pause that was pending. Up to `DISPATCH_LEVEL`.
    pub fn NdisMPauseComplete(miniport_adapter_handle: NDIS_HANDLE);

    /// Completes a restart that was pending. Up to `DISPATCH_LEVEL`.
    pub fn NdisMRestartComplete(miniport_adapter_handle: NDIS_HANDLE, status: NDIS_STATUS);

    /// Sleeps for some microseconds. Below `DISPATCH_LEVEL`.
    pub fn NdisMSleep(microseconds_to_sleep: u32);

    /// Asks for the removal of the adapter. Up to `DISPATCH_LEVEL`.
    pub fn NdisMRemoveMiniport(miniport_handle: NDIS_HANDLE) -> NDIS_STATUS;

    /// Changes an entry of the MSI-X table. The level depends on the operation (Microsoft Learn,
    /// NdisMConfigMSIXTableEntry).
    pub fn NdisMConfigMSIXTableEntry(
        ndis_miniport_handle: NDIS_HANDLE,
        msix_config_parameters: *mut NDIS_MSIX_CONFIG_PARAMETERS,
    ) -> NDIS_STATUS;

    /// Completes a reset that was pending. Up to `DISPATCH_LEVEL`.
    pub fn NdisMResetComplete(
        miniport_adapter_handle: NDIS_HANDLE,
        status: NDIS_STATUS,
        addressing_reset: BOOLEAN,
    );
}
