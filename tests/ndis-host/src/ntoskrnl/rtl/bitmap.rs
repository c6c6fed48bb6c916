//! Bit maps.

use crate::ntoskrnl::enter;
use crate::sched::HIGH_LEVEL;
use crate::verifier;

/// Not found.
const NONE: u32 = u32::MAX;

/// RTL_BITMAP.
#[repr(C)]
struct Bitmap {
    /// Bits.
    size: u32,
    words: *mut u32,
}

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlInitializeBitMap", initialize as *const ()),
        ("RtlSetBits", set_bits as *const ()),
        ("RtlClearBits", clear_bits as *const ()),
        ("RtlSetAllBits", set_all as *const ()),
        ("RtlClearAllBits", clear_all as *const ()),
        ("RtlSetBit", set_bit as *const ()),
        ("RtlClearBit", clear_bit as *const ()),
        ("RtlTestBit", test_bit as *const ()),
        ("RtlFindClearBits", find_clear as *const ()),
        ("RtlFindClearBitsAndSet", find_clear_and_set as *const ()),
        ("RtlNumberOfSetBits", count as *const ()),
        ("RtlAreBitsSet", are_set as *const ()),
        ("RtlAreBitsClear", are_clear as *const ()),
    ]
}

impl Bitmap {
    /// # Safety
    ///
    /// As for each routine below: `map` was initialised and its buffer holds its bits.
    unsafe fn of<'a>(call: &str, map: *mut Self) -> &'a mut Self {
        enter(call, HIGH_LEVEL);
        // SAFETY: by contract.
        unsafe { &mut *map }
    }

    fn get(&self, bit: u32) -> bool {
        // SAFETY: the callers below stay within `size`.
        let word = unsafe { self.words.add(bit as usize / 32).read() };
        word & 1 << (bit % 32) != 0
    }

    fn put(&mut self, bit: u32, set: bool) {
        // SAFETY: as above.
        unsafe {
            let word = self.words.add(bit as usize / 32);
            let mask = 1 << (bit % 32);
            *word = if set { *word | mask } else { *word & !mask };
        }
    }

    /// A range outside of the map would write over what follows it.
    fn fill(&mut self, call: &str, start: u32, count: u32, set: bool) {
        let end = u64::from(start) + u64::from(count);
        verifier::insist(214, end <= u64::from(self.size), || {
            format!("{call}: bits {start}..{end} of a map of {}", self.size)
        });
        (start..start + count).for_each(|bit| self.put(bit, set));
    }

    fn are(&self, start: u32, count: u32, set: bool) -> bool {
        let end = u64::from(start) + u64::from(count);
        count > 0
            && end <= u64::from(self.size)
            && (start..start + count).all(|bit| self.get(bit) == set)
    }

    /// The first `count` clear bits at or after `hint`, or else from the beginning.
    fn find(&self, count: u32, hint: u32) -> Option<u32> {
        let last = self.size.checked_sub(count)?;
        if count == 0 {
            return Some(0);
        }
        let from = if hint > last { 0 } else { hint };
        (from..=last)
            .chain(0..from)
            .find(|&start| self.are(start, count, false))
    }
}

unsafe extern "efiapi" fn initialize(map: *mut Bitmap, words: *mut u32, size: u32) {
    enter("RtlInitializeBitMap", HIGH_LEVEL);
    // SAFETY: the caller gives a place for the header.
    unsafe { map.write(Bitmap { size, words }) };
}

unsafe extern "efiapi" fn set_bits(map: *mut Bitmap, start: u32, count: u32) {
    const CALL: &str = "RtlSetBits";
    // SAFETY: the caller's map.
    unsafe { Bitmap::of(CALL, map) }.fill(CALL, start, count, true);
}

unsafe extern "efiapi" fn clear_bits(map: *mut Bitmap, start: u32, count: u32) {
    const CALL: &str = "RtlClearBits";
    // SAFETY: the caller's map.
    unsafe { Bitmap::of(CALL, map) }.fill(CALL, start, count, false);
}

unsafe extern "efiapi" fn set_all(map: *mut Bitmap) {
    const CALL: &str = "RtlSetAllBits";
    // SAFETY: the caller's map.
    let map = unsafe { Bitmap::of(CALL, map) };
    map.fill(CALL, 0, map.size, true);
}

unsafe extern "efiapi" fn clear_all(map: *mut Bitmap) {
    const CALL: &str = "RtlClearAllBits";
    // SAFETY: the caller's map.
    let map = unsafe { Bitmap::of(CALL, map) };
    map.fill(CALL, 0, map.size, false);
}

unsafe extern "efiapi" fn set_bit(map: *mut Bitmap, bit: u32) {
    const CALL: &str = "RtlSetBit";
    // SAFETY: the caller's map.
    unsafe { Bitmap::of(CALL, map) }.fill(CALL, bit, 1, true);
}

unsafe extern "efiapi" fn clear_bit(map: *mut Bitmap, bit: u32) {
    const CALL: &str = "RtlClearBit";
    // SAFETY: the caller's map.
    unsafe { Bitmap::of(CALL, map) }.fill(CALL, bit, 1, false);
}

unsafe extern "efiapi" fn test_bit(map: *mut Bitmap, bit: u32) -> u8 {
    // SAFETY: the caller's map.
    let map = unsafe { Bitmap::of("RtlTestBit", map) };
    u8::from(map.are(bit, 1, true))
}

unsafe extern "efiapi" fn find_clear(map: *mut Bitmap, count: u32, hint: u32) -> u32 {
    // SAFETY: the caller's map.
    let map = unsafe { Bitmap::of("RtlFindClearBits", map) };
    map.find(count, hint).unwrap_or(NONE)
}

unsafe extern "efiapi" fn find_clear_and_set(map: *mut Bitmap, count: u32, hint: u32) -> u32 {
    const CALL: &str = "RtlFindClearBitsAndSet";
    // SAFETY: the caller's map.
    let map = unsafe { Bitmap::of(CALL, map) };
    let found = map.find(count, hint);
    if let Some(start) = found {
        map.fill(CALL, start, count, true);
    }
    found.unwrap_or(NONE)
}

unsafe extern "efiapi" fn count(map: *mut Bitmap) -> u32 {
    // SAFETY: the caller's map.
    let map = unsafe { Bitmap::of("RtlNumberOfSetBits", map) };
    (0..map.size).filter(|&bit| map.get(bit)).count() as u32
}

unsafe extern "efiapi" fn are_set(map: *mut Bitmap, start: u32, count: u32) -> u8 {
    // SAFETY: the caller's map.
    u8::from(unsafe { Bitmap::of("RtlAreBitsSet", map) }.are(start, count, true))
}

unsafe extern "efiapi" fn are_clear(map: *mut Bitmap, start: u32, count: u32) -> u8 {
    // SAFETY: the caller's map.
    u8::from(unsafe { Bitmap::of("RtlAreBitsClear", map) }.are(start, count, false))
}
