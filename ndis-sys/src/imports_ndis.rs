//! Functions of `ndis.sys` that miniport and protocol share.

use core::ffi::c_void;

use crate::{
    BOOLEAN, EX_POOL_PRIORITY, LARGE_INTEGER, MDL, NDIS_CONFIGURATION_OBJECT,
    NDIS_CONFIGURATION_PARAMETER, NDIS_EVENT, NDIS_HANDLE, NDIS_IO_WORKITEM_FUNCTION,
    NDIS_PARAMETER_TYPE, NDIS_STATUS, NDIS_STRING, NDIS_TIMER_CHARACTERISTICS, NET_BUFFER,
    NET_BUFFER_ALLOCATE_MDL_HANDLER, NET_BUFFER_FREE_MDL_HANDLER, NET_BUFFER_LIST,
    NET_BUFFER_LIST_POOL_PARAMETERS,
};

#[cfg_attr(
    windows,
    link(name = "ndis.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Opens the configuration of an adapter or driver. At `PASSIVE_LEVEL`; closed by
    /// `NdisCloseConfiguration`.
    pub fn NdisOpenConfigurationEx(
        config_object: *mut NDIS_CONFIGURATION_OBJECT,
        configuration_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Reads a setting; the parameter belongs to NDIS. At `PASSIVE_LEVEL`.
    pub fn NdisReadConfiguration(
        status: *mut NDIS_STATUS,
        parameter_value: *mut *mut NDIS_CONFIGURATION_PARAMETER,
        configuration_handle: NDIS_HANDLE,
        keyword: *mut NDIS_STRING,
        parameter_type: NDIS_PARAMETER_TYPE,
    );

    /// Reads the MAC address that an administrator has set. At `PASSIVE_LEVEL`.
    pub fn NdisReadNetworkAddress(
        status: *mut NDIS_STATUS,
        network_address: *mut *mut c_void,
        network_address_length: *mut u32,
        configuration_handle: NDIS_HANDLE,
    );

    /// Closes a configuration and frees what was read. At `PASSIVE_LEVEL`.
    pub fn NdisCloseConfiguration(configuration_handle: NDIS_HANDLE);

    /// Makes a pool of lists, null if there is no memory. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateNetBufferListPool(
        ndis_handle: NDIS_HANDLE,
        parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS,
    ) -> NDIS_HANDLE;

    /// Frees a pool, all of whose lists are free. Up to `DISPATCH_LEVEL`.
    pub fn NdisFreeNetBufferListPool(pool_handle: NDIS_HANDLE);

    /// Allocates a list with one frame, null if there is no memory. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateNetBufferAndNetBufferList(
        pool_handle: NDIS_HANDLE,
        context_size: u16,
        context_back_fill: u16,
        mdl_chain: *mut MDL,
        data_offset: u32,
        data_length: usize,
    ) -> *mut NET_BUFFER_LIST;

    /// Allocates a list, null if there is no memory. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateNetBufferList(
        pool_handle: NDIS_HANDLE,
        context_size: u16,
        context_back_fill: u16,
    ) -> *mut NET_BUFFER_LIST;

    /// Frees a list, and the frame that was allocated with it. Up to `DISPATCH_LEVEL`.
    pub fn NdisFreeNetBufferList(net_buffer_list: *mut NET_BUFFER_LIST);

    /// Gets context space in a list. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateNetBufferListContext(
        net_buffer_list: *mut NET_BUFFER_LIST,
        context_size: u16,
        context_back_fill: u16,
        pool_tag: u32,
    ) -> NDIS_STATUS;

    /// Gives context space back. Up to `DISPATCH_LEVEL`.
    pub fn NdisFreeNetBufferListContext(net_buffer_list: *mut NET_BUFFER_LIST, context_size: u16);

    /// Returns the pool of a list. Up to `DISPATCH_LEVEL`.
    pub fn NdisGetPoolFromNetBufferList(net_buffer_list: *mut NET_BUFFER_LIST) -> NDIS_HANDLE;

    /// Allocates an MDL for nonpaged memory, null if there is no memory. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateMdl(
        ndis_handle: NDIS_HANDLE,
        virtual_address: *mut c_void,
        length: u32,
    ) -> *mut MDL;

    /// Frees an MDL of `NdisAllocateMdl`. Up to `DISPATCH_LEVEL`.
    pub fn NdisFreeMdl(mdl: *mut MDL);

    /// Returns the first bytes of a frame as one piece, copied to `storage` if they are in several,
    /// null if that is null or the frame is shorter. Up to `DISPATCH_LEVEL`.
    pub fn NdisGetDataBuffer(
        net_buffer: *mut NET_BUFFER,
        bytes_needed: u32,
        storage: *mut c_void,
        align_multiple: u32,
        align_offset: u32,
    ) -> *mut c_void;

    /// Moves the start of the data forward. Up to `DISPATCH_LEVEL`.
    pub fn NdisAdvanceNetBufferDataStart(
        net_buffer: *mut NET_BUFFER,
        data_offset_delta: u32,
        free_mdl: BOOLEAN,
        free_mdl_handler: NET_BUFFER_FREE_MDL_HANDLER,
    );

    /// Moves the start of the data back, into a new MDL if there is no room. Up to
    /// `DISPATCH_LEVEL`.
    pub fn NdisRetreatNetBufferDataStart(
        net_buffer: *mut NET_BUFFER,
        data_offset_delta: u32,
        data_back_fill: u32,
        allocate_mdl_handler: NET_BUFFER_ALLOCATE_MDL_HANDLER,
    ) -> NDIS_STATUS;

    /// Makes a timer. Up to `DISPATCH_LEVEL`; freed by `NdisFreeTimerObject`.
    pub fn NdisAllocateTimerObject(
        ndis_handle: NDIS_HANDLE,
        timer_characteristics: *mut NDIS_TIMER_CHARACTERISTICS,
        timer_object: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Starts a timer, returns whether it was running; the due time counts 100 ns, negative from
    /// now. Up to `DISPATCH_LEVEL`.
    pub fn NdisSetTimerObject(
        timer_object: NDIS_HANDLE,
        due_time: LARGE_INTEGER,
        milliseconds_period: i32,
        function_context: *mut c_void,
    ) -> BOOLEAN;

    /// Cancels a timer, returns whether it was running; if not, its function may still run. Up to
    /// `DISPATCH_LEVEL`; a periodic timer at `PASSIVE_LEVEL`.
    pub fn NdisCancelTimerObject(timer_object: NDIS_HANDLE) -> BOOLEAN;

    /// Frees a timer that does not run. Up to `DISPATCH_LEVEL`.
    pub fn NdisFreeTimerObject(timer_object: NDIS_HANDLE);

    /// Makes a work item, null if there is no memory. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateIoWorkItem(ndis_object_handle: NDIS_HANDLE) -> NDIS_HANDLE;

    /// Queues a work item that is not queued. Up to `DISPATCH_LEVEL`.
    pub fn NdisQueueIoWorkItem(
        ndis_io_work_item_handle: NDIS_HANDLE,
        routine: Option<NDIS_IO_WORKITEM_FUNCTION>,
        work_item_context: *mut c_void,
    );

    /// Frees a work item, possibly from its own routine. Up to `DISPATCH_LEVEL`.
    pub fn NdisFreeIoWorkItem(ndis_io_work_item_handle: NDIS_HANDLE);

    /// Initializes an event, not signaled. Up to `DISPATCH_LEVEL`.
    pub fn NdisInitializeEvent(event: *mut NDIS_EVENT);

    /// Signals an event. Up to `DISPATCH_LEVEL`.
    pub fn NdisSetEvent(event: *mut NDIS_EVENT);

    /// Resets an event. Up to `DISPATCH_LEVEL`.
    pub fn NdisResetEvent(event: *mut NDIS_EVENT);

    /// Waits for an event, 0 milliseconds for ever; returns whether it is signaled. At
    /// `PASSIVE_LEVEL`.
    pub fn NdisWaitEvent(event: *mut NDIS_EVENT, ms_to_wait: u32) -> BOOLEAN;

    /// Returns the version of NDIS: major in the upper, minor in the lower 16 bits. Up to
    /// `DISPATCH_LEVEL`.
    pub fn NdisGetVersion() -> u32;

    /// Returns the address of a routine of NDIS, null if this version does not have it. At
    /// `PASSIVE_LEVEL`.
    pub fn NdisGetRoutineAddress(ndis_routine_name: *mut NDIS_STRING) -> *mut c_void;

    /// Returns the milliseconds since the system started. Any level.
    pub fn NdisGetSystemUpTimeEx(system_up_time: *mut LARGE_INTEGER);

    /// Returns how many processors a group, or the system with `ALL_PROCESSOR_GROUPS`, can have.
    /// Any level.
    pub fn NdisGroupMaxProcessorCount(group: u16) -> u32;

    /// Allocates nonpaged memory, null if there is none. Up to `DISPATCH_LEVEL`.
    pub fn NdisAllocateMemoryWithTagPriority(
        ndis_handle: NDIS_HANDLE,
        length: u32,
        tag: u32,
        priority: EX_POOL_PRIORITY,
    ) -> *mut c_void;

    /// Frees it; `memory_flags` is 0 for memory of `NdisAllocateMemoryWithTagPriority`. Up to
    /// `DISPATCH_LEVEL`.
    pub fn NdisFreeMemory(virtual_address: *mut c_void, length: u32, memory_flags: u32);
}

#[cfg_attr(
    windows,
    link(name = "ndis.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "C" {
    /// Writes to the system's event log: a count of `u32` values follows. Up to `DISPATCH_LEVEL`.
    pub fn NdisWriteErrorLogEntry(
        ndis_adapter_handle: NDIS_HANDLE,
        error_code: u32,
        number_of_error_values: u32,
        ...
    );
}
