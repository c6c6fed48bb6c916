//! Work that one CPU at a time does, for all who want it done.

use core::sync::atomic::{AtomicBool, Ordering};

/// Who finds the work being done by somebody else leaves it to them, and can be sure that they
/// look again.
pub struct Turns {
    taken: AtomicBool,
    wanted: AtomicBool,
}

impl Turns {
    /// Nobody is at work.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
        }
    }

    /// Does `work`, again and again while somebody else has wanted it meanwhile, or leaves it to
    /// who is at it. `work` says whether to stop even then; so does this.
    ///
    /// The wish is noted before the attempt to take the turn, and who gives the turn up looks for
    /// wishes after that: whatever the order, one of the two sees the other.
    pub fn work(&self, mut work: impl FnMut() -> bool) -> bool {
        self.wanted.store(true, Ordering::SeqCst);
        while self.wanted.load(Ordering::SeqCst) && !self.taken.swap(true, Ordering::SeqCst) {
            self.wanted.store(false, Ordering::SeqCst);
            let stop = work();
            self.taken.store(false, Ordering::SeqCst);
            if stop {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_wish_made_during_the_work_is_granted_by_the_worker() {
        let turns = Turns::new();
        let mut rounds = 0;
        let stopped = turns.work(|| {
            rounds += 1;
            if rounds == 1 {
                assert!(!turns.work(|| panic!("the turn is taken")));
            }
            false
        });
        assert_eq!((stopped, rounds), (false, 2));
    }

    #[test]
    fn work_that_stops_gives_the_turn_up() {
        let turns = Turns::new();
        assert!(turns.work(|| true));
        assert!(turns.work(|| true));
    }

    #[test]
    fn no_wish_is_lost_between_threads() {
        const WISHES: u32 = 20_000;
        let (turns, asked, seen) = (Turns::new(), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..WISHES {
                        asked.fetch_add(1, Ordering::SeqCst);
                        turns.work(|| {
                            seen.store(asked.load(Ordering::SeqCst), Ordering::SeqCst);
                            false
                        });
                    }
                });
            }
        });
        assert_eq!(seen.load(Ordering::SeqCst), 4 * WISHES);
    }
}
