//! Callgrind: that it is there, and its output.

use std::io::BufRead;
use std::ops::Range;

use anyhow::{Context, Result, ensure};

use crate::tool::Tool;

/// Makes sure that there is valgrind; installs it if that is possible.
///
/// # Errors
///
/// It is missing, and only an administrator can install it, or the installation fails.
pub(super) fn require_valgrind() -> Result<()> {
    const INSTALL: [&str; 3] = ["install", "--yes", "valgrind"];
    if Tool::new("valgrind").arg("--version").output().is_ok() {
        return Ok(());
    }
    let user = Tool::new("id").arg("--user").output()?;
    ensure!(
        user.trim() == "0",
        "this needs valgrind; install it with: apt-get install valgrind"
    );
    Tool::new("apt-get").arg("update").show_errors().output()?;
    let install = Tool::new("apt-get").args(INSTALL).show_errors().output();
    install.map(drop).context("valgrind is missing")
}

/// The sum of an event over a whole profile. `None`: it does not count that event.
pub(super) fn sum(profile: &str, event: &str) -> Option<u64> {
    let after = |name| profile.lines().find_map(|line| line.strip_prefix(name));
    let events = after("events: ")?.split_ascii_whitespace();
    let index = events.into_iter().position(|word| word == event)?;
    // Zeroes at the end of the line are left out.
    let word = after("totals: ")?.split_ascii_whitespace().nth(index);
    word.map_or(Some(0), |word| word.parse().ok())
}

/// Instructions inside and outside of a range of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// Inside.
    pub(super) inside: u64,
    /// Outside.
    pub(super) outside: u64,
}

impl Split {
    /// What this has more than `less`.
    pub(super) fn beyond(self, less: Self) -> Self {
        Self {
            inside: self.inside.saturating_sub(less.inside),
            outside: self.outside.saturating_sub(less.outside),
        }
    }
}

/// Adds up the cost lines of a profile with absolute instruction addresses
/// (`--dump-instr=yes --compress-pos=no`): `address line cost`. The line behind a `calls=` line is
/// what the callee took altogether, and counted there.
///
/// # Errors
///
/// The profile can't be read, or a cost line is not one.
pub(super) fn split(profile: impl BufRead, range: &Range<u64>) -> Result<Split> {
    let mut split = Split::default();
    let mut is_inclusive = false;
    for line in profile.lines() {
        let line = line.context("reading a profile")?;
        if line.starts_with("calls=") {
            is_inclusive = true;
            continue;
        }
        let Some(cost) = line.strip_prefix("0x") else {
            continue;
        };
        if std::mem::take(&mut is_inclusive) {
            continue;
        }
        let (address, instructions) =
            cost_line(cost).with_context(|| format!("profile line `{line}`"))?;
        if range.contains(&address) {
            split.inside += instructions;
        } else {
            split.outside += instructions;
        }
    }
    Ok(split)
}

/// The address and the cost of `address line cost`.
fn cost_line(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let cost = words.nth(1).map_or(Some(0), |cost| cost.parse().ok())?;
    Some((address, cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
positions: instr line
events: Ir

fn=(1) main
0x1000 7 10
0x1004 7 2
calls=3 0x8000 0
0x1008 8 999
0x100c 8 1

fn=(2) ???
0x8000 0 5
0x8ffc 0 4
totals: 22
";

    #[test]
    fn each_instruction_counts_once_and_where_it_is() {
        let split = split(PROFILE.as_bytes(), &(0x8000..0x9000)).unwrap();
        assert_eq!((split.inside, split.outside), (9, 13));
    }

    #[test]
    fn sums_are_found_by_the_name_of_the_event() {
        let profile = "version: 1\nevents: Ir Ge\nsummary: 7 8\n0x1000 7 10\ntotals: 10 3\n";
        assert_eq!(sum(profile, "Ir"), Some(10));
        assert_eq!(sum(profile, "Ge"), Some(3));
        assert_eq!(sum(profile, "Dr"), None);
        assert_eq!(sum("events: Ir Ge\ntotals: 5\n", "Ge"), Some(0));
    }

    #[test]
    fn a_line_that_is_no_cost_line_is_an_error() {
        assert!(split("0x10 7 many\n".as_bytes(), &(0..1)).is_err());
    }
}
