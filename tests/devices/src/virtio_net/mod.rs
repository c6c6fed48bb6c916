//! A modern virtio-net PCI function (virtio 1.2, sections 4.1 and 5.1), modelled on QEMU's.
//!
//! ```text
//!   driver                [ VirtioNet: PciFunction ]                       wire
//!   registers  -------->  Core: registers, status machine, queues
//!   rings      <------->        tx ---------------------------->  PortHandle
//!                               rx <---- backlog <--------------  wire_sink()
//!   messages   <--------  Outbox, emptied after the core is let go
//! ```
//!
//! [`VirtioNet`] goes into the machine; [`VirtioNetControl`] stays with the test: it plugs the
//! wire, moves the link, injects [`Fault`]s and reads counters. One receive queue (0), one
//! transmit queue (1), no control queue.
//!
//! The device is stricter than QEMU's where QEMU lets errors of a driver pass: they are counted
//! as [`Misuse`](VirtioNetControl::misuses) or break the device until it is reset.

mod control;
mod core;
mod counters;
mod faults;
mod function;
mod layout;
mod outbox;
mod registers;
mod ring;
mod rx;
mod status;
mod tx;

pub use control::{DeviceState, VirtioNetControl};
pub use counters::{DeviceCounters, QueueCounters};
pub use faults::Fault;
pub use function::VirtioNet;
pub use outbox::EventSink;
pub use ring::QueueRole;

use crate::wire::MacAddress;

/// Feature bits (virtio 1.2, 5.1.3 and 6).
pub mod feature {
    /// The device states the MTU.
    pub const MTU: u64 = 1 << 3;
    /// The device has a hardware address.
    pub const MAC: u64 = 1 << 5;
    /// The driver takes frames that are spread over several receive buffers.
    pub const MRG_RXBUF: u64 = 1 << 15;
    /// The device states whether the link is up.
    pub const STATUS: u64 = 1 << 16;
    /// Descriptors may lie in tables of their own.
    pub const INDIRECT_DESC: u64 = 1 << 28;
    /// Notifications are suppressed by ring position.
    pub const EVENT_IDX: u64 = 1 << 29;
    /// Conforms to virtio 1.
    pub const VERSION_1: u64 = 1 << 32;
    /// The device's view of memory is the platform's business.
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
    /// The device stands by for a primary with the same address.
    pub const STANDBY: u64 = 1 << 62;
}

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

/// What a device is made with.
#[derive(Clone, Debug)]
pub struct VirtioNetConfig {
    /// Hardware address.
    pub mac: MacAddress,
    /// Features on offer.
    pub features: u64,
    /// MTU, stated if [`feature::MTU`] is on offer.
    pub mtu: u16,
    /// Size of each queue, a power of two.
    pub queue_size: u16,
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
            mtu: 1500,
            queue_size: 256,
            vectors: 4,
            backlog: 256,
            link_up: true,
        }
    }

    /// Offers `features` too.
    #[must_use]
    pub fn with(mut self, features: u64) -> Self {
        self.features |= features;
        self
    }

    /// Does not offer `features`.
    #[must_use]
    pub fn without(mut self, features: u64) -> Self {
        self.features &= !features;
        self
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
