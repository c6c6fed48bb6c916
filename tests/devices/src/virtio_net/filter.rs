//! Which received frames go to the driver (virtio 1.2, 5.1.6.5: receive filtering, MAC address
//! filtering, VLAN filtering), with the modes and limits of QEMU's device.

use std::collections::BTreeSet;

use crate::wire::{MacAddress, destination, is_group};

const BROADCAST: MacAddress = [0xFF; 6];
const VLAN_TAG: [u8; 2] = [0x81, 0x00];

/// Addresses of both kinds that the table holds; of a kind with more, all are taken.
pub(super) const TABLE_ENTRIES: usize = 64;

/// What the driver told the device about received frames.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReceiveRules {
    /// Everything is taken, whatever the other modes say. On after a reset.
    pub promiscuous: bool,
    /// All group addresses are taken.
    pub all_multicast: bool,
    /// All other addresses are taken.
    pub all_unicast: bool,
    /// No group address is taken, broadcast excepted.
    pub no_multicast: bool,
    /// No address of a station is taken.
    pub no_unicast: bool,
    /// Broadcast is not taken.
    pub no_broadcast: bool,
    /// Addresses of stations that are taken, besides the own one; `None`: too many, so all.
    pub unicast: Option<Vec<MacAddress>>,
    /// Group addresses that are taken; `None`: too many, so all.
    pub multicast: Option<Vec<MacAddress>>,
    /// VLANs whose tagged frames are taken; `None`: no filter, so all.
    pub vlans: Option<BTreeSet<u16>>,
    /// Whether `vlans` holds in promiscuous mode, too. QEMU's device takes everything then.
    pub strict_vlans: bool,
}

impl ReceiveRules {
    /// The rules after a reset. `filters_vlans` is whether CTRL_VLAN was negotiated.
    pub(super) fn new(filters_vlans: bool, strict_vlans: bool) -> Self {
        Self {
            promiscuous: true,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            unicast: Some(Vec::new()),
            multicast: Some(Vec::new()),
            vlans: filters_vlans.then(BTreeSet::new),
            strict_vlans,
        }
    }

    /// Takes the tables of a command: what does not fit means all of that kind.
    pub(super) fn set_table(&mut self, unicast: Vec<MacAddress>, multicast: Vec<MacAddress>) {
        let held = Some(unicast).filter(|table| table.len() <= TABLE_ENTRIES);
        let left = TABLE_ENTRIES - held.as_ref().map_or(0, Vec::len);
        self.unicast = held;
        self.multicast = Some(multicast).filter(|table| table.len() <= left);
    }

    /// Whether `frame` goes to the driver of a device with the address `own`.
    pub(super) fn take(&self, frame: &[u8], own: &MacAddress) -> bool {
        if self.promiscuous {
            return !self.strict_vlans || self.takes_vlan(frame);
        }
        let Some(to) = destination(frame) else {
            return false;
        };
        self.takes_vlan(frame) && self.takes_address(&to, own)
    }

    fn takes_vlan(&self, frame: &[u8]) -> bool {
        let (Some(vlans), Some(&[tag0, tag1, high, low])) =
            (&self.vlans, frame.get(12..).and_then(<[u8]>::first_chunk))
        else {
            return true;
        };
        let vlan = u16::from_be_bytes([high, low]) & 0x0FFF;
        [tag0, tag1] != VLAN_TAG || vlans.contains(&vlan)
    }

    fn takes_address(&self, to: &MacAddress, own: &MacAddress) -> bool {
        let holds =
            |table: &Option<Vec<MacAddress>>| table.as_ref().is_none_or(|table| table.contains(to));
        if *to == BROADCAST {
            !self.no_broadcast
        } else if is_group(to) {
            !self.no_multicast && (self.all_multicast || holds(&self.multicast))
        } else {
            !self.no_unicast && (self.all_unicast || to == own || holds(&self.unicast))
        }
    }
}
