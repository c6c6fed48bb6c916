//! Fetching and decoding the instruction that faulted.

use iced_x86::{Decoder, DecoderOptions, Instruction};

use crate::memory::PAGE_SIZE;

/// Longest instruction of the processor.
const LONGEST: usize = 15;

/// Decodes the instruction at `rip`.
///
/// # Safety
///
/// `rip` must be the address of an instruction that this process was executing.
pub(super) unsafe fn instruction_at(rip: usize) -> Instruction {
    let to_page_end = PAGE_SIZE - rip % PAGE_SIZE;
    // SAFETY: the first byte of the instruction was fetched, so its page can be read.
    let instruction = unsafe { decode(rip, to_page_end.min(LONGEST)) };
    if !instruction.is_invalid() || to_page_end >= LONGEST {
        return instruction;
    }
    // SAFETY: the bytes up to the page end are no whole instruction, and the processor has
    // executed one, so the next page can be read as well.
    unsafe { decode(rip, LONGEST) }
}

/// Decodes something, which has the decoder build its tables.
pub(super) fn warm_up() {
    const NOP: [u8; 1] = [0x90];
    let decoded = Decoder::with_ip(64, &NOP, 0, DecoderOptions::NONE).decode();
    assert!(!decoded.is_invalid(), "a decoder knows this one");
}

/// # Safety
///
/// `len` bytes at `rip` must be readable.
unsafe fn decode(rip: usize, len: usize) -> Instruction {
    // SAFETY: as the caller promises.
    let bytes = unsafe { std::slice::from_raw_parts(rip as *const u8, len) };
    Decoder::with_ip(64, bytes, rip as u64, DecoderOptions::NONE).decode()
}
