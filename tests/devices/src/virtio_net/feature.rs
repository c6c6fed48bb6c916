//! Feature bits (virtio 1.2, 5.1.3 and 6).

/// The driver takes frames with partial checksums.
pub const GUEST_CSUM: u128 = 1 << 1;
/// The driver may switch its receive offloads at run time.
pub const CTRL_GUEST_OFFLOADS: u128 = 1 << 2;
/// The device states the MTU.
pub const MTU: u128 = 1 << 3;
/// The device has a hardware address.
pub const MAC: u128 = 1 << 5;
/// The driver takes TCP segments over IPv4 that were merged.
pub const GUEST_TSO4: u128 = 1 << 7;
/// The driver takes TCP segments over IPv6 that were merged.
pub const GUEST_TSO6: u128 = 1 << 8;
/// The driver takes merged segments with ECN.
pub const GUEST_ECN: u128 = 1 << 9;
/// The driver takes fragmented datagrams in one piece.
pub const GUEST_UFO: u128 = 1 << 10;
/// The driver takes frames that are spread over several receive buffers.
pub const MRG_RXBUF: u128 = 1 << 15;
/// The device states whether the link is up.
pub const STATUS: u128 = 1 << 16;
/// There is a control queue.
pub const CTRL_VQ: u128 = 1 << 17;
/// The receive filter is the driver's to set.
pub const CTRL_RX: u128 = 1 << 18;
/// The VLAN filter is the driver's to set, and empty to begin with.
pub const CTRL_VLAN: u128 = 1 << 19;
/// The receive filter has modes that exclude.
pub const CTRL_RX_EXTRA: u128 = 1 << 20;
/// The device may ask the driver to announce itself.
pub const GUEST_ANNOUNCE: u128 = 1 << 21;
/// There are several pairs of queues, with automatic steering.
pub const MQ: u128 = 1 << 22;
/// The hardware address is the driver's to set, by a command.
pub const CTRL_MAC_ADDR: u128 = 1 << 23;
/// Legacy: headers need no descriptor of their own.
pub const ANY_LAYOUT: u128 = 1 << 27;
/// Descriptors may lie in tables of their own.
pub const INDIRECT_DESC: u128 = 1 << 28;
/// Notifications are suppressed by ring position.
pub const EVENT_IDX: u128 = 1 << 29;
/// Conforms to virtio 1.
pub const VERSION_1: u128 = 1 << 32;
/// The device's view of memory is the platform's business.
pub const ACCESS_PLATFORM: u128 = 1 << 33;
/// Rings are packed.
pub const RING_PACKED: u128 = 1 << 34;
/// Buffers are used in the order in which they were made available.
pub const IN_ORDER: u128 = 1 << 35;
/// Memory accesses are ordered as the platform orders those of devices.
pub const ORDER_PLATFORM: u128 = 1 << 36;
/// Doorbells say how far the driver is.
pub const NOTIFICATION_DATA: u128 = 1 << 38;
/// Queues can be reset one by one.
pub const RING_RESET: u128 = 1 << 40;
/// Interrupts of each queue can be coalesced.
pub const VQ_NOTF_COAL: u128 = 1 << 52;
/// Interrupts can be coalesced.
pub const NOTF_COAL: u128 = 1 << 53;
/// The driver takes merged datagrams over IPv4.
pub const GUEST_USO4: u128 = 1 << 54;
/// The driver takes merged datagrams over IPv6.
pub const GUEST_USO6: u128 = 1 << 55;
/// The device stands by for a primary with the same address.
pub const STANDBY: u128 = 1 << 62;
/// The device states its speed.
pub const SPEED_DUPLEX: u128 = 1 << 63;

/// The offloads that [`CTRL_GUEST_OFFLOADS`] switches.
pub(super) const GUEST_OFFLOADS: u128 =
    GUEST_CSUM | GUEST_TSO4 | GUEST_TSO6 | GUEST_ECN | GUEST_UFO | GUEST_USO4 | GUEST_USO6;

/// Features that mean nothing without another one (virtio 1.2, 5.1.3.1).
pub(super) const REQUIREMENTS: [(u128, u128); 8] = [
    (CTRL_RX, CTRL_VQ),
    (CTRL_VLAN, CTRL_VQ),
    (GUEST_ANNOUNCE, CTRL_VQ),
    (MQ, CTRL_VQ),
    (CTRL_MAC_ADDR, CTRL_VQ),
    (NOTF_COAL, CTRL_VQ),
    (VQ_NOTF_COAL, CTRL_VQ),
    (
        GUEST_TSO4 | GUEST_TSO6 | GUEST_UFO | GUEST_USO4 | GUEST_USO6,
        GUEST_CSUM,
    ),
];
