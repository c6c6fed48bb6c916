//! Faults that the host injects: allocations that fail although there is memory.
//!
//! Rule 302: every allocation site must survive failing once. A run either fails one in so many
//! allocations by seed, or the one with a given number.

use crate::sched::{self, BatonCell};
use crate::verifier;

/// Which allocations fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    /// None.
    #[default]
    Never,
    /// One in this many, by seed.
    OneIn(u64),
    /// The one with this number, counted from zero since the setting.
    Nth(u64),
}

struct State {
    faults: Faults,
    count: u64,
}

static STATE: BatonCell<State> = BatonCell::new(State {
    faults: Faults::Never,
    count: 0,
});

/// Sets which allocations fail from now on.
pub fn set(faults: Faults) {
    STATE.with(|state| *state = State { faults, count: 0 });
}

/// How many allocations could have failed since [`set`].
pub fn sites() -> u64 {
    STATE.with(|state| state.count)
}

/// Whether the allocation in `call` fails.
pub(crate) fn allocation_fails(call: &str) -> bool {
    let (faults, number) = STATE.with(|state| {
        state.count += 1;
        (state.faults, state.count - 1)
    });
    let fails = match faults {
        Faults::Never => false,
        Faults::OneIn(one_in) => sched::chance(one_in),
        Faults::Nth(nth) => number == nth,
    };
    if fails {
        verifier::note(format!("fault injected: {call} fails (site {number})"));
    }
    fails
}
