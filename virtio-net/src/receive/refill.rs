//! When the device is shown the buffers that it is given back.
//!
//! To show it one is a full fence, a look whether it wants to be told, and often a doorbell, which
//! costs more than all else about a buffer. Protocols that hold received frames give them back one
//! by one; so they wait in the ring until there are some. A device that does not have many left is
//! shown them at once.

/// How many buffers wait in a queue, lent to the device but not yet shown to it.
#[derive(Clone, Copy, Debug)]
pub struct Refill {
    batch: u16,
    low: u16,
    held: u16,
}

impl Refill {
    /// The most buffers that wait.
    const MOST: u16 = 32;

    /// For a queue that has `buffers` in all, of which the longest frame takes `spanned`.
    #[must_use]
    pub const fn new(buffers: u16, spanned: u16) -> Self {
        let some = buffers / 8;
        let half = buffers / 2;
        Self {
            batch: if some < Self::MOST { some } else { Self::MOST },
            low: if half > spanned { half } else { spanned },
            held: 0,
        }
    }

    /// A buffer was added to the queue.
    pub const fn added(&mut self) {
        self.held = self.held.saturating_add(1);
    }

    /// Whether to publish now, with `in_flight` buffers in the queue, those that wait included.
    ///
    /// Asked after buffers were added, and also after buffers were taken out: what was thought to be
    /// with the device may turn out to have been used, and a device that lacks buffers brings no more
    /// news. [`published`](Self::published) follows.
    #[must_use]
    pub const fn is_due(&self, in_flight: u16) -> bool {
        let shown = in_flight.saturating_sub(self.held);
        self.held > 0 && (self.held >= self.batch || shown < self.low)
    }

    /// The queue has been published.
    pub const fn published(&mut self) {
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_wait_while_the_device_has_plenty() {
        let mut refill = Refill::new(256, 1);
        let mut published = 0;
        for in_flight in 193..=256 {
            refill.added();
            if refill.is_due(in_flight) {
                published += 1;
                refill.published();
            }
        }
        assert_eq!(published, 2);
        assert!(!refill.is_due(256));
    }

    #[test]
    fn a_device_that_runs_low_waits_for_nothing() {
        let mut refill = Refill::new(256, 1);
        refill.added();
        assert!(!refill.is_due(129));
        // One was used meanwhile.
        assert!(refill.is_due(128));
        let mut refill = Refill::new(256, 200);
        refill.added();
        assert!(!refill.is_due(201));
        assert!(refill.is_due(200));
    }

    #[test]
    fn what_is_not_there_is_not_shown() {
        let refill = Refill::new(256, 1);
        assert!(!refill.is_due(0));
        assert!(!refill.is_due(256));
    }

    /// Whatever buffers a queue has, a device with room for the longest frame is all that is made
    /// to wait, and only for less than an eighth of the buffers.
    #[test]
    fn a_waiting_device_has_room_for_the_longest_frame() {
        for buffers in [1_u16, 2, 7, 8, 9, 15, 16, 33, 64, 100] {
            for spanned in [1, 3, 33].map(|most| buffers.min(most)) {
                for held in 1..=buffers {
                    let refill = Refill {
                        held,
                        ..Refill::new(buffers, spanned)
                    };
                    let waits = (0..=buffers).filter(|in_flight| !refill.is_due(*in_flight));
                    for in_flight in waits {
                        assert!(held < 1.max(buffers / 8), "{refill:?}");
                        assert!(in_flight - held >= spanned, "{refill:?}");
                    }
                }
            }
        }
    }
}
