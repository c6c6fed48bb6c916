//! How NDIS uses the freedom that the documentation leaves it on the data path.
//!
//! Whatever a page allows, some Windows does: lists of several callers arrive as one, come back in
//! pieces, in another order, at another level; a receive that was only shown is copied and can be
//! kept, one that could be kept is only shown. A run draws how often each of these happens, so one
//! seed is a friendly Windows, which is also the fast one, and the next a hostile one. A test sets
//! what it needs.

use crate::sched::{self, BatonCell};

/// How often NDIS does what; "one in" so many times, 0: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adversary {
    /// A callback that may be entered at DISPATCH_LEVEL is, though the level was lower.
    pub raise_one_in: u64,
    /// The DISPATCH_LEVEL bit is absent although the level is DISPATCH_LEVEL (rule 82).
    pub omit_level_bit_one_in: u64,
    /// A list is cut after this many NBLs.
    pub split_one_in: u64,
    /// A list is put into another order, where order means nothing (rules 114, 136).
    pub reorder_one_in: u64,
    /// Sends wait a moment, and go on together with those that come meanwhile.
    pub hold_sends_one_in: u64,
    /// Send completions wait a moment.
    pub hold_completions_one_in: u64,
    /// Indicated NBLs wait a moment.
    pub hold_receives_one_in: u64,
    /// Returned NBLs wait a moment.
    pub hold_returns_one_in: u64,
    /// NBLs that a miniport shows with RESOURCES are copied, and lent without it (rule 134).
    pub clear_resources_one_in: u64,
    /// NBLs that a miniport gives away are shown with RESOURCES, and returned at once.
    pub set_resources_one_in: u64,
    /// A copied frame is cut into several MDLs wherever that is legal (rule 132).
    pub fragment_one_in: u64,
    /// Flags that reach a driver have a bit that it does not know (rule 119).
    pub unknown_flags_one_in: u64,
    /// The longest time that lists wait, ns.
    pub longest_hold_ns: u64,
}

/// Odds that a run may draw: from never to every other time.
const ODDS: [u64; 5] = [0, 2, 4, 12, 40];
/// One run in so many is hostile, the others are [`Adversary::FRIENDLY`].
const HOSTILE_ONE_IN: u64 = 3;
/// Longest wait that a run may draw, ns.
const LONGEST_HOLD_NS: u64 = 60_000;

impl Adversary {
    /// Does everything in the plainest way: one level, one list, at once.
    pub const PLAIN: Self = Self {
        raise_one_in: 0,
        omit_level_bit_one_in: 0,
        split_one_in: 0,
        reorder_one_in: 0,
        hold_sends_one_in: 0,
        hold_completions_one_in: 0,
        hold_receives_one_in: 0,
        hold_returns_one_in: 0,
        clear_resources_one_in: 0,
        set_resources_one_in: 0,
        fragment_one_in: 0,
        unknown_flags_one_in: 0,
        longest_hold_ns: 0,
    };

    /// Passes all on at once, at either level, in parts and orders of the seed's choice.
    pub const FRIENDLY: Self = Self {
        raise_one_in: 2,
        omit_level_bit_one_in: 4,
        split_one_in: 6,
        reorder_one_in: 3,
        ..Self::PLAIN
    };

    /// Does everything that is allowed, every other time.
    pub const HARSH: Self = Self {
        raise_one_in: 2,
        omit_level_bit_one_in: 2,
        split_one_in: 2,
        reorder_one_in: 2,
        hold_sends_one_in: 3,
        hold_completions_one_in: 3,
        hold_receives_one_in: 3,
        hold_returns_one_in: 3,
        clear_resources_one_in: 2,
        set_resources_one_in: 3,
        fragment_one_in: 2,
        unknown_flags_one_in: 2,
        longest_hold_ns: LONGEST_HOLD_NS,
    };

    /// What the seed of the run makes of it.
    #[must_use]
    pub fn from_seed() -> Self {
        if !sched::chance(HOSTILE_ONE_IN) {
            return Self::FRIENDLY;
        }
        let odds = || ODDS[sched::random_below(ODDS.len() as u64) as usize];
        Self {
            split_one_in: odds(),
            reorder_one_in: odds(),
            hold_sends_one_in: odds(),
            hold_completions_one_in: odds(),
            hold_receives_one_in: odds(),
            hold_returns_one_in: odds(),
            clear_resources_one_in: odds(),
            set_resources_one_in: odds(),
            fragment_one_in: odds(),
            unknown_flags_one_in: odds(),
            longest_hold_ns: 1 + sched::random_below(LONGEST_HOLD_NS),
            ..Self::FRIENDLY
        }
    }
}

static CURRENT: BatonCell<Option<Adversary>> = BatonCell::new(None);

/// Sets how NDIS behaves from now on.
pub fn set(adversary: Adversary) {
    CURRENT.with(|current| *current = Some(adversary));
}

/// How NDIS behaves: what was set, or what the seed chooses at the first look.
pub fn current() -> Adversary {
    if let Some(adversary) = CURRENT.with(|current| *current) {
        return adversary;
    }
    let adversary = Adversary::from_seed();
    set(adversary);
    adversary
}

/// Whether something that comes true once in `pick` times does now.
pub(crate) fn does(pick: impl FnOnce(&Adversary) -> u64) -> bool {
    sched::chance(pick(&current()))
}
