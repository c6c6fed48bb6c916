//! Counting: single checks, and the closing lines of test programs.

use std::fmt;

use anyhow::Result;

use crate::tool::Tool;

/// Passed and failed tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    /// What failed, for the list before the sum.
    pub(super) failures: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Tally {
    /// Something ran, and nothing failed.
    pub(super) fn is_success(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    pub(super) fn pass(&mut self) {
        self.passed += 1;
    }

    pub(super) fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.failures.extend(other.failures);
    }

    /// Counts `result` as one test; shows the error.
    pub(super) fn check<T>(&mut self, name: &str, result: Result<T>) -> Option<T> {
        println!(
            "check {name}: {}",
            if result.is_ok() { "ok" } else { "FAILED" }
        );
        match result {
            Ok(value) => {
                self.pass();
                Some(value)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                self.fail(name);
                None
            }
        }
    }

    /// Runs a `cargo test` command and counts the tests of all its test programs.
    pub(super) fn cargo_test(&mut self, name: &str, command: Tool) {
        let mut reader = Reader::default();
        let ended = command.watch(|line| reader.line(line));
        let mut found = reader.finish();
        match ended {
            // It did not compile, or a program without tests failed.
            Ok(status) if !status.success() && found.failed == 0 => found.fail(name),
            Ok(_) => {}
            Err(error) => {
                eprintln!("error: {error:#}");
                found.fail(name);
            }
        }
        self.add(found);
    }
}

/// Reads what test programs print. Each says "running N tests" and, if it gets to its end,
/// "test result: …"; one that crashes in between counts as a failed test.
#[derive(Default)]
struct Reader {
    tally: Tally,
    running: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if is_opening(line) {
            self.crashed_if_running();
            self.running = true;
        } else if let Some((passed, failed)) = result(line) {
            self.running = false;
            self.tally.passed += passed;
            self.tally.failed += failed;
        } else if let Some(name) = failed_test(line) {
            self.tally.failures.push(name.to_owned());
        }
    }

    fn finish(mut self) -> Tally {
        self.crashed_if_running();
        self.tally
    }

    fn crashed_if_running(&mut self) {
        if self.running {
            self.tally.fail("a test program that ended early");
        }
    }
}

/// `running 3 tests`
fn is_opening(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| {
        rest.strip_suffix(" tests")
            .or_else(|| rest.strip_suffix(" test"))
    });
    count.is_some_and(|count| count.parse::<u64>().is_ok())
}

/// `test result: FAILED. 3 passed; 1 failed; 0 ignored; …`
fn result(line: &str) -> Option<(u64, u64)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = counts.split("; ");
    let passed = counts.next()?.strip_suffix(" passed")?.parse().ok()?;
    let failed = counts.next()?.strip_suffix(" failed")?.parse().ok()?;
    Some((passed, failed))
}

/// `test module::name ... FAILED`
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Tally {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    #[test]
    fn the_programs_of_one_run_are_summed() {
        let tally = read(
            "\nrunning 2 tests\ntest a ... ok\ntest b::c ... FAILED\n\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n\
             \nrunning 1 test\ntest d ... ok\n\n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        );
        assert_eq!(tally.to_string(), "2 passed, 1 failed");
        assert_eq!(tally.failures, ["b::c"]);
        assert!(!tally.is_success());
    }

    #[test]
    fn a_program_that_never_sums_up_has_crashed() {
        let crashed = "running 3 tests\ntest a ... ok\n";
        let good = "running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert_eq!(read(crashed).to_string(), "0 passed, 1 failed");
        assert_eq!(
            read(&format!("{crashed}{good}")).to_string(),
            "1 passed, 1 failed"
        );
    }

    #[test]
    fn what_tests_print_is_not_taken_for_a_result() {
        let tally = read("running late\nrunning many tests\ntest result: unclear\n");
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn nothing_run_is_no_success() {
        assert!(!Tally::default().is_success());
    }

    #[test]
    fn a_command_that_can_not_run_counts_as_failed() {
        let mut tally = Tally::default();
        tally.cargo_test("missing", Tool::new("/nonexistent/program"));
        assert_eq!(tally.failures, ["missing"]);
        assert_eq!(tally.to_string(), "0 passed, 1 failed");
    }
}
