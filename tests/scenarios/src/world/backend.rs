//! Where the devices of the adapter and its VF come from, if they are not the embedded ones.

use std::sync::Arc;

use anyhow::Result;
use devices::pci::{PciFunction, PciHost};
use devices::wire::{MacAddress, PortHandle, Sink};

/// What a device has to be like.
#[derive(Clone, Copy, Debug)]
pub struct DeviceOrder {
    /// Hardware address.
    pub mac: MacAddress,
    /// It is a standby (`failover=on`).
    pub standby: bool,
}

/// A device that was plugged in: the function for the slot, and the test's side of it.
pub struct Device {
    /// Goes into the slot.
    pub function: Box<dyn PciFunction>,
    /// Stays with the world.
    pub outside: Box<dyn Outside>,
}

/// A device that was made, for a slot of the machine that it is given.
pub type Unplugged = Box<dyn FnOnce(Arc<dyn PciHost>) -> Device>;

/// Tells how many frames a device has carried so far, both ways.
pub type FrameCounter = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Makes devices that stand in for the embedded virtio-net device.
pub trait Backend: Send + Sync {
    /// Bytes of its own that the device wants in the memory file, in front of guest memory; whole
    /// pages.
    fn low_memory(&self) -> usize;

    /// Bytes of guest memory.
    fn memory(&self) -> usize;

    /// Most messages that the device is granted: `Some(0)` leaves it its line, `None` grants what it
    /// has.
    fn messages(&self) -> Option<usize>;

    /// Makes a device. The machine runs.
    ///
    /// # Errors
    ///
    /// There can be no such device; why.
    fn make(&self, order: DeviceOrder) -> Result<Unplugged>;
}

/// A device from outside.
pub trait Outside: Send {
    /// What gets the frames that arrive at the device.
    fn wire_sink(&self) -> Sink;

    /// Plugs the device into `port`; what it sends goes there from now on.
    fn connect(&self, port: PortHandle);

    /// Counts the frames that it carries, both ways.
    fn counter(&self) -> FrameCounter;

    /// Whether the driver has taken STANDBY.
    fn has_negotiated_failover(&self) -> bool;

    /// The guest has removed the device and lets it go: the slot's power goes off, or the firmware
    /// ejects it.
    fn eject(&self);

    /// What the driver did to it that no driver may do, and what else went wrong.
    fn misuses(&self) -> Vec<String>;

    /// Its state, for the report of a run that failed.
    fn describe(&self) -> String;
}
