//! The outcome as one JSON object. Other programs read it: names, order and types are fixed.

use serde::Serialize;

use super::{Outcome, Phase};

#[derive(Serialize)]
struct Document<'a> {
    backend: &'a str,
    arch: &'a str,
    phases: Vec<PhaseEntry<'a>>,
    stream_intact: bool,
    link_down_events: u64,
    contract_breaches: u64,
    pool_leaks: u64,
    verdict: &'static str,
}

#[derive(Serialize)]
struct PhaseEntry<'a> {
    name: &'a str,
    path: &'static str,
    bytes: u64,
    frames: u64,
    lost: u64,
    duplicated: u64,
    /// With three decimals at most.
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
        verdict: outcome.verdict().name(),
    })
}

fn entry(phase: &Phase) -> PhaseEntry<'_> {
    let blackout_us = (phase.blackout_ns + 500) / 1000;
    PhaseEntry {
        name: &phase.name,
        path: phase.path.name(),
        bytes: phase.bytes,
        frames: phase.frames,
        lost: phase.lost,
        duplicated: phase.duplicated,
        blackout_ms: blackout_us as f64 / 1000.0,
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
