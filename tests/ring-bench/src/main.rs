//! The program behind `cargo xtask bench ring`: prints one JSON object per row.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;

use ring_bench::allocations::Counting;
use ring_bench::case::{DriverName, Series};
use ring_bench::count;
use ring_bench::time::{self, Effort};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
#[command(about, version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Count doorbells, interrupts, descriptors, allocations and copies
    Count {
        /// One series only, as `list` names it
        #[arg(long)]
        series: Option<String>,
        /// Of these drivers only
        #[arg(long, value_enum, value_delimiter = ',')]
        drivers: Vec<DriverName>,
        /// With a device that wants no doorbells
        #[arg(long)]
        polls: bool,
    },
    /// Measure the time, all drivers round by round
    Time {
        /// Rounds
        #[arg(long, default_value_t = 41)]
        rounds: u32,
        /// Batches of each driver in each round
        #[arg(long, default_value_t = 1000)]
        batches: u32,
        /// These drivers only, and the floor
        #[arg(long, value_enum, value_delimiter = ',')]
        drivers: Vec<DriverName>,
    },
    /// Name the series
    List,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Count {
            series,
            drivers,
            polls,
        } => count(series.as_deref(), &all_if_none(drivers), polls),
        Task::Time {
            rounds,
            batches,
            drivers,
        } => {
            let drivers = all_if_none(drivers);
            let bar = ProgressBar::new(time::cases(&drivers).len() as u64);
            let rows = time::run(&drivers, Effort { rounds, batches }, || bar.inc(1));
            bar.finish_and_clear();
            print(&rows)
        }
        Task::List => {
            Series::all().for_each(|series| println!("{series}"));
            Ok(())
        }
    }
}

fn count(name: Option<&str>, drivers: &[DriverName], polls: bool) -> Result<()> {
    let is_wanted = |series: &Series| {
        drivers.contains(&series.driver) && name.is_none_or(|name| series.to_string() == name)
    };
    let mut series = Series::all().filter(is_wanted).peekable();
    ensure!(
        series.peek().is_some(),
        "there is no such series; see `list`"
    );
    for series in series {
        print(&count::run(series, polls))?;
    }
    Ok(())
}

fn all_if_none(drivers: Vec<DriverName>) -> Vec<DriverName> {
    if drivers.is_empty() {
        DriverName::value_variants().to_vec()
    } else {
        drivers
    }
}

fn print(rows: &[impl Serialize]) -> Result<()> {
    for row in rows {
        println!("{}", serde_json::to_string(row).context("a row as JSON")?);
    }
    Ok(())
}
