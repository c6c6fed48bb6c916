//! The headers of an Ethernet frame: where they lie, how long they are, what they belong to.
//!
//! [`parse`] looks at the first contiguous bytes of a frame and knows how long the whole is, so that
//! it can tell a frame that is cut off or contradicts itself from one of which it was not shown
//! enough. What it yields lies within the frame, whatever the bytes are.
//!
//! Tags: one or two. IPv4 with options; IPv6 with the extension headers that can stand in front of a
//! transport header. Behind those TCP and UDP; a fragment ends the walk, and so do tunnels.

mod extensions;
mod ip;
mod transport;

pub use extensions::{Extensions, MAX_EXTENSIONS};
pub use ip::{Addresses, Ip};
pub(crate) use ip::{V4_CHECKSUM_AT, V4_TOTAL_LENGTH_AT, V6_PAYLOAD_LENGTH_AT};
pub(crate) use transport::UDP_LENGTH_AT;
pub use transport::{ChecksumPlace, Tcp, Transport, Udp};

use super::vlan::{TAG_AT, TAG_LEN, Tag};

/// Bytes of an Ethernet header without tags.
pub const MIN_HEADER_LEN: usize = 14;

const ETHER_TYPE_IPV4: u16 = 0x0800;
const ETHER_TYPE_IPV6: u16 = 0x86dd;

/// The headers of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layers {
    /// The Ethernet header.
    pub link: Link,
    /// The IP header and what is in it; `None` when the frame carries something else.
    pub ip: Option<Ip>,
}

/// An Ethernet header with its tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    /// The first tag of the frame.
    pub outer: Option<Tag>,
    /// The tag behind it.
    pub inner: Option<Tag>,
    /// What the frame carries; below 0x600 a length (IEEE 802.3).
    pub ether_type: u16,
    /// Bytes of the header with its tags.
    pub header_len: u16,
}

/// Whether the lengths in the headers are to be believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lengths {
    /// They are, as far as the frame has as many bytes; bytes behind the packet are padding.
    Stated,
    /// They are not: the packet ends with the frame. So it is with a packet that is yet to be
    /// segmented, whose headers hold zero or what a segment will have.
    OfFrame,
}

/// Why there are no [`Layers`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unparsed {
    /// The headers go on behind the given bytes; more are needed, and the frame has them.
    Incomplete {
        /// How many bytes from the start of the frame; after that it may be still more.
        needed: usize,
    },
    /// More bytes would not help.
    Malformed(Fault),
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The frame or the packet in it ends within a header.
    CutOff,
    /// The IP version is not that of the EtherType.
    Version,
    /// The IPv4 header claims to be shorter than it can be.
    HeaderLength,
    /// The IP packet claims to be longer than the frame, or shorter than its own header.
    TotalLength,
    /// More than [`MAX_EXTENSIONS`] extension headers.
    Extensions,
}

/// Parses a frame of `frame_len` bytes that starts with `head`.
///
/// # Errors
///
/// Says whether more bytes would help. A transport header that is wrong is no error; see
/// [`Transport::Malformed`].
#[inline]
pub fn parse(head: &[u8], frame_len: usize, lengths: Lengths) -> Result<Layers, Unparsed> {
    let view = View::new(head, frame_len);
    let link = Link::read(&view)?;
    let ip = match link.ether_type {
        ETHER_TYPE_IPV4 => Some(ip::read_v4(view, link.header_len, lengths)?),
        ETHER_TYPE_IPV6 => Some(ip::read_v6(view, link.header_len, lengths)?),
        _ => None,
    };
    Ok(Layers { link, ip })
}

impl Link {
    /// Parses the Ethernet header alone.
    ///
    /// # Errors
    ///
    /// As [`parse`].
    pub fn parse(head: &[u8], frame_len: usize) -> Result<Self, Unparsed> {
        Self::read(&View::new(head, frame_len))
    }

    #[inline]
    fn read(view: &View<'_>) -> Result<Self, Unparsed> {
        let mut at = TAG_AT;
        let mut tag = || -> Result<Option<Tag>, Unparsed> {
            // A type that is not of a tag may be all that the frame has.
            let [kind_0, kind_1] = *view.array(at)?;
            if Tag::from_bytes([kind_0, kind_1, 0, 0]).is_none() {
                return Ok(None);
            }
            let tag = Tag::from_bytes(*view.array(at)?);
            at = at.saturating_add(TAG_LEN);
            Ok(tag)
        };
        let outer = tag()?;
        let inner = if outer.is_some() { tag()? } else { None };
        let ether_type = u16::from_be_bytes(*view.array(at)?);
        Ok(Self {
            outer,
            inner,
            ether_type,
            header_len: offset(at.saturating_add(size_of::<u16>()))?,
        })
    }
}

/// What is shown of a frame, with the length of what is being read: the frame, then the packet.
#[derive(Clone, Copy)]
struct View<'a> {
    /// Nothing in it is behind `end`.
    shown: &'a [u8],
    end: usize,
}

impl<'a> View<'a> {
    #[inline]
    fn new(head: &'a [u8], frame_len: usize) -> Self {
        Self {
            shown: head.get(..frame_len).unwrap_or(head),
            end: frame_len,
        }
    }

    /// The same with nothing from `end` on, which is not behind the end so far.
    #[inline]
    fn up_to(self, end: usize) -> Self {
        Self::new(self.shown, end)
    }

    #[inline]
    fn slice(&self, at: usize, len: usize) -> Result<&'a [u8], Unparsed> {
        let bytes = self.shown.get(at..).and_then(|behind| behind.get(..len));
        bytes.ok_or_else(|| self.lacks(at, len))
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> Result<&'a [u8; N], Unparsed> {
        let bytes = self.shown.get(at..).and_then(|behind| behind.first_chunk());
        bytes.ok_or_else(|| self.lacks(at, N))
    }

    #[cold]
    fn lacks(&self, at: usize, len: usize) -> Unparsed {
        match at.checked_add(len) {
            Some(needed) if needed <= self.end => Unparsed::Incomplete { needed },
            _ => Unparsed::Malformed(Fault::CutOff),
        }
    }
}

/// A place among the headers as 16 bits. The longest headers that are walked end far below 2^16.
fn offset(at: usize) -> Result<u16, Unparsed> {
    u16::try_from(at).map_err(|_| Unparsed::Malformed(Fault::Extensions))
}
