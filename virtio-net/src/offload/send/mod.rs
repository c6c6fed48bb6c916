//! Frames to send: from what the system asks for to what the device is told.
//!
//! ```text
//! SendOffloads::of(features)     once, after negotiation
//! SendOffloads::plan(..)         per frame: a Plan or a reason to refuse the frame
//! Plan::complete(pieces)         when Plan::pending is there: the driver makes the checksum itself
//! Plan::write_head(head, into)   the head of the frame with tag and changed fields
//! Plan::header                   goes in front of it
//! ```
//!
//! The system's lengths and checksum seeds are not built on: they differ by system and request.
//! Every field that the device or a receiver relies on is computed from the frame itself.

mod plan;

use super::checksum::{Pending, store};
use super::parse::Unparsed;
use super::vlan::{TAG_AT, TAG_LEN, Tag};
use crate::features::Features;
use crate::header::NetHeader;

/// What the device does with frames to send.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SendOffloads {
    /// It completes checksums (`VIRTIO_NET_F_CSUM`).
    pub checksum: bool,
    /// It segments TCP over IPv4 (`VIRTIO_NET_F_HOST_TSO4`).
    pub tcp_v4: bool,
    /// It segments TCP over IPv6 (`VIRTIO_NET_F_HOST_TSO6`).
    pub tcp_v6: bool,
    /// It segments TCP that answers a congestion notification (`VIRTIO_NET_F_HOST_ECN`).
    pub congestion: bool,
    /// It segments UDP (`VIRTIO_NET_F_HOST_USO`).
    pub udp: bool,
}

/// What is asked for a frame.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Request {
    /// The checksum of the IPv4 header is to be made.
    pub ipv4_checksum: bool,
    /// The checksum of TCP is to be made.
    pub tcp_checksum: bool,
    /// The checksum of UDP is to be made.
    pub udp_checksum: bool,
    /// The frame is to be segmented; all its checksums are to be made.
    pub segmentation: Option<Segmentation>,
    /// Where the transport header starts, in bytes from the start of the frame, if the system says.
    pub transport_at: Option<u16>,
    /// A tag to put in front of what follows the addresses.
    pub tag: Option<Tag>,
}

/// How to segment a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Segmentation {
    /// A TCP segment.
    Tcp {
        /// Payload bytes of a segment.
        size: u32,
    },
    /// A UDP datagram.
    Udp {
        /// Payload bytes of a datagram.
        size: u32,
    },
}

/// Why a frame cannot be sent as asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsendable {
    /// Its headers are wrong, or more of them has to be shown.
    Unparsed(Unparsed),
    /// It is none of what is to be checksummed or segmented; a fragment is neither.
    OtherProtocol,
    /// The transport header is not where the system says that it is.
    TransportPlace {
        /// What the system says.
        said: u16,
        /// Where it is.
        found: u16,
    },
    /// A routing header of an unknown type hides an address that the checksum is over.
    HiddenAddress,
    /// The device was not asked to be able to do this.
    NotNegotiated,
    /// The device does not segment TCP that answers a congestion notification.
    CongestionNotNegotiated,
    /// Segments of no bytes, or of more than a frame can have.
    SegmentSize(u32),
    /// The packet is too long for the length fields of its headers.
    TooLong,
    /// The frame has fewer bytes than it is said to have.
    CutOff,
}

impl From<Unparsed> for Unsendable {
    fn from(why: Unparsed) -> Self {
        Self::Unparsed(why)
    }
}

impl SendOffloads {
    /// What `features`, as negotiated, allow. Segmentation includes checksums.
    #[must_use]
    pub const fn of(features: Features) -> Self {
        let checksum = features.contains(Features::CSUM);
        let tcp_v4 = checksum && features.contains(Features::HOST_TSO4);
        let tcp_v6 = checksum && features.contains(Features::HOST_TSO6);
        Self {
            checksum,
            tcp_v4,
            tcp_v6,
            congestion: (tcp_v4 || tcp_v6) && features.contains(Features::HOST_ECN),
            udp: checksum && features.contains(Features::HOST_USO),
        }
    }
}

impl Request {
    /// Whether nothing is to be computed. A tag may be asked for.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !self.ipv4_checksum
            && !self.tcp_checksum
            && !self.udp_checksum
            && self.segmentation.is_none()
    }
}

impl Segmentation {
    const fn size(self) -> u32 {
        match self {
            Self::Tcp { size } | Self::Udp { size } => size,
        }
    }
}

/// A field of the frame with a new value.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Patch {
    /// Where, in bytes from the start of the frame as the system has it.
    pub at: usize,
    /// The value; two bytes in network byte order.
    pub value: u16,
}

/// At most: total length and checksum of IPv4, length and checksum of UDP.
const MAX_PATCHES: usize = 4;

/// How a frame is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The header for the device. It is right for the frame with its new tag.
    pub header: NetHeader,
    /// The tag to put in.
    pub tag: Option<Tag>,
    /// A checksum that the device does not make; see [`complete`](Self::complete).
    pub pending: Option<Pending>,
    /// Frames that come out of it.
    pub segments: u32,
    /// Payload bytes of TCP or UDP, if the frame was parsed and is one.
    pub payload_len: usize,
    patches: [Patch; MAX_PATCHES],
    patched: usize,
}

impl Plan {
    const fn plain(tag: Option<Tag>) -> Self {
        Self {
            header: NetHeader::PLAIN,
            tag,
            pending: None,
            segments: 1,
            payload_len: 0,
            patches: [Patch { at: 0, value: 0 }; MAX_PATCHES],
            patched: 0,
        }
    }

    fn patch(&mut self, at: usize, value: u16) {
        debug_assert!(self.patched < MAX_PATCHES, "a patch too many");
        if let Some(free) = self.patches.get_mut(self.patched) {
            *free = Patch { at, value };
            self.patched = self.patched.saturating_add(1);
        }
    }

    /// The fields to change.
    #[must_use]
    pub fn patches(&self) -> &[Patch] {
        self.patches.get(..self.patched).unwrap_or_default()
    }

    /// Bytes from the start of the frame that have to be copied, because something in them changes.
    /// What is behind may be sent from where it is.
    #[must_use]
    pub fn copied_len(&self) -> usize {
        let tag = if self.tag.is_some() { TAG_AT } else { 0 };
        let ends = self
            .patches()
            .iter()
            .map(|patch| patch.at.saturating_add(2));
        ends.fold(tag, usize::max)
    }

    /// Makes the checksum that the device does not, from the pieces of the frame as the system has
    /// it, in order. Nothing to do, and nothing is read, when none is pending.
    ///
    /// # Errors
    ///
    /// The pieces are fewer bytes than the frame.
    pub fn complete<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), Unsendable> {
        let Some(pending) = self.pending else {
            return Ok(());
        };
        let value = pending.over(pieces).ok_or(Unsendable::CutOff)?;
        self.patch(pending.field, value);
        self.pending = None;
        Ok(())
    }

    /// Writes `head`, the first bytes of the frame, with tag and new values to the front of `into`,
    /// and says how many bytes that made.
    ///
    /// `None` when `into` is too short, or `head` is shorter than [`copied_len`](Self::copied_len).
    pub fn write_head(&self, head: &[u8], into: &mut [u8]) -> Option<usize> {
        if head.len() < self.copied_len() {
            return None;
        }
        let (addresses, behind) = head.split_at(TAG_AT.min(head.len()));
        let tag = self.tag.map(Tag::bytes);
        let tag = tag.as_ref().map(<[u8; TAG_LEN]>::as_slice);
        let len = head.len().checked_add(tag.map_or(0, <[u8]>::len))?;

        let mut rest = into.get_mut(..len)?;
        for part in [addresses, tag.unwrap_or_default(), behind] {
            let space;
            (space, rest) = rest.split_at_mut_checked(part.len())?;
            space.copy_from_slice(part);
        }
        let patched = self.patch_bytes(into, self.tag.map_or(0, |_| TAG_LEN));
        patched.then_some(len)
    }

    /// Changes the fields in `head`, the first bytes of the frame, in place. For a frame without a
    /// new tag.
    ///
    /// `false` when `head` is shorter than [`copied_len`](Self::copied_len).
    #[must_use]
    pub fn patch_head(&self, head: &mut [u8]) -> bool {
        head.len() >= self.copied_len() && self.patch_bytes(head, 0)
    }

    fn patch_bytes(&self, bytes: &mut [u8], moved: usize) -> bool {
        // No field lies in front of the tag.
        self.patches()
            .iter()
            .all(|patch| store(bytes, patch.at.saturating_add(moved), patch.value))
    }
}
