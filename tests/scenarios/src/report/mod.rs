//! What a migration run found, and how it is told: a table for people, JSON for programs, live
//! progress, and a picture.
//!
//! [`Outcome`] holds the facts; the verdict follows from them and is stored nowhere. Times are
//! those of the run's own clock, in nanoseconds since its start.

mod details;
mod json;
mod plot;
mod progress;
mod table;
mod throughput;
mod units;

pub use details::{Details, Event};
pub use json::to_json;
pub use plot::draw;
pub use progress::Progress;
pub use table::to_table;
pub use throughput::{Bin, Throughput};

/// A data path of the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// The virtual function.
    Vf,
    /// The paravirtual device.
    Virtio,
}

impl Path {
    /// The name, as all reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vf => "vf",
            Self::Virtio => "virtio",
        }
    }
}

/// One phase of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// What happens in it, e.g. "vf withdrawn".
    pub name: String,
    /// The path that carries when the phase ends.
    pub path: Path,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// Payload bytes that reached their end, both directions.
    pub bytes: u64,
    /// Frames delivered, both directions.
    pub frames: u64,
    /// Frames that were sent and never delivered.
    pub lost: u64,
    /// Frames delivered more than once.
    pub duplicated: u64,
    /// Frames delivered after one of their flow that was sent later.
    pub reordered: u64,
    /// Those of them that the guest had sent. Only they are the driver's fault: of two frames that
    /// reach the guest by different paths, it can't tell which one was sent first.
    pub sends_reordered: u64,
    /// Longest time between two consecutive frames delivered.
    pub blackout_ns: u64,
    /// How many frames that time would have carried at the phase's mean rate.
    pub blackout_frames: u64,
}

/// All that a run found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What stood for the virtio-net device, e.g. "embedded".
    pub backend: String,
    /// Architecture of the driver image.
    pub arch: String,
    /// The seed of the run.
    pub seed: u64,
    /// The phases in order.
    pub phases: Vec<Phase>,
    /// Both directions arrived complete and unchanged.
    pub stream_intact: bool,
    /// How often the adapter reported its link as down.
    pub link_down_events: u64,
    /// Breaches of the contract with Windows.
    pub contract_breaches: u64,
    /// Allocations that were left at unload.
    pub pool_leaks: u64,
    /// What a backend of its own has to tell.
    pub details: Option<Details>,
}

/// Whether the driver did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything held.
    Pass,
    /// Something did not; [`Outcome::faults`] says what.
    Fail,
}

impl Verdict {
    /// The word, as all reports have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

impl Outcome {
    /// Pass if there is nothing to say in [`Outcome::faults`].
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.faults().is_empty() {
            Verdict::Pass
        } else {
            Verdict::Fail
        }
    }

    /// Everything that keeps the run from passing, a sentence each.
    ///
    /// A phase that moved nothing is a fault, too: it proves nothing about its path.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.phases.is_empty() {
            faults.push("no phase was run".to_owned());
        }
        for phase in &self.phases {
            faults.extend(
                phase
                    .faults()
                    .map(|fault| format!("{}: {fault}", phase.name)),
            );
        }
        if !self.stream_intact {
            faults.push("the stream did not arrive as it was sent".to_owned());
        }
        let counts = [
            (self.link_down_events, "link-down events"),
            (self.contract_breaches, "contract breaches"),
            (self.pool_leaks, "pool leaks"),
        ];
        faults.extend(counted(counts));
        faults.extend(self.details.iter().flat_map(Details::faults));
        faults
    }
}

impl Phase {
    fn faults(&self) -> impl Iterator<Item = String> {
        let idle = (self.bytes == 0).then(|| "nothing was transferred".to_owned());
        let counts = [
            (self.lost, "frames lost"),
            (self.duplicated, "frames duplicated"),
            (self.sends_reordered, "sends reordered"),
        ];
        idle.into_iter().chain(counted(counts))
    }
}

fn counted<const N: usize>(counts: [(u64, &'static str); N]) -> impl Iterator<Item = String> {
    let present = counts.into_iter().filter(|(count, _)| *count > 0);
    present.map(|(count, what)| format!("{what}: {count}"))
}

/// A run that passed, for the tests of this module's parts.
#[cfg(test)]
pub(crate) mod example {
    use super::{Outcome, Path, Phase};

    pub(crate) fn outcome() -> Outcome {
        Outcome {
            backend: "embedded".into(),
            arch: "x86_64".into(),
            seed: 1,
            phases: vec![
                phase("vf present", Path::Vf, 0),
                phase("vf withdrawn", Path::Virtio, 250_000_000),
                Phase {
                    blackout_ns: 1_234_567,
                    ..phase("vf back", Path::Vf, 500_000_000)
                },
            ],
            stream_intact: true,
            link_down_events: 0,
            contract_breaches: 0,
            pool_leaks: 0,
            details: None,
        }
    }

    pub(crate) fn phase(name: &str, path: Path, start_ns: u64) -> Phase {
        Phase {
            name: name.into(),
            path,
            start_ns,
            end_ns: start_ns + 250_000_000,
            bytes: 12_582_912,
            frames: 8_700,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            sends_reordered: 0,
            blackout_ns: 250_000,
            blackout_frames: 9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_after(change: impl FnOnce(&mut Outcome)) -> Vec<String> {
        let mut outcome = example::outcome();
        change(&mut outcome);
        let faults = outcome.faults();
        assert_eq!(outcome.verdict() == Verdict::Pass, faults.is_empty());
        faults
    }

    #[test]
    fn a_clean_run_passes() {
        assert_eq!(faults_after(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn every_fact_can_fail_the_run() {
        assert_eq!(
            faults_after(|o| o.phases[1].lost = 3),
            ["vf withdrawn: frames lost: 3"]
        );
        assert_eq!(
            faults_after(|o| o.phases[0].duplicated = 1),
            ["vf present: frames duplicated: 1"]
        );
        assert_eq!(
            faults_after(|o| o.phases[2].sends_reordered = 2),
            ["vf back: sends reordered: 2"]
        );
        assert_eq!(
            faults_after(|o| o.phases[2].bytes = 0),
            ["vf back: nothing was transferred"]
        );
        assert_eq!(
            faults_after(|o| o.link_down_events = 1),
            ["link-down events: 1"]
        );
        assert_eq!(
            faults_after(|o| o.contract_breaches = 2),
            ["contract breaches: 2"]
        );
        assert_eq!(faults_after(|o| o.pool_leaks = 4), ["pool leaks: 4"]);
        assert_eq!(
            faults_after(|o| o.stream_intact = false),
            ["the stream did not arrive as it was sent"]
        );
    }

    #[test]
    fn receives_that_overtake_each_other_are_told_and_no_fault() {
        assert_eq!(faults_after(|o| o.phases[1].reordered = 2), [""; 0]);
    }

    #[test]
    fn a_run_without_phases_proves_nothing() {
        assert_eq!(faults_after(|o| o.phases.clear()), ["no phase was run"]);
    }
}
