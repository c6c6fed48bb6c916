//! The test's side of a device.

use std::sync::Arc;

use super::function::{Shared, lock};
use super::{
    Coalescing, DeviceCounters, Fault, ReceiveRules, VirtioNetConfig, device_status, feature,
};
use crate::wire::{Clock, MacAddress, PortHandle, Sink};

/// Plugs, pulls and observes a [`VirtioNet`](super::VirtioNet). Clones mean the same device.
#[derive(Clone)]
pub struct VirtioNetControl {
    shared: Arc<Shared>,
}

/// What the driver made of the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeviceState {
    /// The status register.
    pub status: u8,
    /// Features that are on offer and that the driver set.
    pub features: u128,
    /// Whether the driver uses the legacy registers.
    pub legacy: bool,
    /// The hardware address.
    pub mac: MacAddress,
    /// Pairs of queues in use.
    pub pairs: u16,
    /// Receive offloads that are on, by feature bit.
    pub offloads: u64,
    /// Whether the driver was asked to announce itself and did not acknowledge that.
    pub announcing: bool,
    /// Whether the link is up.
    pub link_up: bool,
    /// Whether the device waits for a reset.
    pub broken: bool,
    /// Received frames that wait for buffers.
    pub backlog: usize,
}

impl VirtioNetControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// What a switch port delivers to: `switch.add_port(name, config, control.wire_sink())`.
    pub fn wire_sink(&self) -> Sink {
        // Weak, since the device owns the port's handle and the port owns this.
        let shared = Arc::downgrade(&self.shared);
        Box::new(move |frame| {
            if let Some(shared) = shared.upgrade() {
                shared.with(|core| core.frame_arrived(frame));
            }
        })
    }

    /// Plugs the device into `port`; sent frames go there from now on.
    pub fn connect(&self, port: PortHandle) {
        *lock(&self.shared.port) = Some(port);
    }

    /// Pulls the wire and returns the port.
    pub fn disconnect(&self) -> Option<PortHandle> {
        lock(&self.shared.port).take()
    }

    /// Lets `body` at the port the device is plugged into.
    pub fn with_port<R>(&self, body: impl FnOnce(&PortHandle) -> R) -> Option<R> {
        lock(&self.shared.port).as_ref().map(body)
    }

    /// Gives the device a clock: for answers that are late, and interrupts that wait for more.
    /// Without one such an answer never comes, and interrupts do not wait.
    pub fn use_clock(&self, clock: Arc<dyn Clock>) {
        *lock(&self.shared.clock) = Some(clock);
        self.shared.with(|core| core.has_clock = true);
    }

    /// Asks the driver to announce itself, as after a migration. Returns whether it can be asked:
    /// it runs, and has negotiated GUEST_ANNOUNCE.
    pub fn announce(&self) -> bool {
        self.shared.with(|core| {
            let asks = core.features & feature::GUEST_ANNOUNCE != 0
                && core.status & device_status::DRIVER_OK != 0;
            if asks {
                core.announcing = true;
                core.configuration_changed();
            }
            asks
        })
    }

    /// Changes speed (in Mbit/s) and duplex (1: full, 0: half), and tells the driver.
    pub fn set_speed(&self, speed: u32, duplex: u8) {
        self.shared.with(|core| {
            (core.config.speed, core.config.duplex) = (speed, duplex);
            core.configuration_changed();
        });
    }

    /// What the driver wants to receive.
    pub fn receive_rules(&self) -> ReceiveRules {
        self.shared.with(|core| core.rules.clone())
    }

    /// How the interrupts of a queue are coalesced, if there is such a queue.
    pub fn coalescing(&self, queue: usize) -> Option<Coalescing> {
        self.shared
            .with(|core| core.queues.rings.get(queue).map(|ring| ring.coalescing))
    }

    /// Moves the link up or down, and tells the driver if that is a change.
    pub fn set_link(&self, up: bool) {
        self.shared.with(|core| {
            if std::mem::replace(&mut core.link_up, up) != up {
                core.configuration_changed();
            }
        });
    }

    /// Offers exactly `features` from the next reset or power cycle on: what a driver finds that
    /// comes back to another device than it left.
    pub fn offer_from_reset(&self, features: u128) {
        self.shared.with(|core| core.next_offer = Some(features));
    }

    /// The features on offer now.
    pub fn offered(&self) -> u128 {
        self.shared.with(|core| core.config.features)
    }

    /// Takes the device's power away and gives it back: registers, BARs, MSI-X table and command
    /// register are as in a new device. Link, wire, faults and counters stay.
    pub fn power_cycle(&self) {
        self.shared.with(|core| core.power_cycle());
    }

    /// Makes the device another one after the next loss of power, as when a hibernated machine
    /// is started elsewhere. Its vectors and BARs stay, so its interface must stay, too.
    ///
    /// # Panics
    ///
    /// If no device can be made that way.
    pub fn change_while_off(&self, change: impl FnOnce(&mut VirtioNetConfig)) {
        self.shared.with(|core| {
            let mut config = core.config.clone();
            change(&mut config);
            config.check();
            core.next_config = Some(config);
        });
    }

    /// Arms a fault, or begins one that lasts.
    pub fn inject(&self, fault: Fault) {
        self.shared.with(|core| core.inject(fault));
    }

    /// Ends all faults, armed ones included.
    pub fn lift_faults(&self) {
        self.shared.with(|core| core.lift_faults());
    }

    /// Faults that are armed or last. Those that struck are counted in
    /// [`DeviceCounters::faults`].
    pub fn active_faults(&self) -> usize {
        self.shared.with(|core| core.faults.len())
    }

    /// Stops the device as if the driver had broken the rules.
    pub fn break_down(&self, reason: &str) {
        self.shared.with(|core| core.break_down(reason.to_owned()));
    }

    /// Counts so far.
    pub fn counters(&self) -> DeviceCounters {
        self.shared.with(|core| core.counters)
    }

    /// What the driver made of the device.
    pub fn state(&self) -> DeviceState {
        self.shared.with(|core| DeviceState {
            status: core.status,
            features: core.features,
            legacy: core.legacy,
            mac: core.mac,
            pairs: core.queues.pairs,
            offloads: core.offloads,
            announcing: core.announcing,
            link_up: core.link_up,
            broken: core.broken,
            backlog: core.queues.waiting(),
        })
    }

    /// What the driver did though no driver may, in words; the first 32 are kept.
    pub fn misuses(&self) -> Vec<String> {
        self.shared.with(|core| core.misuses.clone())
    }
}
