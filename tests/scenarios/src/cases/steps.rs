//! Steps that many cases share.

use anyhow::{Result, anyhow, ensure};
use ndis_host::ndis::event_log;
use ndis_host::registry::Value;
use ndis_host::sched::{self, Mode};
use ndis_sys::{NDIS_STATISTICS_INFO, OID_GEN_STATISTICS};

use crate::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS, VfPlug, World};

/// Bytes of a short transfer, each way.
pub(super) const SHORT: u64 = 200_000;
/// Bytes of a transfer that lasts for a while.
pub(super) const LONG: u64 = 4_000_000;
/// Time that a transfer may take.
pub(super) const PATIENCE_NS: u64 = 60 * SECOND_NS;

/// What the driver writes into the event log: the first value of an entry.
pub(super) mod reason {
    pub(in super::super) const VF_MTU_TOO_SMALL: u32 = 0x101;
    pub(in super::super) const SECOND_VF: u32 = 0x102;
    pub(in super::super) const VF_REFUSED_SETTING: u32 = 0x103;
    pub(in super::super) const TRANSMIT_RING_BROKEN: u32 = 0x201;
    pub(in super::super) const RECEIVE_RING_BROKEN: u32 = 0x202;
    pub(in super::super) const NEEDS_RESET: u32 = 0x203;
    pub(in super::super) const CONTROL_QUEUE: u32 = 0x204;
    pub(in super::super) const NO_TRANSPORT: u32 = 0x303;
    pub(in super::super) const NO_RESET: u32 = 0x304;
    pub(in super::super) const NO_FEATURES: u32 = 0x305;
    pub(in super::super) const KEYWORD_OUT_OF_RANGE: u32 = 0x401;
}

/// A standby adapter with VIOPROT installed, started; its link is down yet.
pub(super) fn start_standby(world: &mut World, options: AdapterOptions) -> Result<()> {
    let vioprot_first = sched::chance(2);
    if vioprot_first {
        world.install_vioprot()?;
    }
    world.add_adapter(&options)?;
    world.start_adapter()?;
    if !vioprot_first {
        world.install_vioprot()?;
    }
    world.wait_for_failover()
}

/// A standby adapter that carries alone: its grace was short.
pub(super) fn start_on_virtio(world: &mut World) -> Result<()> {
    let short = Value::Sz("1".to_owned());
    start_standby(
        world,
        AdapterOptions::standby().with("StandbyGraceMs", short),
    )?;
    world.wait_for_link(10 * SECOND_NS)
}

/// A standby adapter whose VF carries.
pub(super) fn start_on_vf(world: &mut World) -> Result<()> {
    start_on_vf_with(world, AdapterOptions::standby())
}

/// A standby adapter with these options, whose VF carries.
pub(super) fn start_on_vf_with(world: &mut World, options: AdapterOptions) -> Result<()> {
    start_standby(world, options)?;
    world.plug_vf(&VfPlug::default())?;
    world.wait_for_vf()?;
    world.wait_for_link(SECOND_NS)
}

/// Nothing was lost, nothing came twice, no send was overtaken, the link stayed up.
pub(super) fn expect_undisturbed(world: &World) -> Result<()> {
    expect_complete(world)?;
    let overtaken = world.ledgers.account().to_peer.totals.reordered;
    ensure!(overtaken == 0, "{overtaken} sends reordered");
    expect_link_stayed(world)
}

/// Nothing was lost, nothing came twice.
///
/// In real time a device drops what a slow guest has no buffers for, and TCP sends again when it
/// likes: frames are not counted then, only the stream has to arrive.
pub(super) fn expect_complete(world: &World) -> Result<()> {
    let account = world.ledgers.account();
    let ways = [
        ("to the peer", &account.to_peer),
        ("to the guest", &account.to_guest),
    ];
    for (way, report) in ways {
        let (lost, totals) = (report.lost, report.totals);
        let counts = sched::mode() == Mode::Deterministic;
        ensure!(lost == 0 || !counts, "{way}: {lost} frames lost");
        ensure!(
            totals.duplicated == 0,
            "{way}: {} frames twice",
            totals.duplicated
        );
        ensure!(
            totals.foreign == 0,
            "{way}: {} frames that nobody sent",
            totals.foreign
        );
    }
    Ok(())
}

/// The adapter's link has not gone down since it came up.
pub(super) fn expect_link_stayed(world: &World) -> Result<()> {
    let downs = world.adapter().link_downs();
    ensure!(downs == 0, "the link went down {downs} times");
    Ok(())
}

/// The adapter's statistics count what TCP/IP sent, whichever path it took, and little else.
pub(super) fn expect_statistics(world: &World) -> Result<()> {
    // The driver counts a send before TCP/IP has it back.
    let tcpip = world.tcpip.clone();
    world.wait_for("all sends to come back", SECOND_NS, move || {
        let counters = tcpip.counters();
        let failed: u64 = counters.frames_failed.values().sum();
        counters.frames_sent == counters.frames_completed + failed
    })?;
    let counted = statistics(world)?;
    let sent =
        counted.ifHCOutUcastPkts + counted.ifHCOutMulticastPkts + counted.ifHCOutBroadcastPkts;
    let completed = world.tcpip.counters().frames_completed;
    ensure!(
        sent == completed,
        "the statistics count {sent} frames, TCP/IP sent {completed}"
    );
    Ok(())
}

/// The adapter's statistics.
pub(super) fn statistics(world: &World) -> Result<NDIS_STATISTICS_INFO> {
    let mut buffer = [0u8; size_of::<NDIS_STATISTICS_INFO>()];
    let length = world
        .tcpip
        .query(OID_GEN_STATISTICS, &mut buffer)
        .map_err(|status| anyhow!("OID_GEN_STATISTICS: {status:#010x}"))?;
    ensure!(length == buffer.len(), "{length} bytes of statistics");
    // SAFETY: the record has numbers only, and the buffer is as long as it.
    Ok(unsafe {
        buffer
            .as_ptr()
            .cast::<NDIS_STATISTICS_INFO>()
            .read_unaligned()
    })
}

/// How many entries with this reason the driver has written.
pub(super) fn events_with(reason: u32) -> usize {
    let entries = event_log();
    entries
        .iter()
        .filter(|entry| entry.values.first() == Some(&reason))
        .count()
}

/// The driver has written this event, with this detail if one is given.
pub(super) fn expect_event(reason: u32, detail: Option<u32>) -> Result<()> {
    let entries = event_log();
    let found = entries.iter().any(|entry| {
        entry.values.first() == Some(&reason)
            && detail.is_none_or(|detail| entry.values.get(1) == Some(&detail))
    });
    ensure!(
        found,
        "no event {reason:#x} with {detail:?} among {entries:x?}"
    );
    Ok(())
}

/// The driver has written nothing.
pub(super) fn expect_no_events() -> Result<()> {
    let entries = event_log();
    ensure!(entries.is_empty(), "unexpected events: {entries:x?}");
    Ok(())
}

/// Lets some time pass, up to `most_ms`.
pub(super) fn linger(most_ms: u64) {
    sched::sleep(1 + sched::random_below(most_ms * MILLISECOND_NS));
}
