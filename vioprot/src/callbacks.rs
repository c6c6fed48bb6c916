//! NDIS's way into the protocol edge: registration, and the handlers.

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use ndis::Failed;
use ndis::chain::{Chain, ToComplete};
use ndis::irql::{Passive, at_passive};
use ndis_sys as sys;
use sys::{NDIS_HANDLE, NDIS_STATUS, NET_BUFFER_LIST};

use crate::binding::Binding;
use crate::edge::EDGE;
use crate::requests;

/// The protocol's name is its service's: NDIS looks for the bindings in that service's Linkage key
/// (Microsoft Learn, "NDIS_PROTOCOL_DRIVER_CHARACTERISTICS").
const NAME: [u16; 7] = [
    b'V' as u16,
    b'I' as u16,
    b'O' as u16,
    b'P' as u16,
    b'R' as u16,
    b'O' as u16,
    b'T' as u16,
];
/// `size_of_val(&NAME)`.
const NAME_BYTES: u16 = 14;
/// The NDIS version whose protocol interface we use: the oldest system we run on has a later one.
const NDIS_VERSION: (u8, u8) = (6, 30);

/// Registers the protocol driver; NDIS writes its handle to `handle`.
pub(crate) fn register(handle: *mut NDIS_HANDLE) -> Result<(), Failed> {
    let mut name = NAME;
    let mut driver: sys::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS = sys::zeroed();
    driver.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS,
        sys::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
        sys::NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
    );
    (driver.MajorNdisVersion, driver.MinorNdisVersion) = NDIS_VERSION;
    driver.MajorDriverVersion = 1;
    driver.Name = sys::UNICODE_STRING {
        Length: NAME_BYTES,
        MaximumLength: NAME_BYTES,
        Buffer: name.as_mut_ptr(),
    };
    driver.BindAdapterHandlerEx = Some(bind);
    driver.UnbindAdapterHandlerEx = Some(unbind);
    driver.OpenAdapterCompleteHandlerEx = Some(open_complete);
    driver.CloseAdapterCompleteHandlerEx = Some(close_complete);
    driver.NetPnPEventHandler = Some(net_pnp_event);
    driver.UninstallHandler = Some(uninstall);
    driver.OidRequestCompleteHandler = Some(oid_request_complete);
    driver.StatusHandlerEx = Some(status);
    driver.ReceiveNetBufferListsHandler = Some(receive);
    driver.SendNetBufferListsCompleteHandler = Some(sends_complete);
    // SAFETY: at PASSIVE_LEVEL: called from DriverEntry or a work item. NDIS copies the
    // characteristics; the handle's place is a static's.
    Failed::check(unsafe {
        sys::NdisRegisterProtocolDriver(ptr::null_mut(), &raw mut driver, handle)
    })
}

/// Borrows the binding of a callback.
///
/// # Safety
///
/// `context` is a binding context that NDIS passes to a handler: the binding is alive from the
/// open until the close is complete, and NDIS calls no handler outside that time.
unsafe fn binding<'a>(context: NDIS_HANDLE) -> Option<&'a Binding> {
    // SAFETY: by contract.
    unsafe { context.cast::<Binding>().as_ref() }
}

unsafe extern "efiapi" fn bind(
    _driver: NDIS_HANDLE,
    context: NDIS_HANDLE,
    parameters: *mut sys::NDIS_BIND_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes valid parameters until the bind is complete.
    let Some(parameters) = (unsafe { parameters.as_ref() }) else {
        return sys::NDIS_STATUS_FAILURE;
    };
    // SAFETY: this handler runs at PASSIVE_LEVEL, and these are its arguments.
    let bound = unsafe { at_passive(|at| EDGE.bind(context, parameters, &at)) };
    bound.map_or_else(|failed| failed.0, |()| sys::NDIS_STATUS_SUCCESS)
}

unsafe extern "efiapi" fn unbind(_unbind: NDIS_HANDLE, context: NDIS_HANDLE) -> NDIS_STATUS {
    if let Some(binding) = NonNull::new(context.cast::<Binding>()) {
        // SAFETY: this handler runs at PASSIVE_LEVEL, with the context of an open binding.
        unsafe { at_passive(|at| EDGE.unbind(binding, &at)) };
    }
    sys::NDIS_STATUS_SUCCESS
}

unsafe extern "efiapi" fn open_complete(context: NDIS_HANDLE, status: NDIS_STATUS) {
    // SAFETY: the context of the open that was pending.
    if let Some(binding) = unsafe { binding(context) } {
        binding.completed(status);
    }
}

unsafe extern "efiapi" fn close_complete(context: NDIS_HANDLE) {
    // SAFETY: the context of the close that was pending.
    if let Some(binding) = unsafe { binding(context) } {
        binding.completed(sys::NDIS_STATUS_SUCCESS);
    }
}

unsafe extern "efiapi" fn uninstall() {
    // SAFETY: this handler runs at PASSIVE_LEVEL.
    unsafe { at_passive(|at| EDGE.uninstalling(&at)) };
}

unsafe extern "efiapi" fn oid_request_complete(
    _context: NDIS_HANDLE,
    request: *mut sys::NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    if let Some(request) = NonNull::new(request) {
        // SAFETY: NDIS completes requests that `requests` made, and no others.
        unsafe { requests::completed(request, status) };
    }
}

unsafe extern "efiapi" fn receive(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _port: u32,
    _count: u32,
    flags: u32,
) {
    // SAFETY: a binding context, and the handler's own arguments.
    unsafe {
        if let Some(binding) = binding(context) {
            binding.receive(lists, flags);
        }
    }
}

unsafe extern "efiapi" fn sends_complete(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
    // SAFETY: a binding context; the lists are sends of ours, and ours again.
    let (binding, sends) = unsafe { (binding(context), Chain::<ToComplete>::from_raw(lists)) };
    // SAFETY: the sends hold references of their pair's `tx`, which the pair outlives.
    let pair = binding.and_then(|binding| unsafe { binding.pair.load(Ordering::Acquire).as_ref() });
    if let (Some(binding), Some(pair)) = (binding, pair) {
        pair.vf_sends_done(binding, sends);
    }
}

unsafe extern "efiapi" fn status(
    context: NDIS_HANDLE,
    indication: *mut sys::NDIS_STATUS_INDICATION,
) {
    // SAFETY: a binding context, and an indication that lives until we return.
    let (Some(binding), Some(indication)) = (unsafe { (binding(context), indication.as_ref()) })
    else {
        return;
    };
    match indication.StatusCode {
        sys::NDIS_STATUS_LINK_STATE if has_link_state(indication) => {
            let link = indication.StatusBuffer.cast::<sys::NDIS_LINK_STATE>();
            // SAFETY: the buffer is a link state of at least the revision we know.
            let state = unsafe { link.read_unaligned() }.MediaConnectState;
            binding.link(state == sys::MediaConnectStateConnected);
        }
        sys::NDIS_STATUS_RESET_START => binding.reset(true),
        sys::NDIS_STATUS_RESET_END => binding.reset(false),
        _ => {}
    }
}

unsafe extern "efiapi" fn net_pnp_event(
    context: NDIS_HANDLE,
    event: *mut sys::NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes a valid event, and a binding's context or null.
    let (binding, event) = unsafe { (binding(context), event.as_ref()) };
    if let Some(event) = event {
        // SAFETY: this handler runs at PASSIVE_LEVEL.
        unsafe { at_passive(|at| on_event(binding, &event.NetPnPEvent, &at)) };
    }
    sys::NDIS_STATUS_SUCCESS
}

fn on_event(binding: Option<&Binding>, event: &sys::NET_PNP_EVENT, at: &Passive<'_>) {
    let Some(binding) = binding else {
        // Something about the protocol as a whole: its list of bindings, perhaps.
        EDGE.refresh(at);
        return;
    };
    match event.NetEvent {
        sys::NetEventPause => binding.run(false, at),
        sys::NetEventRestart => binding.run(true, at),
        sys::NetEventSetPower => binding.power(is_d0(event), at),
        _ => {}
    }
}

/// Whether a set-power event says D0.
fn is_d0(event: &sys::NET_PNP_EVENT) -> bool {
    let state = event
        .Buffer
        .cast::<c_void>()
        .cast::<sys::NET_DEVICE_POWER_STATE>();
    if state.is_null() || (event.BufferLength as usize) < size_of::<sys::NET_DEVICE_POWER_STATE>() {
        return true;
    }
    // SAFETY: the event's buffer holds a power state, as its length says.
    unsafe { state.read_unaligned() == sys::NetDeviceStateD0 }
}

fn has_link_state(indication: &sys::NDIS_STATUS_INDICATION) -> bool {
    indication.StatusBufferSize as usize >= size_of::<sys::NDIS_LINK_STATE>()
}
