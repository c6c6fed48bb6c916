//! The devices that QEMU can make, and what the driver is to do with each.
//!
//! An entry is a device, and what has to be seen of it in a short life: boot, traffic, unload. That its
//! property has an effect is seen by QEMU, that the driver does as it should by both.

mod features;
mod table;

use std::collections::BTreeSet;

use scenarios::world::GUEST_MAC;

use crate::backend::Ring;
use crate::life::Report;
use crate::process;
use crate::seen::{Reach, Seen};

pub use features::Interface;
pub use table::{GROUPS, Group};

/// The cable of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A socket.
    Socket,
    /// A TAP device of so many queues.
    Tap(usize),
}

/// A device, and what is expected.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Layout of its rings.
    pub ring: Ring,
    /// Its properties, as on QEMU's command line.
    pub properties: Vec<String>,
    /// Registry values, as `name=value`.
    pub settings: Vec<&'static str>,
    /// Its cable.
    pub wire: Wire,
    /// Sleeps of the system under a stream. A device has forgotten all when it wakes up.
    pub sleeps: u64,
    /// What is to be seen.
    pub expected: Expected,
}

/// What is to be seen of an entry.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Features that the device offers.
    pub offers: Vec<&'static str>,
    /// Features that it does not offer; it would without the entry's properties.
    pub lacks: Vec<&'static str>,
    /// Features that the driver leaves, though it is offered them: it can do nothing with them yet.
    pub leaves: Vec<&'static str>,
    /// The interface that the driver uses.
    pub interface: Interface,
    /// How it is reached.
    pub reach: Reach,
    /// Vectors of the device; 0: it uses its pin.
    pub vectors: usize,
    /// Bytes, as the driver declares it to NDIS.
    pub mtu: u32,
    /// Descriptors of the queues that receive and send.
    pub rings: [u64; 2],
}

impl Entry {
    /// A device with these properties, separated by commas, of which the driver is to see nothing in
    /// particular.
    fn new(name: &str, ring: Ring, properties: &str) -> Self {
        let all = properties.split(',').filter(|one| !one.is_empty());
        Self {
            name: name.to_owned(),
            ring,
            properties: all.map(str::to_owned).collect(),
            settings: Vec::new(),
            wire: Wire::Socket,
            sleeps: 0,
            expected: Expected {
                offers: Vec::new(),
                lacks: Vec::new(),
                leaves: Vec::new(),
                interface: Interface::Modern,
                reach: Reach {
                    port_bars: Vec::new(),
                    doorbell_distance: 4,
                    is_express: true,
                },
                vectors: 4,
                mtu: 1500,
                rings: [256, 256],
            },
        }
    }

    /// As arguments of the program that lives it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--short".to_owned(), "--ring".to_owned()];
        arguments.push(self.ring.name().to_owned());
        for property in &self.properties {
            arguments.extend(["--property".to_owned(), property.clone()]);
        }
        for setting in &self.settings {
            arguments.extend(["--setting".to_owned(), (*setting).to_owned()]);
        }
        if self.sleeps > 0 {
            arguments.extend(["--sleeps".to_owned(), self.sleeps.to_string()]);
        }
        if let Wire::Tap(queues) = self.wire {
            arguments.extend(["--tap".to_owned(), queues.to_string()]);
        }
        arguments
    }

    /// What is not as expected in the report of its life.
    #[must_use]
    pub fn findings(&self, report: &Report) -> Vec<String> {
        let seen = &report.seen;
        let mut findings = self.of_features(seen);
        findings.extend(self.of_interrupts(seen));
        findings.extend(self.of_filter(seen));
        findings.extend(self.of_queues(seen));
        findings.extend(self.of_reach(seen));
        findings.extend(self.of_frames(report));
        findings
    }

    fn of_features(&self, seen: &Seen) -> Vec<String> {
        let Expected {
            offers,
            lacks,
            leaves,
            interface,
            ..
        } = &self.expected;
        let mut findings = Vec::new();
        for name in offers.iter().chain(leaves) {
            if !seen.offered.contains(*name) {
                findings.push(format!("the device does not offer {name}"));
            }
        }
        for name in lacks {
            if seen.offered.contains(*name) {
                findings.push(format!("the device offers {name}"));
            }
        }
        for name in leaves {
            if seen.taken.contains(*name) {
                findings.push(format!(
                    "the driver has taken {name}: this entry is to test what it does with it"
                ));
            }
        }
        let due = features::due(&seen.offered, *interface);
        let too_many: Vec<_> = seen.taken.difference(&due).collect();
        let missing: Vec<_> = due.difference(&seen.taken).collect();
        if !too_many.is_empty() {
            findings.push(format!("the driver has taken {too_many:?}, besides"));
        }
        if !missing.is_empty() {
            findings.push(format!("the driver has not taken {missing:?}"));
        }
        findings
    }

    /// Each vector that the driver has a use for has messages, and no other has.
    fn of_interrupts(&self, seen: &Seen) -> Vec<String> {
        let vectors = self.expected.vectors;
        let mut findings = Vec::new();
        if seen.messages.len() != vectors {
            findings.push(format!("{} vectors, not {vectors}", seen.messages.len()));
        }
        let used: BTreeSet<usize> = (0..)
            .zip(&seen.messages)
            .filter_map(|(vector, messages)| (*messages > 0).then_some(vector))
            .collect();
        let has_commands = seen.taken.contains("CTRL_VQ");
        let (frames, commands): (&[usize], usize) = match vectors {
            0 => (&[], 0),
            1 => (&[0], 0),
            2 => (&[1], 0),
            3 => (&[1, 2], 0),
            _ => (&[1, 2], 3),
        };
        let mut due: BTreeSet<usize> = frames.iter().copied().collect();
        if vectors > 0 && has_commands {
            due.insert(commands);
        }
        // Of the configuration, when the cable is pulled out: without STATUS, too, in QEMU.
        if vectors > 0 {
            due.insert(0);
        }
        if used != due {
            findings.push(format!("messages of vectors {used:?}, not of {due:?}"));
        }
        if (seen.pin_asserted > 0) != (vectors == 0) {
            let asserted = seen.pin_asserted;
            findings.push(format!("the pin was asserted {asserted} times"));
        }
        findings
    }

    /// The device is told what to let through, if it can be told.
    fn of_filter(&self, seen: &Seen) -> Option<String> {
        let can_be_told = seen.taken.contains("CTRL_RX");
        let wrong = seen.filter.promiscuous == can_be_told
            || (seen.filter.groups > 0) != can_be_told
            || seen.filter.address != process::address(GUEST_MAC);
        wrong.then(|| format!("{:?}", seen.filter))
    }

    /// There is one pair of queues of the right size, and a queue of commands if there can be one.
    fn of_queues(&self, seen: &Seen) -> Vec<String> {
        let mut findings = Vec::new();
        let rings = seen.rings.get(..2).unwrap_or_default();
        if rings != self.expected.rings {
            let expected = self.expected.rings;
            findings.push(format!("rings of {rings:?}, not {expected:?}"));
        }
        let has_commands = usize::from(seen.taken.contains("CTRL_VQ"));
        let in_use = seen.rings.iter().filter(|size| **size > 0).count();
        if in_use != 2 + has_commands {
            findings.push(format!("{in_use} queues are in use: {:?}", seen.rings));
        }
        let rung = seen.doorbells.iter().filter(|count| **count > 0).count();
        if rung != 2 + has_commands || seen.doorbells.len() != rung {
            findings.push(format!("doorbells, by queue: {:?}", seen.doorbells));
        }
        findings
    }

    /// Ports are used of a device that has nothing else.
    fn of_reach(&self, seen: &Seen) -> Vec<String> {
        let mut findings = Vec::new();
        if seen.reach != self.expected.reach {
            findings.push(format!("{:?}", seen.reach));
        }
        let is_legacy = self.expected.interface == Interface::Legacy;
        if (seen.port_accesses > 0) != is_legacy {
            findings.push(format!("{} accesses to I/O ports", seen.port_accesses));
        }
        findings
    }

    /// Frames are as long as the MTU lets them be, and no longer.
    fn of_frames(&self, report: &Report) -> Vec<String> {
        const ETHERNET: u32 = 14;
        let mtu = self.expected.mtu;
        let mut findings = Vec::new();
        if report.seen.mtu != mtu {
            findings.push(format!(
                "the driver says MTU {}, not {mtu}",
                report.seen.mtu
            ));
        }
        if let Some(captured) = &report.captured {
            let longest = [captured.longest_from_guest, captured.longest_to_guest];
            let expected = (mtu + ETHERNET) as usize;
            if longest != [expected; 2] {
                findings.push(format!("the longest frames have {longest:?} bytes"));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Captured;
    use crate::life::Part;
    use crate::seen::{Filter, Names};

    fn names(all: &[&str]) -> Names {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    fn report() -> Report {
        let part = Part {
            frames_to_guest: 1000,
            frames_from_guest: 1000,
            transmit_doorbells: 100,
            receive_doorbells: 1,
            commands: 7,
            messages: 300,
            pin_asserted: 0,
            register_reads: 47,
            register_writes: 47,
            seconds: 0.1,
        };
        Report {
            qemu_version: String::new(),
            boot: part.clone(),
            traffic: part.clone(),
            chains: part,
            seen: Seen {
                offered: names(&["CTRL_VQ", "MAC", "MQ", "VERSION_1"]),
                taken: names(&["CTRL_VQ", "MAC", "VERSION_1"]),
                rings: vec![256, 256, 16],
                messages: vec![2, 100, 100, 7],
                filter: Filter {
                    promiscuous: true,
                    groups: 0,
                    address: process::address(GUEST_MAC),
                },
                pin_asserted: 0,
                doorbells: vec![1, 100, 7],
                port_accesses: 0,
                reach: Entry::new("any", Ring::Split, "").expected.reach,
                mtu: 1500,
            },
            captured: Some(Captured {
                longest_from_guest: 1514,
                longest_to_guest: 1514,
                ..Captured::default()
            }),
        }
    }

    #[test]
    fn each_departure_is_found() {
        let mut entry = Entry::new("any", Ring::Split, "");
        entry.expected.offers.push("CTRL_VQ");
        entry.expected.leaves.push("MQ");
        entry.expected.lacks.push("STATUS");
        assert_eq!(entry.findings(&report()), [""; 0]);

        let departures: [fn(&mut Report); 19] = [
            |it| it.seen.offered.retain(|name| name != "CTRL_VQ"),
            |it| it.seen.offered.extend(names(&["STATUS"])),
            |it| it.seen.taken.retain(|name| name != "MAC"),
            |it| it.seen.taken.extend(names(&["MQ"])),
            |it| it.seen.messages.push(0),
            |it| it.seen.messages = vec![0, 100, 100, 7],
            |it| it.seen.messages = vec![2, 100, 0, 7],
            |it| it.seen.pin_asserted = 1,
            |it| it.seen.rings = vec![128, 256, 16],
            |it| it.seen.rings = vec![256, 256, 256, 256, 16],
            |it| it.seen.doorbells = vec![1, 100, 100, 100, 7],
            |it| it.seen.port_accesses = 1,
            |it| it.seen.reach.port_bars = vec![0],
            |it| it.seen.reach.is_express = false,
            |it| it.seen.filter.promiscuous = false,
            |it| it.seen.filter.groups = 1,
            |it| it.seen.filter.address.clear(),
            |it| it.seen.mtu = 1400,
            |it| it.captured = Some(Captured::default()),
        ];
        for (number, depart) in departures.into_iter().enumerate() {
            let mut report = report();
            depart(&mut report);
            assert!(!entry.findings(&report).is_empty(), "departure {number}");
        }
    }
}
