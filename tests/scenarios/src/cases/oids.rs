//! OID requests: everything that could be asked, and requests to the VF that go wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow, ensure};
use ndis_host::ndis::api::{self, OidRequest};
use ndis_host::ndis::native::BindingHandle;
use ndis_host::ndis::oid_faults::{self, OidChoice, OidFault};
use ndis_host::ndis::sweeps::{self, OidSweep};
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_ACCEPTED,
    NDIS_STATUS_REQUEST_ABORTED, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
    OID_GEN_CURRENT_PACKET_FILTER,
};

use super::steps::{
    LONG, PATIENCE_NS, expect_complete, expect_link_stayed, expect_no_events, expect_undisturbed,
    linger, start_on_vf, start_on_virtio,
};
use crate::world::{MILLISECOND_NS, SECOND_NS, VfPlug, World};

/// A user-mode program asks the adapter everything, in every length, while traffic runs by the VF
/// or by the device; the VF may go and come meanwhile.
pub(super) fn oid_sweep(world: &mut World) -> Result<()> {
    /// Requests of a sweep, at least.
    const LEAST: u64 = 500;
    let by_vf = sched::chance(2);
    if by_vf {
        start_on_vf(world)?;
    } else {
        start_on_virtio(world)?;
    }
    let adapter = pnp::adapter(world.adapter().device).ok_or_else(|| anyhow!("no adapter"))?;
    let traffic = world.start_traffic(2 * LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    let made = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&made);
    let program = sched::spawn("a program that asks", move || {
        counted.store(
            sweeps::oids(adapter, OidSweep::default()),
            Ordering::Relaxed,
        );
    });
    if by_vf && sched::chance(2) {
        linger(5);
        world.withdraw_vf()?;
        linger(5);
        world.plug_vf(&VfPlug::default())?;
    }
    sched::join(program);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let made = made.load(Ordering::Relaxed);
    ensure!(made > LEAST, "only {made} requests were made");
    expect_no_events()?;
    expect_undisturbed(world)
}

/// Requests to the VF fail, take long, or pend until they are cancelled, while it takes over,
/// carries, and goes. What the driver passes on to it may be cancelled from above. Whether the VF
/// is used is another matter; nothing may be lost.
pub(super) fn oid_faults(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 3;
    start_on_vf(world)?;
    let traffic = world.start_traffic(3 * LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / 2, PATIENCE_NS)?;
        spoil_requests(world);
        change_filter(world)?;
        world.withdraw_vf()?;
        linger(5);
        world.plug_vf(&VfPlug::default())?;
        spoil_requests(world);
        linger(300);
        change_filter(world)?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_complete(world)?;
    expect_link_stayed(world)
}

/// Chooses what goes wrong with the requests to the VF from now on.
fn spoil_requests(world: &World) {
    let adapter = world.primary().and_then(|vf| pnp::adapter(vf.device()));
    let Some(adapter) = adapter else { return };
    let fault = match sched::random_below(5) {
        0 => OidFault::Fail(NDIS_STATUS_FAILURE),
        1 => OidFault::Fail(NDIS_STATUS_RESOURCES),
        2 => OidFault::Fail(NDIS_STATUS_NOT_ACCEPTED),
        3 => OidFault::Delay(sched::random_below(200 * MILLISECOND_NS)),
        _ => OidFault::Pend,
    };
    let choice = match sched::random_below(3) {
        0 => OidChoice::Of(OID_GEN_CURRENT_PACKET_FILTER),
        1 => OidChoice::Nth(sched::random_below(6)),
        _ => OidChoice::OneIn(3),
    };
    oid_faults::set(adapter, Some((choice, fault)));
}

/// TCP/IP changes its packet filter, which the VF has to follow, and cancels that or not.
fn change_filter(world: &World) -> Result<()> {
    const USUAL: u32 =
        NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST;
    let binding = world.tcpip.binding();
    let binding = binding.ok_or_else(|| anyhow!("TCP/IP is not bound"))?;
    for filter in [USUAL | NDIS_PACKET_TYPE_ALL_MULTICAST, USUAL] {
        let status = set_and_cancel(binding, filter, sched::chance(2));
        let known = [NDIS_STATUS_SUCCESS, NDIS_STATUS_REQUEST_ABORTED].contains(&status);
        ensure!(known, "the packet filter is refused: {status:#x}");
    }
    Ok(())
}

fn set_and_cancel(binding: BindingHandle, filter: u32, cancel: bool) -> i32 {
    let mut request = OidRequest::set(OID_GEN_CURRENT_PACKET_FILTER, &filter.to_le_bytes());
    let id = request.as_ref().request_id();
    let canceller = sched::spawn("who cancels", move || {
        if cancel {
            sched::sleep(1 + sched::random_below(SECOND_NS));
            api::cancel_oid(binding, id);
        }
    });
    let status = request.run(binding);
    sched::join(canceller);
    status
}
