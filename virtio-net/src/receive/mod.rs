//! Receiving, as far as it is arithmetic: how buffers are made, what a frame may be, when buffers
//! go back.
//!
//! [`ReceivePlan`] says how large buffers are, how many there are and where they lie in memory;
//! [`FrameRules`] puts a frame together from the buffers that the device says it lies in, and checks
//! everything that the device says; [`Refill`] says when the device is shown the buffers that it is
//! given back. None of them allocates, waits or touches a buffer beyond the header that it is shown.
//!
//! # How large a buffer is
//!
//! Memory is taken in pages, and no piece of a buffer crosses the end of one: a device that
//! translates addresses translates one for each piece. As many pieces share a page as hold a whole
//! frame, in equal parts.
//!
//! | negotiated | MTU | buffer |
//! |---|---|---|
//! | `MRG_RXBUF` | 1500 | half a page, 2048 bytes |
//! | `MRG_RXBUF` | 9000 | a page; a frame spans three |
//! | neither | 1500 | half a page |
//! | neither | 9000 | two pages and a piece of 896 bytes of a third, which four share |
//! | `GUEST_TSO4` and its like without `MRG_RXBUF` | any | sixteen pages and a piece of 128 bytes |
//!
//! With an MTU of 1500 a buffer has to hold 1530 bytes: the header, the frame and a VLAN tag. Cut
//! tightly, to 1536, buffers would save a quarter of the memory, and every fourth would cross the end
//! of a page; a hash (`HASH_REPORT`) would not fit any more, and a coalesced frame of 64 KiB take 43
//! buffers in place of 33. A page for each would double the memory for the sake of coalesced frames
//! alone.
//!
//! A piece starts with a cache line, so that the device writes whole lines. The IP header then lies
//! at an address that leaves two when divided by four. Processors that Windows runs on do not mind;
//! two bytes left free in front would cost a line that is written in part.

mod assembly;
mod plan;
mod refill;
mod shape;

pub use self::assembly::{Assembly, Frame, FrameRules, Progress, Unsound};
pub use self::plan::{Memory, Place, QueueTooShort, ReceivePlan};
pub use self::refill::Refill;
pub use self::shape::{BufferShape, MAX_SEGMENTS};

/// Bytes of an Ethernet header: the shortest frame that there is.
pub const ETHERNET_HEADER: u32 = 14;
/// Bytes that an IEEE 802.1Q tag adds to a frame of any length.
pub const VLAN_TAG: u32 = 4;
/// Bytes of the MTU that buffers are made for at least (virtio 1.2, 5.1.6.3.1).
pub const LEAST_MTU: u32 = 1500;

/// Bytes of the longest frame that there can be: one that was put together from segments.
///
/// Ethernet header, tag, and the longest IPv6 packet with its header. That is more than virtio 1.2
/// has, which forgets the IPv6 header (65550 bytes); virtio 1.4, 5.1.6.3, has 65589 without the tag.
pub const LONGEST_FRAME: u32 = ETHERNET_HEADER + VLAN_TAG + 40 + 65_535;
