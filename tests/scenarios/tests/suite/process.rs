//! Runs the programs under test.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Real time after which a run is taken for hung.
const LIMIT: Duration = Duration::from_secs(300);

/// What a run left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The last lines of standard error: what a failed run has to say.
    pub(crate) fn last_words(&self) -> String {
        const LINES: usize = 40;
        let lines: Vec<_> = self.stderr.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    /// The rules that were breached, in the order of their breaches.
    pub(crate) fn rules(&self) -> Vec<u16> {
        let breaches = self.stderr.lines().filter_map(|line| {
            let (rule, rest) = line.strip_prefix("rule ")?.split_once(' ')?;
            rest.starts_with("breached:").then(|| rule.parse().ok())?
        });
        breaches.collect()
    }
}

/// The driver image under test.
///
/// # Panics
///
/// When nobody said where it is.
pub(crate) fn image() -> PathBuf {
    from_environment("NETKVM_SYS")
}

/// The image with the deliberate fault `name`.
pub(crate) fn mutant(name: &str) -> PathBuf {
    let folder = from_environment("NETKVM_MUTANTS");
    folder.join(name).join("x86_64").join("netkvm.sys")
}

fn from_environment(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!("{variable} is not set: run these tests with `cargo xtask test host`"),
    }
}

/// Runs the case `name` on `image`.
pub(crate) fn scenario(name: &str, seed: u64, image: &Path) -> Ended {
    scenario_with(name, seed, image, &[])
}

/// As [`scenario`], with more arguments.
pub(crate) fn scenario_with(name: &str, seed: u64, image: &Path, more: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scenario"));
    command
        .args([name, "--seed", &seed.to_string()])
        .args(more)
        .arg("--image")
        .arg(image);
    run(command)
}

/// Explores with `image`.
pub(crate) fn explore(image: &Path, more: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_explore"));
    command
        .args(more)
        .arg("--image")
        .arg(image)
        .arg("--out")
        .arg(env!("CARGO_TARGET_TMPDIR"));
    run(command)
}

/// Runs the migration on `image`.
pub(crate) fn migrate(seed: u64, image: &Path, more: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
    command
        .args(["--seed", &seed.to_string()])
        .args(more)
        .arg("--image")
        .arg(image);
    run(command)
}

/// Runs the small drivers that are not netkvm.
pub(crate) fn strangers(seed: u64) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strangers"));
    command
        .args(["--seed", &seed.to_string()])
        .arg("--drivers")
        .arg(from_environment("TEST_DRIVERS"));
    run(command)
}

/// Runs `command` to its end.
///
/// # Panics
///
/// When it does not end.
fn run(mut command: Command) -> Ended {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("a child can be ended");
            panic!("{command:?} still runs after {} s", LIMIT.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("a reader does not panic");
    Ended {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

/// Reads a pipe to its end, so that the child never waits for it.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("the pipe was asked for");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What a killed child leaves is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
