//! `cargo xtask bench ring`: what a packet costs at the ring, ours beside its peers.
//!
//! Three runs of the crate `ring-bench` make a row: under callgrind, for instructions and fences
//! ([`profile`]); natively, for what its device model counts; and natively again for the time.

mod baseline;
mod profile;
mod row;
mod table;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

use self::row::{Counts, Report, Row, Times};
use crate::tool::Tool;
use crate::workspace::Workspace;

const PACKAGE: &str = "ring-bench";
const PROFILE: &str = "bench-ring";
const BASELINE: &str = "tests/ring-bench/baseline.json";
const OURS: &str = "netkvm";

/// Measures all drivers and prints the rows.
///
/// # Errors
///
/// Something that it needs is missing or does not build, or a program does not end well.
pub(super) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    let with_dpdk = has_dpdk();
    let bench = Bench {
        workspace,
        drivers: None,
        with_dpdk,
    };
    let mut rows = bench.count()?;
    bench.time(&mut rows)?;
    let note = (!with_dpdk).then_some(
        "dpdk: not measured, as pkg-config finds no libdpdk; to have it: apt-get install libdpdk-dev",
    );
    if json {
        if let Some(note) = note {
            eprintln!("{note}");
        }
        println!("{}", serde_json::to_string(&Report::new(&rows)?)?);
    } else {
        print!("{}", table::of(&rows));
        println!("{}", note.unwrap_or_default());
    }
    Ok(())
}

/// Compares our counts with the baseline and with the absolute bars.
///
/// # Errors
///
/// As [`run`]; or there is no baseline; or it, or a bar, is exceeded.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let baseline = fs::read_to_string(workspace.root.join(BASELINE)).context(BASELINE)?;
    let baseline = baseline::parse(&baseline).context(BASELINE)?;
    let rows = Bench::of_ours(workspace).count()?;
    let findings = baseline::findings(&rows, &baseline);
    ensure!(
        findings.is_empty(),
        "{}\n{} of {} rows cost too much, or are not those of the baseline",
        findings.join("\n"),
        findings.len(),
        rows.len()
    );
    println!("{} rows, none costs too much", rows.len());
    Ok(())
}

/// Makes our counts the baseline.
///
/// # Errors
///
/// As [`run`]; or the file can't be written.
pub(super) fn bless(workspace: &Workspace) -> Result<()> {
    let rows = Bench::of_ours(workspace).count()?;
    fs::write(workspace.root.join(BASELINE), baseline::write(&rows)?).context(BASELINE)?;
    println!("{} rows in {BASELINE}", rows.len());
    Ok(())
}

/// Whether DPDK can be built against.
fn has_dpdk() -> bool {
    let tool = Tool::new("pkg-config").args(["--exists", "libdpdk"]);
    tool.output().is_ok()
}

/// What is to be measured.
struct Bench<'a> {
    workspace: &'a Workspace,
    /// This driver only.
    drivers: Option<&'static str>,
    with_dpdk: bool,
}

impl<'a> Bench<'a> {
    fn of_ours(workspace: &'a Workspace) -> Self {
        Self {
            workspace,
            drivers: Some(OURS),
            with_dpdk: false,
        }
    }

    /// All that does not depend on time.
    fn count(&self) -> Result<Vec<Row>> {
        self.cargo("build").run()?;
        let costs = profile::costs(self)?;
        let counts: Vec<Counts> = self.ring_bench("count")?;
        profile::join(counts, &costs)
    }

    /// Adds the times.
    fn time(&self, rows: &mut [Row]) -> Result<()> {
        let times: Vec<Times> = self.ring_bench("time")?;
        for row in rows {
            let of_row = times.iter().find(|times| times.key == row.key);
            let of_row = of_row.with_context(|| format!("no time for {}", row.key))?;
            row.times = Some(of_row.clone());
        }
        Ok(())
    }

    /// A cargo command on the package, with its profile and features.
    fn cargo(&self, verb: &str) -> Tool {
        let features: &[&str] = if self.with_dpdk {
            &["--features", "dpdk"]
        } else {
            &[]
        };
        let cargo = self.workspace.cargo(verb);
        cargo
            .args(["--quiet", "--package", PACKAGE, "--profile", PROFILE])
            .args(features)
    }

    /// Runs the program, which was built, and reads its rows.
    fn ring_bench<T: DeserializeOwned>(&self, task: &str) -> Result<Vec<T>> {
        let drivers = self.drivers.map(|drivers| format!("--drivers={drivers}"));
        rows_of(Tool::new(self.program()).arg(task).args(drivers))
    }

    /// The names of the series that are to be measured; they start with that of the driver.
    fn series(&self) -> Result<Vec<String>> {
        let all = Tool::new(self.program()).arg("list").output()?;
        let is_wanted = |series: &&str| {
            self.drivers.is_none_or(|driver| {
                let rest = series.strip_prefix(driver);
                rest.is_some_and(|rest| rest.starts_with('_'))
            })
        };
        Ok(all.lines().filter(is_wanted).map(str::to_owned).collect())
    }

    fn program(&self) -> PathBuf {
        self.workspace.target.join(PROFILE).join(PACKAGE)
    }
}

/// Runs a program that prints a row per line, each a JSON object.
fn rows_of<T: DeserializeOwned>(program: Tool) -> Result<Vec<T>> {
    let output = program.show_errors().output()?;
    let lines = output.lines().filter(|line| line.starts_with('{'));
    let rows = lines.map(|line| serde_json::from_str(line).context(line.to_owned()));
    let rows: Vec<T> = rows.collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "`{PACKAGE}` printed no rows");
    Ok(rows)
}
