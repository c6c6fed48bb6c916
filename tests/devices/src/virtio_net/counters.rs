//! What the device counts.

/// Counts of one queue since the device was made; resets do not clear them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueCounters {
    /// Notifications by the driver.
    pub doorbells: u64,
    /// Interrupts raised for the queue, masked ones included.
    pub interrupts: u64,
    /// Frames moved.
    pub frames: u64,
    /// Their bytes, without virtio headers.
    pub bytes: u64,
    /// Descriptor chains used.
    pub chains: u64,
    /// Descriptors in them.
    pub descriptors: u64,
}

/// Counts of the device since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceCounters {
    /// The receive queue.
    pub rx: QueueCounters,
    /// The transmit queue.
    pub tx: QueueCounters,
    /// Interrupts for changes of the configuration.
    pub config_interrupts: u64,
    /// MSI-X messages that left the function.
    pub messages: u64,
    /// Received frames dropped since the backlog was full.
    pub rx_dropped_backlog: u64,
    /// Received frames dropped since no driver was ready for them.
    pub rx_dropped_not_ready: u64,
    /// Received frames dropped since the link was down.
    pub rx_dropped_link_down: u64,
    /// Received frames dropped since they did not fit a buffer, without MRG_RXBUF.
    pub rx_dropped_too_large: u64,
    /// Sent frames that did not go out since the link was down or no wire was plugged in.
    pub tx_dropped: u64,
    /// Sent frames above the MTU; they go out all the same.
    pub tx_oversized: u64,
    /// Resets by the driver.
    pub resets: u64,
    /// Register accesses by the driver.
    pub register_accesses: u64,
    /// Things that a driver must not do.
    pub misuses: u64,
    /// Faults that took effect.
    pub faults: u64,
}

impl DeviceCounters {
    /// All received frames that were dropped.
    pub fn rx_dropped(&self) -> u64 {
        self.rx_dropped_backlog
            + self.rx_dropped_not_ready
            + self.rx_dropped_link_down
            + self.rx_dropped_too_large
    }
}
