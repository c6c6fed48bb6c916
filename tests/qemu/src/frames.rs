//! Frames that are told apart by their number.

use devices::wire::Frame;
use scenarios::world::{GUEST_MAC, PEER_MAC};

/// EtherType of frames that no stack understands: local experimental 1 (IEEE 802).
pub const ODD_ETHER_TYPE: u16 = 0x88b5;

/// Bytes of each behind the Ethernet header and its number.
const BODY: usize = 200;

/// A frame from the guest to its peer that is like no other, and says how long it is.
#[must_use]
pub fn odd_frame(number: usize) -> Frame {
    let mut frame = Frame::new();
    frame.extend(PEER_MAC);
    frame.extend(GUEST_MAC);
    frame.extend(ODD_ETHER_TYPE.to_be_bytes());
    frame.extend((number as u64).to_be_bytes());
    frame.extend([BODY as u8; BODY]);
    frame
}
