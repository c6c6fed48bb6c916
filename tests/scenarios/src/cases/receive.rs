//! Receive buffers of every kind, and frames that do not fit them.

use anyhow::{Result, ensure};
use devices::virtio_net::{Fault, feature};
use devices::wire::stack::PingPlan;
use ndis_host::registry::Value;

use super::steps::{
    LONG, PATIENCE_NS, SHORT, expect_no_events, expect_undisturbed, linger, statistics,
};
use crate::world::{
    AdapterOptions, GUEST_ADDRESS, GUEST_MAC, MILLISECOND_NS, PEER_MAC, SECOND_NS, World,
};

/// IP MTU of long frames.
const JUMBO: u16 = 9000;

/// Each frame has a buffer of its own.
pub(super) fn single_buffers(world: &mut World) -> Result<()> {
    let options = AdapterOptions {
        lacks: feature::MRG_RXBUF,
        ..AdapterOptions::default()
    };
    start(world, &options)?;
    carries(world, LONG / 4)?;
    let received = world.adapter().control().counters().rx;
    ensure!(received.chains == received.frames, "{received:?}");
    Ok(())
}

/// Long frames span several buffers.
pub(super) fn jumbo_mergeable(world: &mut World) -> Result<()> {
    start_jumbo(world, feature::MRG_RXBUF, 0)?;
    carries(world, LONG)?;
    let received = world.adapter().control().counters().rx;
    ensure!(
        received.chains > received.frames,
        "no frame spans several buffers: {received:?}"
    );
    Ok(())
}

/// Long frames have a buffer each, which is a chain of pages.
pub(super) fn jumbo_single(world: &mut World) -> Result<()> {
    start_jumbo(world, 0, feature::MRG_RXBUF)?;
    carries(world, LONG)?;
    let received = world.adapter().control().counters().rx;
    ensure!(received.chains == received.frames, "{received:?}");
    ensure!(
        received.descriptors >= 3 * received.chains,
        "buffers are in one piece: {received:?}"
    );
    ensure!(
        received.bytes > received.frames * 2000,
        "there were no long frames: {received:?}"
    );
    Ok(())
}

/// The network has longer frames than the adapter. They are dropped, and nothing else is.
pub(super) fn frames_too_long(world: &mut World) -> Result<()> {
    const TOO_LONG: u64 = 20;
    world.set_peer_mtu(JUMBO.into());
    let options = AdapterOptions {
        offers: feature::MRG_RXBUF,
        ..AdapterOptions::default()
    };
    start(world, &options)?;
    let traffic = world.start_traffic(LONG / 8);
    world.wait_for_bytes(traffic, SHORT / 4, PATIENCE_NS)?;
    let plan = PingPlan {
        payload: 3000,
        count: Some(TOO_LONG),
        ..PingPlan::new(GUEST_ADDRESS, MILLISECOND_NS / 10)
    };
    let pings = world.peer.with(|stack, now| stack.start_ping(plan, now));
    world.finish_traffic(traffic, PATIENCE_NS)?;
    world.wait_for_pings_sent(pings, TOO_LONG)?;
    world.drain();
    let report = world.peer.inspect(|stack| stack.ping(pings));
    ensure!(report.answered == 0, "{report:?}");
    let errors = statistics(world)?.ifInErrors;
    ensure!(errors == TOO_LONG, "{errors} receive errors");
    carries_on(world)
}

/// The device leaves a buffer half empty and goes on in the next one, in the midst of a header. The
/// frame is dropped, and comes again.
pub(super) fn device_scatters(world: &mut World) -> Result<()> {
    const TIMES: u64 = 5;
    let options = AdapterOptions {
        offers: feature::MRG_RXBUF,
        ..AdapterOptions::default()
    };
    start(world, &options)?;
    let traffic = world.start_traffic(LONG / 4);
    for time in 1..=TIMES {
        world.wait_for_bytes(traffic, time * SHORT / 2, PATIENCE_NS)?;
        world.adapter().control().inject(Fault::FrameScattered);
        linger(1);
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let errors = statistics(world)?.ifInErrors;
    ensure!(errors == TIMES, "{errors} receive errors");
    carries_on(world)
}

/// Frames that are shorter than an Ethernet header, or are without their tag. None is indicated.
pub(super) fn runts(world: &mut World) -> Result<()> {
    start(world, &AdapterOptions::default())?;
    let mut deliver = world.adapter().control().wire_sink();
    let mut frame = [GUEST_MAC, PEER_MAC].concat();
    frame.extend([0x81, 0x00, 0, 0, 0x08]);
    let lengths = [12, 13, 16, 17];
    for len in lengths {
        deliver(frame[..len].to_vec());
        linger(1);
    }
    let errors = statistics(world)?.ifInErrors;
    ensure!(errors == lengths.len() as u64, "{errors} receive errors");
    carries_on(world)
}

/// An adapter that takes long frames, from a device that offers `offers` and not `lacks`.
fn start_jumbo(world: &mut World, offers: u128, lacks: u128) -> Result<()> {
    world.set_peer_mtu(JUMBO.into());
    world.set_guest_mtu(JUMBO.into());
    let options = AdapterOptions {
        offers,
        lacks,
        mtu: Some(JUMBO),
        ..AdapterOptions::default()
    };
    let frame = (JUMBO + 14).to_string();
    start(world, &options.with("*JumboPacket", Value::Sz(frame)))
}

fn start(world: &mut World, options: &AdapterOptions) -> Result<()> {
    world.add_adapter(options)?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)
}

/// All bytes arrive, and each frame once.
fn carries(world: &World, bytes: u64) -> Result<()> {
    let traffic = world.start_traffic(bytes);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_undisturbed(world)?;
    expect_no_events()
}

/// The device was not given up: there is more traffic.
fn carries_on(world: &World) -> Result<()> {
    expect_no_events()?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS).map(|_| ())
}
