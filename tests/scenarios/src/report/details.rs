//! What a run on QEMU's devices tells besides.

use serde::Serialize;

use super::units;

/// Time that the guest may take to give its VF back, ns: the median of all migrations, since the machine
/// that this runs on does other things, too.
const MOST_EJECT_NS: u64 = 50_000_000;

/// Facts of QEMU and of its devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// QEMU's version.
    pub qemu_version: String,
    /// How the VF comes and goes: `acpi` or `native`.
    pub hotplug: String,
    /// Layout of the rings: `split` or `packed`.
    pub ring: String,
    /// What QEMU told, in order.
    pub events: Vec<Event>,
    /// From the request for the VF to its ejection, for each migration, ns.
    pub ejects_ns: Vec<u64>,
    /// How long the guest's processors stood still, for each migration, ns.
    pub stops_ns: Vec<u64>,
    /// Migrations that the destination could not take, so that the guest stayed.
    pub refused: u64,
    /// Frames that QEMU left in the socket of the machine that the guest went from. The wire has
    /// delivered them on the other host.
    pub redelivered_frames: u64,
    /// Reverse ARP requests that QEMU sent in the guest's name.
    pub announcements: u64,
    /// Doorbells for sends per 1000 frames sent.
    pub doorbells_per_1000: f64,
    /// Messages per 1000 frames, both ways.
    pub messages_per_1000: f64,
    /// Control commands per 1000 frames, both ways.
    pub commands_per_1000: f64,
    /// Control commands of the boot.
    pub boot_commands: u64,
}

/// Something that QEMU told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Which QEMU, counted from 1: the guest goes from each to the next.
    pub machine: u32,
    /// Its name, and what it is about.
    pub event: String,
    /// When, ms since the start of the run.
    pub ms: u64,
}

impl Details {
    /// What keeps the run from passing.
    pub(super) fn faults(&self) -> Vec<String> {
        let eject_ns = median(&self.ejects_ns);
        let slow = (eject_ns >= MOST_EJECT_NS).then(|| {
            format!(
                "the guest kept the VF for {} ms",
                units::milliseconds(eject_ns)
            )
        });
        slow.into_iter().collect()
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let both = |times: &[u64]| {
            let most = times.iter().max().copied().unwrap_or_default();
            let [median, most] = [median(times), most].map(units::milliseconds);
            format!("{median} ms (at most {most} ms)")
        };
        vec![
            format!(
                "QEMU {}, {} hot-plug, {} rings, migrations: {}, refused: {}",
                self.qemu_version,
                self.hotplug,
                self.ring,
                self.ejects_ns.len(),
                self.refused
            ),
            format!(
                "VF given back after {}, processors stopped for {}",
                both(&self.ejects_ns),
                both(&self.stops_ns)
            ),
            format!(
                "{} frames left by QEMU and delivered on the other host, {} announcements by QEMU",
                self.redelivered_frames, self.announcements
            ),
            format!(
                "per 1000 frames: {:.1} doorbells, {:.1} messages, {:.1} commands; {} commands at boot",
                self.doorbells_per_1000,
                self.messages_per_1000,
                self.commands_per_1000,
                self.boot_commands
            ),
        ]
    }
}

/// The one in the middle; the lower one of two.
fn median(times: &[u64]) -> u64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vf_that_is_mostly_kept_too_long_is_a_fault() {
        let mut details = Details {
            ejects_ns: vec![90_000_000, MOST_EJECT_NS - 1, 1_000_000],
            ..Details::default()
        };
        assert!(details.faults().is_empty());
        details.ejects_ns = vec![60_000_000];
        assert_eq!(details.faults(), ["the guest kept the VF for 60.000 ms"]);
    }
}
