//! How a received frame may be spread over MDLs (rules 131 and 132).
//!
//! Microsoft Learn, "Indicating Received Ethernet Frames": several MDLs are legal, but none may
//! begin inside an IP or upper-layer header, unless the first holds at least the lookahead size.

use std::ops::Range;

use crate::ndis::adversary;
use crate::ndis::packet::{ETHERNET, Headers};
use crate::sched;

/// Pieces that a frame is cut into at most.
const MOST_CUTS: u64 = 4;

/// Headers that must not be cut in a frame.
fn headers(frame: &[u8]) -> Vec<Range<usize>> {
    let deeper = Headers::of(frame).map(|headers| [headers.ip, headers.transport]);
    let deeper = deeper.into_iter().flatten().flatten();
    std::iter::once(0..ETHERNET).chain(deeper).collect()
}

/// Where an MDL of a frame must not begin, of those places where one does.
#[must_use]
pub(crate) fn illegal_cut(frame: &[u8], cuts: &[usize], lookahead: usize) -> Option<usize> {
    let first = cuts.first().copied()?;
    if first >= lookahead.max(1) {
        return None;
    }
    let headers = headers(frame);
    let inside = |cut: &&usize| {
        headers
            .iter()
            .any(|header| header.start < **cut && **cut < header.end)
    };
    cuts.iter().find(inside).copied()
}

/// Cuts a frame as the seed likes, a byte here or there, where that is legal.
#[must_use]
pub(crate) fn parts(frame: &[u8], lookahead: usize) -> Vec<&[u8]> {
    let whole = vec![frame];
    if frame.len() <= ETHERNET || !adversary::does(|a| a.fragment_one_in) {
        return whole;
    }
    let mut cuts: Vec<usize> = (0..=sched::random_below(MOST_CUTS))
        .map(|_| place(frame, lookahead))
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    if illegal_cut(frame, &cuts, lookahead).is_some() {
        return whole;
    }
    let ends = cuts.iter().copied().chain([frame.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts
        .zip(ends)
        .map(|(start, end)| &frame[start..end])
        .collect()
}

/// A place for a cut: the end of a header, a byte beside the lookahead size, or anywhere.
fn place(frame: &[u8], lookahead: usize) -> usize {
    let last = frame.len() - 1;
    let place = match sched::random_below(3) {
        0 => {
            let headers = headers(frame);
            headers[sched::random_below(headers.len() as u64) as usize].end
        }
        1 => lookahead + sched::random_below(3) as usize,
        _ => sched::random_below(frame.len() as u64) as usize,
    };
    place.clamp(1, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4, TCP, ten bytes of data.
    fn segment() -> Vec<u8> {
        let mut frame = vec![0; 64];
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[16..18].copy_from_slice(&50u16.to_be_bytes());
        frame[23] = 6;
        frame[46] = 0x50;
        frame
    }

    #[test]
    fn cuts_between_headers_are_legal() {
        assert_eq!(illegal_cut(&segment(), &[14, 34, 54, 55], 128), None);
    }

    #[test]
    fn cuts_inside_headers_are_not() {
        for cut in [1, 13, 15, 33, 35, 53] {
            assert_eq!(illegal_cut(&segment(), &[cut], 128), Some(cut));
        }
    }

    #[test]
    fn behind_the_lookahead_everything_is_legal() {
        assert_eq!(illegal_cut(&segment(), &[40, 41], 40), None);
        assert_eq!(illegal_cut(&segment(), &[39, 41], 40), Some(39));
    }
}
