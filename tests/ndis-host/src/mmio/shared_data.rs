//! The shared user data page: clocks that drivers read without a call.

use super::Window;
use crate::ntoskrnl::time;

/// Where Windows maps the page for kernel code.
pub(super) const ADDRESS: usize = 0xFFFF_F780_0000_0000;

/// Interrupt time: three 32-bit words, low, high, high again.
const INTERRUPT_TIME: u64 = 0x08;
/// System time, in the same form.
const SYSTEM_TIME: u64 = 0x14;
/// Tick count, in the same form.
const TICK_COUNT: u64 = 0x320;
/// Size of a time.
const TIME_BYTES: u64 = 12;

/// The page; read-only.
pub(super) struct SharedData;

impl Window for SharedData {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        for (byte, at) in data.iter_mut().zip(offset..) {
            *byte = byte_at(at);
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let text = format!(
            "write of {} bytes to the shared user data page at {offset:#x}",
            data.len()
        );
        crate::verifier::fatal(83, format!("{text} (0xBE)"));
    }
}

fn byte_at(offset: u64) -> u8 {
    let clocks: [(u64, fn() -> u64); 3] = [
        (INTERRUPT_TIME, time::interrupt_time),
        (SYSTEM_TIME, time::system_time),
        (TICK_COUNT, time::tick_count),
    ];
    let hit = clocks.into_iter().find_map(|(start, clock)| {
        let at = offset.checked_sub(start).filter(|at| *at < TIME_BYTES)?;
        Some((at, clock))
    });
    let Some((at, clock)) = hit else { return 0 };
    // The third word repeats the second.
    let at = if at < 8 { at } else { at - 4 };
    clock().to_le_bytes()[at as usize]
}
