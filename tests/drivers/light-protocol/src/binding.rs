//! An adapter is bound, opened, paused, restarted, closed.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ndis_sys::{
    DbgPrintEx, NDIS_BIND_PARAMETERS, NDIS_HANDLE, NDIS_MEDIUM, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_OPEN_PARAMETERS, NDIS_OID_REQUEST, NDIS_OPEN_PARAMETERS,
    NDIS_OPEN_PARAMETERS_REVISION_1, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1, NDIS_STATUS, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS, NET_PNP_EVENT_NOTIFICATION, NdisAllocateMemoryWithTagPriority,
    NdisCloseAdapterEx, NdisFreeMemory, NdisMSleep, NdisMedium802_3, NdisOpenAdapterEx,
    NetEventPause, NetEventRestart, NormalPoolPriority, OID_GEN_CURRENT_PACKET_FILTER, Zeroed,
};

use crate::wait::Completion;
use crate::{TAG, driver, traffic, wait};

/// DPFLTR_IHVNETWORK_ID and DPFLTR_INFO_LEVEL.
const COMPONENT: u32 = 79;
const LEVEL: u32 = 3;

/// A bound adapter; its address is the binding context.
pub(crate) struct Binding {
    /// NdisBindingHandle, from the open until the close begins.
    pub(crate) adapter: NDIS_HANDLE,
    pub(crate) mac: [u8; 6],
    pub(crate) lists: NDIS_HANDLE,
    pub(crate) completion: Completion,
    pub(crate) request: NDIS_OID_REQUEST,
    /// The value that `request` sets.
    pub(crate) value: u32,
    pub(crate) medium: u32,
    pub(crate) running: AtomicBool,
    /// Calls that may be sending, and lists that are sent and not complete.
    pub(crate) sending: AtomicU32,
    pub(crate) sent: AtomicU32,
    pub(crate) completed: AtomicU32,
    pub(crate) returned: AtomicU32,
}

/// The binding of a handler.
///
/// # Safety
///
/// `context` is what NDIS passes to a handler, between open and close.
pub(crate) unsafe fn of(context: NDIS_HANDLE) -> *mut Binding {
    context.cast()
}

/// ProtocolBindAdapterEx.
pub(crate) unsafe extern "efiapi" fn bind(
    _protocol: NDIS_HANDLE,
    bind: NDIS_HANDLE,
    parameters: *mut NDIS_BIND_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: the parameters are valid until this returns.
    unsafe {
        let binding = allocate(parameters);
        if binding.is_null() {
            return NDIS_STATUS_RESOURCES;
        }
        let status = wait::finish(binding, || open(binding, bind, parameters));
        if status != NDIS_STATUS_SUCCESS {
            free(binding);
            return status;
        }
        let filter = NDIS_PACKET_TYPE_DIRECTED;
        let status = wait::set_oid(binding, OID_GEN_CURRENT_PACKET_FILTER, filter);
        if status != NDIS_STATUS_SUCCESS {
            close(binding);
        }
        status
    }
}

unsafe fn allocate(parameters: *mut NDIS_BIND_PARAMETERS) -> *mut Binding {
    let (owner, size) = (driver::protocol(), size_of::<Binding>() as u32);
    // SAFETY: the handle of our protocol.
    let memory = unsafe { NdisAllocateMemoryWithTagPriority(owner, size, TAG, NormalPoolPriority) };
    // SAFETY: as above.
    let lists = unsafe { traffic::make_pool(owner) };
    if memory.is_null() || lists.is_null() {
        // SAFETY: nobody else knows of either.
        unsafe { release(memory.cast(), lists) };
        return ptr::null_mut();
    }
    let binding: *mut Binding = memory.cast();
    // SAFETY: the memory is as long as a binding and aligned to 16; the parameters are valid.
    unsafe {
        let [a, b, c, d, e, f, ..] = (*parameters).CurrentMacAddress;
        memory.cast::<u8>().write_bytes(0, size as usize);
        (*binding).mac = [a, b, c, d, e, f];
        (*binding).lists = lists;
        (*binding).request = NDIS_OID_REQUEST::zeroed();
        Completion::initialize(&raw mut (*binding).completion);
    }
    binding
}

unsafe fn open(
    binding: *mut Binding,
    bind: NDIS_HANDLE,
    parameters: *mut NDIS_BIND_PARAMETERS,
) -> NDIS_STATUS {
    let mut media: [NDIS_MEDIUM; 1] = [NdisMedium802_3];
    let mut given = NDIS_OPEN_PARAMETERS::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_OPEN_PARAMETERS,
        Revision: NDIS_OPEN_PARAMETERS_REVISION_1,
        Size: NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1,
    };
    given.MediumArray = media.as_mut_ptr();
    given.MediumArraySize = media.len() as u32;
    // SAFETY: NDIS writes handle and index until the open is complete: the binding stays.
    unsafe {
        given.AdapterName = (*parameters).AdapterName;
        given.SelectedMediumIndex = &raw mut (*binding).medium;
        let handle = &raw mut (*binding).adapter;
        NdisOpenAdapterEx(
            driver::protocol(),
            binding.cast(),
            &raw mut given,
            bind,
            handle,
        )
    }
}

/// Closes an adapter and frees its binding. PASSIVE_LEVEL.
unsafe fn close(binding: *mut Binding) {
    // SAFETY: nothing is out; the handle is not used again.
    unsafe {
        wait::finish(binding, || NdisCloseAdapterEx((*binding).adapter));
        free(binding);
    }
}

unsafe fn free(binding: *mut Binding) {
    // SAFETY: NDIS refers to the binding no more.
    unsafe { release(binding, (*binding).lists) }
}

unsafe fn release(binding: *mut Binding, lists: NDIS_HANDLE) {
    // SAFETY: by contract; each is null or ours.
    unsafe {
        if !lists.is_null() {
            traffic::free_pool(lists);
        }
        if !binding.is_null() {
            NdisFreeMemory(binding.cast(), 0, 0);
        }
    }
}

/// ProtocolUnbindAdapterEx, after the pause.
pub(crate) unsafe extern "efiapi" fn unbind(
    _unbind: NDIS_HANDLE,
    context: NDIS_HANDLE,
) -> NDIS_STATUS {
    // SAFETY: an open binding, which NDIS uses no more after the close.
    unsafe {
        let binding = of(context);
        wait::set_oid(binding, OID_GEN_CURRENT_PACKET_FILTER, 0);
        report(&*binding);
        close(binding);
    }
    NDIS_STATUS_SUCCESS
}

fn report(binding: &Binding) {
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    let (sent, completed) = (count(&binding.sent), count(&binding.completed));
    let returned = count(&binding.returned);
    let format = c"lightproto: sent %u, completed %u, returned %u\n";
    // SAFETY: three numbers for three conversions.
    unsafe { DbgPrintEx(COMPONENT, LEVEL, format.as_ptr(), sent, completed, returned) };
}

/// ProtocolNetPnPEvent. Every event that we know nothing of succeeds.
pub(crate) unsafe extern "efiapi" fn net_pnp_event(
    context: NDIS_HANDLE,
    event: *mut NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS {
    if context.is_null() {
        return NDIS_STATUS_SUCCESS;
    }
    // SAFETY: a binding, and a valid event.
    unsafe {
        let binding = of(context);
        match (*event).NetPnPEvent.NetEvent {
            NetEventPause => pause(&*binding),
            NetEventRestart => {
                (*binding).running.store(true, Ordering::SeqCst);
                traffic::begin(&*binding);
            }
            _ => {}
        }
    }
    NDIS_STATUS_SUCCESS
}

/// No send begins after this, and none is out: sends complete without our help.
fn pause(binding: &Binding) {
    const MOMENT_US: u32 = 100;
    binding.running.store(false, Ordering::SeqCst);
    while binding.sending.load(Ordering::SeqCst) != 0 {
        // SAFETY: the level is PASSIVE.
        unsafe { NdisMSleep(MOMENT_US) };
    }
}
