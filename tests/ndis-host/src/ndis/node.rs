//! What NDIS needs of the device below an adapter; the PnP manager implements it.

/// A range of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryRange {
    /// First guest physical address.
    pub(crate) start: u64,
    /// Bytes.
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

/// Hardware resources of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) memory: Vec<MemoryRange>,
    pub(crate) messages: Vec<Message>,
}

/// PDO, FDO and the next lower device object of a device, as addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceObjects {
    pub(crate) physical: usize,
    pub(crate) functional: usize,
    pub(crate) next: usize,
}

/// What happens when a message arrives; called as a world event, must not call a driver.
pub(crate) type MessageSink = Box<dyn Fn(usize)>;

/// The device below an adapter.
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

    /// Switches memory decoding and bus mastering, at start and stop.
    fn set_powered(&self, _on: bool) {}

    /// Takes the hardware away.
    fn unplug(&self) {}
}
