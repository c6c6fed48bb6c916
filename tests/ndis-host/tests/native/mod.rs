//! Runs a test body in processes of its own: a machine exists once per process.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test binary uses a part of this"
)]

pub(crate) mod hardware;
pub(crate) mod linked;
pub(crate) mod nic;
pub(crate) mod stack;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ndis_host::sched::{self, DpcId, Mode, Settings};
use ndis_host::{Config, verifier};

/// Names the test whose body the process runs.
const CHILD: &str = "NDIS_HOST_TEST";
/// The seed of the run.
const SEED: &str = "NDIS_HOST_SEED";
/// Set for a run on real threads. Set for the whole test program, it makes all runs such.
const FREE: &str = "NDIS_HOST_FREE";

/// The name of the test whose body this stands in.
macro_rules! here {
    () => {{
        fn place() {}
        $crate::native::test_name(place)
    }};
}
pub(crate) use here;

/// Expects the body to break a rule, over a few seeds: `breaks!(114, || ...)`.
macro_rules! breaks {
    ($rule:expr, $body:expr) => {
        $crate::native::expect_breach(&$crate::native::here!(), $rule, $body)
    };
}
pub(crate) use breaks;

/// Expects the body to break no rule, over a few seeds: `holds!(|| ...)`.
macro_rules! holds {
    ($body:expr) => {
        $crate::native::run_seeds(&$crate::native::here!(), 0..4, $body)
    };
}
pub(crate) use holds;

/// As `breaks`, in a machine with an IOMMU.
macro_rules! breaks_behind_iommu {
    ($rule:expr, $body:expr) => {{
        $crate::native::want_iommu();
        $crate::native::breaks!($rule, $body)
    }};
}
pub(crate) use breaks_behind_iommu;

/// As `holds`, in a machine with an IOMMU.
macro_rules! holds_behind_iommu {
    ($body:expr) => {{
        $crate::native::want_iommu();
        $crate::native::holds!($body)
    }};
}
pub(crate) use holds_behind_iommu;

/// Whether the machine of this process has an IOMMU whatever the seed says.
static WITH_IOMMU: AtomicBool = AtomicBool::new(false);

/// Wants an IOMMU in the machine that this process, which is a test's own, starts.
pub(crate) fn want_iommu() {
    WITH_IOMMU.store(true, Ordering::Relaxed);
}

/// The path of a test, as the test harness calls it, from a function inside of it.
pub(crate) fn test_name<T>(_place: T) -> String {
    let path = std::any::type_name::<T>();
    let path = path.strip_suffix("::place").expect("see `here`");
    let (_binary, test) = path.split_once("::").expect("a test is in a crate");
    test.to_owned()
}

/// Runs `body` once per seed; no rule may be breached.
pub(crate) fn run_seeds(test: &str, seeds: std::ops::Range<u64>, body: impl FnOnce()) {
    if is_child(test) {
        run_child(body);
    }
    for seed in seeds {
        let output = spawn(test, seed, Mode::Deterministic);
        assert!(output.status.success(), "seed {seed}:\n{}", text(&output));
    }
}

/// Runs `body` on real threads, a few times; no rule may be breached.
pub(crate) fn run_freely(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        run_child(body);
    }
    for seed in 0..4 {
        let output = spawn(test, seed, Mode::FreeRunning);
        assert!(output.status.success(), "seed {seed}:\n{}", text(&output));
    }
}

/// Runs `body` on a machine like `machine`, in either mode; no rule may be breached.
pub(crate) fn run_on(machine: &Config, test: &str, body: impl FnOnce()) {
    if is_child(test) {
        run_child_on(machine, body);
    }
    for mode in [Mode::Deterministic, Mode::FreeRunning] {
        for seed in 0..4 {
            let output = spawn(test, seed, mode);
            let said = text(&output);
            assert!(output.status.success(), "{mode:?}, seed {seed}:\n{said}");
        }
    }
}

/// Runs `body`, which breaches `rule`: the judge says so and the process fails.
pub(crate) fn expect_breach(test: &str, rule: u16, body: impl FnOnce()) {
    expect_breach_in(Mode::Deterministic, test, rule, body);
}

/// As [`expect_breach`], on real threads.
pub(crate) fn expect_breach_freely(test: &str, rule: u16, body: impl FnOnce()) {
    expect_breach_in(Mode::FreeRunning, test, rule, body);
}

fn expect_breach_in(mode: Mode, test: &str, rule: u16, body: impl FnOnce()) {
    if is_child(test) {
        run_child(body);
    }
    for seed in 0..4 {
        let output = spawn(test, seed, mode);
        let said = text(&output);
        assert_eq!(
            output.status.code(),
            Some(verifier::FAILED_EXIT),
            "seed {seed}:\n{said}"
        );
        let expected = format!("rule {rule} breached");
        assert!(
            said.contains(&expected),
            "seed {seed}: no \"{expected}\" in\n{said}"
        );
    }
}

/// Runs `body` twice with the same seed: what the judge notes is the same.
pub(crate) fn expect_replay(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        run_child(|| {
            body();
            verifier::trail()
                .iter()
                .for_each(|(time, note)| println!("{time} {note}"));
        });
    }
    for seed in 0..6 {
        let once = || spawn(test, seed, Mode::Deterministic);
        let (first, second) = (once(), once());
        assert!(first.status.success(), "seed {seed}:\n{}", text(&first));
        assert_eq!(
            text(&first),
            text(&second),
            "seed {seed} is another run the second time"
        );
    }
}

fn is_child(test: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|name| name == test)
}

fn run_child(body: impl FnOnce()) -> ! {
    run_child_on(&Config::default(), body)
}

fn run_child_on(machine: &Config, body: impl FnOnce()) -> ! {
    let seed = std::env::var(SEED)
        .expect("a seed")
        .parse()
        .expect("a number");
    // All checks in either mode: what is tested is the machine, and the judge with it.
    let config = Config {
        seed,
        ram_bytes: 64 << 20,
        settings: Settings {
            mode: if std::env::var_os(FREE).is_some() {
                Mode::FreeRunning
            } else {
                Mode::Deterministic
            },
            ..machine.settings
        },
        iommu: WITH_IOMMU.load(Ordering::Relaxed).then_some(true),
        ..*machine
    };
    ndis_host::start(&config).expect("the machine starts");
    body();
    std::process::exit(verifier::exit_code())
}

fn spawn(test: &str, seed: u64, mode: Mode) -> Output {
    let program = std::env::current_exe().expect("the test binary");
    let mut command = Command::new(program);
    if mode == Mode::FreeRunning {
        command.env(FREE, "yes");
    }
    command
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, test)
        .env(SEED, seed.to_string())
        .output()
        .expect("a child process")
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{}\n{out}{err}", output.status)
}

/// Runs `body` once as a DPC on the first CPU.
pub(crate) fn defer(body: impl FnOnce() + 'static) {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = DpcId(1 << 40 | LAST.fetch_add(1, Ordering::Relaxed));
    assert!(
        sched::queue_dpc(0, id, body),
        "each has an identity of its own"
    );
}
