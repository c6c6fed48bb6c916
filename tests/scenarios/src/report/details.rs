//! What a run on QEMU's devices tells besides.

use serde::Serialize;

/// Longest time that the guest may take to give its VF back, ns.
const LONGEST_EJECT_NS: u64 = 50_000_000;

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
        let slow = self.ejects_ns.iter().filter(|it| **it >= LONGEST_EJECT_NS);
        slow.map(|ns| format!("the guest kept the VF for {:.1} ms", *ns as f64 / 1e6))
            .collect()
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let worst = |of: &[u64]| of.iter().max().copied().unwrap_or_default() as f64 / 1e6;
        vec![
            format!(
                "QEMU {}, {} hot-plug, {} rings, {} migrations",
                self.qemu_version,
                self.hotplug,
                self.ring,
                self.ejects_ns.len()
            ),
            format!(
                "VF given back after at most {:.1} ms, processors stopped for at most {:.1} ms",
                worst(&self.ejects_ns),
                worst(&self.stops_ns)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vf_that_is_kept_too_long_is_a_fault() {
        let mut details = Details {
            ejects_ns: vec![LONGEST_EJECT_NS - 1],
            ..Details::default()
        };
        assert!(details.faults().is_empty());
        details.ejects_ns.push(60_000_000);
        assert_eq!(details.faults(), ["the guest kept the VF for 60.0 ms"]);
    }
}
