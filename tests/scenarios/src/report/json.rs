//! The outcome as one JSON object. Other programs read it: names, order and types are fixed.

use serde::Serialize;

use super::{Details, Event, Outcome, Phase};

#[derive(Serialize)]
struct Document<'a> {
    backend: &'a str,
    arch: &'a str,
    phases: Vec<PhaseEntry<'a>>,
    stream_intact: bool,
    link_down_events: u64,
    contract_breaches: u64,
    pool_leaks: u64,
    #[serde(flatten)]
    details: Option<DetailEntries<'a>>,
    verdict: &'static str,
}

/// Only where the devices are QEMU's.
#[derive(Serialize)]
struct DetailEntries<'a> {
    qemu_version: &'a str,
    hotplug: &'a str,
    ring: &'a str,
    events: &'a [Event],
    eject_ms: Vec<f64>,
    stop_ms: Vec<f64>,
    refused: u64,
    redelivered_frames: u64,
    announcements: u64,
    doorbells_per_1000: f64,
    messages_per_1000: f64,
    commands_per_1000: f64,
    boot_commands: u64,
}

#[derive(Serialize)]
struct PhaseEntry<'a> {
    name: &'a str,
    path: &'static str,
    bytes: u64,
    frames: u64,
    lost: u64,
    duplicated: u64,
    blackout_ms: f64,
}

/// Writes the outcome as one line.
///
/// # Errors
///
/// None in practice; serde's signature has one.
pub fn to_json(outcome: &Outcome) -> serde_json::Result<String> {
    serde_json::to_string(&Document {
        backend: &outcome.backend,
        arch: &outcome.arch,
        phases: outcome.phases.iter().map(entry).collect(),
        stream_intact: outcome.stream_intact,
        link_down_events: outcome.link_down_events,
        contract_breaches: outcome.contract_breaches,
        pool_leaks: outcome.pool_leaks,
        details: outcome.details.as_ref().map(details),
        verdict: outcome.verdict().name(),
    })
}

fn details(details: &Details) -> DetailEntries<'_> {
    let all = |times: &[u64]| times.iter().map(|ns| milliseconds(*ns)).collect();
    DetailEntries {
        qemu_version: &details.qemu_version,
        hotplug: &details.hotplug,
        ring: &details.ring,
        events: &details.events,
        eject_ms: all(&details.ejects_ns),
        stop_ms: all(&details.stops_ns),
        refused: details.refused,
        redelivered_frames: details.redelivered_frames,
        announcements: details.announcements,
        doorbells_per_1000: details.doorbells_per_1000,
        messages_per_1000: details.messages_per_1000,
        commands_per_1000: details.commands_per_1000,
        boot_commands: details.boot_commands,
    }
}

/// With three decimals at most.
fn milliseconds(ns: u64) -> f64 {
    ((ns + 500) / 1000) as f64 / 1000.0
}

fn entry(phase: &Phase) -> PhaseEntry<'_> {
    PhaseEntry {
        name: &phase.name,
        path: phase.path.name(),
        bytes: phase.bytes,
        frames: phase.frames,
        lost: phase.lost,
        duplicated: phase.duplicated,
        blackout_ms: milliseconds(phase.blackout_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn the_object_has_exactly_these_keys_in_this_order() {
        let json = to_json(&example::outcome()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"backend":"embedded","arch":"x86_64","phases":["#,
                r#"{"name":"vf present","path":"vf","bytes":12582912,"frames":8700,"#,
                r#""lost":0,"duplicated":0,"blackout_ms":0.25},"#,
                r#"{"name":"vf withdrawn","path":"virtio","bytes":12582912,"frames":8700,"#,
                r#""lost":0,"duplicated":0,"blackout_ms":0.25},"#,
                r#"{"name":"vf back","path":"vf","bytes":12582912,"frames":8700,"#,
                r#""lost":0,"duplicated":0,"blackout_ms":1.235}],"#,
                r#""stream_intact":true,"link_down_events":0,"contract_breaches":0,"#,
                r#""pool_leaks":0,"verdict":"pass"}"#,
            )
        );
    }

    #[test]
    fn a_run_on_qemu_has_more_keys_in_front_of_the_verdict() {
        let outcome = Outcome {
            details: Some(Details {
                qemu_version: "7.2.22".into(),
                hotplug: "acpi".into(),
                ring: "split".into(),
                events: vec![Event {
                    machine: 2,
                    event: "STOP".into(),
                    ms: 12,
                }],
                ejects_ns: vec![1_234_567],
                stops_ns: vec![5_000_000],
                refused: 0,
                redelivered_frames: 3,
                announcements: 4,
                doorbells_per_1000: 31.5,
                messages_per_1000: 20.0,
                commands_per_1000: 0.5,
                boot_commands: 7,
            }),
            ..example::outcome()
        };
        let json = to_json(&outcome).unwrap();
        assert!(
            json.ends_with(concat!(
                r#""pool_leaks":0,"qemu_version":"7.2.22","hotplug":"acpi","ring":"split","#,
                r#""events":[{"machine":2,"event":"STOP","ms":12}],"eject_ms":[1.235],"stop_ms":[5.0],"refused":0,"#,
                r#""redelivered_frames":3,"announcements":4,"doorbells_per_1000":31.5,"#,
                r#""messages_per_1000":20.0,"commands_per_1000":0.5,"boot_commands":7,"#,
                r#""verdict":"pass"}"#,
            )),
            "{json}"
        );
    }

    #[test]
    fn a_failed_run_says_so() {
        let outcome = Outcome {
            pool_leaks: 2,
            ..example::outcome()
        };
        let json = to_json(&outcome).unwrap();
        assert!(
            json.ends_with(r#""pool_leaks":2,"verdict":"fail"}"#),
            "{json}"
        );
    }
}
