//! The system sleeps, hibernates, shuts down and crashes.

use anyhow::{Result, ensure};
use devices::virtio_net::{DeviceState, VirtioNetControl, feature};
use ndis_host::ndis::{AdapterState, adapters};
use ndis_host::{pnp, sched, verifier};
use neighbours::vf::{VfOptions, VfPower};

use super::steps::{
    LONG, PATIENCE_NS, SHORT, expect_no_events, linger, start_on_vf, start_on_virtio,
};
use crate::world::{AdapterOptions, Ending, MILLISECOND_NS, SECOND_NS, Traffic, VfPlug, World};

/// How often the system sleeps.
const ROUNDS: u64 = 3;

/// The system sleeps and resumes under traffic; the stream outlives it.
pub(super) fn sleep_resume(world: &mut World) -> Result<()> {
    if sched::chance(2) {
        start_alone(world)?;
    } else {
        start_on_virtio(world)?;
    }
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        sleep(world)?;
        resume(world)?;
        world.wait_for_link(10 * SECOND_NS)?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// As [`sleep_resume`], while the VF carries; its miniport knows of power, or does not.
pub(super) fn sleep_resume_vf(world: &mut World) -> Result<()> {
    start_on_sleepy_vf(world)?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        sleep(world)?;
        resume(world)?;
        world.wait_for_link(10 * SECOND_NS)?;
        world.wait_for_vf()?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The VF is there before the sleep, and gone or exchanged for another one after it.
pub(super) fn sleep_loses_vf(world: &mut World) -> Result<()> {
    start_on_sleepy_vf(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    sleep(world)?;
    world.lose_vf()?;
    resume(world)?;
    world.wait_for_link(10 * SECOND_NS)?;
    world.wait_for_bytes(traffic, LONG, PATIENCE_NS)?;
    if sched::chance(2) {
        world.plug_vf(&VfPlug::default())?;
        world.wait_for_vf()?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// There is no VF before the sleep, and one after it.
pub(super) fn sleep_brings_vf(world: &mut World) -> Result<()> {
    start_on_virtio(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    sleep(world)?;
    let early = sched::chance(2);
    if early {
        world.plug_vf(&sleepy_vf())?;
    }
    resume(world)?;
    if !early {
        world.plug_vf(&sleepy_vf())?;
    }
    world.wait_for_link(10 * SECOND_NS)?;
    world.wait_for_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The machine is hibernated and wakes up with a device that offers less, or more, or has queues
/// of other sizes. Nothing of the one before is kept, and what the new one can be told, it is.
pub(super) fn hibernate_changed_device(world: &mut World) -> Result<()> {
    start_alone(world)?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        sleep(world)?;
        let size = 64 << sched::random_below(4);
        let features = any_features();
        world.adapter().control().change_while_off(|config| {
            config.queue_size = size;
            config.features = features;
        });
        resume(world)?;
        world.wait_for_link(10 * SECOND_NS)?;
        let DeviceState {
            features: taken, ..
        } = world.adapter().control().state();
        ensure!(
            taken & !features == 0,
            "the driver took {taken:#x} of {features:#x}"
        );
        expect_filter(world, features)?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The device filters if it can, and is not asked if it can't.
fn expect_filter(world: &World, features: u128) -> Result<()> {
    let control = world.adapter().control();
    let commands = control.counters().commands;
    if features & feature::CTRL_RX == 0 {
        linger(5);
        let more = control.counters().commands;
        ensure!(
            commands == more,
            "a device without a filter was told of one"
        );
        let rules = control.receive_rules();
        ensure!(rules.promiscuous, "a device without a filter has {rules:?}");
        return Ok(());
    }
    let control = control.clone();
    world.wait_for("the device's filter", SECOND_NS, move || {
        let rules = control.receive_rules();
        let groups = rules.multicast.is_some_and(|groups| groups.len() == 1);
        !rules.promiscuous && groups
    })
}

/// What every virtio 1 device offers, and some of what it need not.
fn any_features() -> u128 {
    let optional = [
        feature::MRG_RXBUF,
        feature::STATUS,
        feature::INDIRECT_DESC,
        feature::EVENT_IDX,
        feature::CTRL_VQ | feature::CTRL_RX,
        feature::NOTIFICATION_DATA,
        feature::RING_PACKED,
        feature::IN_ORDER,
    ];
    let chosen = optional.into_iter().filter(|_| sched::chance(2));
    chosen.fold(
        feature::VERSION_1 | feature::MAC | feature::MTU,
        |all, bit| all | bit,
    )
}

/// The system powers off under traffic: the device is quiet from then on.
pub(super) fn shutdown(world: &mut World) -> Result<()> {
    let _traffic = start_anything(world)?;
    pnp::shut_down_all();
    let control = world.adapter().control().clone();
    ensure!(
        is_quiet(control.state()),
        "the device is still at work: {:?}",
        control.state()
    );
    let before = control.counters().messages;
    sched::sleep(10_000_000);
    let after = control.counters().messages;
    ensure!(
        before == after,
        "{} messages after shutdown",
        after - before
    );
    expect_no_events()
}

/// The system crashes, wherever it is: while the adapter starts, or under traffic. The process ends
/// in the crash.
pub(super) fn bugcheck(world: &mut World) -> Result<()> {
    let standby = sched::chance(2);
    let options = if standby {
        world.install_vioprot()?;
        AdapterOptions::standby()
    } else {
        AdapterOptions::default()
    };
    world.add_adapter(&options)?;
    let control = world.adapter().control().clone();
    let latest_ns = if standby { 300 } else { 10 } * MILLISECOND_NS;
    sched::after(sched::random_below(latest_ns), move || {
        pnp::crash(move || after_the_crash(&control));
    });
    world.start_adapter()?;
    if standby {
        world.plug_vf(&VfPlug::default())?;
    }
    let _traffic = world.start_traffic(LONG);
    sched::sleep(SECOND_NS);
    anyhow::bail!("the system did not crash")
}

/// What a crash leaves: the exit code.
fn after_the_crash(control: &VirtioNetControl) -> i32 {
    let ending = Ending {
        misuses: control.misuses(),
        ..Ending::so_far()
    };
    let told = adapters()
        .iter()
        .any(|adapter| adapter.state == AdapterState::Shutdown);
    if told && !is_quiet(control.state()) {
        eprintln!("bugcheck: the device is still at work");
        return verifier::FAILED_EXIT;
    }
    if !ending.is_clean() {
        eprintln!("bugcheck: {ending}");
        return verifier::FAILED_EXIT;
    }
    let who = if told { "the miniport" } else { "nobody" };
    println!("bugcheck: pass; {who} was told");
    0
}

fn is_quiet(state: DeviceState) -> bool {
    state.status & devices::virtio_net::device_status::DRIVER_OK == 0
}

/// An adapter at work, alone or with a VF.
fn start_anything(world: &mut World) -> Result<Traffic> {
    if sched::chance(2) {
        start_on_vf(world)?;
    } else {
        start_alone(world)?;
    }
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, SHORT + sched::random_below(LONG / 2), PATIENCE_NS)?;
    Ok(traffic)
}

/// A VF whose miniport knows of power by seed.
fn sleepy_vf() -> VfPlug {
    let power = [VfPower::Unaware, VfPower::Paused, VfPower::Running];
    let power = power[sched::random_below(3) as usize];
    VfPlug {
        options: VfOptions {
            power,
            ..VfOptions::default()
        },
        ..VfPlug::default()
    }
}

fn start_on_sleepy_vf(world: &mut World) -> Result<()> {
    super::steps::start_standby(world, AdapterOptions::standby())?;
    world.plug_vf(&sleepy_vf())?;
    world.wait_for_vf()?;
    world.wait_for_link(SECOND_NS)
}

/// Everything is in low power for a while.
fn sleep(world: &World) -> Result<()> {
    pnp::sleep_system();
    ensure!(
        world.tcpip.is_bound(),
        "TCP/IP was unbound for the time of a sleep"
    );
    linger(200);
    Ok(())
}

fn resume(world: &World) -> Result<()> {
    pnp::resume_system();
    pnp::settle();
    ensure!(world.tcpip.is_bound(), "TCP/IP was unbound by a resume");
    Ok(())
}

fn start_alone(world: &mut World) -> Result<()> {
    world.add_adapter(&AdapterOptions::default())?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)
}
