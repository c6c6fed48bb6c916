//! What a seed stands for.

use crate::cases;
use crate::world::Draws;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Its seed.
    pub(super) seed: u64,
    /// Its case.
    pub(super) case: &'static str,
}

impl Run {
    /// The run of a seed; of the case of this name, if one is given.
    pub(super) fn of(seed: u64, case: Option<&str>) -> Self {
        let named = case.and_then(|case| cases::NAMES.iter().find(|name| **name == case));
        // A stream of its own, so that the case says nothing about the settings of the machine.
        let drawn = || cases::drawn(Draws::new(!seed).below(u64::MAX));
        Self {
            seed,
            case: named.copied().unwrap_or_else(drawn),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_case_and_all_are_drawn() {
        let drawn = || (0..20_000).map(|seed| Run::of(seed, None).case);
        assert!(drawn().eq(drawn()));
        let different: BTreeSet<_> = drawn().collect();
        // One takes too long to be drawn.
        assert_eq!(different.len(), cases::NAMES.len() - 1);
    }

    #[test]
    fn a_named_case_is_run_whatever_the_seed() {
        assert!((0..50).all(|seed| Run::of(seed, Some("boot")).case == "boot"));
    }
}
