//! Guarded memory of the guest: what NDIS allocates for drivers.
//!
//! Behind each piece is a guard that nobody may write. A piece that is freed is filled with
//! poison and rests for a while before its memory is used again, so that who still reads it reads
//! nonsense, and who still writes it is found out (the VERIFY flag of NBL pools, rule 88).

use std::collections::VecDeque;
use std::ptr::NonNull;

use super::ownership;
use crate::sched::BatonCell;
use crate::{memory, verifier};

/// Alignment of pieces: MEMORY_ALLOCATION_ALIGNMENT on a 64-bit system.
pub(crate) const ALIGNMENT: u16 = 16;
/// Bytes behind every piece that nobody may write.
const GUARD: usize = 32;
const GUARD_BYTE: u8 = 0xfd;
/// What freed memory is filled with.
const FREED_BYTE: u8 = 0xdd;
/// What fresh data is filled with: a driver must not count on zeros.
const FRESH_BYTE: u8 = 0xcd;
/// Most pieces that rest, and most bytes.
const MOST_RESTING: usize = 256;
const MOST_RESTING_BYTES: usize = 1 << 20;

/// Guarded memory of the guest.
pub(crate) struct Piece {
    start: NonNull<u8>,
    length: usize,
    what: &'static str,
    /// The rule that a write after the release breaks.
    rule: u16,
}

// SAFETY: a piece is plain memory; the baton orders its users.
unsafe impl Send for Piece {}

struct Resting {
    pieces: VecDeque<(Piece, &'static str)>,
    bytes: usize,
}

static RESTING: BatonCell<Resting> = BatonCell::new(Resting {
    pieces: VecDeque::new(),
    bytes: 0,
});

impl Piece {
    /// Allocates `length` bytes, aligned to 16.
    pub(crate) fn allocate(length: usize, what: &'static str) -> Option<Self> {
        let start = memory::allocate(length + GUARD, usize::from(ALIGNMENT))?;
        // SAFETY: fresh memory of that length.
        unsafe {
            start.as_ptr().write_bytes(FRESH_BYTE, length);
            start.as_ptr().add(length).write_bytes(GUARD_BYTE, GUARD);
        }
        Some(Self {
            start,
            length,
            what,
            rule: 94,
        })
    }

    /// Names the rule that is broken by who writes the piece after its release; else rule 94.
    pub(crate) fn with_rule(mut self, rule: u16) -> Self {
        self.rule = rule;
        self
    }

    /// The first byte.
    pub(crate) fn pointer(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Frees it; a changed guard is a breach of rule 214.
    pub(crate) fn release(self, call: &'static str) {
        // SAFETY: the guard is part of the allocation.
        let guard =
            unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(self.length), GUARD) };
        verifier::insist(214, guard.iter().all(|byte| *byte == GUARD_BYTE), || {
            format!(
                "{call}: memory behind {} at {:p} was written",
                self.what, self.start
            )
        });
        // SAFETY: the memory is ours from here on.
        unsafe { self.start.as_ptr().write_bytes(FREED_BYTE, self.length) };
        if ownership::is_light() {
            return self.give_back();
        }
        RESTING.with(|resting| {
            resting.bytes += self.length;
            resting.pieces.push_back((self, call));
        });
        wake(MOST_RESTING, MOST_RESTING_BYTES);
    }

    fn give_back(self) {
        memory::free(self.start, self.length + GUARD, usize::from(ALIGNMENT));
    }

    /// The first byte that was written after the release.
    fn damage(&self) -> Option<usize> {
        // SAFETY: the piece is ours; who writes it now breaks a rule.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) };
        bytes.iter().position(|byte| *byte != FREED_BYTE)
    }
}

/// Whether a piece that began at `address` has been freed a while ago.
pub(crate) fn was_freed(address: usize) -> bool {
    RESTING.with(|resting| {
        let mut pieces = resting.pieces.iter();
        pieces.any(|(piece, _)| piece.start.addr().get() == address)
    })
}

/// Judges every piece that rests, and ends its rest.
pub(crate) fn check_resting() {
    wake(0, 0);
}

/// Ends the rest of the oldest pieces until the limits hold.
fn wake(pieces: usize, bytes: usize) {
    let next = || {
        RESTING.with(|resting| {
            if resting.pieces.len() <= pieces && resting.bytes <= bytes {
                return None;
            }
            let oldest = resting.pieces.pop_front()?;
            resting.bytes -= oldest.0.length;
            Some(oldest)
        })
    };
    while let Some((piece, call)) = next() {
        verifier::require(piece.rule, piece.damage().is_none(), || {
            format!(
                "{} at {:p} was written at +{:#x} after {call} had freed it",
                piece.what,
                piece.start,
                piece.damage().unwrap_or(0)
            )
        });
        piece.give_back();
    }
}
