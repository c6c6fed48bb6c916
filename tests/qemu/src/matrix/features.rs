//! What the driver is to take of what it is offered.

use crate::seen::Names;

/// How a driver talks to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// By the capabilities of virtio 1. A transitional device is driven so, too.
    Modern,
    /// By I/O ports, as before that.
    Legacy,
}

/// What the driver makes use of, by either interface.
const DRIVEN: [&str; 16] = [
    "CTRL_MAC_ADDR",
    "CTRL_RX",
    "CTRL_RX_EXTRA",
    "CTRL_VQ",
    "EVENT_IDX",
    "GUEST_ANNOUNCE",
    "INDIRECT_DESC",
    "IOMMU_PLATFORM",
    "MAC",
    "MRG_RXBUF",
    "IN_ORDER",
    "MTU",
    "NOTIFICATION_DATA",
    "ORDER_PLATFORM",
    "STANDBY",
    "STATUS",
];
/// By one only.
const MODERN: [&str; 2] = ["RING_PACKED", "VERSION_1"];
const LEGACY: [&str; 1] = ["ANY_LAYOUT"];
/// Bits that the legacy interface has no room for.
const BEYOND_32_BITS: [&str; 5] = [
    "IN_ORDER",
    "IOMMU_PLATFORM",
    "NOTIFICATION_DATA",
    "ORDER_PLATFORM",
    "STANDBY",
];

/// What some need to be of use (virtio 1.2, 5.1.3.1, and for the announcement 5.1.4).
const NEEDS: [(&str, &str); 6] = [
    ("CTRL_MAC_ADDR", "CTRL_VQ"),
    ("CTRL_RX", "CTRL_VQ"),
    ("CTRL_RX_EXTRA", "CTRL_VQ"),
    ("GUEST_ANNOUNCE", "CTRL_VQ"),
    ("GUEST_ANNOUNCE", "STATUS"),
    ("STANDBY", "MAC"),
];

/// What the driver has to take of what is offered: neither less nor more.
pub(super) fn due(offered: &Names, interface: Interface) -> Names {
    let is_driven = |name: &str| match interface {
        Interface::Modern => DRIVEN.contains(&name) || MODERN.contains(&name),
        Interface::Legacy => {
            let fits = DRIVEN.contains(&name) && !BEYOND_32_BITS.contains(&name);
            fits || LEGACY.contains(&name)
        }
    };
    let is_met = |name: &str| {
        let mut needs = NEEDS.iter().filter(|(bit, _)| *bit == name);
        needs.all(|(_, need)| offered.contains(*need))
    };
    let offered = offered.iter();
    offered
        .filter(|name| is_driven(name) && is_met(name))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_something_is_left_without_it() {
        let offered = ["CTRL_RX", "CTRL_VQ", "GUEST_ANNOUNCE", "MQ", "VERSION_1"];
        let offered = Names::from(offered.map(str::to_owned));
        let expected = ["CTRL_RX", "CTRL_VQ", "VERSION_1"].map(str::to_owned);
        assert_eq!(due(&offered, Interface::Modern), Names::from(expected));

        let without = Names::from(["CTRL_RX", "ANY_LAYOUT", "VERSION_1"].map(str::to_owned));
        let expected = ["ANY_LAYOUT".to_owned()];
        assert_eq!(due(&without, Interface::Legacy), Names::from(expected));
    }
}
