//! One line of the result, and the pieces that it is made of.

use std::fmt;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a row is about.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Key {
    pub(super) driver: String,
    pub(super) ring: String,
    pub(super) direction: String,
    pub(super) bytes: u32,
    pub(super) batch: u32,
    pub(super) mergeable: bool,
    pub(super) event_idx: bool,
}

/// What the device model counted.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Counts {
    #[serde(flatten)]
    pub(super) key: Key,
    pub(super) packets: u64,
    pub(super) doorbells: u64,
    pub(super) interrupts: u64,
    pub(super) descriptors: u64,
    pub(super) allocations: u64,
    pub(super) bytes_copied: u64,
}

/// What the clock said.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Times {
    #[serde(flatten)]
    pub(super) key: Key,
    /// Nanoseconds per packet.
    pub(super) ns: f64,
    pub(super) ratio: f64,
    pub(super) ratio_p10: f64,
    pub(super) ratio_p90: f64,
}

/// All that is known about one key; figures are per packet unless they say otherwise.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    /// Instructions.
    pub(super) ir: f64,
    /// Locked or fencing operations.
    pub(super) ge: f64,
    pub(super) doorbells_per_1000: f64,
    pub(super) interrupts_per_1000: f64,
    pub(super) descriptors: f64,
    pub(super) allocations: f64,
    pub(super) bytes_copied: f64,
    pub(super) times: Option<Times>,
}

impl Row {
    /// Puts counts together with `ir` instructions and `ge` locked operations of all packets.
    pub(super) fn new(counts: Counts, ir: u64, ge: u64) -> Self {
        let packets = counts.packets as f64;
        let each = |count: u64| count as f64 / packets;
        Self {
            ir: each(ir),
            ge: each(ge),
            doorbells_per_1000: each(counts.doorbells * 1000),
            interrupts_per_1000: each(counts.interrupts * 1000),
            descriptors: each(counts.descriptors),
            allocations: each(counts.allocations),
            bytes_copied: each(counts.bytes_copied),
            key: counts.key,
            times: None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            driver,
            ring,
            direction,
            bytes,
            batch,
            ..
        } = self;
        write!(f, "{driver} {ring} {direction} {bytes} B, batch {batch}")?;
        for (is_on, name) in [(self.mergeable, "mergeable"), (self.event_idx, "event_idx")] {
            if is_on {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    ring: Vec<JsonRow<'a>>,
}

#[derive(Serialize)]
struct JsonRow<'a> {
    #[serde(flatten)]
    key: &'a Key,
    ir: f64,
    ge: f64,
    doorbells_per_1000: f64,
    allocations: f64,
    bytes_copied: f64,
    ns_ratio_to_floor: f64,
}

impl<'a> Report<'a> {
    /// The report of rows that have times.
    ///
    /// # Errors
    ///
    /// One has none.
    pub(super) fn new(rows: &'a [Row]) -> Result<Self> {
        let ring = rows.iter().map(|row| {
            let times = row.times.as_ref().context("a row without a time")?;
            Ok(JsonRow {
                key: &row.key,
                ir: row.ir,
                ge: row.ge,
                doorbells_per_1000: row.doorbells_per_1000,
                allocations: row.allocations,
                bytes_copied: row.bytes_copied,
                ns_ratio_to_floor: times.ratio,
            })
        });
        Ok(Self {
            ring: ring.collect::<Result<_>>()?,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A row of ours with these conditions, and figures that pass every bar.
    pub(in super::super) fn row(ring: &str, direction: &str, batch: u32) -> Row {
        let key = Key {
            driver: "netkvm".to_owned(),
            ring: ring.to_owned(),
            direction: direction.to_owned(),
            bytes: 64,
            batch,
            mergeable: false,
            event_idx: false,
        };
        let counts = Counts {
            key,
            packets: 3200,
            doorbells: 3200 / u64::from(batch),
            interrupts: 0,
            descriptors: 3200,
            allocations: 0,
            bytes_copied: 0,
        };
        Row::new(counts, 90 * 3200, 3200 / u64::from(batch))
    }

    #[test]
    fn figures_are_per_packet() {
        let row = row("split", "tx", 32);
        assert_eq!((row.ir, row.ge, row.descriptors), (90.0, 1.0 / 32.0, 1.0));
        assert_eq!(row.doorbells_per_1000, 31.25);
    }

    #[test]
    fn the_json_has_the_names_that_are_promised() {
        let mut row = row("split", "tx", 32);
        row.times = Some(Times {
            key: row.key.clone(),
            ns: 3.0,
            ratio: 1.5,
            ratio_p10: 1.0,
            ratio_p90: 2.0,
        });
        let json = serde_json::to_string(&Report::new(&[row]).unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"ring":[{"driver":"netkvm","ring":"split","direction":"tx","bytes":64,"batch":32,"mergeable":false,"event_idx":false,"ir":90.0,"ge":0.03125,"doorbells_per_1000":31.25,"allocations":0.0,"bytes_copied":0.0,"ns_ratio_to_floor":1.5}]}"#
        );
    }
}
