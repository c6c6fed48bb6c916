//! NDIS and the neighbours do all that the contract allows, as often as they can.

use anyhow::{Result, ensure};
use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::pnp;
use ndis_sys::NDIS_STATUS_INVALID_LENGTH;
use neighbours::vf::VfOptions;

use super::adapter::start_alone;
use super::steps::{
    LONG, PATIENCE_NS, expect_complete, expect_link_stayed, expect_no_events, linger, start_standby,
};
use crate::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS, VfPlug, World};

/// Longest time that TCP/IP keeps what it receives.
const PATIENCE_OF_STACK_NS: u64 = 400 * MILLISECOND_NS;
/// Bytes of a frame that no adapter here may send.
const TOO_LONG: usize = 1600;

/// A VF whose miniport needs its buffers back at once, or takes its time.
fn hostile_vf() -> VfPlug {
    VfPlug {
        options: VfOptions {
            longest_delay_ns: 2 * MILLISECOND_NS,
            reorder_one_in: 1,
            resources_one_in: 2,
            most_receives_out: 24,
            ..VfOptions::default()
        },
        ..VfPlug::default()
    }
}

/// Lists are merged, cut and put into other orders, receives come as copies in odd pieces or are
/// taken back at once, the stack keeps what it can; pauses come in between. Nothing is lost but by
/// a pause, and what cannot be sent is said to have failed.
pub(super) fn adversary_boot(world: &mut World) -> Result<()> {
    const PAUSES: u64 = 4;
    const ODD: u64 = 5;
    adversary::set(Adversary::HARSH);
    start_alone(world)?;
    world.tcpip.keep_receives_for(PATIENCE_OF_STACK_NS);
    let traffic = world.start_traffic(LONG / 2);
    for _ in 0..ODD {
        ensure!(
            world.tcpip.send_odd(vec![0xff; TOO_LONG]),
            "TCP/IP is not bound"
        );
        linger(1);
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_complete(world)?;
    let failed = world.tcpip.counters().frames_failed;
    let too_long = failed.get(&NDIS_STATUS_INVALID_LENGTH).copied();
    ensure!(
        too_long == Some(ODD) && failed.len() == 1,
        "{ODD} frames are too long, sends failed so: {failed:x?}"
    );

    let traffic = world.start_traffic(LONG / 2);
    for pause in 1..=PAUSES {
        world.wait_for_bytes(traffic, pause * LONG / 2 / PAUSES, PATIENCE_NS)?;
        pnp::pause_stack(world.adapter().device);
        linger(5);
        pnp::restart_stack(world.adapter().device);
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The same, while a VF comes and goes that completes late, in any order, and lends few buffers.
pub(super) fn adversary_failover(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 3;
    adversary::set(Adversary::HARSH);
    start_standby(world, AdapterOptions::standby())?;
    world.plug_vf(&hostile_vf())?;
    world.wait_for_vf()?;
    world.wait_for_link(SECOND_NS)?;
    world.tcpip.keep_receives_for(PATIENCE_OF_STACK_NS);
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / (ROUNDS + 1), PATIENCE_NS)?;
        world.withdraw_vf()?;
        linger(5);
        world.plug_vf(&hostile_vf())?;
        world.wait_for_vf()?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_complete(world)?;
    expect_no_events()?;
    expect_link_stayed(world)
}
