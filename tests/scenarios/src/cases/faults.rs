//! Faults on demand: calls that fail, hardware that vanishes at any step.

use anyhow::{Context, Result, ensure};
use ndis_host::ndis::faults::{self, Faults, refuse};
use ndis_host::ndis::interrupts::disturb::{self, Disturbances};
use ndis_host::{pnp, sched};

use super::steps::{LONG, PATIENCE_NS, SHORT, linger, start_on_vf, start_standby};
use crate::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS, VfPlug, World};

/// Starts that a run lets fail.
const FAILED_STARTS: u64 = 12;
/// Points within which hardware vanishes: about as many as a start and some traffic have.
const MOST_POINTS: u64 = 30_000;

/// Each kind of routine that a start needs is refused, one at a time: no start, unless the driver
/// does not call it. Then all is well again.
pub(super) fn init_refused(world: &mut World) -> Result<()> {
    add_any_adapter(world)?;
    for kind in refuse::ALL {
        faults::set_refused(kind);
        let started = world.start_adapter().is_ok();
        let refusals = faults::refusals();
        faults::set_refused(0);
        ensure!(
            started == (refusals == 0),
            "kind {kind:#x} was refused {refusals} times; the adapter starts: {started}"
        );
        if started {
            pnp::disable_device(world.adapter().device);
        }
    }
    works(world)
}

/// An allocation fails, any one between the start and the end of all binds; again and again.
pub(super) fn start_out_of_memory(world: &mut World) -> Result<()> {
    add_any_adapter(world)?;
    faults::set(Faults::Never);
    world.start_adapter()?;
    let sites = faults::sites();
    pnp::disable_device(world.adapter().device);
    for _ in 0..FAILED_STARTS {
        faults::set(Faults::Nth(sched::random_below(sites)));
        let started = world.start_adapter().is_ok();
        faults::set(Faults::Never);
        if started {
            linger(5);
            pnp::disable_device(world.adapter().device);
        }
    }
    works(world)
}

/// An allocation fails, any one between a VF's start and its taking over; again and again.
pub(super) fn vf_out_of_memory(world: &mut World) -> Result<()> {
    const FAILED_BINDS: u64 = 6;
    start_standby(world, AdapterOptions::standby())?;
    faults::set(Faults::Never);
    world.plug_vf(&VfPlug::default())?;
    world.wait_for_vf()?;
    let sites = faults::sites();
    world.withdraw_vf()?;
    for _ in 0..FAILED_BINDS {
        faults::set(Faults::Nth(sched::random_below(sites)));
        // It may be this that fails; then there is no VF.
        let plugged = world.plug_vf(&VfPlug::default()).is_ok();
        linger(250);
        faults::set(Faults::Never);
        if plugged {
            world.withdraw_vf()?;
        }
    }
    world.plug_vf(&VfPlug::default())?;
    world.wait_for_vf()?;
    world.wait_for_link(10 * SECOND_NS)?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS).map(|_| ())
}

/// Memory is short under traffic: allocations fail, everywhere. The stream survives it.
pub(super) fn traffic_out_of_memory(world: &mut World) -> Result<()> {
    let one_in = 20 + sched::random_below(400);
    carries_in_spite_of(world, Faults::OneIn(one_in))
}

/// Scatter/gather lists can't be had, now and then. The stream survives it.
pub(super) fn no_scatter_gather(world: &mut World) -> Result<()> {
    let one_in = 2 + sched::random_below(30);
    carries_in_spite_of(
        world,
        Faults::OneInOf(one_in, "NdisMAllocateNetBufferSGList"),
    )
}

/// The virtio device vanishes at some step of its start or of the traffic after it.
pub(super) fn adapter_vanishes(world: &mut World) -> Result<()> {
    add_any_adapter(world)?;
    let device = world.adapter().device;
    let step = sched::random_below(MOST_POINTS);
    sched::at_point(step, move || pnp::unplug_device(device));
    if world.start_adapter().is_ok() {
        let traffic = world.start_traffic(SHORT);
        // The traffic may be through before it vanishes, or never be through.
        linger(20);
        traffic.abort(&world.tcpip, &world.peer);
    }
    world.pull_adapter();
    Ok(())
}

/// The VF vanishes at some step of its start, of its taking over or of the traffic after it. The
/// stream goes on.
pub(super) fn vf_vanishes(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    world.withdraw_vf()?;
    let traffic = world.start_traffic(LONG / 8);
    world.plug_vf(&VfPlug::default())?;
    let hardware = world.primary().context("it is plugged")?.hardware().clone();
    let step = sched::random_below(MOST_POINTS);
    sched::at_point(step, move || {
        hardware.withdraw();
    });
    linger(150);
    world.pull_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS).map(|_| ())
}

/// Interrupts come late, twice and without need, and their DPCs run on whichever CPU, under
/// traffic and while the adapter starts and stops. The stream survives it.
///
/// None is lost for good. No hardware that works does that, and a driver that has told its device
/// to be silent until it has looked waits for that one message: NDIS gives it nothing to poll with.
/// One that is later than everything around it is what is left of a lost one.
pub(super) fn interrupts_disturbed(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 3;
    disturb_interrupts();
    start_on_vf(world)?;
    world.withdraw_vf()?;
    let traffic = world.start_traffic(LONG / 8);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * SHORT / 2, PATIENCE_NS)?;
        disturb_interrupts();
        interrupt_without_need(world)?;
        linger(1 + sched::random_below(10));
    }
    let device = world.adapter().device;
    pnp::disable_device(device);
    world.start_adapter()?;
    world.plug_vf(&VfPlug::default())?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let account = world.ledgers.account();
    let twice = account.to_peer.totals.duplicated + account.to_guest.totals.duplicated;
    ensure!(twice == 0, "{twice} frames twice");
    Ok(())
}

/// Chooses how interrupts are disturbed from now on.
fn disturb_interrupts() {
    const DELAYS_NS: [u64; 3] = [10_000, MILLISECOND_NS, 50 * MILLISECOND_NS];
    let one_in = || 1 + sched::random_below(20);
    let chosen = sched::random_below(DELAYS_NS.len() as u64) as usize;
    disturb::set(Disturbances {
        lost: 0,
        duplicated: one_in(),
        late: one_in(),
        delay_ns: DELAYS_NS[chosen],
        other_cpu: 1 + sched::random_below(2),
    });
}

/// Interrupts the adapter a few times in the next milliseconds, whatever its device does.
fn interrupt_without_need(world: &World) -> Result<()> {
    const TIMES: u64 = 5;
    let adapter = pnp::adapter(world.adapter().device).context("no adapter")?;
    for _ in 0..TIMES {
        let delay_ns = sched::random_below(5 * MILLISECOND_NS);
        sched::after(delay_ns, move || disturb::interrupt(adapter));
    }
    Ok(())
}

/// Traffic over either path while `faults` are injected; and more when they are over.
fn carries_in_spite_of(world: &mut World, faults: Faults) -> Result<()> {
    if sched::chance(2) {
        start_on_vf(world)?;
    } else {
        world.add_adapter(&AdapterOptions::default())?;
        world.start_adapter()?;
        world.wait_for_link(SECOND_NS)?;
    }
    let traffic = world.start_traffic(LONG / 4);
    world.wait_for_bytes(traffic, SHORT, PATIENCE_NS)?;
    faults::set(faults);
    linger(3);
    faults::set(Faults::Never);
    world.finish_traffic(traffic, PATIENCE_NS).map(|_| ())
}

/// An adapter with failover or without, not started.
fn add_any_adapter(world: &mut World) -> Result<()> {
    if sched::chance(2) {
        world.install_vioprot()?;
        world.add_adapter(&AdapterOptions::standby())
    } else {
        world.add_adapter(&AdapterOptions::default())
    }
}

/// The adapter starts, and carries.
fn works(world: &World) -> Result<()> {
    world.start_adapter()?;
    world.wait_for_link(10 * SECOND_NS)?;
    let traffic = world.start_traffic(SHORT / 4);
    world.finish_traffic(traffic, PATIENCE_NS).map(|_| ())
}
