//! The arithmetic of notification by index (virtio 1.2, 2.7.7 and 2.7.10).

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
}
