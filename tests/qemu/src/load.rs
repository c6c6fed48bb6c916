//! What happens in a life: streams, pings, chains of frames, pauses, sleeps.

use anyhow::{Context, Result, ensure};
use devices::wire::Frame;
use devices::wire::stack::PingPlan;
use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::{pnp, sched};
use scenarios::world::{GUEST_ADDRESS, MILLISECOND_NS, SECOND_NS, World};

use crate::card::Card;
use crate::frames::odd_frame;

/// Time from one ping to the next, each way.
pub const PING_NS: u64 = MILLISECOND_NS;
/// Frames that are sent in one call.
pub const CHAIN: usize = 32;
/// Time for a step: less than the judge has, so that a step that fails is told with the device's state.
const PATIENCE_NS: u64 = 20 * SECOND_NS;

/// How much happens in a life.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Bytes of the stream, each way.
    pub bytes: u64,
    /// Chains of frames.
    pub chains: usize,
    /// The cable is pulled out, and put in again.
    pub unplugs: bool,
    /// Pauses of the binding under another such stream; 0: there is none.
    pub pauses: u64,
    /// Sleeps of the system under a third; 0: there is none.
    pub sleeps: u64,
}

impl Load {
    /// What the suite has its costs of.
    pub const LONG: Self = Self {
        bytes: 4_000_000,
        chains: 128,
        unplugs: false,
        pauses: 4,
        sleeps: 0,
    };
    /// Enough to see that a device is driven as it should be.
    pub const SHORT: Self = Self {
        bytes: 1_500_000,
        chains: 32,
        unplugs: true,
        pauses: 0,
        sleeps: 0,
    };
}

/// The guest's TCP/IP has the MTU that the driver declares, as any has, and so has its network.
pub(crate) fn use_mtu(world: &World) -> Result<u32> {
    /// What both begin with.
    const USUAL: u32 = 1500;
    let report = world.adapter().report().context("no adapter")?;
    let mtu = report.mtu.context("the driver has declared no MTU")?;
    if mtu != USUAL {
        world.set_guest_mtu(mtu as usize);
        world.set_peer_mtu(mtu as usize);
    }
    Ok(mtu)
}

/// A stream and pings, both ways.
pub(crate) fn carry(world: &World, load: Load) -> Result<()> {
    let plan = PingPlan::new(GUEST_ADDRESS, PING_NS);
    let pings = world.peer.with(|stack, now| stack.start_ping(plan, now));
    let traffic = world.start_traffic(load.bytes);
    let report = world.finish_traffic(traffic, PATIENCE_NS)?;
    world.peer.with(|stack, _| stack.stop_ping(pings));
    let of_peer = world.peer.inspect(|stack| stack.ping(pings));
    for (whose, pings) in [("guest", report.ping), ("peer", of_peer)] {
        ensure!(pings.answered > 0, "the {whose}'s pings: {pings:?}");
    }
    world.drain();
    Ok(())
}

/// The cable is pulled out, and put in again: the driver tells NDIS, if its device tells the driver.
pub(crate) fn unplug(world: &World, card: &Card, load: Load) -> Result<()> {
    /// Time for news that are not to come.
    const SILENCE_NS: u64 = 20 * MILLISECOND_NS;
    if !load.unplugs {
        return Ok(());
    }
    let tells = card.has_taken("STATUS")?;
    for up in [false, true] {
        card.set_link(up)?;
        if tells {
            world.wait_for("news of the link", PATIENCE_NS, || {
                world.tcpip.is_connected() == up
            })?;
        } else {
            sched::sleep(SILENCE_NS);
            ensure!(world.tcpip.is_connected(), "the link went down by itself");
        }
    }
    Ok(())
}

/// NDIS pauses the stack now and then under a stream, which survives it.
pub(crate) fn pause(world: &World, load: Load) -> Result<()> {
    let Load { bytes, pauses, .. } = load;
    if pauses == 0 {
        return Ok(());
    }
    let traffic = world.start_traffic(bytes);
    for pause in 1..=pauses {
        world.wait_for_bytes(traffic, pause * bytes / pauses, PATIENCE_NS)?;
        pnp::pause_stack(world.adapter().device);
        sched::sleep(2 * MILLISECOND_NS);
        pnp::restart_stack(world.adapter().device);
    }
    world.finish_traffic(traffic, PATIENCE_NS).map(drop)
}

/// The system sleeps now and then under a stream, which outlives it: the device has forgotten all that it
/// was told when it wakes up.
pub(crate) fn sleep(world: &World, load: Load) -> Result<()> {
    let Load { bytes, sleeps, .. } = load;
    if sleeps == 0 {
        return Ok(());
    }
    let traffic = world.start_traffic(bytes);
    for sleep in 1..=sleeps {
        world.wait_for_bytes(traffic, sleep * bytes / sleeps, PATIENCE_NS)?;
        pnp::sleep_system();
        sched::sleep(MILLISECOND_NS);
        pnp::resume_system();
        pnp::settle();
        world.wait_for_link(PATIENCE_NS)?;
    }
    world.finish_traffic(traffic, PATIENCE_NS).map(drop)
}

/// Many sends of many frames each.
pub(crate) fn send_chains(world: &World, load: Load) -> Result<()> {
    /// Chains on their way at a time.
    const AT_ONCE: u64 = 3;
    // The bar is for chains as they are sent, not for what NDIS may make of them.
    let usual = adversary::current();
    adversary::set(Adversary::PLAIN);
    let before = world.tcpip.counters().frames_completed;
    for chain in 0..load.chains {
        let frames: Vec<Frame> = (0..CHAIN)
            .map(|frame| odd_frame(chain * CHAIN + frame))
            .collect();
        let room = ((chain + 1) as u64).saturating_sub(AT_ONCE) * CHAIN as u64;
        world.wait_for("earlier chains", PATIENCE_NS, || {
            world.tcpip.counters().frames_completed >= before + room
        })?;
        ensure!(world.tcpip.send_chain(&frames), "TCP/IP is not bound");
    }
    let all = before + (load.chains * CHAIN) as u64;
    world.wait_for("all chains", PATIENCE_NS, || {
        world.tcpip.counters().frames_completed >= all
    })?;
    adversary::set(usual);
    world.drain();
    Ok(())
}
