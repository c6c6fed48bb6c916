//! INF keywords.

use ndis::config::Configuration;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: u32 = 14;

/// A number that the INF offers under `Ndi\params`.
struct Keyword {
    name: &'static str,
    default: u32,
    min: u32,
    max: u32,
}

// The same ranges and defaults as in `inf/netkvm.inf`: `cargo xtask check` compares them.
const JUMBO_PACKET: Keyword = Keyword {
    name: "*JumboPacket",
    default: 1514,
    min: 1514,
    max: 9014,
};
const RECEIVE_BUFFERS: Keyword = Keyword {
    name: "*ReceiveBuffers",
    default: 256,
    min: 16,
    max: 4096,
};
const TRANSMIT_BUFFERS: Keyword = Keyword {
    name: "*TransmitBuffers",
    default: 256,
    min: 16,
    max: 4096,
};
const STANDBY_GRACE: Keyword = Keyword {
    name: "StandbyGraceMs",
    default: 3000,
    min: 0,
    max: 600_000,
};

/// What an administrator can set of an adapter.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Bytes, without the Ethernet header.
    pub(crate) mtu: u32,
    /// Receive buffers; at most as many are used as the device's queue has places.
    pub(crate) receive_buffers: u32,
    /// Places of the transmit queue; at most the device's.
    pub(crate) transmit_buffers: u32,
    /// Milliseconds to wait for a VF before the standby carries alone; 0: for ever.
    pub(crate) standby_grace_ms: u32,
    /// The MAC address to use instead of the device's.
    pub(crate) mac: Option<[u8; 6]>,
}

/// A keyword whose value is out of range, and was taken to the nearest value that is in it.
#[derive(Clone, Copy)]
pub(crate) struct OutOfRange {
    /// What the registry says.
    pub(crate) value: u32,
}

impl Settings {
    /// Reads the keywords. What is missing or no number has its default; `complain` hears of what
    /// is out of range.
    pub(crate) fn read(from: &Configuration, mut complain: impl FnMut(OutOfRange)) -> Self {
        let mut read = |keyword: &Keyword| {
            let value = from.integer(keyword.name).unwrap_or(keyword.default);
            let in_range = value.clamp(keyword.min, keyword.max);
            if in_range != value {
                complain(OutOfRange { value });
            }
            in_range
        };
        Self {
            mtu: read(&JUMBO_PACKET).saturating_sub(ETHERNET_HEADER),
            receive_buffers: read(&RECEIVE_BUFFERS),
            transmit_buffers: read(&TRANSMIT_BUFFERS),
            standby_grace_ms: read(&STANDBY_GRACE),
            mac: from.network_address(),
        }
    }
}
