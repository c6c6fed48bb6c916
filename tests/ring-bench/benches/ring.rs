//! Counts the instructions and the locked operations of each series under callgrind.
//!
//! One process per series, whose profile has a part for each case: most of the time would otherwise
//! go into starting valgrind. The device polls: what a doorbell costs is decided by the bus, but the
//! decision not to ring it is in the count. `RING_BENCH_DRIVERS` names the drivers, with commas; all
//! without it.

#![expect(missing_docs, reason = "the macros make items that are public")]

use gungraun::prelude::*;
use gungraun::{Bench, BinaryBenchmark, Callgrind, Command};
use ring_bench::case::{DriverName, Series};

/// Counts the driver's part only, and a part of the profile per case.
const ARGS: [&str; 5] = [
    "--collect-atstart=no",
    "--collect-bus=yes",
    "--toggle-collect=*driver_side*",
    "--dump-before=ring_bench_mark",
    "--separate-threads=no",
];

fn series() -> impl Iterator<Item = Series> {
    let wanted = std::env::var("RING_BENCH_DRIVERS").ok();
    let is_wanted = move |driver: DriverName| {
        let name = serde_json::to_value(driver).ok();
        let name = name.as_ref().and_then(|name| name.as_str());
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.split(',').any(|word| Some(word) == name))
    };
    Series::all().filter(move |series| is_wanted(series.driver))
}

binary_benchmark_group!(
    name = ring,
    benchmarks = |group: &mut BinaryBenchmarkGroup| {
        for series in series() {
            let name = series.to_string();
            let command = Command::new(env!("CARGO_BIN_EXE_ring-bench"))
                .args(["count", "--polls", "--series", &name])
                .build();
            let mut bench = Bench::new("count");
            bench.command(command);
            let mut benchmark = BinaryBenchmark::new(name.replace('-', "_"));
            benchmark.bench(bench);
            group.binary_benchmark(benchmark);
        }
    }
);

main!(
    config = BinaryBenchmarkConfig::default().tool(Callgrind::with_args(ARGS)),
    binary_benchmark_groups = ring
);
