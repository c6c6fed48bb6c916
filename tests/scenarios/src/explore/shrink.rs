//! Reduces the schedule of a failure to choices that are all needed for it.
//!
//! Delta debugging: parts of the list are left out, larger ones first, as long as the run still
//! fails in the same way.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ndis_host::sched::choices::{Choice, Log, Plan};

use super::Failure;
use super::outcome::{Outcome, Symptom};
use super::server::Server;

/// Most choices of a schedule that can be reduced.
const MOST_CHOICES: usize = 1 << 20;
/// Real time after which the list is good enough.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is left of a schedule.
pub(super) struct Reduced {
    /// How many choices the run made.
    pub(super) before: usize,
    /// Those that it takes.
    pub(super) choices: Vec<Choice>,
    /// How many runs that took.
    pub(super) runs: u64,
    /// Whether no single one can be left out; else the time was over.
    pub(super) is_minimal: bool,
    /// The run with these choices, each of which it tells.
    pub(super) outcome: Outcome,
}

/// Reduces the schedule of `failure`, which was run with `only` these choices if they are given.
pub(super) fn reduce(
    server: &Server,
    failure: &Failure,
    only: Option<Vec<Choice>>,
) -> Result<Reduced> {
    let symptom = failure.outcome.symptom();
    let started = Instant::now();
    let all = written_down(server, failure, only, &symptom)?;
    // A run that goes on for much longer than the failure took does not fail in the same way.
    let limit = started.elapsed() * 3 + Duration::from_millis(300);
    let limit = if symptom == Symptom::TimeOut {
        server.limit()
    } else {
        limit
    };
    let deadline = Instant::now() + PATIENCE;
    let mut runs = 0;
    let mut still_fails = |choices: &[Choice]| {
        runs += 1;
        let plan = Plan {
            only: Some(choices.to_vec()),
            ..Plan::default()
        };
        let outcome = server.run(failure.run, &plan, limit)?;
        Ok(!outcome.is_pass() && outcome.symptom() == symptom)
    };
    let (choices, is_minimal) = minimise(all.clone(), &mut still_fails, deadline)?;
    let plan = Plan {
        only: Some(choices.clone()),
        told: true,
        ..Plan::default()
    };
    let outcome = server.run(failure.run, &plan, server.limit())?;
    ensure!(
        outcome.symptom() == symptom,
        "the reduced schedule does not fail again: the run is not the same twice"
    );
    Ok(Reduced {
        before: all.len(),
        choices,
        runs,
        is_minimal,
        outcome,
    })
}

/// The choices that the failed run makes.
fn written_down(
    server: &Server,
    failure: &Failure,
    only: Option<Vec<Choice>>,
    symptom: &Symptom,
) -> Result<Vec<Choice>> {
    let log = shared_log().context("memory for the list of choices")?;
    let plan = Plan {
        only,
        log: Some(log),
        told: false,
    };
    let again = server.run(failure.run, &plan, server.limit())?;
    ensure!(
        !again.is_pass() && again.symptom() == *symptom,
        "the run does not fail again, but ends with {}: it is not the same twice",
        again.end
    );
    log.choices()
        .with_context(|| format!("the run makes more than {MOST_CHOICES} choices"))
}

/// A log that a child process writes and this one reads. It stays for good.
fn shared_log() -> std::io::Result<Log> {
    let bytes = (MOST_CHOICES + 1) * size_of::<AtomicU64>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the system's choice.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the mapping is that long, zeroed, aligned to a page, and never unmapped.
    let words = unsafe { std::slice::from_raw_parts(base.cast(), MOST_CHOICES + 1) };
    Ok(Log::new(words))
}

/// Leaves out of `items` whatever `still_fails` can do without, until no single one is left that it
/// can, or `deadline` is past. The second value: whether it got that far.
fn minimise<T: Clone>(
    mut items: Vec<T>,
    still_fails: &mut impl FnMut(&[T]) -> Result<bool>,
    deadline: Instant,
) -> Result<(Vec<T>, bool)> {
    if items.is_empty() || still_fails(&[])? {
        return Ok((Vec::new(), true));
    }
    let mut parts = 2;
    while items.len() > 1 {
        let part = items.len().div_ceil(parts);
        let mut at = 0;
        let mut smaller = false;
        while at < items.len() {
            if Instant::now() > deadline {
                return Ok((items, false));
            }
            let end = (at + part).min(items.len());
            let rest = [&items[..at], &items[end..]].concat();
            if still_fails(&rest)? {
                items = rest;
                smaller = true;
            } else {
                at = end;
            }
        }
        if part == 1 && !smaller {
            break;
        }
        if part > 1 {
            parts = (parts * 2).min(items.len());
        } else {
            parts = items.len();
        }
    }
    Ok((items, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    #[test]
    fn only_what_is_needed_is_left() {
        let needed = [17, 400, 401, 999];
        let mut runs = 0;
        let mut fails = |items: &[u32]| {
            runs += 1;
            Ok(needed.iter().all(|item| items.contains(item)))
        };
        let (left, is_minimal) = minimise((0..1_000).collect(), &mut fails, far()).unwrap();
        assert_eq!(left, needed);
        assert!(is_minimal);
        assert!(runs < 200, "{runs} runs");
    }

    #[test]
    fn no_single_item_can_be_left_out_where_any_two_of_several_do() {
        let mut fails =
            |items: &[u32]| Ok(items.iter().filter(|item| **item % 10 == 3).count() >= 2);
        let (left, _) = minimise((0..100).collect(), &mut fails, far()).unwrap();
        assert_eq!(left.len(), 2);
    }

    #[test]
    fn what_fails_by_itself_needs_nothing() {
        let (left, _) = minimise(vec![1, 2, 3], &mut |_: &[u32]| Ok(true), far()).unwrap();
        assert!(left.is_empty());
    }

    #[test]
    fn when_the_time_is_over_the_list_still_fails() {
        let mut fails = |items: &[u32]| Ok(items.contains(&5));
        let now = Instant::now() - Duration::from_millis(1);
        let (left, is_minimal) = minimise((0..10).collect(), &mut fails, now).unwrap();
        assert!(left.contains(&5) && !is_minimal);
    }
}
