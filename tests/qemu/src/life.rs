//! The life that the suite runs: boot, traffic with pauses, chains of frames, unload; and what it cost.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use devices::wire::Frame;
use devices::wire::stack::PingPlan;
use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::ndis::event_log;
use ndis_host::{pnp, sched};
use scenarios::world::{
    AdapterOptions, DriverImage, GUEST_ADDRESS, GUEST_MAC, MILLISECOND_NS, SECOND_NS, World,
    WorldOptions,
};
use serde::{Deserialize, Serialize};

use crate::backend::{Qemu, QemuOptions, Ring};
use crate::capture::{self, Captured};
use crate::card::{Card, Cost};
use crate::frames::odd_frame;
use crate::hotplug::Style;

/// Bytes of the stream, each way.
const BYTES: u64 = 4_000_000;
/// Pauses of the binding under it.
const PAUSES: u64 = 4;
/// Time from one ping to the next, each way.
const PING_NS: u64 = MILLISECOND_NS;
/// Frames that are sent in one call, and how often.
const CHAIN: usize = 32;
const CHAINS: usize = 128;
/// Time for a step: less than the judge has, so that a step that fails is told with the device's state.
const PATIENCE_NS: u64 = 20 * SECOND_NS;

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
    /// What QEMU captured, dissected.
    pub captured: Captured,
}

/// Lives it. Once per process.
///
/// # Errors
///
/// What went wrong.
pub fn run(args: &LifeArgs) -> Result<Report> {
    let image = DriverImage::read(&args.image)?;
    let qemu = qemu(args);
    let options = WorldOptions::new(args.seed, &image).driving(qemu.clone());
    let mut world = World::start(&options)?;
    world.ping_interval_ns = PING_NS;
    let lived = live(&mut world, &qemu).inspect_err(|_| eprint!("{}", world.describe()))?;
    let ending = world.finish();
    ensure!(ending.is_clean(), "{ending}");

    let card = qemu.adapter()?;
    let captured = capture::dissect(&quit(&card)?, GUEST_MAC)?;
    expect_whole(&captured, &card.cost())?;
    let [boot, traffic, chains] = lived;
    Ok(Report {
        qemu_version: card.machine().version(),
        boot,
        traffic,
        chains,
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
    let qemu = qemu(args);
    let options = WorldOptions::new(args.seed, &image).driving(qemu.clone());
    scenarios::cases::run(name, &options)?;
    capture::dissect(&quit(&qemu.adapter()?)?, GUEST_MAC).map(drop)
}

/// Ends QEMU and returns what it captured of the only cable.
fn quit(card: &Card) -> Result<Vec<u8>> {
    let mut captures = card.machine().quit()?;
    captures.pop().context("a cable was captured")
}

fn qemu(args: &LifeArgs) -> std::sync::Arc<Qemu> {
    Qemu::new(QemuOptions {
        qemu: args.qemu.clone(),
        ring: args.ring,
        messages: args.messages,
        properties: args.properties.clone(),
        destination: Vec::new(),
        hotplug: Style::Acpi,
        primary: false,
    })
}

fn live(world: &mut World, qemu: &Qemu) -> Result<[Part; 3]> {
    let started = Instant::now();
    world.add_adapter(&AdapterOptions::default())?;
    world.start_adapter()?;
    world.wait_for_link(10 * SECOND_NS)?;
    let card = qemu.adapter()?;
    let boot = Part::between(&Cost::default(), &card.cost(), started);
    let traffic = part(&card, || carry(world))?;
    let chains = part(&card, || send_chains(world))?;
    expect_undisturbed(world, &card.cost())?;
    let packed = card.has_packed_rings()?;
    let wanted = qemu.options().ring == Ring::Packed;
    ensure!(packed == wanted, "packed rings: {packed}, not {wanted}");
    pause(world)?;
    Ok([boot, traffic, chains])
}

/// A stream and pings, both ways.
fn carry(world: &World) -> Result<()> {
    let plan = PingPlan::new(GUEST_ADDRESS, PING_NS);
    let pings = world.peer.with(|stack, now| stack.start_ping(plan, now));
    let traffic = world.start_traffic(BYTES);
    let report = world.finish_traffic(traffic, PATIENCE_NS)?;
    world.peer.with(|stack, _| stack.stop_ping(pings));
    let of_peer = world.peer.inspect(|stack| stack.ping(pings));
    for (whose, pings) in [("guest", report.ping), ("peer", of_peer)] {
        ensure!(pings.answered > 0, "the {whose}'s pings: {pings:?}");
    }
    world.drain();
    Ok(())
}

/// NDIS pauses the stack now and then under a stream, which survives it.
fn pause(world: &World) -> Result<()> {
    let traffic = world.start_traffic(BYTES);
    for pause in 1..=PAUSES {
        world.wait_for_bytes(traffic, pause * BYTES / PAUSES, PATIENCE_NS)?;
        pnp::pause_stack(world.adapter().device);
        sched::sleep(2 * MILLISECOND_NS);
        pnp::restart_stack(world.adapter().device);
    }
    world.finish_traffic(traffic, PATIENCE_NS).map(drop)
}

/// Many sends of many frames each.
fn send_chains(world: &World) -> Result<()> {
    /// Chains on their way at a time.
    const AT_ONCE: u64 = 3;
    // The bar is for chains as they are sent, not for what NDIS may make of them.
    let usual = adversary::current();
    adversary::set(Adversary::PLAIN);
    let before = world.tcpip.counters().frames_completed;
    for chain in 0..CHAINS {
        let frames: Vec<Frame> = (0..CHAIN)
            .map(|frame| odd_frame(chain * CHAIN + frame))
            .collect();
        let room = ((chain + 1) as u64).saturating_sub(AT_ONCE) * CHAIN as u64;
        world.wait_for("earlier chains", PATIENCE_NS, || {
            world.tcpip.counters().frames_completed >= before + room
        })?;
        ensure!(world.tcpip.send_chain(&frames), "TCP/IP is not bound");
    }
    let all = before + (CHAINS * CHAIN) as u64;
    world.wait_for("all chains", PATIENCE_NS, || {
        world.tcpip.counters().frames_completed >= all
    })?;
    adversary::set(usual);
    world.drain();
    Ok(())
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
fn expect_whole(captured: &Captured, cost: &Cost) -> Result<()> {
    let crossed = [cost.frames_from_guest, cost.frames_to_guest];
    let seen = [captured.from_guest, captured.to_guest];
    ensure!(
        seen == crossed,
        "QEMU captured {seen:?} frames from and to the guest, of {crossed:?}"
    );
    let chains = (CHAINS * CHAIN) as u64;
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
