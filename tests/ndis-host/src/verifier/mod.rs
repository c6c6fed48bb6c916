//! The judge: breaches of numbered contract rules, and the end of a run that cannot go on.
//!
//! A breach is printed, counted and kept; the run goes on, so that one run shows as much as it
//! can, and fails at its end. What would stop Windows with a bug check ([`fatal`]) stops the host
//! as well. What Windows only recommends is [`advice`]: it is kept, and fails nothing.
//!
//! The judge also keeps a short [`note`] trail of what happened, which it prints when it ends a
//! run, and the [`watchdog`]s that turn "never" into a breach at a definite virtual time.

mod watchdog;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sched;

pub use watchdog::{SECOND_NS, Watchdog};

/// Exit code of a run that a breach failed.
pub const FAILED_EXIT: i32 = 3;
/// Length of the note trail.
const TRAIL: usize = 400;

/// One breach of a contract rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Number of the rule.
    pub rule: u16,
    /// What happened, in words, with the numbers that explain it.
    pub text: String,
    /// Virtual time of the breach.
    pub time_ns: u64,
}

/// What the judge has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every breach, in the order of time.
    pub breaches: Vec<Breach>,
    /// What was legal but not recommended.
    pub advice: Vec<Breach>,
    /// How many checks were made.
    pub checks: u64,
}

type LastWords = Box<dyn FnOnce(&Report) + Send>;

static BREACHES: Mutex<Vec<Breach>> = Mutex::new(Vec::new());
static ADVICE: Mutex<Vec<Breach>> = Mutex::new(Vec::new());
/// Rules whose advice counts as a breach.
static ENFORCED: Mutex<Vec<u16>> = Mutex::new(Vec::new());
static CHECKS: AtomicU64 = AtomicU64::new(0);
static NOTES: Mutex<VecDeque<(u64, String)>> = Mutex::new(VecDeque::new());
static LAST_WORDS: Mutex<Option<LastWords>> = Mutex::new(None);

/// What the judge looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// Everything.
    #[default]
    Thorough,
    /// Only what costs little: levels, owners, states. What copies or compares the contents of
    /// objects, and what takes longer the longer a list is, is left out.
    Light,
}

static THOROUGH: AtomicBool = AtomicBool::new(true);

/// Sets what the judge looks at.
pub(crate) fn set_checks(checks: Checks) {
    THOROUGH.store(checks == Checks::Thorough, Ordering::Relaxed);
}

/// Whether checks are to be made that copy or compare the contents of objects.
#[inline]
pub(crate) fn is_thorough() -> bool {
    THOROUGH.load(Ordering::Relaxed)
}

/// Records a breach of `rule` and lets the run go on.
pub fn breach(rule: u16, text: impl Into<String>) {
    let breach = Breach {
        rule,
        text: text.into(),
        time_ns: now(),
    };
    eprintln!(
        "rule {rule} breached: {} (at {} us)",
        breach.text,
        breach.time_ns / 1000
    );
    lock(&BREACHES).push(breach);
}

/// Records a breach of `rule` unless `holds`, and returns `holds`.
pub(crate) fn require(rule: u16, holds: bool, text: impl FnOnce() -> String) -> bool {
    CHECKS.fetch_add(1, Ordering::Relaxed);
    if !holds {
        breach(rule, text());
    }
    holds
}

/// Ends the run with a breach of `rule` unless `holds`.
pub(crate) fn insist(rule: u16, holds: bool, text: impl FnOnce() -> String) {
    CHECKS.fetch_add(1, Ordering::Relaxed);
    if !holds {
        fatal(rule, text());
    }
}

/// Records something legal that the documentation advises against.
pub fn advice(rule: u16, text: impl Into<String>) {
    lock(&ADVICE).push(Breach {
        rule,
        text: text.into(),
        time_ns: now(),
    });
}

/// Records advice about `rule` unless `holds`, or a breach if [`enforce`] says so.
pub(crate) fn should(rule: u16, holds: bool, text: impl FnOnce() -> String) {
    CHECKS.fetch_add(1, Ordering::Relaxed);
    if holds {
        return;
    }
    if lock(&ENFORCED).contains(&rule) {
        breach(rule, text());
    } else {
        advice(rule, text());
    }
}

/// Makes breaches of what is else advice about `rule`.
pub fn enforce(rule: u16) {
    lock(&ENFORCED).push(rule);
}

/// Records a breach of `rule`, runs the last-words hook and ends the process.
pub fn fatal(rule: u16, text: impl Into<String>) -> ! {
    breach(rule, text);
    print_trail();
    let hook = lock(&LAST_WORDS).take();
    if let Some(hook) = hook {
        hook(&report());
    }
    std::process::exit(FAILED_EXIT)
}

/// Sets what [`fatal`] calls before it ends the process.
pub fn on_fatal(hook: impl FnOnce(&Report) + Send + 'static) {
    *lock(&LAST_WORDS) = Some(Box::new(hook));
}

/// Keeps a line of what happened, for the trail that [`fatal`] prints.
pub fn note(text: impl Into<String>) {
    let mut notes = lock(&NOTES);
    if notes.len() == TRAIL {
        notes.pop_front();
    }
    notes.push_back((now(), text.into()));
}

/// The trail of notes, oldest first: virtual time in nanoseconds, and what happened then.
pub fn trail() -> Vec<(u64, String)> {
    lock(&NOTES).iter().cloned().collect()
}

/// What was last noted about an object, by its name, in one line.
pub fn history(object: &str) -> String {
    const LAST: usize = 8;
    let trail = trail();
    let about: Vec<_> = trail
        .iter()
        .filter(|(_, text)| text.contains(object))
        .map(|(time_ns, text)| format!(" {} us: {text};", time_ns / 1000))
        .collect();
    let from = about.len().saturating_sub(LAST);
    format!(" history of {object}:{}", about[from..].concat())
}

/// The newest note.
pub(crate) fn last_note() -> Option<String> {
    lock(&NOTES).back().map(|(_, text)| text.clone())
}

fn print_trail() {
    for (time_ns, text) in trail() {
        eprintln!("  {:>12} us  {text}", time_ns / 1000);
    }
}

/// The breaches so far.
pub fn breaches() -> Vec<Breach> {
    lock(&BREACHES).clone()
}

/// The state of the judge.
pub fn report() -> Report {
    Report {
        breaches: breaches(),
        advice: lock(&ADVICE).clone(),
        checks: CHECKS.load(Ordering::Relaxed),
    }
}

/// Exit code that the run has earned so far: 0 without a breach.
pub fn exit_code() -> i32 {
    if lock(&BREACHES).is_empty() {
        0
    } else {
        FAILED_EXIT
    }
}

/// Virtual time; zero outside a run.
fn now() -> u64 {
    if sched::is_running() { sched::now() } else { 0 }
}

/// A panic elsewhere must not silence the judge, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
