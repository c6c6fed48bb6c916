//! Instructions and fences of each case, by callgrind.
//!
//! A series, which is one driver with one ring in one direction, is one process, since most of the
//! time goes into starting valgrind; it ends a part of its profile before and after what counts of
//! each case. The device polls: what a doorbell costs is decided by the bus, but the decision not to
//! ring it is in the count.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::row::{Counts, Key, Row};
use super::{Bench, Tool, rows_of};
use crate::bench::callgrind;

/// Counts the driver's part only, and ends a part of the profile at each mark.
const ARGS: [&str; 6] = [
    "--tool=callgrind",
    "--quiet",
    "--collect-atstart=no",
    "--collect-bus=yes",
    "--toggle-collect=*driver_side*",
    "--dump-before=ring_bench_mark",
];

/// What all packets of a case cost.
#[derive(Debug)]
pub(super) struct Cost {
    key: Key,
    instructions: u64,
    fences: u64,
}

/// Runs each series under callgrind.
///
/// # Errors
///
/// valgrind is missing and can't be installed, something does not build, or a run fails.
pub(super) fn costs(bench: &Bench<'_>) -> Result<Vec<Cost>> {
    callgrind::require_valgrind()?;
    let folder = bench.workspace.target.join("ring-bench-profiles");
    let mut costs = Vec::new();
    for series in bench.series()? {
        if folder.exists() {
            fs::remove_dir_all(&folder).context("removing old profiles")?;
        }
        fs::create_dir_all(&folder).context("a folder for profiles")?;
        let out = folder.join("profile");
        let tool = Tool::new("valgrind")
            .args(ARGS)
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(bench.program())
            .args(["count", "--polls", "--series", &series]);
        let cases: Vec<Counts> = rows_of(tool)?;
        for (number, case) in cases.into_iter().enumerate() {
            // Each case has a part to warm up, and one that counts; the first is 1.
            let part = out.with_extension((2 * number + 2).to_string());
            costs.push(cost(case.key, &part)?);
        }
    }
    Ok(costs)
}

/// Puts the counts of the device together with the costs.
///
/// # Errors
///
/// They are not of the same cases.
pub(super) fn join(counts: Vec<Counts>, costs: &[Cost]) -> Result<Vec<Row>> {
    let row = |counts: Counts| {
        let cost = costs.iter().find(|cost| cost.key == counts.key);
        let cost = cost.with_context(|| format!("no profile of {}", counts.key))?;
        Ok(Row::new(counts, cost.instructions, cost.fences))
    };
    counts.into_iter().map(row).collect()
}

fn cost(key: Key, part: &Path) -> Result<Cost> {
    let text = fs::read_to_string(part).with_context(|| part.display().to_string())?;
    let sum = |event| {
        callgrind::sum(&text, event).with_context(|| format!("{event} in {}", part.display()))
    };
    Ok(Cost {
        key,
        instructions: sum("Ir")?,
        fences: sum("Ge")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(batch: u32) -> Key {
        Key {
            driver: "virtio-drivers".to_owned(),
            ring: "split".to_owned(),
            direction: "tx".to_owned(),
            bytes: 64,
            batch,
            mergeable: false,
            event_idx: false,
        }
    }

    fn counts(batch: u32) -> Counts {
        Counts {
            key: key(batch),
            packets: 10,
            doorbells: 0,
            interrupts: 0,
            descriptors: 0,
            allocations: 0,
            bytes_copied: 0,
        }
    }

    fn costs() -> [Cost; 2] {
        [(1, 2000, 10), (8, 3000, 20)].map(|(batch, instructions, fences)| Cost {
            key: key(batch),
            instructions,
            fences,
        })
    }

    #[test]
    fn cases_meet_their_costs() {
        let rows = join(vec![counts(8), counts(1)], &costs()).unwrap();
        let figures: Vec<_> = rows
            .iter()
            .map(|row| (row.key.batch, row.ir, row.ge))
            .collect();
        assert_eq!(figures, [(8, 300.0, 2.0), (1, 200.0, 1.0)]);
    }

    #[test]
    fn a_case_without_costs_is_an_error() {
        assert!(join(vec![counts(1), counts(32)], &costs()).is_err());
    }
}
