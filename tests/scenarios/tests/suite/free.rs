//! Cases on real threads: those that do not need more than this machine can do in real time.

use crate::process;

fn passes_freely(name: &str) {
    let image = process::image();
    for seed in 1..=2 {
        let ended = process::scenario_with(name, seed, &image, &["--free"]);
        assert!(
            ended.status.success(),
            "{name}, seed {seed}:\n{}",
            ended.last_words()
        );
    }
}

#[test]
fn boot_runs_freely() {
    passes_freely("boot");
}

#[test]
fn failover_runs_freely() {
    passes_freely("vf_first");
    passes_freely("vf_comes_and_goes");
}

#[test]
fn removal_runs_freely() {
    passes_freely("vf_surprise");
    passes_freely("disable_enable");
}
