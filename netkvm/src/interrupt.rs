//! Messages, line interrupts, and their DPCs.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use ndis::Failed;
use ndis::irql::{Dispatch, at_dispatch};
use ndis_sys as sys;
use sys::{BOOLEAN, NDIS_HANDLE};
use virtio_net::transport::pci::Health;

use crate::adapter::{Adapter, Broken, Device};

/// Frames that one DPC delivers. NDIS may allow more, but a DPC is to end within about 100 us
/// (Microsoft Learn, "Guidelines for writing DPC routines"), however fast frames come.
const DPC_FRAMES: u32 = 256;

/// Which message each part of the device uses; `None` with a line interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vectors {
    pub(crate) config: Option<u16>,
    pub(crate) receive: Option<u16>,
    pub(crate) transmit: Option<u16>,
    pub(crate) control: Option<u16>,
}

impl Vectors {
    /// Spreads the parts over the messages that there are; fewer messages are shared. What is rare
    /// shares first: a message of the control queue's own spares it a look at the configuration.
    pub(crate) fn over(messages: u32) -> Self {
        let (receive, transmit, control) = match messages {
            0 => {
                return Self {
                    config: None,
                    receive: None,
                    transmit: None,
                    control: None,
                };
            }
            1 => (0, 0, 0),
            2 => (1, 1, 0),
            3 => (1, 2, 0),
            _ => (1, 2, 3),
        };
        Self {
            config: Some(0),
            receive: Some(receive),
            transmit: Some(transmit),
            control: Some(control),
        }
    }
}

/// Registers the interrupt and says how many messages NDIS granted: 0 means a line interrupt.
/// The handlers may run before this returns.
///
/// # Errors
///
/// NDIS's status.
///
/// # Safety
///
/// Called from MiniportInitializeEx as its last hardware step; `adapter` has its final address and
/// lives until the interrupt is deregistered.
pub(crate) unsafe fn register(adapter: &Adapter) -> Result<u32, Failed> {
    let mut interrupt: sys::NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS = sys::zeroed();
    interrupt.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
        sys::NDIS_MINIPORT_INTERRUPT_REVISION_1,
        sys::NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1,
    );
    interrupt.InterruptHandler = Some(line_interrupt);
    interrupt.InterruptDpcHandler = Some(line_dpc);
    interrupt.MsiSupported = 1;
    interrupt.MessageInterruptHandler = Some(message_interrupt);
    interrupt.MessageInterruptDpcHandler = Some(message_dpc);
    let context = ptr::from_ref(adapter).cast_mut().cast();
    // SAFETY: by this function's contract.
    let status = unsafe {
        sys::NdisMRegisterInterruptEx(
            adapter.handle(),
            context,
            &raw mut interrupt,
            adapter.interrupt.as_ptr(),
        )
    };
    // What the call wrote before it failed is no handle.
    Failed::check(status)
        .inspect_err(|_| adapter.interrupt.store(ptr::null_mut(), Ordering::Release))?;
    if interrupt.InterruptType != sys::NDIS_CONNECT_MESSAGE_BASED {
        return Ok(0);
    }
    // SAFETY: with messages NDIS gives a table of them, valid until the deregistration.
    Ok(unsafe { interrupt.MessageInfoTable.as_ref() }.map_or(0, |table| table.MessageCount))
}

/// Borrows the adapter of an interrupt handler.
///
/// # Safety
///
/// `context` is the interrupt context, which lives until the interrupt is deregistered.
unsafe fn adapter<'a>(context: NDIS_HANDLE) -> Option<&'a Adapter> {
    // SAFETY: by contract.
    unsafe { context.cast::<Adapter>().as_ref() }
}

/// At device IRQL. A message is nobody else's.
unsafe extern "efiapi" fn message_interrupt(
    _context: NDIS_HANDLE,
    _message: u32,
    queue_dpc: *mut BOOLEAN,
    target_processors: *mut u32,
) -> BOOLEAN {
    // SAFETY: NDIS passes pointers to its own variables.
    unsafe {
        queue_dpc.write(1);
        target_processors.write(0);
    }
    1
}

/// At device IRQL. The line may be shared: reading the interrupt status tells, and clears it. A
/// broken device drives the line as well, until it is reset.
unsafe extern "efiapi" fn line_interrupt(
    context: NDIS_HANDLE,
    queue_dpc: *mut BOOLEAN,
    target_processors: *mut u32,
) -> BOOLEAN {
    // SAFETY: the interrupt context.
    let device = unsafe { adapter(context) }.and_then(Adapter::present_device);
    let ours = device.is_some_and(|device| !device.live.read_isr().is_empty());
    // SAFETY: NDIS passes pointers to its own variables.
    unsafe {
        queue_dpc.write(BOOLEAN::from(ours));
        target_processors.write(0);
    }
    BOOLEAN::from(ours)
}

unsafe extern "efiapi" fn message_dpc(
    context: NDIS_HANDLE,
    message: u32,
    _dpc: *mut c_void,
    throttle: *mut c_void,
    _reserved: *mut c_void,
) {
    // SAFETY: the interrupt context, and NDIS's throttle parameters; DPCs run at DISPATCH_LEVEL.
    unsafe {
        if let Some(adapter) = adapter(context) {
            at_dispatch(|at| serve(adapter, Some(message), throttle.cast(), at));
        }
    }
}

unsafe extern "efiapi" fn line_dpc(
    context: NDIS_HANDLE,
    _dpc: *mut c_void,
    throttle: *mut c_void,
    _reserved: *mut c_void,
) {
    // SAFETY: as above.
    unsafe {
        if let Some(adapter) = adapter(context) {
            at_dispatch(|at| serve(adapter, None, throttle.cast(), at));
        }
    }
}

/// Serves what the interrupt may have been about.
///
/// # Safety
///
/// `throttle` is null or NDIS's receive throttle parameters.
unsafe fn serve(
    adapter: &Adapter,
    message: Option<u32>,
    throttle: *mut sys::NDIS_RECEIVE_THROTTLE_PARAMETERS,
    at: Dispatch<'_>,
) {
    let Some(device) = adapter.usable_device() else {
        return;
    };
    let is_for = |vector: Option<u16>| match (message, vector) {
        (Some(message), Some(vector)) => message == u32::from(vector),
        _ => true,
    };
    // SAFETY: by contract.
    let mut throttle = unsafe { throttle.as_mut() };
    if is_for(device.vectors.transmit) {
        adapter.reap_transmit(at);
    }
    if is_for(device.vectors.receive) {
        let allowed = throttle
            .as_ref()
            .map_or(sys::NDIS_INDICATE_ALL_NBLS, |limit| limit.MaxNblsToIndicate);
        let budget = if cfg!(mutant = "drain_without_end") {
            allowed
        } else {
            allowed.min(DPC_FRAMES)
        };
        let more = adapter.receive.drain(adapter, budget, at);
        match throttle.as_mut() {
            // NDIS queues the DPC again itself; only a throttled DPC may ask for that.
            Some(limit) if allowed != sys::NDIS_INDICATE_ALL_NBLS => {
                limit.MoreNblsPending = u32::from(more);
            }
            _ if more => receive_again(adapter, device, at),
            _ => {}
        }
    }
    if is_for(device.vectors.config) {
        // Turns the control queue as well.
        look_at_config(adapter);
    } else if is_for(device.vectors.control)
        && let Some(control) = &adapter.control
    {
        control.turn(adapter);
    }
}

/// Queues the DPC that receives, on this processor: frames wait, and their interrupt is off.
///
/// The caller is a DPC of this interrupt, or somebody whom the end of the adapter waits for before
/// it deregisters the interrupt.
pub(crate) fn receive_again(adapter: &Adapter, device: &Device, _at: Dispatch<'_>) {
    let interrupt = adapter.interrupt.load(Ordering::Acquire);
    if interrupt.is_null() {
        return;
    }
    let message = device.vectors.receive.map_or(0, u32::from);
    let mut here: sys::PROCESSOR_NUMBER = sys::zeroed();
    let mut target: sys::GROUP_AFFINITY = sys::zeroed();
    // SAFETY: any level; a place for the answer.
    unsafe { sys::KeGetCurrentProcessorNumberEx(&raw mut here) };
    target.Group = here.Group;
    target.Mask = 1usize.wrapping_shl(u32::from(here.Number));
    // SAFETY: the handle is not deregistered yet, by this function's contract; the message is one
    // that NDIS granted, or zero for the line.
    unsafe { sys::NdisMQueueDpcEx(interrupt, message, &raw mut target, ptr::null_mut()) };
}

/// The device's configuration may have changed.
pub(crate) fn look_at_config(adapter: &Adapter) {
    let Some(device) = adapter.usable_device() else {
        return;
    };
    match device.live.read_health() {
        Health::Good => {
            // Before the status is read: what was acknowledged is asked for no more then.
            if let Some(control) = &adapter.control {
                control.turn(adapter);
            }
            if let Ok(status) = device.live.read_link_status() {
                adapter.link.set_carrier(adapter, status.up);
                if adapter.announcing.is_new(status.announce) {
                    adapter.announce();
                }
            }
        }
        Health::NeedsReset => adapter.device_broke(Broken::NeedsReset),
        // Removed, or powered down: the PnP manager tells.
        _ => {}
    }
}
