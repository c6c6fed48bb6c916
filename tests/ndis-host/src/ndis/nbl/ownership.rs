//! How strictly the ownership of NBLs is enforced.

use crate::sched::{self, BatonCell};

/// How ownership is enforced (rule 94).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Nothing is poisoned, and freed memory is used again at once: for runs that measure.
    Light,
    /// Freed memory rests, and one hand-over in this many gets a stand-in.
    StandInsOneIn(u64),
}

/// One hand-over in so many gets a stand-in, unless a run says otherwise.
const USUALLY_ONE_IN: u64 = 4;

static OWNERSHIP: BatonCell<Ownership> = BatonCell::new(Ownership::StandInsOneIn(USUALLY_ONE_IN));

/// Sets how ownership is enforced from now on.
pub fn set_ownership(ownership: Ownership) {
    OWNERSHIP.with(|current| *current = ownership);
}

/// Whether checks of freed memory are left out.
pub(crate) fn is_light() -> bool {
    OWNERSHIP.with(|current| *current) == Ownership::Light
}

/// Whether the hand-over at hand gets a stand-in.
pub(crate) fn wants_stand_in() -> bool {
    match OWNERSHIP.with(|current| *current) {
        Ownership::Light => false,
        Ownership::StandInsOneIn(one_in) => sched::chance(one_in),
    }
}
