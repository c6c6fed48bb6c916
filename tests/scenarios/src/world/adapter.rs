//! The adapter under test: an embedded virtio-net device, or that of a backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow};
use devices::virtio_net::{
    DeviceCounters, DeviceEvent, Interface, VirtioNet, VirtioNetConfig, VirtioNetControl, feature,
};
use devices::wire::{MacAddress, PortHandle, Sink};
use ndis_host::ndis::{AdapterReport, adapter_report};
use ndis_host::pnp::{self, DeviceId};
use ndis_host::registry::Value;
use ndis_host::sched;

use super::backend::{Backend, Device, DeviceOrder, FrameCounter, Outside};
use super::{Draws, GUEST_MAC, SECOND_NS, World, borrowed, machine};

/// What the adapter is made with.
#[derive(Clone, Debug, Default)]
pub struct AdapterOptions {
    /// The device is a standby (`failover=on`).
    pub standby: bool,
    /// Registry values over the INF's defaults.
    pub settings: Vec<(String, Value)>,
    /// Features that the device offers in any case.
    pub offers: u128,
    /// Features that it does not offer in any case.
    pub lacks: u128,
    /// The MTU that it states; `None`: 1500.
    pub mtu: Option<u16>,
    /// How the driver reaches it; `None`: by the capabilities of virtio 1.
    pub interface: Option<Interface>,
    /// Its hardware address; `None`: that of the guest.
    pub mac: Option<MacAddress>,
}

impl AdapterOptions {
    /// A standby with the INF's defaults.
    #[must_use]
    pub fn standby() -> Self {
        Self {
            standby: true,
            ..Self::default()
        }
    }

    /// With features that the device offers in any case.
    #[must_use]
    pub fn offering(mut self, features: u128) -> Self {
        self.offers |= features;
        self
    }

    /// With another registry value.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.settings.push((name.to_owned(), value));
        self
    }
}

/// Half of the machines have vectors for all that the device asks for; the others have fewer, or
/// none, so that the device interrupts by its line.
fn messages_by_seed() -> Option<usize> {
    const MOST: u64 = 4;
    let drawn = sched::random_below(2 * MOST);
    (drawn < MOST).then_some(drawn as usize)
}

/// Half of the devices have packed rings; each may do without what a ring can do without, or add to
/// what it can do.
fn rings_by_seed(mut config: VirtioNetConfig) -> VirtioNetConfig {
    if sched::chance(2) {
        config = config.with(feature::RING_PACKED);
    }
    for (one_in, more) in [(4, feature::IN_ORDER), (4, feature::ORDER_PLATFORM)] {
        if sched::chance(one_in) {
            config = config.with(more);
        }
    }
    let fewer = [
        feature::EVENT_IDX,
        feature::INDIRECT_DESC,
        feature::MRG_RXBUF,
    ];
    for missing in fewer {
        if sched::chance(6) {
            config = config.without(missing);
        }
    }
    config
}

/// Half of the devices have a control queue, with some of what goes with it; a quarter want doorbells
/// that tell how far a queue was filled. These are drawn apart, so that they add nothing to what the
/// machine draws.
fn commands_by_seed(seed: u64, mut config: VirtioNetConfig) -> VirtioNetConfig {
    const APART: u64 = 0x636f_6e74_726f_6c21;
    let mut draws = Draws::new(seed ^ APART);
    if draws.below(4) == 0 {
        config = config.with(feature::NOTIFICATION_DATA);
    }
    if draws.below(2) == 0 {
        return config;
    }
    config = config.with(feature::CTRL_VQ);
    for (one_in, more) in [
        (4, feature::CTRL_RX),
        (2, feature::CTRL_RX_EXTRA),
        (4, feature::GUEST_ANNOUNCE),
        (2, feature::CTRL_MAC_ADDR),
    ] {
        // All but one in so many have it.
        if draws.below(one_in) != 0 {
            config = config.with(more);
        }
    }
    if draws.below(4) == 0 {
        config = config.with(feature::MQ);
        config.max_pairs = 4;
    }
    config
}

/// The virtio-net device and its PnP device.
pub struct Adapter {
    /// The PnP device.
    pub device: DeviceId,
    /// The virtio-net device, from the outside.
    side: Side,
}

/// A virtio-net device from the outside.
enum Side {
    /// The embedded one.
    Embedded {
        control: VirtioNetControl,
        /// The driver has taken STANDBY, so that the VF may be plugged.
        negotiated: Arc<AtomicBool>,
    },
    /// One that a [`Backend`] made.
    Other(Box<dyn Outside>),
}

impl Adapter {
    /// The embedded device.
    ///
    /// # Panics
    ///
    /// When the adapter has another one.
    #[must_use]
    pub fn control(&self) -> &VirtioNetControl {
        match &self.side {
            Side::Embedded { control, .. } => control,
            Side::Other(_) => panic!("the scenario is one for the embedded device"),
        }
    }

    /// Frames that the device carried, both ways.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.counter()()
    }

    /// Counts the frames that the device carries, both ways.
    #[must_use]
    pub fn counter(&self) -> FrameCounter {
        match &self.side {
            Side::Embedded { control, .. } => {
                let control = control.clone();
                Arc::new(move || {
                    let DeviceCounters { rx, tx, .. } = control.counters();
                    rx.frames + tx.frames
                })
            }
            Side::Other(device) => device.counter(),
        }
    }

    /// What the driver did to the device that it must not.
    #[must_use]
    pub fn misuses(&self) -> Vec<String> {
        match &self.side {
            Side::Embedded { control, .. } => control.misuses(),
            Side::Other(device) => device.misuses(),
        }
    }

    /// The state of the device.
    #[must_use]
    pub(super) fn describe_device(&self) -> String {
        match &self.side {
            Side::Embedded { control, .. } => {
                format!("{:?}, {:?}", control.state(), control.counters())
            }
            Side::Other(device) => device.describe(),
        }
    }

    fn has_negotiated_failover(&self) -> bool {
        match &self.side {
            Side::Embedded { negotiated, .. } => negotiated.load(Ordering::Acquire),
            Side::Other(device) => device.has_negotiated_failover(),
        }
    }

    /// What NDIS knows of it, while it is initialised.
    #[must_use]
    pub fn report(&self) -> Option<AdapterReport> {
        adapter_report(pnp::adapter(self.device)?)
    }

    /// How often NDIS was told that its link is down, since the driver first said it is up.
    #[must_use]
    pub fn link_downs(&self) -> u64 {
        self.report().map_or(0, |report| {
            let since_up = report.link_history.iter().skip_while(|(_, up)| !up);
            since_up.filter(|(_, up)| !up).count() as u64
        })
    }
}

impl World {
    /// Adds the adapter to the machine; it is not started.
    ///
    /// # Errors
    ///
    /// The INF does not know the device, or the backend can't make it.
    pub fn add_adapter(&mut self, options: &AdapterOptions) -> Result<()> {
        let adapter = match self.backend.clone() {
            None => self.add_embedded(options)?,
            Some(backend) => self.add_other(options, backend.as_ref())?,
        };
        self.adapter = Some(adapter);
        Ok(())
    }

    /// Adds one more adapter with an embedded device, started, and leaves it to the caller, who has it
    /// removed before the world ends.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn another_adapter(&self, options: &AdapterOptions) -> Result<Adapter> {
        let adapter = self.add_embedded(options)?;
        start(&adapter)?;
        Ok(adapter)
    }

    fn add_embedded(&self, options: &AdapterOptions) -> Result<Adapter> {
        let mac = options.mac.unwrap_or(GUEST_MAC);
        let config = rings_by_seed(VirtioNetConfig::new(mac));
        let mut config = commands_by_seed(self.seed, config)
            .with(options.offers)
            .without(options.lacks)
            .through(options.interface.unwrap_or(Interface::Modern));
        config.mtu = options.mtu.unwrap_or(config.mtu);
        let config = if options.standby {
            config.with(feature::STANDBY)
        } else {
            config
        };
        // Behind an IOMMU a virtio device says so, or it would use physical addresses.
        let config = if ndis_host::memory::has_iommu() {
            config.with(feature::ACCESS_PLATFORM)
        } else {
            config
        };
        let negotiated = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&negotiated);
        let mut control = None;
        let inf = machine::adapter_inf()?;
        let device = pnp::add_pci_device(self.driver, inf, &borrowed(&options.settings), |host| {
            let events = move |event| {
                if matches!(event, DeviceEvent::FailoverNegotiated) {
                    noted.store(true, Ordering::Release);
                }
            };
            let (function, handle) = VirtioNet::new(config, host, Box::new(events));
            control = Some(handle);
            Box::new(function)
        })?;
        control
            .iter()
            .for_each(|it| it.use_clock(self.clock.clone()));
        pnp::limit_messages(device, self.messages.or_else(messages_by_seed));
        let control = control.ok_or_else(|| anyhow!("pnp did not build the device"))?;
        control.connect(self.standby_port_for(control.wire_sink()));
        Ok(Adapter {
            device,
            side: Side::Embedded {
                control,
                negotiated,
            },
        })
    }

    fn add_other(&self, options: &AdapterOptions, backend: &dyn Backend) -> Result<Adapter> {
        let order = DeviceOrder {
            mac: GUEST_MAC,
            standby: options.standby,
        };
        let unplugged = backend.make(order)?;
        let inf = machine::adapter_inf()?;
        let mut made = None;
        let device = pnp::add_pci_device(self.driver, inf, &borrowed(&options.settings), |host| {
            let Device { function, outside } = unplugged(host);
            made = Some(outside);
            function
        })?;
        let outside = made.ok_or_else(|| anyhow!("pnp did not build the device"))?;
        pnp::limit_messages(device, self.messages.or_else(|| backend.messages()));
        outside.connect(self.standby_port_for(outside.wire_sink()));
        Ok(Adapter {
            device,
            side: Side::Other(outside),
        })
    }

    fn standby_port_for(&self, sink: Sink) -> PortHandle {
        self.switch.add_port("standby", self.standby_port, sink)
    }

    /// Starts the adapter and waits for its binds.
    ///
    /// # Errors
    ///
    /// MiniportInitializeEx fails.
    pub fn start_adapter(&self) -> Result<()> {
        start(self.adapter())
    }

    /// Pulls the virtio device out without notice.
    pub fn pull_adapter(&mut self) {
        if let Some(adapter) = self.adapter.take() {
            pnp::surprise_remove_device(adapter.device);
            self.misuses.extend(adapter.misuses());
        }
    }

    /// The virtio device leaves in order: the guest removes it and lets it go.
    pub fn remove_adapter(&mut self) {
        if let Some(adapter) = self.adapter.take() {
            pnp::remove_device(adapter.device);
            self.misuses.extend(adapter.misuses());
            if let Side::Other(outside) = &adapter.side {
                outside.eject();
            }
        }
    }

    /// Waits until the device allows the VF to be plugged.
    ///
    /// # Errors
    ///
    /// The driver does not take STANDBY within a second.
    pub fn wait_for_failover(&self) -> Result<()> {
        let adapter = self.adapter();
        self.wait_for("the negotiation of STANDBY", SECOND_NS, || {
            adapter.has_negotiated_failover()
        })
    }
}

/// Starts an adapter and waits for its binds.
fn start(adapter: &Adapter) -> Result<()> {
    pnp::start_device(adapter.device)
        .map_err(|status| anyhow!("the adapter does not start: {status:#010x}"))?;
    pnp::settle();
    Ok(())
}
