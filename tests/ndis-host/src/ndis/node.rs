//! What NDIS needs of the device below an adapter; the PnP manager implements it.

/// A range of device memory or of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First guest physical address, or first port.
    pub(crate) start: u64,
    /// Bytes, or ports.
    pub(crate) length: u64,
}

/// A message interrupt that was assigned to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Vector on the target CPU.
    pub(crate) vector: u32,
    /// The CPU that it interrupts.
    pub(crate) cpu: usize,
    /// Address that the device writes to.
    pub(crate) address: u64,
    /// Data that the device writes.
    pub(crate) data: u32,
}

/// The line that was assigned to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LineInterrupt {
    /// Vector on the target CPU.
    pub(crate) vector: u32,
    /// The CPU that it interrupts.
    pub(crate) cpu: usize,
    /// Its interrupt level.
    pub(crate) level: u32,
}

/// What a line does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// The device drives it now.
    pub(crate) asserted: bool,
    /// How often the device began to.
    pub(crate) count: u64,
}

/// A change of an entry of the MSI-X table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableChange {
    /// The entry sends this message from now on, unmasked.
    Message(usize),
    Mask,
    Unmask,
}

/// What a device does with memory that is mapped for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DmaAccess {
    /// It reads.
    FromMemory,
    /// It writes; a bus may also read what it fills partly.
    ToMemory,
    Both,
}

/// Hardware resources of a device. It has messages or a line, not both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) memory: Vec<Range>,
    pub(crate) ports: Vec<Range>,
    pub(crate) messages: Vec<Message>,
    pub(crate) line: Option<LineInterrupt>,
}

/// PDO, FDO and the next lower device object of a device, as addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceObjects {
    pub(crate) physical: usize,
    pub(crate) functional: usize,
    pub(crate) next: usize,
}

/// What a driver may do with the registers of its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whatever it likes.
    #[default]
    Free,
    /// Nothing: it was told that the device is gone, and may only run into it a few times before
    /// it has let go (rule 76).
    Leaving,
    /// Nothing: it is halted because the device is gone (rule 67).
    Gone,
    /// Nothing: the device is in low power (rule 256).
    Asleep,
}

/// What happens when a message arrives; called as a world event, must not call a driver.
pub(crate) type MessageSink = Box<dyn Fn(usize)>;

/// What happens when a device begins to assert its line; as [`MessageSink`].
pub(crate) type LineSink = Box<dyn Fn()>;

/// The device below an adapter. What has a default is there for devices with hardware.
pub(crate) trait DeviceNode: Send + Sync {
    /// Registry path of the driver key, which holds the adapter's parameters.
    fn driver_key(&self) -> String;

    /// The device objects.
    fn objects(&self) -> DeviceObjects;

    /// The assigned resources; empty for a device without hardware.
    fn resources(&self) -> Resources;

    /// Reads configuration space; the bytes read.
    fn config_read(&self, offset: u32, data: &mut [u8]) -> usize;

    /// Writes configuration space; the bytes written.
    fn config_write(&self, offset: u32, data: &[u8]) -> usize;

    /// Maps device memory; `None` when the range is not the device's.
    fn map(&self, start: u64, length: usize) -> Option<*mut u8>;

    /// Unmaps what [`DeviceNode::map`] returned.
    fn unmap(&self, address: *mut u8);

    /// Programs the messages into the device and enables them; `sink` is told the message number.
    fn connect_messages(&self, sink: MessageSink) -> bool;

    /// Masks and disconnects the messages.
    fn disconnect_messages(&self);

    /// Changes an entry of the MSI-X table; false when there is no such entry or message.
    fn change_message(&self, _entry: usize, _change: TableChange) -> bool {
        false
    }

    /// Lets the device drive its line; `sink` is told when it begins to.
    fn connect_line(&self, _sink: LineSink) -> bool {
        false
    }

    /// Takes the device off its line.
    fn disconnect_line(&self) {}

    /// What the device does with its line.
    fn line_level(&self) -> Level {
        Level::default()
    }

    /// Claims ports for the driver; false when they are not the device's.
    fn claim_ports(&self, _first: u64, _count: u64) -> bool {
        false
    }

    /// Gives claimed ports back.
    fn release_ports(&self, _first: u64) {}

    /// Maps physical memory for the device; the logical address.
    fn map_dma(&self, physical: u64, _len: usize, _access: DmaAccess) -> u64 {
        physical
    }

    /// Takes back what [`DeviceNode::map_dma`] returned.
    fn unmap_dma(&self, _logical: u64, _len: usize) {}

    /// How many messages the device can send.
    fn message_capability(&self) -> usize {
        0
    }

    /// Grants at most so many messages from the next start on.
    fn limit_messages(&self, _limit: Option<usize>) {}

    /// Grants a message to each of these CPUs, as a requirements filter asks.
    fn set_message_targets(&self, _cpus: Vec<usize>) {}

    /// Switches memory decoding and bus mastering, at start and stop.
    fn set_powered(&self, _on: bool) {}

    /// Takes the power from the device, which forgets everything: D3.
    fn power_off(&self) {}

    /// Gives a device its power back, and its bus registers as they were: D0.
    fn power_on(&self) {}

    /// Assigns other resources, while the device is stopped.
    fn move_resources(&self) {}

    /// Says how its registers may be used from now on.
    fn set_access(&self, _access: Access) {}

    /// Takes the hardware away.
    fn unplug(&self) {}

    /// Whether the hardware has been taken away.
    fn is_gone(&self) -> bool {
        false
    }
}
