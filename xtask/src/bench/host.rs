//! `cargo xtask bench host`: what ndis-host costs per NBL, and what the driver does.
//!
//! Throughput is measured in the free-running mode. Instructions are counted by callgrind, which
//! runs one thread at a time, so in the deterministic mode: the difference between a short load
//! and a long one, divided by the NBLs that the long one has more. The host's share is everything
//! outside of the image: ndis-host, the emulated device, and the neighbours with their TCP.

use std::fs::{self, File};
use std::io::BufReader;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::callgrind::{self, Split};
use crate::driver::{self, Arch, BuildArgs};
use crate::tool::Tool;
use crate::workspace::Workspace;

/// Bytes of payload of the short load under callgrind.
const SHORT: u64 = 200_000;
/// Of the long one.
const LONG: u64 = 600_000;
/// Of each run for throughput.
const FREE: u64 = 20_000_000;
/// Runs of which the median is taken.
const RUNS: usize = 5;

const DIRECTIONS: [&str; 2] = ["send", "receive"];

/// What the load program prints.
#[derive(Deserialize)]
struct Load {
    image_base: u64,
    image_bytes: u64,
    nbls: u64,
    seconds: f64,
}

impl Load {
    fn image(&self) -> Range<u64> {
        self.image_base..self.image_base + self.image_bytes
    }
}

#[derive(Serialize)]
struct Report {
    host: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    direction: &'static str,
    ir_driver_per_nbl: f64,
    ir_host_per_nbl: f64,
    nbls_per_second: f64,
}

/// Runs the measurement and prints it.
///
/// # Errors
///
/// valgrind is missing, something does not build, or the load does not pass.
pub(super) fn run(workspace: &Workspace, json: bool) -> Result<()> {
    callgrind::require_valgrind()?;
    let bench = Bench::build(workspace, json)?;
    let rows: Result<Vec<_>> = DIRECTIONS
        .map(|direction| bench.row(direction))
        .into_iter()
        .collect();
    let report = Report { host: rows? };
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_table(&report);
    }
    Ok(())
}

fn print_table(report: &Report) {
    println!("direction   driver, instructions/NBL   host, instructions/NBL   NBLs/s");
    for row in &report.host {
        println!(
            "{:<9}   {:>24.0}   {:>22.0}   {:>6.0}",
            row.direction, row.ir_driver_per_nbl, row.ir_host_per_nbl, row.nbls_per_second
        );
    }
    println!(
        "instructions: deterministic mode, counted by callgrind; NBLs/s: free-running mode, median \
         of {RUNS} runs"
    );
}

/// What is to be run.
struct Bench {
    program: PathBuf,
    image: PathBuf,
    profile: PathBuf,
}

impl Bench {
    fn build(workspace: &Workspace, quiet: bool) -> Result<Self> {
        let image = BuildArgs {
            arch: Arch::X86_64,
            out: None,
            mutant: None,
            quiet,
        };
        let image = driver::build(workspace, &image)?.sys;
        workspace
            .cargo("build")
            .args(["--quiet", "--profile", "tools"])
            .args(["--package", "scenarios", "--bin", "bench_host"])
            .run()?;
        Ok(Self {
            program: workspace.target.join("tools").join("bench_host"),
            image,
            profile: workspace.target.join("bench_host.callgrind"),
        })
    }

    fn row(&self, direction: &'static str) -> Result<Row> {
        let (short_load, short) = self.count(direction, SHORT)?;
        let (long_load, long) = self.count(direction, LONG)?;
        ensure!(
            long_load.nbls > short_load.nbls,
            "more bytes took no more NBLs: {} and {}",
            short_load.nbls,
            long_load.nbls
        );
        let nbls = (long_load.nbls - short_load.nbls) as f64;
        let more = long.beyond(short);
        Ok(Row {
            direction,
            ir_driver_per_nbl: more.inside as f64 / nbls,
            ir_host_per_nbl: more.outside as f64 / nbls,
            nbls_per_second: self.throughput(direction)?,
        })
    }

    /// Counts the instructions of a whole run.
    fn count(&self, direction: &str, bytes: u64) -> Result<(Load, Split)> {
        let out = format!("--callgrind-out-file={}", self.profile.display());
        let tool = Tool::new("valgrind")
            .args(["--tool=callgrind", "--quiet", "--dump-instr=yes"])
            .args(["--compress-pos=no", &out])
            // The host changes registers when an access to the device faults.
            .arg("--vex-iropt-register-updates=allregs-at-mem-access")
            .arg(&self.program);
        let load = self.load(tool, direction, bytes)?;
        let profile = open(&self.profile)?;
        let split = callgrind::split(profile, &load.image())?;
        ensure!(
            split.inside > 0,
            "callgrind saw no instruction of the driver"
        );
        fs::remove_file(&self.profile).context("removing the profile")?;
        Ok((load, split))
    }

    /// NBLs per second of real time.
    fn throughput(&self, direction: &str) -> Result<f64> {
        let run = |_| {
            let tool = Tool::new(&self.program).arg("--free");
            let load = self.load(tool, direction, FREE)?;
            Ok(load.nbls as f64 / load.seconds)
        };
        let mut rates = (0..RUNS).map(run).collect::<Result<Vec<_>>>()?;
        rates.sort_by(f64::total_cmp);
        rates.get(RUNS / 2).copied().context("at least one run")
    }

    fn load(&self, tool: Tool, direction: &str, bytes: u64) -> Result<Load> {
        let output = tool
            .args(["--direction", direction, "--bytes", &bytes.to_string()])
            .arg("--image")
            .arg(&self.image)
            .output()?;
        serde_json::from_str(&output).context("the load program printed something unexpected")
    }
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(BufReader::new(file))
}
