//! The table of features: one row per bit of virtio 1.2 to 1.4 (the network device's and the
//! transport's) and of the legacy interface.

use super::Features;

/// What the driver thinks of a feature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Does not work without it; a mask does not drop it.
    Required,
    /// Accepted when offered, if the mask has it. It is in [`DEFAULT`].
    Wanted,
    /// As `Wanted`, but not in [`DEFAULT`]: it changes what the driver has to do, so a driver
    /// that does it names it.
    OnRequest,
    /// Known and refused, whatever the mask; the row says why.
    Never,
}

/// How the driver talks to the device (virtio 1.2, 1.3.1 and 2.2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interface {
    /// That of virtio 1.0 and later.
    Modern,
    /// That of before: 32 feature bits, no `FEATURES_OK`.
    Legacy,
}

/// What part of a driver a feature concerns, and so who has to act when it is lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The function as a whole: addresses and the order of memory accesses. Begin anew.
    Device,
    /// How queues work. They are made anew, without it.
    Queues,
    /// How long the packet header is and what it holds. Receive buffers are laid out anew.
    Header,
    /// What the device does to frames that are sent. The offload is withdrawn.
    Sending,
    /// What the device does to frames that it receives. The offload is withdrawn.
    Receiving,
    /// How frames are spread over queues. There is one pair of queues, or no hash.
    Spreading,
    /// A command of the control queue. It is not sent any more.
    Control,
    /// A field of the device configuration. It keeps its last value, or its default.
    Configuration,
    /// The pair of standby and primary. The pair is dissolved.
    Failover,
}

/// A row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// The one bit that the row is about.
    pub bit: Features,
    /// The name in the specification, without `VIRTIO_F_` or `VIRTIO_NET_F_`.
    pub name: &'static str,
    /// What the driver thinks of it.
    pub wish: Wish,
    /// Where it exists; `None` for both.
    pub interface: Option<Interface>,
    /// What it concerns.
    pub part: Part,
    /// Bits without each of which this one is not accepted either.
    pub needs: Features,
    /// Bits of which there has to be one, unless there are none here.
    pub needs_one_of: Features,
    /// What it brings, in a few words.
    pub brings: &'static str,
}

impl Feature {
    /// Whether the needs of the row are met by `accepted`.
    #[must_use]
    pub const fn is_met_by(&self, accepted: Features) -> bool {
        let one = self.needs_one_of.is_empty() || accepted.intersects(self.needs_one_of);
        one && accepted.contains(self.needs)
    }
}

macro_rules! table {
    ($(
        $bit:ident $([$interface:ident])?: $wish:ident, $part:ident
            $(, needs $($all:ident)&+)? $(, one of $($one:ident)|+)? => $brings:literal;
    )*) => {
        /// Every feature that the driver has an opinion on. A bit without a row is not accepted.
        ///
        /// The needs are those of virtio 1.2, 5.1.3.1 (and of virtio 1.4 for its bits), and those
        /// of the comments in the source.
        pub const TABLE: &[Feature] = &[$(
            Feature {
                bit: Features::$bit,
                name: stringify!($bit),
                wish: Wish::$wish,
                interface: table!(@interface $($interface)?),
                part: Part::$part,
                needs: Features::union_of(&[$($(Features::$all),+)?]),
                needs_one_of: Features::union_of(&[$($(Features::$one),+)?]),
                brings: $brings,
            },
        )*];
    };
    (@interface) => { None };
    (@interface $interface:ident) => { Some(Interface::$interface) };
}

table! {
    // Of the transport.
    VERSION_1 [Modern]: Required, Device => "the device follows the specification";
    // The driver passes only addresses that the system's DMA interface gave it.
    ACCESS_PLATFORM: Wanted, Device => "the device may sit behind an IOMMU";
    RING_INDIRECT_DESC: Wanted, Queues => "a buffer takes one slot, however many pieces it has";
    RING_EVENT_IDX: Wanted, Queues => "fewer doorbells and fewer interrupts";
    // Another format of everything shared: a driver that has it says so.
    RING_PACKED: OnRequest, Queues => "a queue is one ring, in fewer cache lines";
    // A promise that a queue has to rely on to gain anything by it.
    IN_ORDER: OnRequest, Queues => "buffers come back in the order in which they were given";
    // Costs barriers that order memory against hardware and not against another CPU.
    ORDER_PLATFORM: OnRequest, Device => "the device may be hardware";
    // The function's virtual functions are for the host to hand out.
    SR_IOV: Never, Device => "the device has virtual functions";
    // The queue has to tell how far it was filled at each doorbell.
    NOTIFICATION_DATA: OnRequest, Queues => "a doorbell says how far a queue was filled";
    NOTIF_CONFIG_DATA: Wanted, Queues => "a doorbell names a queue as the device likes";
    RING_RESET: Wanted, Queues => "a queue can be reset by itself";
    // Administration is for who owns a group of devices, not for a guest that drives one.
    ADMIN_VQ: Never, Device => "the device has administration queues";
    // A sleeping system resets the device, which every device can do.
    SUSPEND: Never, Device => "the device can be suspended";

    // Of the legacy transport.
    // An interrupt more; the queues here find out by themselves.
    NOTIFY_ON_EMPTY [Legacy]: Never, Queues => "an interrupt when a queue runs empty";
    // Who is offered it has to take it (virtio 1.2, 6.3).
    ANY_LAYOUT [Legacy]: Wanted, Queues => "header and frame may share a descriptor";
    UNUSED [Legacy]: Never, Device => "a trap for drivers that accept everything";

    // Of the network device.
    CSUM: Wanted, Sending => "the device completes checksums";
    GUEST_CSUM: Wanted, Receiving => "frames may come without a full checksum, or with one checked";
    // The specification calls the commands of the two "control" without naming the need.
    CTRL_GUEST_OFFLOADS: Wanted, Control, needs CTRL_VQ => "receive offloads can be switched";
    MTU: Wanted, Configuration => "the device names the largest packet";
    MAC: Wanted, Configuration => "the device has an address";
    // Says nothing that the HOST_ bits do not say better.
    GSO [Legacy]: Never, Sending => "the device segments everything";
    GUEST_TSO4: Wanted, Receiving, needs GUEST_CSUM => "TCP/IPv4 segments come as one";
    GUEST_TSO6: Wanted, Receiving, needs GUEST_CSUM => "TCP/IPv6 segments come as one";
    GUEST_ECN: Wanted, Receiving, one of GUEST_TSO4 | GUEST_TSO6 => "they may have ECN";
    // IP fragments put together by a device: no stack asks for it any more.
    GUEST_UFO: Never, Receiving, needs GUEST_CSUM => "UDP fragments come as one";
    HOST_TSO4: Wanted, Sending, needs CSUM => "the device segments TCP/IPv4";
    HOST_TSO6: Wanted, Sending, needs CSUM => "the device segments TCP/IPv6";
    HOST_ECN: Wanted, Sending, one of HOST_TSO4 | HOST_TSO6 => "what it segments may have ECN";
    // As GUEST_UFO.
    HOST_UFO: Never, Sending, needs CSUM => "the device fragments UDP";
    MRG_RXBUF: Wanted, Header => "a frame may span several receive buffers";
    STATUS: Wanted, Configuration => "the device tells its link state";
    CTRL_VQ: Wanted, Control => "the device has a control queue";
    CTRL_RX: Wanted, Control, needs CTRL_VQ => "receive filters can be set";
    // Once accepted, the device drops every VLAN that was not added by a command; not accepted, it
    // passes all. So only a driver that filters asks for it.
    CTRL_VLAN: OnRequest, Control, needs CTRL_VQ => "the device filters VLANs";
    CTRL_RX_EXTRA: Wanted, Control, needs CTRL_VQ => "further receive filters can be set";
    // The request is a bit of the status (virtio 1.2, 5.1.4).
    GUEST_ANNOUNCE: Wanted, Control, needs CTRL_VQ & STATUS
        => "the device asks for announcements after it moved";
    MQ: Wanted, Spreading, needs CTRL_VQ => "there are several pairs of queues";
    CTRL_MAC_ADDR: Wanted, Control, needs CTRL_VQ => "the address can be changed";
    GUEST_RSC6: Never, Receiving => "old devices coalesce TCP/IPv6, in a way of their own";
    // As CTRL_GUEST_OFFLOADS.
    DEVICE_STATS: Wanted, Control, needs CTRL_VQ => "the device tells its statistics";
    // Hashes for encapsulated frames; a guest's own frames are rarely such.
    HASH_TUNNEL: Never, Spreading, needs CTRL_VQ, one of RSS | HASH_REPORT
        => "the device hashes what is inside of tunnels";
    VQ_NOTF_COAL: Wanted, Control, needs CTRL_VQ => "interrupts are coalesced, queue by queue";
    NOTF_COAL: Wanted, Control, needs CTRL_VQ => "interrupts are coalesced";
    GUEST_USO4: Wanted, Receiving, needs GUEST_CSUM => "UDP/IPv4 datagrams come as one";
    GUEST_USO6: Wanted, Receiving, needs GUEST_CSUM => "UDP/IPv6 datagrams come as one";
    HOST_USO: Wanted, Sending, needs CSUM => "the device segments UDP";
    HASH_REPORT: Wanted, Header, needs CTRL_VQ => "each received frame comes with its hash";
    GUEST_HDRLEN: Wanted, Sending => "the device may rely on the length of headers";
    RSS: Wanted, Spreading, needs CTRL_VQ => "frames are spread over queues by their hash";
    RSC_EXT: Wanted, Receiving, one of HOST_TSO4 | HOST_TSO6
        => "the device tells how many segments it put together";
    // A primary is recognised by the MAC address of its standby: without one there is no pair.
    STANDBY: Wanted, Failover, needs MAC => "the device stands by for a primary";
    SPEED_DUPLEX: Wanted, Configuration => "the device tells its speed";
    // One way of spreading is what the system above has.
    RSS_CONTEXT: Never, Spreading, needs CTRL_VQ & RSS => "several ways of spreading at once";
    // Each of these makes the header of every frame longer, for what a guest rarely sends.
    GUEST_UDP_TUNNEL_GSO: Never, Header, needs GUEST_TSO4 & GUEST_TSO6 & GUEST_USO4 & GUEST_USO6
        => "segments inside of UDP tunnels come as one";
    GUEST_UDP_TUNNEL_GSO_CSUM: Never, Header, needs GUEST_UDP_TUNNEL_GSO
        => "they may come without the outer checksum";
    HOST_UDP_TUNNEL_GSO: Never, Header, needs HOST_TSO4 & HOST_TSO6 & HOST_USO
        => "the device segments inside of UDP tunnels";
    HOST_UDP_TUNNEL_GSO_CSUM: Never, Header, needs HOST_UDP_TUNNEL_GSO
        => "it makes the outer checksums, too";
    OUT_NET_HEADER: Never, Header => "the device is told where the outer header is";
    IPSEC: Never, Header => "the device encrypts";
}

/// What the driver wants when nothing is said: the rows that are `Required` or `Wanted`.
pub const DEFAULT: Features = {
    let mut bits = Features::NONE;
    let mut rows = TABLE;
    while let [row, rest @ ..] = rows {
        if matches!(row.wish, Wish::Required | Wish::Wanted) {
            bits = Features::union_of(&[bits, row.bit]);
        }
        rows = rest;
    }
    bits
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use virtio_spec::net::F;

    use super::*;

    #[test]
    fn each_row_is_about_one_bit_of_its_own() {
        let bits = TABLE.iter().map(|row| row.bit);
        let all = bits.fold(Features::NONE, |bits, bit| bits | bit);
        assert!(TABLE.iter().all(|row| row.bit.bits().is_power_of_two()));
        assert_eq!(all.bits().count_ones() as usize, TABLE.len());
        let texts: HashSet<_> = TABLE.iter().map(|row| row.brings).collect();
        assert_eq!(texts.len(), TABLE.len());
    }

    #[test]
    fn every_bit_of_the_specification_has_its_row() {
        let mut named = 0;
        for (name, flag) in F::all().iter_names() {
            let bit = Features::from_bits(flag.bits().to_ne());
            let row = TABLE.iter().find(|row| row.bit == bit).expect(name);
            let plain = |name: &'static str| name.trim_start_matches("RING_");
            assert_eq!(plain(row.name), plain(name));
            named |= bit.bits();
        }
        let known = TABLE.iter().fold(0, |known, row| known | row.bit.bits());
        let legacy = [6, 24, 27, 30, 42];
        let legacy = legacy.iter().fold(0, |set, bit| set | 1 << bit);
        assert_eq!(known, named | legacy);
    }

    #[test]
    fn what_a_row_needs_has_a_row() {
        let all = TABLE.iter().fold(Features::NONE, |all, row| all | row.bit);
        for row in TABLE {
            assert!(all.contains(row.needs | row.needs_one_of), "{}", row.name);
            assert!(!row.bit.intersects(row.needs | row.needs_one_of));
        }
    }

    #[test]
    fn what_is_accepted_on_request_is_no_default() {
        for bit in [Features::CTRL_VLAN, Features::RING_PACKED, Features::IPSEC] {
            assert!(!DEFAULT.intersects(bit));
        }
        assert!(DEFAULT.contains(Features::VERSION_1 | Features::STANDBY | Features::RSS));
    }
}
