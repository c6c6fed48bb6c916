//! Recognises the second copy of a multicast frame that both paths carry.
//!
//! The switch on the host forwards a broadcast or multicast frame to the VF and to the virtio
//! device alike. Which copy comes first is a matter of microseconds, and a switch of the data path
//! may fall between them, so "take multicast from the active path" would lose some frames and
//! duplicate others. Instead the first copy is delivered, whichever path brought it, and is
//! remembered for a moment; the copy from the other path meets that memory and ends there.
//!
//! Equal frames that are really different (a host repeats its ARP request) come on the same path,
//! or in as many copies on both, and are all delivered.

/// The two ways into the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The virtio device (the standby).
    Virtio,
    /// The SR-IOV virtual function (the primary).
    Vf,
}

/// How long a copy may lag behind its twin, in milliseconds. The system's clock ticks every 10 to
/// 16 ms, so this is a few ticks; queues on the host hold a frame for microseconds.
const LAG_MS: u64 = 100;

/// How many first copies are remembered.
const SLOTS: usize = 64;

#[derive(Clone, Copy)]
struct First {
    digest: u64,
    from: Path,
    seen_ms: u64,
}

/// First copies whose twins may still come.
pub struct Copies {
    firsts: [Option<First>; SLOTS],
    oldest: usize,
}

impl Copies {
    /// Nothing remembered.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            firsts: [None; SLOTS],
            oldest: 0,
        }
    }

    /// Whether the frame with this digest, which came by `from` at `now_ms`, is the second copy of
    /// one that was delivered before. If not, it is a first copy and is remembered.
    pub fn is_second(&mut self, from: Path, digest: u64, now_ms: u64) -> bool {
        let twin = self.firsts.iter_mut().find(|slot| {
            slot.is_some_and(|first| {
                first.digest == digest
                    && first.from != from
                    && now_ms.saturating_sub(first.seen_ms) <= LAG_MS
            })
        });
        if let Some(slot) = twin {
            *slot = None;
            return true;
        }
        self.remember(First {
            digest,
            from,
            seen_ms: now_ms,
        });
        false
    }

    /// Overwrites the oldest memory.
    fn remember(&mut self, first: First) {
        if let Some(slot) = self.firsts.get_mut(self.oldest) {
            *slot = Some(first);
        }
        self.oldest = self.oldest.wrapping_add(1).checked_rem(SLOTS).unwrap_or(0);
    }
}

/// The shortest frame on the wire, without FCS: a shorter one is padded with zeros, and which path
/// keeps the padding is its own affair.
const MIN_FRAME: usize = 60;

/// Digests a frame that comes in pieces.
#[derive(Clone, Copy)]
pub struct Digest {
    state: u64,
    len: usize,
}

impl Digest {
    /// The digest of no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: 0xcbf2_9ce4_8422_2325,
            len: 0,
        }
    }

    /// Adds `bytes`. How they are cut into pieces makes no difference (FNV-1a).
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = (self.state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// The digest of the frame, as if it were padded.
    #[must_use]
    pub fn value(mut self) -> u64 {
        let missing = MIN_FRAME.saturating_sub(self.len);
        self.add([0; MIN_FRAME].get(..missing).unwrap_or_default());
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::Path::{Vf, Virtio};
    use super::*;

    #[test]
    fn the_first_copy_counts_whichever_path_it_took() {
        for (first, second) in [(Vf, Virtio), (Virtio, Vf)] {
            let mut copies = Copies::new();
            assert!(!copies.is_second(first, 7, 0));
            assert!(copies.is_second(second, 7, 1));
        }
    }

    #[test]
    fn repetitions_on_one_path_are_all_delivered() {
        let mut copies = Copies::new();
        assert!(!copies.is_second(Vf, 7, 0));
        assert!(!copies.is_second(Vf, 7, 1));
        assert!(copies.is_second(Virtio, 7, 2));
        assert!(copies.is_second(Virtio, 7, 3));
        assert!(!copies.is_second(Virtio, 7, 4));
    }

    #[test]
    fn a_twin_that_never_came_is_forgotten() {
        let mut copies = Copies::new();
        for now in 0..10 {
            assert!(!copies.is_second(Vf, 7, now));
        }
        assert!(!copies.is_second(Virtio, 7, 10 + LAG_MS));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut copies = Copies::new();
        for digest in 0..=SLOTS as u64 {
            assert!(!copies.is_second(Vf, digest, 0));
        }
        assert!(
            !copies.is_second(Virtio, 0, 0),
            "the oldest was overwritten"
        );
        assert!(copies.is_second(Virtio, SLOTS as u64, 0));
    }

    #[test]
    fn a_digest_does_not_depend_on_the_cut() {
        let (mut whole, mut cut) = (Digest::new(), Digest::new());
        whole.add(b"broadcast");
        cut.add(b"broad");
        cut.add(b"cast");
        assert_eq!(whole.value(), cut.value());
    }

    #[test]
    fn a_frame_and_its_padded_twin_have_one_digest() {
        let (mut short, mut padded, mut other) = (Digest::new(), Digest::new(), Digest::new());
        short.add(&[7; 42]);
        padded.add(&[7; 42]);
        padded.add(&[0; 18]);
        other.add(&[7; 43]);
        assert_eq!(short.value(), padded.value());
        assert_ne!(short.value(), other.value());
    }
}
