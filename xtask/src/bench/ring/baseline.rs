//! The counts that were accepted, and how new ones are held against them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::row::{Key, Row};

/// How much more than the baseline the instructions may be.
const MAX_IR_FACTOR: f64 = 1.02;
/// Figures are quotients; more than this apart they differ.
const EPSILON: f64 = 1e-6;

/// The bars are for packets of this many bytes in batches of this many packets.
const BAR_BYTES: u32 = 64;
const BAR_BATCH: u32 = 32;
/// Instructions per packet.
const BAR_IR: f64 = 100.0;

/// A row of the baseline.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Accepted {
    #[serde(flatten)]
    key: Key,
    ir: f64,
    ge: f64,
}

/// Reads a baseline.
///
/// # Errors
///
/// It is none.
pub(super) fn parse(text: &str) -> Result<Vec<Accepted>> {
    serde_json::from_str(text).context("this is no baseline")
}

/// Writes one: a JSON array with a line for each row.
///
/// # Errors
///
/// A number is none.
pub(super) fn write(rows: &[Row]) -> Result<String> {
    let lines = rows.iter().map(|row| {
        let accepted = Accepted {
            key: row.key.clone(),
            ir: round(row.ir),
            ge: round(row.ge),
        };
        Ok(serde_json::to_string(&accepted)?)
    });
    let lines = lines.collect::<Result<Vec<_>>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// To six places.
fn round(figure: f64) -> f64 {
    (figure * 1e6).round() / 1e6
}

/// Says what is wrong with `rows`.
pub(super) fn findings(rows: &[Row], baseline: &[Accepted]) -> Vec<String> {
    let mut findings = Vec::new();
    for row in rows {
        match baseline.iter().find(|accepted| accepted.key == row.key) {
            Some(accepted) => compare(row, accepted, &mut findings),
            None => findings.push(format!("{}: not in the baseline", row.key)),
        }
    }
    for accepted in baseline {
        if !rows.iter().any(|row| row.key == accepted.key) {
            findings.push(format!("{}: in the baseline, not measured", accepted.key));
        }
    }
    for ring in ["split", "packed"] {
        for direction in ["tx", "rx"] {
            bars(rows, ring, direction, &mut findings);
        }
    }
    findings
}

fn compare(row: &Row, accepted: &Accepted, findings: &mut Vec<String>) {
    if row.ir > accepted.ir * MAX_IR_FACTOR {
        findings.push(format!(
            "{}: {:.1} instructions per packet, {:.1} were accepted",
            row.key, row.ir, accepted.ir
        ));
    }
    if row.ge > accepted.ge + EPSILON {
        findings.push(format!(
            "{}: {:.4} fences per packet, {:.4} were accepted",
            row.key, row.ge, accepted.ge
        ));
    }
}

/// Holds the rows of a ring and a direction against the absolute bars.
fn bars(rows: &[Row], ring: &str, direction: &str, findings: &mut Vec<String>) {
    let is_under_bar = |row: &&Row| {
        let Key { bytes, batch, .. } = row.key;
        row.key.ring == ring
            && row.key.direction == direction
            && (bytes, batch) == (BAR_BYTES, BAR_BATCH)
    };
    let mut any = false;
    for row in rows.iter().filter(is_under_bar) {
        any = true;
        let batch = f64::from(BAR_BATCH);
        let figures = [
            ("instructions per packet", row.ir, BAR_IR),
            ("fences per batch", row.ge * batch, 1.0),
            (
                "doorbells per batch",
                row.doorbells_per_1000 * batch / 1000.0,
                1.0,
            ),
            ("allocations per packet", row.allocations, 0.0),
        ];
        for (name, figure, bar) in figures {
            if figure > bar + EPSILON {
                findings.push(format!("{}: {figure:.2} {name}, the bar is {bar}", row.key));
            }
        }
    }
    if !any {
        findings.push(format!("no row for {ring} {direction}, which has a bar"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    fn rows() -> Vec<Row> {
        let rings = ["split", "packed"].into_iter();
        let rows = rings.flat_map(|ring| ["tx", "rx"].map(|direction| row(ring, direction, 32)));
        rows.chain([row("split", "tx", 8)]).collect()
    }

    /// What is found when `change` is made to `rows()[at]`, with `rows()` as the baseline.
    fn found(at: usize, change: impl FnOnce(&mut Row)) -> Vec<String> {
        let baseline = parse(&write(&rows()).unwrap()).unwrap();
        let mut rows = rows();
        change(&mut rows[at]);
        findings(&rows, &baseline)
    }

    #[test]
    fn the_same_and_the_better_pass() {
        assert_eq!(found(0, |_| ()), [""; 0]);
        assert_eq!(found(0, |row| row.ir /= 2.0), [""; 0]);
        assert_eq!(found(0, |row| row.ir *= 1.0199), [""; 0]);
    }

    #[test]
    fn more_instructions_fail() {
        assert_eq!(
            found(4, |row| row.ir *= 1.021),
            ["netkvm split tx 64 B, batch 8: 91.9 instructions per packet, 90.0 were accepted"]
        );
    }

    #[test]
    fn any_more_fences_fail() {
        let found = found(4, |row| row.ge += 1.0 / 3200.0);
        assert_eq!(
            found,
            ["netkvm split tx 64 B, batch 8: 0.1253 fences per packet, 0.1250 were accepted"]
        );
    }

    #[test]
    fn the_bars_hold_whatever_was_accepted() {
        let mut bad = rows();
        bad[3].ir = 101.0;
        bad[3].ge = 2.0 / 32.0;
        bad[3].doorbells_per_1000 = 62.5;
        bad[3].allocations = 0.001;
        let accepted = parse(&write(&bad).unwrap()).unwrap();
        let of = "netkvm packed rx 64 B, batch 32";
        assert_eq!(
            findings(&bad, &accepted),
            [
                format!("{of}: 101.00 instructions per packet, the bar is 100"),
                format!("{of}: 2.00 fences per batch, the bar is 1"),
                format!("{of}: 2.00 doorbells per batch, the bar is 1"),
                format!("{of}: 0.00 allocations per packet, the bar is 0"),
            ]
        );
    }

    #[test]
    fn the_bars_are_not_for_smaller_batches() {
        let mut rows = rows();
        rows[4].ir = 300.0;
        let baseline = parse(&write(&rows).unwrap()).unwrap();
        assert_eq!(findings(&rows, &baseline), [""; 0]);
    }

    #[test]
    fn rows_that_come_or_go_are_told() {
        let baseline = parse(&write(&rows()).unwrap()).unwrap();
        let mut rows = rows();
        rows[0].key.event_idx = true;
        let found = findings(&rows, &baseline);
        assert_eq!(
            found,
            [
                "netkvm split tx 64 B, batch 32, event_idx: not in the baseline",
                "netkvm split tx 64 B, batch 32: in the baseline, not measured",
            ]
        );
    }

    #[test]
    fn a_ring_that_is_not_measured_passes_no_bar() {
        let rows = [row("split", "tx", 32), row("split", "rx", 32)];
        let baseline = parse(&write(&rows).unwrap()).unwrap();
        assert_eq!(
            findings(&rows, &baseline),
            [
                "no row for packed tx, which has a bar",
                "no row for packed rx, which has a bar"
            ]
        );
    }
}
