//! Puts the bytes of a program's request through the I/O manager into the driver, and prints its
//! answer.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use devices::wire::MacAddress;
use ndis_host::pnp;
use scenarios::situations::{self, Situation};
use scenarios::world::{DriverImage, World, WorldOptions, open_driver};

/// Bring a situation about, send one device control, print status and output as JSON.
#[derive(Debug, Parser)]
#[command(name = "ask_driver")]
struct Args {
    /// What there is when the program asks
    #[arg(long, value_enum)]
    case: Situation,
    /// The address of adapter and VF, as 52-54-00-12-34-56
    #[arg(long, value_parser = parse_mac)]
    mac: MacAddress,
    /// The control code, as 0x126004
    #[arg(long, value_parser = parse_code)]
    code: u32,
    /// Bytes of room for the output
    #[arg(long, value_name = "N")]
    room: usize,
    /// The input, in hexadecimal
    #[arg(long, value_name = "HEX", default_value = "")]
    input: String,
    /// Fixes every random choice of the run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The driver image to load
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS")]
    image: PathBuf,
}

/// The answer to a request.
#[derive(serde::Serialize)]
struct Answer {
    /// NTSTATUS.
    status: u32,
    /// In hexadecimal.
    output: String,
}

fn parse_mac(text: &str) -> Result<MacAddress> {
    let bytes: Result<Vec<u8>, _> = text
        .split('-')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect();
    let bytes = bytes.context("not six bytes in hexadecimal")?;
    bytes.try_into().ok().context("not six bytes")
}

fn parse_code(text: &str) -> Result<u32> {
    let digits = text.strip_prefix("0x").context("it begins with 0x")?;
    Ok(u32::from_str_radix(digits, 16)?)
}

fn parse_hex(text: &str) -> Result<Vec<u8>> {
    ensure!(
        text.is_ascii() && text.len().is_multiple_of(2),
        "half a byte"
    );
    let digits = (0..text.len()).step_by(2);
    let bytes = digits.map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    bytes.collect::<Result<_, _>>().context("not hexadecimal")
}

fn run(args: &Args) -> Result<Answer> {
    let input = parse_hex(&args.input).context("--input")?;
    let image = DriverImage::read(&args.image)?;
    let mut world = World::start(&WorldOptions::new(args.seed, &image))?;
    let second = situations::bring_about(&mut world, args.case, args.mac)?;
    let file = open_driver()?;
    let (status, output) = file.control(args.code, &input, args.room);
    file.close();
    if let Some(second) = second {
        pnp::remove_device(second.device);
    }
    let ending = world.finish();
    if !ending.is_clean() {
        bail!("{ending}");
    }
    Ok(Answer {
        status: status.cast_unsigned(),
        output: output.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

fn main() -> ExitCode {
    let answer = run(&Args::parse()).and_then(|answer| Ok(serde_json::to_string(&answer)?));
    match answer {
        Ok(answer) => {
            println!("{answer}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ask_driver: {error:#}");
            ExitCode::FAILURE
        }
    }
}
