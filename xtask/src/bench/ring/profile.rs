//! Instructions and fences of each case, by callgrind under gungraun.
//!
//! A series, which is one driver with one ring in one direction, is one process; it ends a part of its
//! profile before and after what counts of each case. gungraun prints each series with its parts as
//! a line of JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::row::{Counts, Row};
use super::{Bench, Tool};

/// Of the runner, which has to be that of the crate.
const VERSION: &str = "0.20.0";

/// Instructions and fences of all packets of a case.
type Cost = (u64, u64);

/// The costs of the cases of each series, in their order.
pub(super) type Costs = BTreeMap<String, Vec<Cost>>;

/// Runs each series under callgrind.
///
/// # Errors
///
/// A program is missing and can't be installed, something does not build, or a run fails.
pub(super) fn costs(bench: &Bench<'_>) -> Result<Costs> {
    require_valgrind()?;
    let runner = runner(bench)?;
    let drivers = bench.drivers.map(|drivers| ("RING_BENCH_DRIVERS", drivers));
    let mut cargo = bench.cargo("bench").env("GUNGRAUN_RUNNER", runner);
    if let Some((name, value)) = drivers {
        cargo = cargo.env(name, value);
    }
    let output = cargo
        .args(["--bench", "ring", "--", "--output-format=json"])
        .arg("--parallel=auto")
        .show_errors()
        .output()?;
    parse(&output)
}

/// Puts the counts of the device together with the costs.
///
/// # Errors
///
/// They are not of the same cases.
pub(super) fn join(counts: Vec<Counts>, costs: &Costs) -> Result<Vec<Row>> {
    let mut left: BTreeMap<&str, _> = costs
        .iter()
        .map(|(series, costs)| (series.as_str(), costs.iter()))
        .collect();
    let mut rows = Vec::new();
    for counts in counts {
        let series = series(&counts);
        let cost = left.get_mut(series.as_str()).and_then(Iterator::next);
        let (ir, ge) = cost.with_context(|| format!("no part for {}", counts.key))?;
        rows.push(Row::new(counts, *ir, *ge));
    }
    ensure!(
        left.into_values().all(|left| left.len() == 0),
        "a profile has more parts than there are cases"
    );
    Ok(rows)
}

/// The name by which gungraun knows the series of a row.
fn series(counts: &Counts) -> String {
    let key = &counts.key;
    let name = format!("{}_{}_{}", key.driver, key.ring, key.direction);
    name.replace('-', "_")
}

/// Makes sure that there is valgrind; installs it if that is possible.
fn require_valgrind() -> Result<()> {
    const INSTALL: [&str; 3] = ["install", "--yes", "valgrind"];
    if Tool::new("valgrind").arg("--version").output().is_ok() {
        return Ok(());
    }
    let user = Tool::new("id").arg("--user").output()?;
    ensure!(
        user.trim() == "0",
        "this needs valgrind; install it with: apt-get install valgrind"
    );
    Tool::new("apt-get").arg("update").show_errors().output()?;
    let install = Tool::new("apt-get").args(INSTALL).show_errors().output();
    install.map(drop).context("valgrind is missing")
}

/// The runner, which is installed if it is missing.
fn runner(bench: &Bench<'_>) -> Result<PathBuf> {
    let root = bench.workspace.target.join("tools-bin");
    let runner = root.join("bin").join("gungraun-runner");
    let version = Tool::new(&runner).arg("--version").output();
    if version.is_ok_and(|version| version.trim().ends_with(VERSION)) {
        return Ok(runner);
    }
    let version = format!("={VERSION}");
    eprintln!("installing gungraun-runner {VERSION}");
    Tool::cargo("install")
        .args(["--quiet", "--locked", "gungraun-runner", "--version"])
        .arg(version)
        .arg("--root")
        .arg(&root)
        .run()?;
    Ok(runner)
}

/// The part of gungraun's summary that is of use here.
#[derive(Deserialize)]
struct Summary {
    function_name: String,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    tool_run: New<Run>,
    metrics: Metrics,
}

/// Of this run; there may be an `old` one to compare with.
#[derive(Deserialize)]
struct New<T> {
    new: Option<T>,
}

#[derive(Deserialize)]
struct Run {
    part: Option<u64>,
}

#[derive(Deserialize)]
struct Metrics {
    #[serde(rename = "Ir")]
    ir: Metric,
    #[serde(rename = "Ge")]
    ge: Metric,
}

#[derive(Deserialize)]
struct Metric {
    values: New<u64>,
}

fn parse(output: &str) -> Result<Costs> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            let summary: Summary = serde_json::from_str(line).context("gungraun's summary")?;
            let costs = counted(&summary)?;
            Ok((summary.function_name, costs))
        })
        .collect()
}

/// The parts that count: every second one. The last, which ends with the program, is not one.
fn counted(summary: &Summary) -> Result<Vec<Cost>> {
    let profile = summary
        .profiles
        .first()
        .context("a summary without profile")?;
    let mut parts: Vec<(u64, Cost)> = profile.data.parts.iter().filter_map(cost).collect();
    parts.sort_unstable();
    let costs = parts.iter().skip(1).step_by(2).map(|(_, cost)| *cost);
    Ok(costs.collect())
}

/// The number of a part and what it cost.
fn cost(part: &Part) -> Option<(u64, Cost)> {
    let number = part.tool_run.new.as_ref()?.part?;
    let Metrics { ir, ge } = &part.metrics;
    Some((number, (ir.values.new?, ge.values.new?)))
}

#[cfg(test)]
mod tests {
    use super::super::row::Key;
    use super::*;

    /// Two cases: four parts that were dumped, and the one that ends with the program.
    const SUMMARY: &str = r#"{"function_name":"virtio_drivers_split_tx","profiles":[{"data":{"parts":[
        {"tool_run":{"new":{"pid":7,"part":5}},"metrics":{"Ir":{"values":{"new":0}},"Ge":{"values":{"new":0}}}},
        {"tool_run":{"new":{"pid":7,"part":2}},"metrics":{"Ir":{"values":{"new":2000,"old":1}},"Ge":{"values":{"new":10}}}},
        {"tool_run":{"new":{"pid":7,"part":1}},"metrics":{"Ir":{"values":{"new":500}},"Ge":{"values":{"new":2}}}},
        {"tool_run":{"new":{"pid":7,"part":4}},"metrics":{"Ir":{"values":{"new":3000}},"Ge":{"values":{"new":20}}}},
        {"tool_run":{"new":{"pid":7,"part":3}},"metrics":{"Ir":{"values":{"new":700}},"Ge":{"values":{"new":3}}}},
        {"tool_run":{"old":{"pid":6,"part":6}},"metrics":{"Ir":{"values":{"old":9}},"Ge":{"values":{"old":9}}}}
        ]}}]}"#;

    fn summary() -> String {
        format!("something else\n{}\n", SUMMARY.replace('\n', ""))
    }

    fn counts(batch: u32) -> Counts {
        let key = Key {
            driver: "virtio-drivers".to_owned(),
            ring: "split".to_owned(),
            direction: "tx".to_owned(),
            bytes: 64,
            batch,
            mergeable: false,
            event_idx: false,
        };
        Counts {
            key,
            packets: 10,
            doorbells: 0,
            interrupts: 0,
            descriptors: 0,
            allocations: 0,
            bytes_copied: 0,
        }
    }

    #[test]
    fn every_second_part_is_a_case() {
        let costs = parse(&summary()).unwrap();
        assert_eq!(costs["virtio_drivers_split_tx"], [(2000, 10), (3000, 20)]);
    }

    #[test]
    fn cases_meet_their_parts_in_order() {
        let costs = parse(&summary()).unwrap();
        let rows = join(vec![counts(1), counts(8)], &costs).unwrap();
        let figures: Vec<_> = rows
            .iter()
            .map(|row| (row.key.batch, row.ir, row.ge))
            .collect();
        assert_eq!(figures, [(1, 200.0, 1.0), (8, 300.0, 2.0)]);
    }

    #[test]
    fn parts_without_case_and_cases_without_part_are_errors() {
        let costs = parse(&summary()).unwrap();
        assert!(join(vec![counts(1)], &costs).is_err());
        assert!(join(vec![counts(1), counts(8), counts(32)], &costs).is_err());
    }

    #[test]
    fn the_runner_is_of_the_version_of_the_crate() {
        let manifest = include_str!("../../../../Cargo.toml");
        assert!(manifest.contains(&format!("gungraun = \"={VERSION}\"")));
    }
}
