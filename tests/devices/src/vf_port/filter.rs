//! Which frames a receiver takes.

use crate::wire::{MacAddress, is_group};

const BROADCAST: MacAddress = [0xFF; 6];

/// Which frames the receiver takes. Nothing to begin with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReceiveFilter {
    /// Frames to the own address.
    pub directed: bool,
    /// Frames to the group addresses in `multicast_list`.
    pub multicast: bool,
    /// Frames to every group address.
    pub all_multicast: bool,
    /// Broadcasts.
    pub broadcast: bool,
    /// Everything.
    pub promiscuous: bool,
    /// Group addresses that `multicast` means.
    pub multicast_list: Vec<MacAddress>,
}

impl ReceiveFilter {
    pub(super) fn takes(&self, to: &MacAddress, own: &MacAddress) -> bool {
        if self.promiscuous {
            return true;
        }
        if *to == BROADCAST {
            return self.broadcast;
        }
        if is_group(to) {
            return self.all_multicast || self.multicast && self.multicast_list.contains(to);
        }
        self.directed && to == own
    }
}
