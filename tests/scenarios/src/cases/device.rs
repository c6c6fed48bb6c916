//! A virtio device that breaks the rules. The driver stays up, or does not start and says why.

use std::array;

use anyhow::{Result, bail, ensure};
use devices::virtio_net::{Fault, QueueRole, feature};
use devices::wire::stack::PingPlan;
use ndis_host::ndis::expect_stray_device;
use ndis_host::{pnp, sched};

use super::steps::{
    LONG, PATIENCE_NS, events_with, expect_event, expect_link_stayed, reason, start_on_vf,
};
use crate::world::{AdapterOptions, MILLISECOND_NS, PEER_ADDRESS, SECOND_NS, Traffic, World};

/// A used element that names no buffer of the driver's: beyond the ring, or one that is back.
pub(super) fn device_used_id(world: &mut World) -> Result<()> {
    let role = any_queue();
    if sched::chance(2) {
        return breaks(world, Fault::UsedIdOutOfRange(role), &[event_of(role)]);
    }
    start_alone(world)?;
    // In a packed ring it takes several frames at a time.
    let plan = PingPlan::new(PEER_ADDRESS, MILLISECOND_NS);
    let crowd: [_; 8] = world
        .tcpip
        .with(|stack, now| array::from_fn(|_| stack.start_ping(plan, now)));
    // A buffer that went back to the device between the two elements is used rightly by the second.
    // The device falls over that itself then: it finds more buffers than there can be. Until it does
    // it may fill the buffer that it seems to have given back.
    expect_stray_device();
    let events = [event_of(role), reason::NEEDS_RESET];
    let traffic = inject_under_traffic(world, Fault::UsedIdTwice(role))?;
    match wait_for_events(world, &events) {
        // In a packed ring the second element takes the place of a descriptor that the device has not seen.
        // If nothing looked wrong to the driver, the device waits there for what the driver puts elsewhere,
        // and so has lost its own traffic, and only that.
        Err(_) if is_packed(world) => {
            expect_stuck(world, role)?;
            traffic.abort(&world.tcpip, &world.peer);
        }
        noticed => {
            noticed?;
            expect_end(world, traffic, &events)?;
        }
    }
    world
        .tcpip
        .with(|stack, _| crowd.map(|ping| stack.stop_ping(ping)));
    Ok(())
}

/// A used element that claims more bytes than the buffer has. A transmit queue's used length means
/// nothing (virtio 1.2, 2.7.8), so there it is the receive queue.
pub(super) fn device_used_length(world: &mut World) -> Result<()> {
    let fault = Fault::UsedLengthTooLong(QueueRole::Receive);
    breaks(world, fault, &[reason::RECEIVE_RING_BROKEN])
}

/// A header that claims to spread over no buffer, or over more than there are.
pub(super) fn device_num_buffers(world: &mut World) -> Result<()> {
    let fault = if sched::chance(2) {
        Fault::NumBuffersZero
    } else {
        Fault::NumBuffersHuge
    };
    // The number means something only then.
    let options = AdapterOptions::default().offering(feature::MRG_RXBUF);
    start_alone_with(world, &options)?;
    breaks_alone(world, fault, &[reason::RECEIVE_RING_BROKEN])
}

/// The device asks for a reset while the VF carries: nobody above notices.
pub(super) fn device_breaks_under_vf(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 2, PATIENCE_NS)?;
    world.adapter().control().break_down("the scenario says so");
    wait_for_event(world, reason::NEEDS_RESET)?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_link_stayed(world)
}

/// A capability that points outside of its BAR: no start.
pub(super) fn device_capability(world: &mut World) -> Result<()> {
    does_not_start(world, Fault::CapabilityOutsideBar, reason::NO_TRANSPORT)
}

/// A device that never resets: the halt is clean, and the next start fails until it does.
pub(super) fn device_never_resets(world: &mut World) -> Result<()> {
    start_alone(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 2, PATIENCE_NS)?;
    traffic.abort(&world.tcpip, &world.peer);
    let adapter = world.adapter();
    adapter.control().inject(Fault::NeverResets);
    pnp::disable_device(adapter.device);
    starts_only_without_faults(world, reason::NO_RESET)
}

/// A device that does not take the driver's features: no start.
pub(super) fn device_features_refused(world: &mut World) -> Result<()> {
    does_not_start(world, Fault::FeaturesRefused, reason::NO_FEATURES)
}

/// Injects a fault under traffic: the driver says so by one of these events, gives the device up,
/// and gives all NBLs back.
fn breaks(world: &mut World, fault: Fault, events: &[u32]) -> Result<()> {
    start_alone(world)?;
    breaks_alone(world, fault, events)
}

/// As [`breaks`], with an adapter that runs.
fn breaks_alone(world: &World, fault: Fault, events: &[u32]) -> Result<()> {
    let traffic = inject_under_traffic(world, fault)?;
    wait_for_events(world, events)?;
    expect_end(world, traffic, events)
}

fn inject_under_traffic(world: &World, fault: Fault) -> Result<Traffic> {
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    world.adapter().control().inject(fault);
    Ok(traffic)
}

fn is_packed(world: &World) -> bool {
    world.adapter().control().state().features & feature::RING_PACKED != 0
}

/// The device carries nothing more in this direction.
fn expect_stuck(world: &World, role: QueueRole) -> Result<()> {
    let control = world.adapter().control();
    let frames = || {
        let counters = control.counters();
        match role {
            QueueRole::Receive => counters.rx.frames,
            _ => counters.tx.frames,
        }
    };
    ensure!(control.active_faults() == 0, "the fault was not shown");
    let before = frames();
    sched::sleep(SECOND_NS);
    let after = frames();
    ensure!(
        before == after,
        "{} frames after a fault that nobody noticed",
        after - before
    );
    Ok(())
}

/// The adapter's link is down, nothing is out, and the driver has said so once.
fn expect_end(world: &World, traffic: Traffic, events: &[u32]) -> Result<()> {
    let tcpip = world.tcpip.clone();
    world.wait_for("the link to go down", 10 * SECOND_NS, move || {
        !tcpip.link_up()
    })?;
    let tcpip = world.tcpip.clone();
    world.wait_for("all NBLs", 10 * SECOND_NS, move || tcpip.is_idle())?;
    let said = any_of(events);
    ensure!(said == 1, "the driver said it {said} times");
    traffic.abort(&world.tcpip, &world.peer);
    Ok(())
}

fn does_not_start(world: &mut World, fault: Fault, event: u32) -> Result<()> {
    world.add_adapter(&AdapterOptions::default())?;
    world.adapter().control().inject(fault);
    starts_only_without_faults(world, event)
}

/// The adapter does not start and says why; without the fault it starts, so nothing was left behind.
fn starts_only_without_faults(world: &World, event: u32) -> Result<()> {
    if world.start_adapter().is_ok() {
        bail!("the adapter starts in spite of the device's fault");
    }
    expect_event(event, None)?;
    world.adapter().control().lift_faults();
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)
}

fn start_alone(world: &mut World) -> Result<()> {
    start_alone_with(world, &AdapterOptions::default())
}

fn start_alone_with(world: &mut World, options: &AdapterOptions) -> Result<()> {
    world.add_adapter(options)?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)
}

fn wait_for_event(world: &World, event: u32) -> Result<()> {
    wait_for_events(world, &[event])
}

fn wait_for_events(world: &World, events: &[u32]) -> Result<()> {
    let events = events.to_vec();
    world.wait_for("the event log entry", 10 * SECOND_NS, move || {
        any_of(&events) > 0
    })
}

/// How often the driver has written one of these events.
fn any_of(events: &[u32]) -> usize {
    events.iter().map(|event| events_with(*event)).sum()
}

fn any_queue() -> QueueRole {
    if sched::chance(2) {
        QueueRole::Receive
    } else {
        QueueRole::Transmit
    }
}

fn event_of(role: QueueRole) -> u32 {
    match role {
        QueueRole::Receive => reason::RECEIVE_RING_BROKEN,
        QueueRole::Transmit => reason::TRANSMIT_RING_BROKEN,
        QueueRole::Control => unreachable!("a device without a control queue"),
    }
}
