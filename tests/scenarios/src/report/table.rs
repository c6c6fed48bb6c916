//! The outcome as a table for people.

use std::fmt::Write;

use super::{Details, Outcome, Phase, units};

const HEAD: [&str; 9] = [
    "phase", "path", "bytes", "rate", "frames", "lost", "dup", "reord", "blackout",
];

/// Columns from here on are numbers and lean to the right.
const FIRST_NUMBER: usize = 2;

/// Writes the table, the facts of the whole run, and the verdict with its reasons.
#[must_use]
pub fn to_table(outcome: &Outcome) -> String {
    let rows: Vec<_> = outcome.phases.iter().map(row).collect();
    let head = HEAD.map(str::to_owned);
    let mut text = aligned(std::iter::once(&head).chain(&rows));
    let facts = [
        (
            "stream",
            if outcome.stream_intact {
                "intact".into()
            } else {
                "damaged".into()
            },
        ),
        ("link-down events", outcome.link_down_events.to_string()),
        ("contract breaches", outcome.contract_breaches.to_string()),
        ("pool leaks", outcome.pool_leaks.to_string()),
    ];
    let facts = facts.map(|(name, value)| format!("{name} {value}"));
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n{}, seed {}", facts.join(", "), outcome.seed);
    for line in outcome.details.iter().flat_map(Details::lines) {
        let _ = writeln!(text, "{line}");
    }
    for fault in outcome.faults() {
        let _ = writeln!(text, "  {fault}");
    }
    let _ = writeln!(text, "verdict: {}", outcome.verdict().name());
    text
}

fn row(phase: &Phase) -> [String; HEAD.len()] {
    [
        phase.name.clone(),
        phase.path.name().to_owned(),
        units::bytes(phase.bytes),
        units::rate(phase.bytes, phase.end_ns.saturating_sub(phase.start_ns)),
        phase.frames.to_string(),
        phase.lost.to_string(),
        phase.duplicated.to_string(),
        phase.reordered.to_string(),
        blackout(phase),
    ]
}

/// `0.250 ms (9 frames)`
fn blackout(phase: &Phase) -> String {
    let frames = phase.blackout_frames;
    let unit = if frames == 1 { "frame" } else { "frames" };
    format!(
        "{} ms ({frames} {unit})",
        units::milliseconds(phase.blackout_ns)
    )
}

fn aligned<'a, const N: usize>(rows: impl Iterator<Item = &'a [String; N]> + Clone) -> String {
    let width = |column: usize| rows.clone().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column < FIRST_NUMBER {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn columns_line_up_and_the_verdict_comes_last() {
        assert_eq!(
            to_table(&example::outcome()),
            "\
phase         path      bytes        rate  frames  lost  dup  reord             blackout
vf present    vf      12.6 MB  403 Mbit/s    8700     0    0      0  0.250 ms (9 frames)
vf withdrawn  virtio  12.6 MB  403 Mbit/s    8700     0    0      0  0.250 ms (9 frames)
vf back       vf      12.6 MB  403 Mbit/s    8700     0    0      0  1.235 ms (9 frames)

stream intact, link-down events 0, contract breaches 0, pool leaks 0, seed 1
verdict: pass
"
        );
    }

    #[test]
    fn a_failed_run_names_its_reasons_above_the_verdict() {
        let mut outcome = example::outcome();
        outcome.phases[1].lost = 2;
        outcome.stream_intact = false;
        let table = to_table(&outcome);
        let end = "\
stream damaged, link-down events 0, contract breaches 0, pool leaks 0, seed 1
  vf withdrawn: frames lost: 2
  the stream did not arrive as it was sent
verdict: fail
";
        assert!(table.ends_with(end), "{table}");
    }
}
