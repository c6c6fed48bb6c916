//! The life that the suite runs: boot, traffic with pauses, chains of frames, unload; and what it cost.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use ndis_host::ndis::event_log;
use ndis_host::registry::Value;
use scenarios::world::{AdapterOptions, DriverImage, GUEST_MAC, SECOND_NS, World, WorldOptions};
use serde::{Deserialize, Serialize};

use crate::backend::{Qemu, QemuOptions, Ring};
use crate::capture::{self, Captured};
use crate::card::{Card, Cost};
use crate::hotplug::Style;
use crate::load::{self, CHAIN, Load, PING_NS};
use crate::seen::Seen;
use crate::tap::Tap;

/// Run one life of the driver on QEMU's virtio-net-pci.
#[derive(Clone, Debug, Parser)]
#[command(name = "qemu_life")]
pub struct LifeArgs {
    /// Layout of the rings that the device offers
    #[arg(long, value_enum, default_value = "split")]
    pub ring: Ring,
    /// Most MSI-X messages that the machine grants; 0: the device interrupts by its pin [default: as
    /// many as it has]
    #[arg(long, value_name = "N")]
    pub messages: Option<usize>,
    /// One more property of the device, as on QEMU's command line
    #[arg(long = "property", value_name = "NAME=VALUE")]
    pub properties: Vec<String>,
    /// A registry value over the INF's default, as the text that it is
    #[arg(long = "setting", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// A TAP device of so many queues is the cable; this needs root [default: the cable is a socket]
    #[arg(long, value_name = "QUEUES")]
    pub tap: Option<usize>,
    /// A short life: less traffic, no pauses
    #[arg(long)]
    pub short: bool,
    /// The system sleeps so often under a stream, and wakes up
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub sleeps: u64,
    /// What the host chooses where it may
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// A scenario to run in place of this life; one that needs no embedded device
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,
    /// QEMU
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,
    /// The driver image to load
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS")]
    pub image: PathBuf,
}

/// What a part of the life cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Part {
    /// Frames to the guest.
    pub frames_to_guest: u64,
    /// Frames from the guest.
    pub frames_from_guest: u64,
    /// Doorbells for sent frames.
    pub transmit_doorbells: u64,
    /// Doorbells for receive buffers.
    pub receive_doorbells: u64,
    /// Commands to the device.
    pub commands: u64,
    /// Messages.
    pub messages: u64,
    /// Assertions of the interrupt pin.
    pub pin_asserted: u64,
    /// Register reads.
    pub register_reads: u64,
    /// Register writes, doorbells apart.
    pub register_writes: u64,
    /// Real time, s.
    pub seconds: f64,
}

/// What a life was.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    /// Version of QEMU.
    pub qemu_version: String,
    /// From nothing to a link that is up.
    pub boot: Part,
    /// A TCP stream and pings, both ways, with pauses.
    pub traffic: Part,
    /// Chains of frames, sent as fast as they go.
    pub chains: Part,
    /// What device and driver have agreed on.
    pub seen: Seen,
    /// What QEMU captured, dissected; it captures nothing of a TAP device.
    pub captured: Option<Captured>,
}

/// Lives it. Once per process.
///
/// # Errors
///
/// What went wrong.
pub fn run(args: &LifeArgs) -> Result<Report> {
    let image = DriverImage::read(&args.image)?;
    let qemu = qemu(args)?;
    let load = Load {
        sleeps: args.sleeps,
        ..if args.short { Load::SHORT } else { Load::LONG }
    };
    let options = WorldOptions::new(args.seed, &image).driving(qemu.clone());
    let mut world = World::start(&options)?;
    world.ping_interval_ns = PING_NS;
    let adapter = adapter(args)?;
    let lived = live(&mut world, &qemu, &adapter, load);
    let (parts, seen) = lived.inspect_err(|_| eprint!("{}", world.describe()))?;
    let ending = world.finish();
    ensure!(ending.is_clean(), "{ending}");

    let card = qemu.adapter()?;
    let captured = end(args, &card)?;
    if let Some(captured) = &captured {
        expect_whole(captured, &card.cost(), load)?;
    }
    let [boot, traffic, chains] = parts;
    Ok(Report {
        qemu_version: card.machine().version(),
        boot,
        traffic,
        chains,
        seen,
        captured,
    })
}

/// Runs a scenario of the embedded device. Once per process.
///
/// # Errors
///
/// What went wrong.
pub fn run_case(name: &str, args: &LifeArgs) -> Result<()> {
    let image = DriverImage::read(&args.image)?;
    let qemu = qemu(args)?;
    let options = WorldOptions::new(args.seed, &image).driving(qemu.clone());
    scenarios::cases::run(name, &options)?;
    end(args, &qemu.adapter()?).map(drop)
}

/// Ends QEMU and returns what it captured of the only cable; nothing of a TAP device.
fn end(args: &LifeArgs, card: &Card) -> Result<Option<Captured>> {
    let mut captures = card.machine().quit()?;
    if args.tap.is_some() {
        return Ok(None);
    }
    let capture = captures.pop().context("a cable was captured")?;
    capture::dissect(&capture, GUEST_MAC).map(Some)
}

fn qemu(args: &LifeArgs) -> Result<Arc<Qemu>> {
    let options = QemuOptions {
        qemu: args.qemu.clone(),
        ring: args.ring,
        messages: args.messages,
        properties: args.properties.clone(),
        destination: Vec::new(),
        hotplug: Style::Acpi,
        primary: false,
    };
    let tap = args.tap.map(Tap::make).transpose()?;
    Ok(Qemu::over(options, tap))
}

fn adapter(args: &LifeArgs) -> Result<AdapterOptions> {
    let mut options = AdapterOptions::default();
    for setting in &args.settings {
        let (name, value) = setting.split_once('=').context("NAME=VALUE")?;
        options = options.with(name, Value::Sz(value.to_owned()));
    }
    Ok(options)
}

fn live(
    world: &mut World,
    qemu: &Qemu,
    adapter: &AdapterOptions,
    load: Load,
) -> Result<([Part; 3], Seen)> {
    let started = Instant::now();
    world.add_adapter(adapter)?;
    world.start_adapter()?;
    world.wait_for_link(10 * SECOND_NS)?;
    let card = qemu.adapter()?;
    let boot = Part::between(&Cost::default(), &card.cost(), started);
    let mtu = load::use_mtu(world)?;
    let traffic = part(&card, || load::carry(world, load))?;
    let chains = part(&card, || load::send_chains(world, load))?;
    expect_undisturbed(world, &card.cost())?;
    let packed = card.has_packed_rings()?;
    let wanted = qemu.options().ring == Ring::Packed;
    ensure!(packed == wanted, "packed rings: {packed}, not {wanted}");
    load::unplug(world, &card, load)?;
    let seen = Seen::look(&card, mtu)?;
    load::pause(world, load)?;
    load::sleep(world, load)?;
    Ok(([boot, traffic, chains], seen))
}

/// Nothing was lost but what the wire had no room for, nothing came twice, the link stayed up, the driver
/// had nothing to say.
fn expect_undisturbed(world: &World, cost: &Cost) -> Result<()> {
    let account = world.ledgers.account();
    let ways = [
        ("to the peer", &account.to_peer, 0),
        ("to the guest", &account.to_guest, cost.frames_dropped),
    ];
    for (way, report, dropped) in ways {
        let totals = report.totals;
        let lost = report.lost.abs_diff(dropped);
        let wrong = [lost, totals.duplicated, totals.foreign];
        ensure!(
            wrong == [0, 0, 0],
            "{way}: {} frames lost, {dropped} of them on the wire, {} came twice, {} that nobody sent",
            report.lost,
            totals.duplicated,
            totals.foreign
        );
    }
    let downs = world.adapter().link_downs();
    ensure!(downs == 0, "the link went down {downs} times");
    let entries = event_log();
    ensure!(entries.is_empty(), "unexpected events: {entries:x?}");
    Ok(())
}

/// QEMU captured just the frames that crossed.
fn expect_whole(captured: &Captured, cost: &Cost, load: Load) -> Result<()> {
    let crossed = [cost.frames_from_guest, cost.frames_to_guest];
    let seen = [captured.from_guest, captured.to_guest];
    ensure!(
        seen == crossed,
        "QEMU captured {seen:?} frames from and to the guest, of {crossed:?}"
    );
    let chains = (load.chains * CHAIN) as u64;
    ensure!(
        captured.chains == chains,
        "{} frames of chains, not {chains}",
        captured.chains
    );
    Ok(())
}

fn part(card: &Card, body: impl FnOnce() -> Result<()>) -> Result<Part> {
    let (before, started) = (card.cost(), Instant::now());
    body()?;
    Ok(Part::between(&before, &card.cost(), started))
}

impl Part {
    fn between(before: &Cost, after: &Cost, started: Instant) -> Self {
        let difference = |of: &dyn Fn(&Cost) -> u64| of(after).saturating_sub(of(before));
        Self {
            frames_to_guest: difference(&|cost| cost.frames_to_guest),
            frames_from_guest: difference(&|cost| cost.frames_from_guest),
            transmit_doorbells: difference(&|cost| cost.doorbells_of(1)),
            receive_doorbells: difference(&|cost| cost.doorbells_of(0)),
            commands: difference(&Cost::commands),
            messages: difference(&Cost::all_messages),
            pin_asserted: difference(&|cost| cost.pin_asserted),
            register_reads: difference(&|cost| cost.register_reads),
            register_writes: difference(&|cost| cost.register_writes),
            seconds: started.elapsed().as_secs_f64(),
        }
    }

    /// So much per 1000 sent frames.
    #[must_use]
    pub fn per_thousand_sent(&self, count: u64) -> f64 {
        count as f64 * 1000.0 / self.frames_from_guest.max(1) as f64
    }
}

/// The report as one line of JSON.
///
/// # Errors
///
/// It can't be written so.
pub fn to_json(report: &Report) -> Result<String> {
    serde_json::to_string(report).context("the report")
}
