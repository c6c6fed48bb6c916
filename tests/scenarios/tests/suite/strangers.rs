//! Images that are not ours to ship load, too, and pass the same judge.

use crate::process;

#[test]
fn two_small_drivers_pass_the_judge() {
    for seed in 1..=60 {
        let ended = process::strangers(seed);
        assert!(
            ended.status.success(),
            "seed {seed}:\n{}",
            ended.last_words()
        );
    }
}
