//! The arithmetic of notification by index (virtio 1.2, 2.7.7, 2.7.10 and 2.8.10).

/// Whether one of the entries `old..new` is entry `event`, all counted modulo 65536.
///
/// One side writes into `event` the index of the entry whose arrival it wants to hear of; the other
/// side has moved its index from `old` to `new` and asks whether to send a notification.
#[inline]
#[must_use]
pub const fn crosses_event(event: u16, old: u16, new: u16) -> bool {
    let entries_after_event = new.wrapping_sub(event).wrapping_sub(1);
    let entries_added = new.wrapping_sub(old);
    entries_after_event < entries_added
}

/// The wrap counter in a place of a packed ring; the offset is in the other bits.
const WRAP: u16 = 1 << 15;

/// Whether one of the places `old..new` of a packed ring of `size` is place `event`.
///
/// Each is an offset with the wrap counter in bit 15. From `old` to `new` are at most `size` places.
#[inline]
#[must_use]
pub const fn crosses_packed_event(event: u16, old: u16, new: u16, size: u16) -> bool {
    // Counted from the start of the lap that `new` is in: what has the other wrap counter lies one
    // lap back. That it could lie one lap ahead does not matter, as `old` is no more than a lap back.
    let event = in_lap_of(new, event, size);
    let old = in_lap_of(new, old, size);
    crosses_event(event, old, new & !WRAP)
}

#[inline]
const fn in_lap_of(reference: u16, place: u16, size: u16) -> u16 {
    let offset = place & !WRAP;
    if (place ^ reference) & WRAP == 0 {
        offset
    } else {
        offset.wrapping_sub(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: entry `old`, `old + 1`, ... up to before `new`; is one of them `event`?
    fn walked(event: u16, old: u16, step: u16) -> bool {
        (0..step).any(|i| old.wrapping_add(i) == event)
    }

    #[test]
    fn crossing_agrees_with_walking_the_entries() {
        for old in [0, 1, 0x7ffe, 0x7fff, 0x8000, 0xfff0, 0xffff_u16] {
            for step in 0..=40_u16 {
                for event in (0..=80_u16).map(|i| old.wrapping_sub(20).wrapping_add(i)) {
                    let new = old.wrapping_add(step);
                    assert_eq!(
                        crosses_event(event, old, new),
                        walked(event, old, step),
                        "{event}: {old}..{new}"
                    );
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "long, and nothing of it is unsafe")]
    fn crossing_agrees_for_the_largest_step_and_every_event() {
        const STEP: u16 = 1 << 15;
        for event in 0..=u16::MAX {
            let expected = event.wrapping_sub(0xc000) < STEP;
            assert_eq!(
                crosses_event(event, 0xc000, 0xc000_u16.wrapping_add(STEP)),
                expected
            );
        }
    }

    /// The definition: `steps` places from `old` on; is one of them `event`?
    fn walked_packed(event: u16, old: u16, steps: u16, size: u16) -> (bool, u16) {
        let (mut place, mut crossed) = (old, false);
        for _ in 0..steps {
            crossed |= place == event;
            let lap = place & WRAP;
            let next = (place & !WRAP) + 1;
            place = if next == size { lap ^ WRAP } else { lap | next };
        }
        (crossed, place)
    }

    #[test]
    fn crossing_in_a_packed_ring_agrees_with_walking_the_places() {
        for size in [1, 2, 3, 7, 8] {
            let places = || {
                [0, WRAP]
                    .into_iter()
                    .flat_map(|lap| (0..size).map(move |i| lap | i))
            };
            for old in places() {
                for steps in 0..=size {
                    for event in places() {
                        let (expected, new) = walked_packed(event, old, steps, size);
                        assert_eq!(
                            crosses_packed_event(event, old, new, size),
                            expected,
                            "{event:#x}: {old:#x}..{new:#x} of {size}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "long, and nothing of it is unsafe")]
    fn crossing_agrees_in_the_largest_packed_ring() {
        for (old, steps) in [(0, 1), (5, WRAP), (WRAP - 1, 2), (WRAP + 9, WRAP - 4)] {
            for event in (0..=u16::MAX)
                .step_by(509)
                .chain([4, 5, 6, WRAP - 1, WRAP, WRAP + 9])
            {
                let (expected, new) = walked_packed(event, old, steps, WRAP);
                assert_eq!(crosses_packed_event(event, old, new, WRAP), expected);
            }
        }
    }
}
