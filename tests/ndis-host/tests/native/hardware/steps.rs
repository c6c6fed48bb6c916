//! The steps of MiniportInitializeEx, and how each is undone.

use std::ffi::c_void;

use ndis_sys::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_PARTIAL_RESOURCE_LIST, CmResourceTypeMemory,
    CmResourceTypePort, DEVICE_OBJECT, NDIS_HANDLE, NDIS_LINK_STATE,
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES, NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER,
    NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
    NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION, NDIS_OBJECT_TYPE_STATUS_INDICATION,
    NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_SG_DMA_DESCRIPTION,
    NDIS_SIZEOF_LINK_STATE_REVISION_1, NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1,
    NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1, NDIS_SIZEOF_STATUS_INDICATION_REVISION_1,
    NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_INDICATION,
    NDIS_STATUS_LINK_STATE, NDIS_STATUS_SUCCESS, NDIS_TIMER_CHARACTERISTICS, NdisInterfacePci,
    SCATTER_GATHER_LIST, Zeroed,
};

use super::{Hardware, Step, calls, change, ethernet, handlers, hardware, plan};
use crate::native::linked::import;

/// Bytes of the shared memory.
pub(crate) const SHARED: u32 = 4096;

/// A word whose address serves as the adapter's context.
static CONTEXT: u64 = 0;

/// The resources that the adapter was given.
pub(super) fn read_resources(parameters: &NDIS_MINIPORT_INIT_PARAMETERS) {
    let list: *const CM_PARTIAL_RESOURCE_LIST = parameters.AllocatedResources;
    // SAFETY: NDIS lends a list with as many descriptors as it says.
    let descriptors = unsafe {
        let first: *const CM_PARTIAL_RESOURCE_DESCRIPTOR =
            (&raw const (*list).PartialDescriptors).cast();
        let count = (*list).Count as usize;
        (0..count).map(move |index| first.add(index).read_unaligned())
    };
    for descriptor in descriptors {
        // SAFETY: the type says which member it is.
        let range = unsafe { descriptor.u.Generic };
        change(|hardware| match descriptor.Type {
            CmResourceTypeMemory if hardware.register_range.1 == 0 => {
                hardware.register_range = (range.Start as u64, range.Length);
            }
            CmResourceTypePort => hardware.port_range = (range.Start as u32, range.Length),
            _ => {}
        });
    }
}

impl Step {
    /// Does the step; false when it failed.
    pub(super) fn run(self) -> bool {
        let now = hardware();
        match self {
            Self::Registration => registration(&now),
            Self::General => general(&now),
            Self::Offload => offload(&now),
            Self::MapRegisters => {
                let (start, length) = now.register_range;
                let at = calls::map(now.handle(), start, length);
                change(|hardware| hardware.registers = at);
                at != 0
            }
            Self::Ports => {
                let (first, count) = now.port_range;
                let (offset, status) = calls::register_ports(now.handle(), first, count);
                change(|hardware| hardware.ports = offset);
                status == NDIS_STATUS_SUCCESS
            }
            Self::Dma => dma(&now),
            Self::SharedMemory => {
                let (at, logical) = calls::allocate_shared(now.handle(), SHARED);
                change(|hardware| (hardware.shared, hardware.shared_logical) = (at, logical));
                at != 0
            }
            Self::Interrupt => interrupt(&now),
            Self::Timer => timer(&now),
            Self::Status => status(&now),
            Self::Custom(body) => body(&now),
        }
    }

    /// Undoes the step.
    pub(super) fn undo(self) {
        let now = hardware();
        match self {
            Self::MapRegisters => calls::unmap(now.handle(), now.registers, now.register_range.1),
            Self::Ports => {
                let (first, count) = now.port_range;
                calls::deregister_ports(now.handle(), first, count, now.ports);
            }
            Self::Dma => calls::deregister_dma(now.dma_handle()),
            Self::SharedMemory => {
                calls::free_shared(now.handle(), SHARED, now.shared, now.shared_logical);
            }
            Self::Interrupt => calls::deregister_interrupt(now.interrupt_handle()),
            Self::Timer => free_timer(&now),
            _ => {}
        }
    }
}

fn registration(now: &Hardware) -> bool {
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    // SAFETY: the union is all zero, so each member is valid.
    let given = unsafe { &mut all.RegistrationAttributes };
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES;
    given.Header.Revision = 2;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2;
    given.MiniportAdapterContext = (&raw const CONTEXT).cast_mut().cast();
    given.AttributeFlags =
        NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE | NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER;
    given.InterfaceType = NdisInterfacePci;
    (plan().registration)(given);
    calls::set_attributes(now.handle(), &mut all) == NDIS_STATUS_SUCCESS
}

fn general(now: &Hardware) -> bool {
    let mut oids = ethernet().supported_oids;
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    all.GeneralAttributes = ethernet().general(&mut oids);
    // SAFETY: just written.
    (plan().general)(unsafe { &mut all.GeneralAttributes });
    calls::set_attributes(now.handle(), &mut all) == NDIS_STATUS_SUCCESS
}

fn offload(now: &Hardware) -> bool {
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    // SAFETY: the union is all zero, so each member is valid.
    let given = unsafe { &mut all.OffloadAttributes };
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1;
    calls::set_attributes(now.handle(), &mut all) == NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn ignore_list(
    _device: *mut DEVICE_OBJECT,
    _reserved: *mut c_void,
    list: *mut SCATTER_GATHER_LIST,
    context: *mut c_void,
) {
    handlers::list_arrived(list, context);
}

fn dma(now: &Hardware) -> bool {
    type Description = NDIS_SG_DMA_DESCRIPTION;
    let call = import!(NdisMRegisterScatterGatherDma: fn(NDIS_HANDLE, *mut Description, *mut NDIS_HANDLE) -> NDIS_STATUS);
    let mut given = NDIS_SG_DMA_DESCRIPTION::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1;
    given.MaximumPhysicalMapping = 0x1_0000;
    given.ProcessSGListHandler = Some(ignore_list);
    (plan().dma)(&mut given);
    let mut handle: NDIS_HANDLE = std::ptr::null_mut();
    // SAFETY: the description is what its header says.
    let status = unsafe { call(now.handle(), &raw mut given, &raw mut handle) };
    change(|hardware| hardware.dma = handle.addr());
    status == NDIS_STATUS_SUCCESS
}

fn interrupt(now: &Hardware) -> bool {
    type Given = NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS;
    let call = import!(NdisMRegisterInterruptEx: fn(NDIS_HANDLE, NDIS_HANDLE, *mut Given, *mut NDIS_HANDLE) -> NDIS_STATUS);
    let mut given = Given::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1;
    given.InterruptHandler = Some(handlers::line_interrupt);
    given.InterruptDpcHandler = Some(handlers::line_dpc);
    given.MsiSupported = 1;
    given.MessageInterruptHandler = Some(handlers::message_interrupt);
    given.MessageInterruptDpcHandler = Some(handlers::message_dpc);
    (plan().interrupt)(&mut given);
    let mut handle: NDIS_HANDLE = std::ptr::null_mut();
    let context = std::ptr::null_mut();
    // SAFETY: the characteristics are what their header says.
    let status = unsafe { call(now.handle(), context, &raw mut given, &raw mut handle) };
    change(|hardware| {
        hardware.interrupt = handle.addr();
        hardware.interrupt_type = given.InterruptType;
        hardware.message_table = given.MessageInfoTable.expose_provenance();
    });
    status == NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn expired(
    _specific1: *mut c_void,
    _context: *mut c_void,
    _specific2: *mut c_void,
    _specific3: *mut c_void,
) {
}

/// Allocates a timer and sets it to expire in an hour.
fn timer(now: &Hardware) -> bool {
    type Given = NDIS_TIMER_CHARACTERISTICS;
    let allocate = import!(NdisAllocateTimerObject: fn(NDIS_HANDLE, *mut Given, *mut NDIS_HANDLE) -> NDIS_STATUS);
    let set = import!(NdisSetTimerObject: fn(NDIS_HANDLE, i64, i32, *mut c_void) -> u8);
    let mut given = Given::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS;
    given.Header.Revision = 1;
    given.Header.Size = NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1;
    given.AllocationTag = u32::from_le_bytes(*b"Test");
    given.TimerFunction = Some(expired);
    let mut handle: NDIS_HANDLE = std::ptr::null_mut();
    // SAFETY: the characteristics are what their header says.
    let status = unsafe { allocate(now.handle(), &raw mut given, &raw mut handle) };
    if status != NDIS_STATUS_SUCCESS {
        return false;
    }
    change(|hardware| hardware.timer = handle.addr());
    const HOUR: i64 = 3600 * 10_000_000;
    // SAFETY: the timer was just allocated.
    unsafe { set(handle, -HOUR, 0, std::ptr::null_mut()) };
    true
}

fn free_timer(now: &Hardware) {
    let cancel = import!(NdisCancelTimerObject: fn(NDIS_HANDLE) -> u8);
    let free = import!(NdisFreeTimerObject: fn(NDIS_HANDLE));
    let handle = std::ptr::without_provenance_mut(now.timer);
    // SAFETY: the timer of this adapter.
    unsafe {
        cancel(handle);
        free(handle);
    }
}

fn status(now: &Hardware) -> bool {
    type Indication = NDIS_STATUS_INDICATION;
    let call = import!(NdisMIndicateStatusEx: fn(NDIS_HANDLE, *mut Indication));
    let declared = ethernet();
    let mut state = NDIS_LINK_STATE::zeroed();
    state.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    state.Header.Revision = 1;
    state.Header.Size = NDIS_SIZEOF_LINK_STATE_REVISION_1;
    state.MediaConnectState = ndis_sys::MediaConnectStateConnected;
    state.MediaDuplexState = ndis_sys::MediaDuplexStateFull;
    state.XmitLinkSpeed = declared.speed_bps;
    state.RcvLinkSpeed = declared.speed_bps;
    let mut indication = Indication::zeroed();
    indication.Header.Type = NDIS_OBJECT_TYPE_STATUS_INDICATION;
    indication.Header.Revision = 1;
    indication.Header.Size = NDIS_SIZEOF_STATUS_INDICATION_REVISION_1;
    indication.SourceHandle = now.handle();
    indication.StatusCode = NDIS_STATUS_LINK_STATE;
    indication.StatusBuffer = (&raw mut state).cast();
    indication.StatusBufferSize = size_of::<NDIS_LINK_STATE>() as u32;
    // SAFETY: the indication and its buffer are locals.
    unsafe { call(now.handle(), &raw mut indication) };
    true
}
