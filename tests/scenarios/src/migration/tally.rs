//! Turns ledgers, counters and the judge's report into the figures of a run.

use devices::wire::{LedgerReport, PhaseReport};
use neighbours::ledgers::Account;

use crate::report::{Path, Phase};
use crate::world::backend::FrameCounter;

/// Frames that each path carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) vf: u64,
    pub(super) virtio: u64,
}

impl Carried {
    /// What the devices say so far.
    pub(super) fn by(vfs: &[FrameCounter], virtio: &FrameCounter) -> Self {
        Self {
            vf: vfs.iter().map(|vf| vf()).sum(),
            virtio: virtio(),
        }
    }

    /// The path that carried more since `before`.
    pub(super) fn main_path_since(self, before: Self) -> Path {
        if self.vf - before.vf > self.virtio - before.virtio {
            Path::Vf
        } else {
            Path::Virtio
        }
    }
}

/// Where one phase ended and the next began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Border {
    pub(super) time_ns: u64,
    /// Payload bytes that had arrived.
    pub(super) moved: u64,
    pub(super) carried: Carried,
    /// Deliveries beyond the sends, and of what nobody had sent.
    pub(super) surplus: u64,
}

/// Deliveries that settle no send. A frame that nobody sent counts as a duplicate: what it
/// replaced, if anything, is lost.
pub(super) fn surplus(account: &Account) -> u64 {
    let of = |report: &LedgerReport| report.totals.duplicated + report.totals.foreign;
    of(&account.to_peer) + of(&account.to_guest)
}

/// The figures of phase `index` of the ledgers, between its borders.
pub(super) fn phase(
    name: &str,
    index: usize,
    account: &Account,
    from: Border,
    to: Border,
) -> Phase {
    let to_peer = account.to_peer.phases.get(index);
    let ways = [to_peer, account.to_guest.phases.get(index)];
    let sum = |figure: fn(&PhaseReport) -> u64| ways.iter().flatten().map(|way| figure(way)).sum();
    let frames: u64 = sum(|way| way.delivered_frames);
    let blackout_ns = ways
        .iter()
        .flatten()
        .map(|way| way.longest_gap_ns)
        .max()
        .unwrap_or(0);
    Phase {
        name: name.to_owned(),
        path: to.carried.main_path_since(from.carried),
        start_ns: from.time_ns,
        end_ns: to.time_ns,
        bytes: to.moved - from.moved,
        frames,
        lost: sum(|way| way.lost),
        duplicated: to.surplus - from.surplus,
        reordered: sum(|way| way.reordered),
        sends_reordered: to_peer.map_or(0, |way| way.reordered),
        blackout_ns,
        blackout_frames: frames_in(blackout_ns, frames, to.time_ns - from.time_ns),
    }
}

/// Frames that `gap_ns` would have carried at the mean rate of a phase.
fn frames_in(gap_ns: u64, frames: u64, phase_ns: u64) -> u64 {
    if phase_ns == 0 {
        return 0;
    }
    (u128::from(gap_ns) * u128::from(frames) / u128::from(phase_ns)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(vf: u64, virtio: u64) -> Carried {
        Carried { vf, virtio }
    }

    #[test]
    fn the_path_is_the_one_that_carried_more_in_the_phase() {
        let before = carried(100, 5);
        assert_eq!(carried(110, 6).main_path_since(before), Path::Vf);
        assert_eq!(carried(101, 50).main_path_since(before), Path::Virtio);
        assert_eq!(before.main_path_since(before), Path::Virtio);
    }

    #[test]
    fn a_phase_sums_both_ways_and_takes_the_worse_gap() {
        let way = |lost, gap| LedgerReport {
            phases: vec![
                PhaseReport::default(),
                PhaseReport {
                    delivered_frames: 50,
                    lost,
                    longest_gap_ns: gap,
                    ..PhaseReport::default()
                },
            ],
            ..LedgerReport::default()
        };
        let account = Account {
            to_peer: way(1, 20),
            to_guest: way(2, 30),
            announcements: 0,
        };
        let from = Border {
            time_ns: 100,
            moved: 10,
            surplus: 1,
            carried: carried(0, 0),
        };
        let to = Border {
            time_ns: 400,
            moved: 25,
            surplus: 4,
            carried: carried(3, 1),
        };
        let phase = phase("only", 1, &account, from, to);
        assert_eq!((phase.lost, phase.duplicated, phase.frames), (3, 3, 100));
        assert_eq!((phase.bytes, phase.path), (15, Path::Vf));
        assert_eq!((phase.blackout_ns, phase.blackout_frames), (30, 10));
    }
}
