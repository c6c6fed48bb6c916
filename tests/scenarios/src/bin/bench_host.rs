//! Carries a load through the driver image, for `cargo xtask bench host`.

use clap::Parser;
use scenarios::bench::{self, LoadArgs};

fn main() -> anyhow::Result<()> {
    let load = bench::run(&LoadArgs::parse())?;
    println!("{}", serde_json::to_string(&load)?);
    Ok(())
}
