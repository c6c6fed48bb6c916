//! The choices of a run as a list: written down as they are made, and made again from the list.
//!
//! A run differs from the quiet one, in which no thread is ever interrupted and nothing unusual
//! happens, by the points at which the baton moved and by the chances that came true. Each has a
//! number: every thread counts its points, and its chances; host code that runs between two steps
//! of the machine counts as one more thread. Whether one comes true depends on the seed and on that
//! number alone, not on what was drawn before. So a list of these numbers is a run, and a part of
//! the list is a run, too, which differs from the first in little else: that is what makes it
//! possible to reduce the schedule of a failure.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::baton::ContextId;
use crate::verifier;

/// Names one point or chance of a run: the thread, and which one of that thread it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    thread: ContextId,
    number: u64,
}

/// A choice that differs from what a quiet run would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    /// The baton moved at this point.
    Switch(Place),
    /// This chance came true.
    Chance(Place),
}

/// What marks a chance among the words of a [`Log`].
const CHANCE_BIT: u64 = 1 << 63;
/// Bits of the number of a place, in a word.
const NUMBER_BITS: u32 = 44;

impl Place {
    fn to_word(self) -> u64 {
        (u64::from(self.thread) << NUMBER_BITS) | self.number
    }

    fn of_word(word: u64) -> Self {
        Self {
            thread: (word >> NUMBER_BITS) as ContextId,
            number: word & ((1 << NUMBER_BITS) - 1),
        }
    }
}

impl Choice {
    fn to_word(self) -> u64 {
        match self {
            Self::Switch(place) => place.to_word(),
            Self::Chance(place) => place.to_word() | CHANCE_BIT,
        }
    }

    fn of_word(word: u64) -> Self {
        let place = Place::of_word(word & !CHANCE_BIT);
        if word & CHANCE_BIT == 0 {
            Self::Switch(place)
        } else {
            Self::Chance(place)
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, place) = match self {
            Self::Switch(place) => ('s', place),
            Self::Chance(place) => ('c', place),
        };
        write!(f, "{kind}{}.{}", place.thread, place.number)
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = |rest: &str| {
            let (thread, number) = rest.split_once('.')?;
            Some(Place {
                thread: thread.parse().ok()?,
                number: number.parse().ok()?,
            })
        };
        let choice = match text.split_at_checked(1) {
            Some(("s", rest)) => place(rest).map(Self::Switch),
            Some(("c", rest)) => place(rest).map(Self::Chance),
            _ => None,
        };
        choice.ok_or_else(|| format!("`{text}` is no choice: s or c, a thread, a dot, a number"))
    }
}

/// Where the choices of a run are written down: memory that outlives the process of the run, so
/// that the list is there however the run ends.
#[derive(Clone, Copy)]
pub struct Log {
    /// The number of choices, and then the choices.
    words: &'static [AtomicU64],
}

impl Log {
    /// A log in `words`, all zero. Its length limits the number of choices that it can hold.
    ///
    /// # Panics
    ///
    /// When there is no room for even one choice.
    #[must_use]
    pub fn new(words: &'static [AtomicU64]) -> Self {
        assert!(words.len() > 1, "a log without room");
        Self { words }
    }

    /// Makes it empty.
    pub fn clear(&self) {
        self.words[0].store(0, Ordering::Relaxed);
    }

    /// What was written down; `None` when there was more than it could hold.
    #[must_use]
    pub fn choices(&self) -> Option<Vec<Choice>> {
        let count = usize::try_from(self.words[0].load(Ordering::Relaxed)).ok()?;
        let words = self.words.get(1..count.checked_add(1)?)?;
        let choice = |word: &AtomicU64| Choice::of_word(word.load(Ordering::Relaxed));
        Some(words.iter().map(choice).collect())
    }

    fn add(&self, choice: Choice) {
        let index = self.words[0].fetch_add(1, Ordering::Relaxed) + 1;
        let word = usize::try_from(index)
            .ok()
            .and_then(|index| self.words.get(index));
        if let Some(word) = word {
            word.store(choice.to_word(), Ordering::Relaxed);
        }
    }
}

/// How the choices of the next run are made.
#[derive(Clone, Default)]
pub struct Plan {
    /// The choices to be made, all others as in a quiet run; `None`: the seed makes them.
    pub only: Option<Vec<Choice>>,
    /// Where they are written down.
    pub log: Option<Log>,
    /// Whether each is told on standard error as it is made.
    pub told: bool,
}

static NEXT: Mutex<Option<Plan>> = Mutex::new(None);

/// Sets the plan of the machine that is about to start.
pub fn plan(plan: Plan) {
    *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = Some(plan);
}

/// Makes the choices of one run.
pub(super) struct Choices {
    seed: u64,
    counts: Vec<Counts>,
    only: Option<BTreeSet<Choice>>,
    log: Option<Log>,
    told: bool,
}

/// How many of each kind a thread has had.
#[derive(Clone, Copy, Default)]
struct Counts {
    points: u64,
    chances: u64,
    draws: u64,
}

/// Make the three kinds independent of each other.
const POINT_SALT: u64 = 0x706f_696e_7400_0000;
const CHANCE_SALT: u64 = 0x6368_616e_6365_0000;
const DRAW_SALT: u64 = 0x6472_6177_0000_0000;

impl Choices {
    /// The choices of the run with this seed, by the plan that was set for it.
    pub(super) fn new(seed: u64) -> Self {
        let plan = NEXT.lock().unwrap_or_else(PoisonError::into_inner).take();
        Self::by(seed, plan.unwrap_or_default())
    }

    fn by(seed: u64, Plan { only, log, told }: Plan) -> Self {
        Self {
            seed,
            counts: Vec::new(),
            only: only.map(|only| only.into_iter().collect()),
            log,
            told,
        }
    }

    fn counts(&mut self, thread: ContextId) -> &mut Counts {
        let index = thread as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, Counts::default());
        }
        &mut self.counts[index]
    }

    /// Whether the baton moves at this point of `thread`, which it does at one in `one_in`; never
    /// for 0.
    #[inline]
    pub(super) fn switch(&mut self, thread: ContextId, one_in: u32) -> bool {
        let counts = self.counts(thread);
        counts.points += 1;
        let number = counts.points;
        let place = Place { thread, number };
        let comes_true = match &self.only {
            None => {
                one_in != 0
                    && self
                        .mix(POINT_SALT, place)
                        .is_multiple_of(u64::from(one_in))
            }
            Some(only) => only.contains(&Choice::Switch(place)),
        };
        if comes_true {
            self.write_down(Choice::Switch(place));
        }
        comes_true
    }

    /// Whether a chance of one in `one_in` comes true; never for 0.
    #[inline]
    pub(super) fn chance(&mut self, thread: ContextId, one_in: u64) -> bool {
        let counts = self.counts(thread);
        counts.chances += 1;
        let number = counts.chances;
        let place = Place { thread, number };
        let comes_true = one_in != 0
            && match &self.only {
                None => self.mix(CHANCE_SALT, place).is_multiple_of(one_in),
                Some(only) => only.contains(&Choice::Chance(place)),
            };
        if comes_true {
            self.write_down(Choice::Chance(place));
        }
        comes_true
    }

    /// A random number below `n`, which is above zero. It is no choice: no list has it.
    #[inline]
    pub(super) fn below(&mut self, thread: ContextId, n: u64) -> u64 {
        let counts = self.counts(thread);
        counts.draws += 1;
        let number = counts.draws;
        // The bias of the remainder is below 2^-32 for every `n` that is asked for here.
        self.mix(DRAW_SALT, Place { thread, number }) % n
    }

    fn write_down(&mut self, choice: Choice) {
        if let Some(log) = &self.log {
            log.add(choice);
        }
    }

    /// Whether choices are to be told as they are made.
    pub(super) fn are_told(&self) -> bool {
        self.told
    }

    /// A number that depends on all bits of the seed and of both arguments.
    #[inline]
    fn mix(&self, salt: u64, place: Place) -> u64 {
        let seed = scramble(self.seed.wrapping_add(salt));
        scramble(seed ^ place.to_word().wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// A bijection that lets every bit of its argument matter to all of the result.
#[inline]
fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Tells of a choice on standard error, with what happened last before it.
pub(super) fn tell(what: &str, place: &str) {
    let before = verifier::last_note();
    let before = before.map_or_else(String::new, |note| format!("; before it: {note}"));
    eprintln!("choice: {what}: {place}{before}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(room: usize) -> Log {
        let words: Vec<AtomicU64> = (0..=room).map(|_| AtomicU64::new(0)).collect();
        Log::new(Vec::leak(words))
    }

    fn choices(only: Option<Vec<Choice>>, log: Log) -> Choices {
        let plan = Plan {
            only,
            log: Some(log),
            told: false,
        };
        Choices::by(7, plan)
    }

    fn run(choices: &mut Choices) {
        for thread in [1, 4] {
            for _ in 0..1_000 {
                choices.switch(thread, 16);
                choices.chance(thread, 10);
                choices.chance(thread, 0);
            }
        }
    }

    fn place(thread: ContextId, number: u64) -> Place {
        Place { thread, number }
    }

    #[test]
    fn a_run_is_the_same_again_from_its_list() {
        let (first, second) = (log(1_000), log(1_000));
        run(&mut choices(None, first));
        let made = first.choices().unwrap();
        assert!((250..400).contains(&made.len()), "{}", made.len());

        run(&mut choices(Some(made.clone()), second));

        assert_eq!(second.choices().unwrap(), made);
    }

    #[test]
    fn a_part_of_the_list_is_just_that_part() {
        let written = log(100);
        let only = vec![
            Choice::Switch(place(1, 900)),
            Choice::Chance(place(4, 3)),
            Choice::Switch(place(4, 30)),
        ];
        run(&mut choices(Some(only.clone()), written));
        assert_eq!(written.choices().unwrap(), only);
    }

    #[test]
    fn what_one_thread_draws_does_not_depend_on_another() {
        let draws = |busy: u64| {
            let mut choices = Choices::by(3, Plan::default());
            for _ in 0..busy {
                choices.below(1, 100);
                choices.chance(1, 2);
            }
            [(); 20].map(|()| choices.below(2, 1_000))
        };
        assert_eq!(draws(0), draws(50));
    }

    #[test]
    fn a_log_that_is_too_short_says_so() {
        let written = log(10);
        run(&mut choices(None, written));
        assert_eq!(written.choices(), None);
        written.clear();
        assert_eq!(written.choices(), Some(Vec::new()));
    }

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        for choice in [Choice::Switch(place(12, 1)), Choice::Chance(place(0, 7))] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            assert_eq!(Choice::of_word(choice.to_word()), choice);
        }
        for text in ["", "s", "x1.1", "c-1", "s1", "é"] {
            assert!(text.parse::<Choice>().is_err(), "{text}");
        }
    }
}
