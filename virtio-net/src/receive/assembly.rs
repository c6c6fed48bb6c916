//! A frame, put together from the buffers that the device says it lies in.

use super::shape::{self, BufferShape};
use super::{ETHERNET_HEADER, LONGEST_FRAME, VLAN_TAG};
use crate::features::Features;
use crate::header::{BadBufferCount, HeaderLayout, NetHeader, ReportedHash};

/// What the frames of a queue can be.
#[derive(Clone, Copy, Debug)]
pub struct FrameRules {
    features: Features,
    layout: HeaderLayout,
    /// Bytes that the device may write into one buffer.
    buffer_len: u32,
    /// The most buffers that it may say a frame lies in.
    most_spanned: u16,
    /// Bytes of the longest frame without a tag that was not put together from several.
    longest_plain: u32,
    /// Bytes of the longest that was.
    longest: u32,
}

/// What comes after a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The next buffer that the device has used belongs to the frame, too. Without one now it never
    /// comes: a device uses all buffers of a frame at once (virtio 1.2, 5.1.6.4.1).
    More(Assembly),
    /// That was the last one, and nothing of what the device said contradicts anything.
    Whole(Frame),
    /// That was the last one, and the frame is to be dropped. The queue goes on.
    Unsound(Unsound),
}

/// A frame of which more buffers are to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the buffers that are to come belong to this frame"]
pub struct Assembly {
    frame: Frame,
    /// Buffers that are to come; at least one.
    left: u16,
    unsound: Option<Unsound>,
}

/// What is known of a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The header in front of it, as it was when it was looked at. Fields are read, not believed.
    pub header: NetHeader,
    /// What the device says of its hash.
    pub hash: Option<ReportedHash>,
    /// Bytes, without the header.
    pub len: u32,
    /// Buffers that it lies in.
    pub buffers: u16,
}

/// Why a frame is dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsound {
    /// The first buffer holds less than a header, so nothing says how many follow: none.
    NoHeader {
        /// Bytes that the device wrote.
        written: u32,
    },
    /// A buffer has nothing, or more than it can hold, or is not full although others follow, which
    /// may cut the frame within its headers (virtio 1.2, 5.1.6.4.1).
    Filling {
        /// Bytes that the device wrote.
        written: u32,
    },
    /// It is shorter than an Ethernet header.
    Runt {
        /// Its length in bytes.
        len: u32,
    },
    /// It is longer than any frame that was negotiated.
    TooLong {
        /// Its length in bytes.
        len: u32,
    },
}

impl FrameRules {
    /// The rules for a queue with `buffers` of this shape, for packets of up to `mtu` bytes.
    pub(super) const fn new(
        mtu: u32,
        features: Features,
        shape: BufferShape,
        buffers: u16,
    ) -> Self {
        let layout = HeaderLayout::of(features);
        // Not the longest that was negotiated: what a host passes on that is too long costs that
        // frame, and not the device.
        let spanned = shape.spanned(layout.size() as u32, LONGEST_FRAME);
        let longest_plain = mtu.saturating_add(ETHERNET_HEADER);
        Self {
            features,
            layout,
            buffer_len: shape.bytes(),
            most_spanned: if spanned < buffers { spanned } else { buffers },
            longest_plain,
            longest: if shape::coalesces(features) {
                LONGEST_FRAME.saturating_sub(VLAN_TAG)
            } else {
                longest_plain
            },
        }
    }

    /// The form of the headers.
    #[must_use]
    pub const fn layout(&self) -> HeaderLayout {
        self.layout
    }

    /// The most buffers that the device may say a frame lies in; 1 without `MRG_RXBUF`.
    #[must_use]
    pub const fn most_spanned(&self) -> u16 {
        if self.features.contains(Features::MRG_RXBUF) {
            self.most_spanned
        } else {
            1
        }
    }

    /// Starts a frame with a buffer that the device has used, saying that it wrote `written` bytes.
    ///
    /// `start` is the memory that the buffer begins with, the header at least; what lies in it
    /// beyond `written` is not looked at, nor is what was looked at looked at again.
    ///
    /// # Errors
    ///
    /// The frame would lie in no buffer, or in more than there can be: the device broke the protocol,
    /// and where the next frame starts is unknown.
    #[inline]
    pub fn first(&self, start: &[u8], written: u32) -> Result<Progress, BadBufferCount> {
        let readable = start.get(..written as usize).unwrap_or(start);
        let Some((header, hash)) = self.layout.parse(readable) else {
            return Ok(Progress::Unsound(Unsound::NoHeader { written }));
        };
        let buffers = header.buffer_count(self.features, self.most_spanned())?;
        let frame = Frame {
            header,
            hash,
            len: 0,
            buffers,
        };
        let assembly = Assembly {
            frame,
            left: buffers,
            unsound: None,
        };
        let behind = written.saturating_sub(self.layout.size() as u32);
        Ok(assembly.take(self, written, behind))
    }

    /// Whether a frame may have `len` bytes, without a tag.
    #[inline]
    #[must_use]
    pub const fn admits(&self, len: u32, header: &NetHeader) -> bool {
        let longest = if header.gso_type == 0 {
            self.longest_plain
        } else {
            self.longest
        };
        len <= longest || cfg!(mutant = "take_long_frames")
    }
}

impl Assembly {
    /// Goes on with the next buffer, of which the device says that it wrote `written` bytes.
    ///
    /// `rules` are those that the frame was started by.
    #[inline]
    pub fn follow(self, rules: &FrameRules, written: u32) -> Progress {
        self.take(rules, written, written)
    }

    /// Counts a buffer with `written` bytes, of which `of_frame` are the frame's.
    #[inline]
    fn take(mut self, rules: &FrameRules, written: u32, of_frame: u32) -> Progress {
        self.left = self.left.saturating_sub(1);
        self.frame.len = self.frame.len.saturating_add(of_frame);
        let has_room = written != rules.buffer_len && self.left > 0;
        let is_open = has_room && !cfg!(mutant = "take_scattered_frames");
        if is_open || written == 0 || written > rules.buffer_len {
            self.unsound = self.unsound.or(Some(Unsound::Filling { written }));
        }
        if self.left > 0 {
            return Progress::More(self);
        }
        match self.unsound.or_else(|| self.frame.length_fault(rules)) {
            Some(unsound) => Progress::Unsound(unsound),
            None => Progress::Whole(self.frame),
        }
    }
}

impl Frame {
    fn length_fault(&self, rules: &FrameRules) -> Option<Unsound> {
        let len = self.len;
        if len < ETHERNET_HEADER {
            return Some(Unsound::Runt { len });
        }
        // Whether there is a tag is for the driver to see, which takes it out.
        let least = len.saturating_sub(VLAN_TAG);
        (!rules.admits(least, &self.header)).then_some(Unsound::TooLong { len })
    }
}
