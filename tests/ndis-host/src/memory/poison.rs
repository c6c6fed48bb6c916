//! Poison: bytes that stand where somebody may not look.

/// Every byte of poison. Eight of them are no canonical address, so that a pointer read from
/// poison faults when it is followed.
pub const POISON: u8 = 0xa4;

/// The upper half of a word of poison: a pointer that was read from poison begins so.
const UPPER: u64 = 0xa4a4_a4a4;

/// Whether an address comes out of poison, with an offset or without.
pub fn is_poison(word: u64) -> bool {
    word >> 32 == UPPER
}
