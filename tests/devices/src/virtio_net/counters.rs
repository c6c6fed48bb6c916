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

/// Control commands by class, malformed ones included.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CommandCounters {
    /// Receive modes.
    pub receive_mode: u64,
    /// Address tables and the own address.
    pub address: u64,
    /// VLANs.
    pub vlan: u64,
    /// Acknowledged announcements.
    pub announce: u64,
    /// Numbers of pairs.
    pub pairs: u64,
    /// Receive offloads.
    pub offloads: u64,
    /// Coalescing of interrupts.
    pub coalescing: u64,
    /// Classes that the device does not know.
    pub unknown: u64,
    /// Commands of all classes that were answered with an error.
    pub refused: u64,
}

impl CommandCounters {
    pub(super) fn count(&mut self, class: u8) {
        let counter = match class {
            0 => &mut self.receive_mode,
            1 => &mut self.address,
            2 => &mut self.vlan,
            3 => &mut self.announce,
            4 => &mut self.pairs,
            5 => &mut self.offloads,
            6 => &mut self.coalescing,
            _ => &mut self.unknown,
        };
        *counter += 1;
    }

    /// Commands of all classes.
    pub fn total(&self) -> u64 {
        self.receive_mode
            + self.address
            + self.vlan
            + self.announce
            + self.pairs
            + self.offloads
            + self.coalescing
            + self.unknown
    }
}

/// Counts of the device since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceCounters {
    /// The receive queues.
    pub rx: QueueCounters,
    /// The transmit queues.
    pub tx: QueueCounters,
    /// The control queue; it moves no frames.
    pub control: QueueCounters,
    /// Its commands.
    pub commands: CommandCounters,
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
    /// Received frames dropped since the driver does not take them.
    pub rx_dropped_filter: u64,
    /// Sent frames that did not go out since the link was down or no wire was plugged in.
    pub tx_dropped: u64,
    /// Sent frames above the MTU; they go out all the same.
    pub tx_oversized: u64,
    /// Resets by the driver.
    pub resets: u64,
    /// Resets of single queues by the driver.
    pub queue_resets: u64,
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
            + self.rx_dropped_filter
    }
}
