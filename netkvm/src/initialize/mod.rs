//! An adapter comes up.
//!
//! In the order that NDIS wants (Microsoft Learn, "MINIPORT_INITIALIZE"): registration attributes;
//! resources and settings; the device found and its features settled; memory; general attributes;
//! the interrupt, last; then the device is let run. A step that fails undoes what came before it,
//! by dropping it.

mod attributes;
mod memory;

use alloc::boxed::Box;
use core::mem::MaybeUninit;
use core::ptr;

use ndis::config::Configuration;
use ndis::irql::Passive;
use ndis::memory::try_box;
use ndis::timer::Timer;
use ndis::work::Work;
use ndis::{Failed, event_log};
use ndis_sys as sys;
use sys::{NDIS_HANDLE, NDIS_STATUS};
use vioprot::edge::EDGE;
use vioprot::pair::{Identity, Pair};
use virtio_net::bring_up::{Found, Negotiated};
use virtio_net::features::Features;
use virtio_net::transport::pci::PciTransport;
use virtio_net::transport::pci::queues::{Doorbell, QueueSetup, QueueSetupError};

use crate::adapter::{Adapter, Device};
use crate::driver;
use crate::hardware::Bars;
use crate::interrupt::{self, Vectors};
use crate::query;
use crate::settings::Settings;
use memory::{Place, Plan, Queues};

/// How often a reset is looked at, and how long in between: one to two seconds in all, as the clock
/// ticks. Devices confirm at once.
pub(crate) const RESET_TRIES: u32 = 100;
pub(crate) const RESET_STALL_US: u32 = 10_000;

/// The receive and transmit queues of the first pair (virtio 1.2, 5.1.2).
const RECEIVE_QUEUE: u16 = 0;
const TRANSMIT_QUEUE: u16 = 1;
/// The control queue, as long as neither MQ nor RSS is negotiated.
const CONTROL_QUEUE: u16 = 2;

/// What this driver makes use of; of each feature, [`virtio_net::features::TABLE`] says what it is.
pub(crate) const HANDLED: Features = Features::union_of(&[
    Features::MTU,
    Features::MAC,
    Features::MRG_RXBUF,
    Features::STATUS,
    Features::CTRL_VQ,
    Features::CTRL_RX,
    Features::CTRL_RX_EXTRA,
    Features::CTRL_MAC_ADDR,
    Features::GUEST_ANNOUNCE,
    Features::STANDBY,
    Features::ANY_LAYOUT,
    Features::RING_INDIRECT_DESC,
    Features::RING_EVENT_IDX,
    Features::RING_PACKED,
    Features::IN_ORDER,
    Features::ORDER_PLATFORM,
    Features::NOTIFICATION_DATA,
    Features::VERSION_1,
    Features::ACCESS_PLATFORM,
]);

/// Why an adapter did not come up: the first number of the event log's entry.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Stage {
    Attributes = 0x301,
    Resources = 0x302,
    Transport = 0x303,
    Reset = 0x304,
    Features = 0x305,
    Configuration = 0x306,
    Memory = 0x307,
    Interrupt = 0x308,
    Queues = 0x309,
    Start = 0x30a,
    Failover = 0x30b,
}

/// An event log entry, and the status for NDIS.
struct NotStarted {
    stage: Stage,
    failed: Failed,
}

/// What went wrong at `stage`.
fn at_stage<E: Into<Failed>>(stage: Stage) -> impl FnOnce(E) -> NotStarted {
    move |error| NotStarted {
        stage,
        failed: error.into(),
    }
}

/// A device that does not do what it must.
fn device_at<E>(stage: Stage) -> impl FnOnce(E) -> NotStarted {
    move |_| NotStarted {
        stage,
        failed: Failed(sys::NDIS_STATUS_FAILURE),
    }
}

/// Serves MiniportInitializeEx.
///
/// # Safety
///
/// The arguments are those of the handler.
pub(crate) unsafe fn initialize(
    miniport: NDIS_HANDLE,
    parameters: &sys::NDIS_MINIPORT_INIT_PARAMETERS,
    at: &Passive<'_>,
) -> NDIS_STATUS {
    // SAFETY: passed on.
    match unsafe { bring_up(miniport, parameters, at) } {
        Ok(()) => sys::NDIS_STATUS_SUCCESS,
        Err(NotStarted { stage, failed }) => {
            let code = match failed {
                Failed::RESOURCES => sys::NDIS_ERROR_CODE_OUT_OF_RESOURCES,
                _ => sys::NDIS_ERROR_CODE_HARDWARE_FAILURE,
            };
            // SAFETY: the adapter's handle is valid until this handler returns.
            unsafe {
                let detail = failed.0.cast_unsigned();
                event_log::write(miniport, code, stage as u32, detail);
            }
            if failed == Failed::RESOURCES {
                failed.0
            } else {
                sys::NDIS_STATUS_FAILURE
            }
        }
    }
}

/// # Safety
///
/// As for [`initialize`].
unsafe fn bring_up(
    miniport: NDIS_HANDLE,
    parameters: &sys::NDIS_MINIPORT_INIT_PARAMETERS,
    at: &Passive<'_>,
) -> Result<(), NotStarted> {
    // The adapter's address is its context, which NDIS wants to know first of all.
    let place = try_box(MaybeUninit::<Adapter>::uninit()).map_err(at_stage(Stage::Attributes))?;
    // SAFETY: the first call that names the adapter.
    unsafe { attributes::register(miniport, place.as_ptr().cast_mut().cast()) }
        .map_err(at_stage(Stage::Attributes))?;
    // SAFETY: after the registration attributes.
    let settings = unsafe { Configuration::open(miniport, at) }
        .map(|configuration| read_settings(miniport, &configuration))
        .map_err(at_stage(Stage::Attributes))?;

    // SAFETY: the adapter's own resources, in its initialization.
    let bars = unsafe { Bars::map(miniport, resources(parameters)) }
        .map_err(at_stage(Stage::Resources))?;
    let lengths = bars.lengths();
    let transport = PciTransport::open(bars, &lengths).map_err(device_at(Stage::Transport))?;
    let stall = || ndis::time::sleep_us(RESET_STALL_US, at);
    let found = Found::new(transport, RESET_TRIES, stall).map_err(device_at(Stage::Reset))?;
    let negotiated = found
        .negotiate(HANDLED)
        .map_err(device_at(Stage::Features))?;

    let ours = Ours {
        miniport,
        luid: parameters.NetLuid,
        place,
        settings,
    };
    // SAFETY: as for this function; `place` is the adapter's final address.
    unsafe { build(ours, negotiated, at) }
}

/// What there is of an adapter before its device is settled.
struct Ours {
    miniport: NDIS_HANDLE,
    luid: sys::NET_LUID,
    /// Where the adapter will be.
    place: Box<MaybeUninit<Adapter>>,
    settings: Settings,
}

/// The part that needs the device: on failure it is reset, so that it forgets our memory.
///
/// # Safety
///
/// As for [`initialize`]; the registration attributes name `place`.
unsafe fn build(
    ours: Ours,
    mut negotiated: Negotiated<Bars>,
    at: &Passive<'_>,
) -> Result<(), NotStarted> {
    let Ours {
        miniport,
        luid,
        place,
        settings,
    } = ours;
    let features = negotiated.features();
    let config = negotiated
        .config()
        .map_err(device_at(Stage::Configuration))?;
    let plan = Plan::new(&mut negotiated, &settings, &config, features)?;
    // SAFETY: in the adapter's initialization, after the registration attributes.
    let (adapter, queues) =
        unsafe { memory::make(miniport, place, settings, &config, features, &plan) }
            .map_err(at_stage(Stage::Memory))?;
    attributes::set_general(&adapter).map_err(at_stage(Stage::Attributes))?;
    let adapter = Undo {
        adapter: Some(adapter),
        at,
    };
    adapter
        .prepare(features, luid)
        .map_err(at_stage(Stage::Memory))?;
    // SAFETY: the last step that claims hardware; the adapter has its final address and undoes
    // the registration.
    let messages = unsafe { interrupt::register(&adapter) }.map_err(at_stage(Stage::Interrupt))?;
    let device = start(negotiated, &queues, Vectors::over(messages), at)?;
    // SAFETY: filled once, here.
    unsafe { adapter.device.fill(device) };
    if let Some(control) = &adapter.control {
        if adapter.device.get().and_then(Device::CONTROL).is_none() {
            control.give_up();
        }
        control.use_address(&adapter);
    }
    // What the device said before its driver was there to hear it.
    interrupt::look_at_config(&adapter);
    adapter.receive.open(&adapter);
    let pair = adapter.pair.get().ok_or(NotStarted {
        stage: Stage::Failover,
        failed: Failed::RESOURCES,
    })?;
    EDGE.add(pair, at).map_err(at_stage(Stage::Failover))?;
    adapter.link.evaluate(&adapter);
    query::adapter_comes(miniport, at);
    adapter.keep();
    Ok(())
}

/// An adapter that is torn down unless it is kept.
struct Undo<'a, 'irql> {
    adapter: Option<Box<Adapter>>,
    at: &'a Passive<'irql>,
}

impl Undo<'_, '_> {
    /// Makes what points back to the adapter: timers, work, its data path.
    fn prepare(&self, features: Features, luid: sys::NET_LUID) -> Result<(), Failed> {
        let this: &Adapter = self;
        let standby = features.contains(Features::STANDBY);
        // SAFETY: the adapter has its final address; `tear_down` stops each before the drop, and
        // each field is filled once.
        unsafe {
            this.doorbells.initialize();
            this.doorbells.open();
            let grace = Timer::try_new(this.handle, this, |it, _| it.link.grace_over(it))?;
            this.grace.fill(grace);
            let answer_due = Timer::try_new(this.handle, this, |it, _| {
                if let Some(control) = &it.control {
                    control.turn(it);
                }
            })?;
            this.answer_due.fill(answer_due);
            this.recovery
                .fill(Work::try_new(this.handle, this, Adapter::recover)?);
            let identity = Identity {
                mac: this.mac,
                mtu: this.mtu,
                physical_device: physical_device(this.handle),
                standby,
                luid,
            };
            this.pair.fill(Pair::try_new(
                driver::handle(),
                ptr::from_ref(this),
                identity,
            )?);
        }
        Ok(())
    }

    /// Leaves the adapter to NDIS, which gives it back at MiniportHaltEx.
    fn keep(mut self) {
        if let Some(adapter) = self.adapter.take() {
            Box::leak(adapter);
        }
    }
}

impl core::ops::Deref for Undo<'_, '_> {
    type Target = Adapter;

    fn deref(&self) -> &Adapter {
        match &self.adapter {
            Some(adapter) => adapter,
            // `keep` consumes the value, and nothing else empties it.
            None => unreachable_adapter(),
        }
    }
}

/// Never called; the kernel has no better end for it than the panic handler's.
#[cold]
fn unreachable_adapter() -> ! {
    // SAFETY: does not return.
    unsafe { sys::KeBugCheckEx(ndis::POOL_TAG, 1, 0, 0, 0) }
}

impl Drop for Undo<'_, '_> {
    fn drop(&mut self) {
        if let Some(adapter) = &self.adapter {
            adapter.tear_down(self.at);
        }
    }
}

fn read_settings(miniport: NDIS_HANDLE, configuration: &Configuration) -> Settings {
    /// The first number of the event log's entry.
    const OUT_OF_RANGE: u32 = 0x401;
    Settings::read(configuration, |complaint| {
        let code = sys::NDIS_ERROR_CODE_UNSUPPORTED_CONFIGURATION;
        // SAFETY: the adapter's handle is valid in its initialization.
        unsafe { event_log::write(miniport, code, OUT_OF_RANGE, complaint.value) };
    })
}

/// The adapter's resources.
fn resources(
    parameters: &sys::NDIS_MINIPORT_INIT_PARAMETERS,
) -> &[sys::CM_PARTIAL_RESOURCE_DESCRIPTOR] {
    // SAFETY: null, or a list that lives for the call.
    let Some(list) = (unsafe { parameters.AllocatedResources.as_ref() }) else {
        return &[];
    };
    // SAFETY: the list has `Count` descriptors from its first one on.
    unsafe {
        let first = (&raw const list.PartialDescriptors).cast();
        core::slice::from_raw_parts(first, list.Count as usize)
    }
}

fn physical_device(miniport: NDIS_HANDLE) -> *mut sys::DEVICE_OBJECT {
    let mut device = ptr::null_mut();
    let none = ptr::null_mut();
    // SAFETY: at PASSIVE_LEVEL; every out parameter but the first is optional.
    unsafe {
        sys::NdisMGetDeviceProperty(
            miniport,
            &raw mut device,
            none,
            none,
            ptr::null_mut(),
            ptr::null_mut(),
        );
    }
    device
}

/// Tells the device of its queues and lets it run. A device that fails is reset: it knows of our
/// memory by then.
fn start(
    mut negotiated: Negotiated<Bars>,
    queues: &Queues,
    vectors: Vectors,
    at: &Passive<'_>,
) -> Result<Device, NotStarted> {
    let told = tell(&mut negotiated, queues, vectors);
    let (stage, transport) = match told {
        Ok(
            [
                Some(receive_doorbell),
                Some(transmit_doorbell),
                control_doorbell,
            ],
        ) => match negotiated.start() {
            Ok(live) => {
                return Ok(Device {
                    live,
                    receive_doorbell,
                    transmit_doorbell,
                    control_doorbell,
                    vectors,
                });
            }
            Err(failed) => (Stage::Start, failed.transport),
        },
        _ => (Stage::Queues, negotiated.abandon()),
    };
    let stall = || ndis::time::sleep_us(RESET_STALL_US, at);
    if transport.reset(RESET_TRIES, stall).is_err() {
        transport.registers().disable_bus_mastering();
    }
    Err(NotStarted {
        stage,
        failed: Failed(sys::NDIS_STATUS_FAILURE),
    })
}

/// Tells the device of its queues: their doorbells, in the order of the queues.
fn tell(
    negotiated: &mut Negotiated<Bars>,
    queues: &Queues,
    vectors: Vectors,
) -> Result<[Option<Doorbell>; 3], QueueSetupError> {
    negotiated.set_config_vector(vectors.config)?;
    let mut set_up = |index, place: Option<Place>, vector| {
        let Some((size, addresses)) = place else {
            return Ok(None);
        };
        let setup = QueueSetup {
            index,
            size,
            addresses,
            vector,
        };
        negotiated.set_up_queue(&setup).map(Some)
    };
    Ok([
        set_up(RECEIVE_QUEUE, Some(queues.receive), vectors.receive)?,
        set_up(TRANSMIT_QUEUE, Some(queues.transmit), vectors.transmit)?,
        // Without it the device is told nothing, and drops nothing.
        set_up(CONTROL_QUEUE, queues.control, vectors.control).unwrap_or_default(),
    ])
}
