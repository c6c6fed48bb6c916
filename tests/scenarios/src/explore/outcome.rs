//! How a run ended.

use std::fmt;

/// Exit code of a run that did not pass without a breach of a rule.
pub(super) const NOT_PASSED: i32 = 1;
/// Exit code of a process in which host code panicked.
const PANICKED: i32 = 101;

/// How the process of a run ended, and what it said.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// What it wrote to standard error; kept only if it did not pass.
    pub(super) said: String,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Exit(i32),
    Signal(i32),
    /// It was ended, as it took too long.
    TimeOut,
}

/// What makes two failures the same: the first thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Symptom {
    /// A breach of this rule.
    Rule(u16),
    /// The scenario's own expectation; its text without numbers.
    Expectation(String),
    /// A panic of host code; where.
    Panic(String),
    Signal(i32),
    TimeOut,
}

impl Outcome {
    pub(super) fn is_pass(&self) -> bool {
        self.end == End::Exit(0)
    }

    /// The line that says what went wrong first.
    pub(super) fn headline(&self) -> String {
        let breach = self.said.lines().find(|line| rule_of(line).is_some());
        let last = || {
            self.said
                .lines()
                .rev()
                .find(|line| line.starts_with("error: "))
        };
        match (self.end, breach) {
            (_, Some(breach)) => breach.to_owned(),
            (End::Exit(PANICKED), None) => self.panic_line().to_owned(),
            (End::Exit(code), None) => {
                last().map_or_else(|| format!("exit code {code}"), str::to_owned)
            }
            (End::Signal(signal), None) => format!("ended by signal {signal}"),
            (End::TimeOut, None) => "it did not end in time".to_owned(),
        }
    }

    /// The rule that was breached first.
    pub(super) fn rule(&self) -> Option<u16> {
        self.said.lines().find_map(rule_of)
    }

    /// What it has in common with other runs that fail for the same reason.
    pub(super) fn symptom(&self) -> Symptom {
        if let Some(rule) = self.rule() {
            return Symptom::Rule(rule);
        }
        match self.end {
            End::Exit(PANICKED) => Symptom::Panic(self.panic_line().to_owned()),
            End::Exit(_) => Symptom::Expectation(without_numbers(&self.headline())),
            End::Signal(signal) => Symptom::Signal(signal),
            End::TimeOut => Symptom::TimeOut,
        }
    }

    fn panic_line(&self) -> &str {
        let mut lines = self.said.lines();
        lines
            .find(|line| line.contains("panicked at"))
            .unwrap_or("a panic")
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::TimeOut => f.write_str("time-out"),
        }
    }
}

/// The rule that a line says was breached.
fn rule_of(line: &str) -> Option<u16> {
    let (rule, rest) = line.strip_prefix("rule ")?.split_once(' ')?;
    rest.starts_with("breached:").then(|| rule.parse().ok())?
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: i32, said: &str) -> Outcome {
        Outcome {
            end: End::Exit(code),
            said: said.to_owned(),
        }
    }

    #[test]
    fn the_first_breach_counts_whatever_else_is_said() {
        let two = "rule 99 breached: a (at 1 us)\nrule 14 breached: b (at 2 us)\nerror: c";
        assert_eq!(outcome(3, two).symptom(), Symptom::Rule(99));
        assert_eq!(outcome(3, two).headline(), "rule 99 breached: a (at 1 us)");
    }

    #[test]
    fn numbers_do_not_make_failures_different() {
        let one = outcome(1, "at 17 us, 2 CPUs\nerror: boot, seed 4: 3 frames lost");
        let other = outcome(1, "error: boot, seed 9: 12 frames lost");
        assert_eq!(one.symptom(), other.symptom());
        let another = outcome(1, "error: boot, seed 9: 12 frames twice");
        assert_ne!(one.symptom(), another.symptom());
    }

    #[test]
    fn a_panic_is_told_from_another() {
        let said = "thread 'main' panicked at a.rs:1:2:\nno";
        let place = Symptom::Panic("thread 'main' panicked at a.rs:1:2:".to_owned());
        assert_eq!(outcome(101, said).symptom(), place);
    }
}
