//! A virtio-net PCI function (virtio 1.2, sections 4.1 and 5.1), modelled on QEMU's.
//!
//! ```text
//!   driver                [ VirtioNet: PciFunction ]                       wire
//!   registers  -------->  Core: registers, status machine, queues
//!   rings      <------->        tx ---------------------------->  PortHandle
//!                               rx <---- lanes <---- filter <---  wire_sink()
//!                               commands
//!   messages   <--------  Outbox, emptied after the core is let go
//! ```
//!
//! [`VirtioNet`] goes into the machine; [`VirtioNetControl`] stays with the test: it plugs the
//! wire, moves the link, injects [`Fault`]s and reads counters. By itself it has one receive
//! queue (0) and one transmit queue (1), both split; [`VirtioNetConfig::with`] offers more:
//! packed rings, several pairs, a control queue, and what goes with them.
//!
//! The device is stricter than QEMU's where QEMU lets errors of a driver pass: they are counted
//! as [`Misuse`](VirtioNetControl::misuses) or break the device until it is reset.

mod command;
mod common;
mod control;
mod core;
mod counters;
mod faults;
pub mod feature;
mod filter;
mod function;
mod layout;
mod legacy;
mod outbox;
mod queues;
mod registers;
mod ring;
mod rx;
mod status;
mod tx;

pub use control::{DeviceState, VirtioNetControl};
pub use counters::{CommandCounters, DeviceCounters, QueueCounters};
pub use faults::Fault;
pub use filter::ReceiveRules;
pub use function::VirtioNet;
pub use outbox::EventSink;
pub use ring::{Coalescing, QueueRole};

use crate::wire::MacAddress;

/// Bits of the device status register (virtio 1.2, 2.1).
pub mod device_status {
    /// The guest noticed the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The guest has a driver for it.
    pub const DRIVER: u8 = 2;
    /// The driver is set up and drives.
    pub const DRIVER_OK: u8 = 4;
    /// Negotiation of features is complete.
    pub const FEATURES_OK: u8 = 8;
    /// The device gave up until it is reset.
    pub const NEEDS_RESET: u8 = 0x40;
    /// The driver gave up.
    pub const FAILED: u8 = 0x80;
}

/// How a driver reaches the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interface {
    /// By the capabilities of virtio 1.
    Modern,
    /// By these or by the legacy registers in ports, as the driver likes.
    Transitional,
    /// By the legacy registers only, as before virtio 1.
    Legacy,
}

/// What a device is made with.
#[derive(Clone, Debug)]
pub struct VirtioNetConfig {
    /// Hardware address.
    pub mac: MacAddress,
    /// Features on offer.
    pub features: u128,
    /// How a driver reaches the device.
    pub interface: Interface,
    /// MTU, stated if [`feature::MTU`] is on offer.
    pub mtu: u16,
    /// Size of each receive and transmit queue, a power of two.
    pub queue_size: u16,
    /// Size of the control queue, a power of two.
    pub control_queue_size: u16,
    /// Pairs of receive and transmit queues; more than one are there with [`feature::MQ`].
    pub max_pairs: u16,
    /// Mbit/s, stated if [`feature::SPEED_DUPLEX`] is on offer.
    pub speed: u32,
    /// 1: full duplex, 0: half duplex; stated with the speed.
    pub duplex: u8,
    /// Whether the VLAN filter holds in promiscuous mode, too; not so in QEMU's device.
    pub strict_vlans: bool,
    /// Decides what the device may do one way or another, not zero.
    pub seed: u64,
    /// MSI-X vectors.
    pub vectors: u16,
    /// Received frames that may wait for buffers.
    pub backlog: usize,
    /// Whether the link is up from the start.
    pub link_up: bool,
}

impl VirtioNetConfig {
    /// QEMU's defaults without offloads and control queue, at an MTU of 1500.
    pub fn new(mac: MacAddress) -> Self {
        Self {
            mac,
            features: feature::MTU
                | feature::MAC
                | feature::MRG_RXBUF
                | feature::STATUS
                | feature::INDIRECT_DESC
                | feature::EVENT_IDX
                | feature::VERSION_1,
            interface: Interface::Modern,
            mtu: 1500,
            queue_size: 256,
            control_queue_size: 64,
            max_pairs: 1,
            speed: 10_000,
            duplex: 1,
            strict_vlans: false,
            seed: 0x9E37_79B9_7F4A_7C15,
            vectors: 4,
            backlog: 256,
            link_up: true,
        }
    }

    /// Offers `features` too.
    #[must_use]
    pub fn with(mut self, features: u128) -> Self {
        self.features |= features;
        self
    }

    /// Does not offer `features`.
    #[must_use]
    pub fn without(mut self, features: u128) -> Self {
        self.features &= !features;
        self
    }

    /// Has another interface.
    #[must_use]
    pub fn through(mut self, interface: Interface) -> Self {
        self.interface = interface;
        self
    }

    /// Whether a device can be made.
    fn check(&self) {
        for size in [self.queue_size, self.control_queue_size] {
            assert!(size.is_power_of_two() && size <= 1 << 15, "{size} entries");
        }
        assert!((1..=0x4000).contains(&self.max_pairs), "{self:?}");
        assert!(self.seed != 0, "a seed of zero");
    }
}

/// What the rest of the machine may want to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DeviceEvent {
    /// The driver's features contain STANDBY. Comes whenever they are set that way, so more than
    /// once per negotiation; the time to plug in the primary.
    FailoverNegotiated,
    /// The driver set DRIVER_OK.
    DriverOk,
    /// The driver reset the device.
    Reset,
    /// The device lost its power and has it again.
    PowerCycled,
    /// The driver did what no driver may do; the device waits for a reset.
    Broken(String),
}

#[cfg(test)]
mod tests;
