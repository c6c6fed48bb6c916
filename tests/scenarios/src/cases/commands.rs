//! The control queue, and doorbells that tell more than that they ring.

use anyhow::{Result, anyhow, ensure};
use devices::virtio_net::{Fault, QueueRole, ReceiveRules, VirtioNetControl, feature};
use devices::wire::MacAddress;
use ndis_host::ndis::api;
use ndis_host::registry::Value;
use ndis_host::sched;
use ndis_sys::{
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS, OID_802_3_MULTICAST_LIST,
};

use super::failover::come_and_go;
use super::steps::{
    LONG, PATIENCE_NS, SHORT, events_with, expect_event, expect_link_stayed, expect_no_events,
    expect_undisturbed, reason, start_on_vf_with,
};
use crate::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS, World};

/// A control queue that sets the receive filter.
const FILTERS: u128 = feature::CTRL_VQ | feature::CTRL_RX | feature::CTRL_RX_EXTRA;
/// What TCP/IP wants to receive.
const USUAL: u32 =
    NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST;
/// The group that TCP/IP is in, 224.0.0.1.
const ALL_HOSTS: MacAddress = [0x01, 0x00, 0x5e, 0, 0, 1];
/// Another group.
const OTHERS: MacAddress = [0x01, 0x00, 0x5e, 0, 0, 2];
/// Long enough for a device to have had all commands, and to have let all be overdue.
const SETTLED_NS: u64 = 40 * SECOND_NS;

/// The device's filter follows NDIS's, and lets all pass that the VF brings until it goes.
pub(super) fn filter_follows(world: &mut World) -> Result<()> {
    start_on_vf_with(world, AdapterOptions::standby().offering(FILTERS))?;
    expect_rules(world, &usual_rules(&[ALL_HOSTS]))?;
    // Told while the VF carries.
    change_filter(world, USUAL | NDIS_PACKET_TYPE_PROMISCUOUS)?;
    change_groups(world, &[OTHERS, ALL_HOSTS])?;
    change_filter(world, USUAL)?;
    come_and_go(world, LONG / 4)?;
    expect_undisturbed(world)?;
    expect_rules(world, &usual_rules(&[OTHERS, ALL_HOSTS]))?;

    change_filter(world, NDIS_PACKET_TYPE_DIRECTED)?;
    let closed = ReceiveRules {
        no_multicast: true,
        no_broadcast: true,
        ..usual_rules(&[OTHERS, ALL_HOSTS])
    };
    expect_rules(world, &closed)?;
    change_filter(world, USUAL | NDIS_PACKET_TYPE_ALL_MULTICAST)?;
    let open = ReceiveRules {
        all_multicast: true,
        ..usual_rules(&[OTHERS, ALL_HOSTS])
    };
    expect_rules(world, &open)
}

/// The administrator gave the adapter another address than the device has. The device's filter lets
/// that pass, too.
pub(super) fn filter_with_changed_address(world: &mut World) -> Result<()> {
    const OF_DEVICE: MacAddress = [0x52, 0x54, 0x00, 0x4e, 0x4b, 0x77];
    let address = Value::Sz("5254004E4B01".to_owned());
    let by_command = sched::chance(2);
    let options = AdapterOptions {
        mac: Some(OF_DEVICE),
        lacks: if by_command {
            0
        } else {
            feature::CTRL_MAC_ADDR
        },
        ..AdapterOptions::default().with("NetworkAddress", address)
    };
    let set = if by_command {
        feature::CTRL_MAC_ADDR
    } else {
        0
    };
    start_alone(world, options.offering(FILTERS | set))?;
    let control = world.adapter().control().clone();
    world.wait_for("the filter", SECOND_NS, move || {
        !control.receive_rules().promiscuous
    })?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let has_changed = world.adapter().control().state().mac != OF_DEVICE;
    ensure!(has_changed == by_command, "the device's address");
    expect_no_events()?;
    expect_undisturbed(world)
}

/// The device asks for announcements, once while the VF carries and once while it does itself. They
/// go out on the path that carries, and the device hears of it.
pub(super) fn announcement_asked_for(world: &mut World) -> Result<()> {
    let announces = feature::CTRL_VQ | feature::STATUS | feature::GUEST_ANNOUNCE;
    start_on_vf_with(world, AdapterOptions::standby().offering(announces))?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    // The announcement of the switch itself is through.
    sched::sleep(SECOND_NS);
    let [by_virtio, by_vf] = ask_for_announcement(world)?;
    ensure!(
        by_virtio == 0 && by_vf > 0,
        "announced by {by_virtio} frames of virtio, {by_vf} of the VF"
    );
    world.withdraw_vf()?;
    sched::sleep(SECOND_NS);
    let [by_virtio, _] = ask_for_announcement(world)?;
    ensure!(by_virtio > 0, "announced by no frame of virtio");
    expect_no_events()?;
    expect_undisturbed(world)
}

/// A device that asks for an announcement, and refuses to hear that it was seen, is served once. It
/// interrupts by a line, so that its configuration is looked at with every frame.
pub(super) fn announcement_refused(world: &mut World) -> Result<()> {
    world.use_line();
    let announces = feature::CTRL_VQ | feature::STATUS | feature::GUEST_ANNOUNCE;
    start_alone(world, AdapterOptions::default().offering(announces))?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    sched::sleep(SECOND_NS);
    let [expected, _] = ask_for_announcement(world)?;
    sched::sleep(SECOND_NS);

    let control = world.adapter().control().clone();
    let before = control.counters();
    control.inject(Fault::ControlRefused);
    ensure!(control.announce(), "the driver took no GUEST_ANNOUNCE");
    sched::sleep(SECOND_NS);
    let after = control.counters();
    let sent = after.tx.frames - before.tx.frames;
    ensure!(sent == expected, "{sent} frames announce, not {expected}");

    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    ensure!(control.state().announcing, "the device forgot its wish");
    let told = control.counters().control.chains - before.control.chains;
    ensure!(told == 1, "it was told {told} times");
    expect_no_events()?;
    expect_undisturbed(world)
}

/// Answers that are refusals, or none, or late, or have a wrong length, cost nothing but time.
pub(super) fn commands_answered_badly(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 6;
    start_alone(world, AdapterOptions::default().offering(FILTERS))?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        let fault = match sched::random_below(4) {
            0 => Fault::ControlRefused,
            1 => Fault::ControlGarbage,
            2 => Fault::ControlLate(sched::random_below(9 * SECOND_NS)),
            _ => Fault::UsedLengthTooLong(QueueRole::Control),
        };
        world.adapter().control().inject(fault);
        change_filter(world, USUAL | NDIS_PACKET_TYPE_PROMISCUOUS)?;
        change_filter(world, USUAL)?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    sched::sleep(SETTLED_NS);
    // A fault of which no command came is not for those that follow.
    world.adapter().control().lift_faults();
    // A device that refused a wish is not asked again until there is another one.
    change_filter(world, USUAL | NDIS_PACKET_TYPE_PROMISCUOUS)?;
    sched::sleep(SETTLED_NS);
    change_filter(world, USUAL)?;
    expect_rules(world, &usual_rules(&[ALL_HOSTS]))?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// A device that answers no command carries frames all the same. When it answers after all, what is
/// wanted by then comes true.
pub(super) fn commands_never_answered(world: &mut World) -> Result<()> {
    start_alone(world, AdapterOptions::default().offering(FILTERS))?;
    expect_rules(world, &usual_rules(&[ALL_HOSTS]))?;
    world.adapter().control().inject(Fault::ControlNever);
    for group in [OTHERS, ALL_HOSTS, OTHERS] {
        change_groups(world, &[group])?;
        sched::sleep(SECOND_NS);
    }
    change_filter(world, USUAL | NDIS_PACKET_TYPE_ALL_MULTICAST)?;
    sched::sleep(SETTLED_NS);
    expect_event(reason::CONTROL_QUEUE, Some(1))?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_undisturbed(world)?;

    world.adapter().control().lift_faults();
    change_filter(world, USUAL)?;
    expect_rules(world, &usual_rules(&[OTHERS]))?;
    ensure!(events_with(reason::CONTROL_QUEUE) == 1, "said twice");
    Ok(())
}

/// A device that breaks the rules of its control queue is told nothing more; frames go on, and the
/// adapter ends as any other.
pub(super) fn control_queue_breaks(world: &mut World) -> Result<()> {
    start_alone(world, AdapterOptions::default().offering(FILTERS))?;
    expect_rules(world, &usual_rules(&[ALL_HOSTS]))?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    let fault = Fault::UsedIdOutOfRange(QueueRole::Control);
    world.adapter().control().inject(fault);
    change_filter(world, USUAL | NDIS_PACKET_TYPE_ALL_MULTICAST)?;
    world.wait_for("the event log entry", SECOND_NS, || {
        events_with(reason::CONTROL_QUEUE) > 0
    })?;
    change_filter(world, USUAL)?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_event(reason::CONTROL_QUEUE, Some(0))?;
    ensure!(events_with(reason::CONTROL_QUEUE) == 1, "said twice");
    expect_rest()?;
    expect_link_stayed(world)
}

/// The answer that was under way becomes overdue, and nothing is waited for any more: the machine comes
/// to rest.
fn expect_rest() -> Result<()> {
    /// A timer that goes off in every tick takes some thousands.
    const POINTS: u64 = 1_000;
    let busy = || (0..sched::cpu_count()).map(sched::busy_ns).sum::<u64>();
    sched::sleep(SETTLED_NS);
    let before = busy();
    sched::sleep(5 * SECOND_NS);
    let points = (busy() - before) / sched::step_ns();
    ensure!(
        points < POINTS,
        "an idle machine went on for {points} points"
    );
    Ok(())
}

/// Doorbells tell how far a queue was filled, while several CPUs fill it and the VF comes and goes.
pub(super) fn telling_doorbells(world: &mut World) -> Result<()> {
    let options = AdapterOptions::standby().offering(feature::NOTIFICATION_DATA);
    start_on_vf_with(world, options)?;
    come_and_go(world, LONG / 4)?;
    expect_undisturbed(world)
}

/// What the device passes when TCP/IP is in `groups`, and has its usual filter.
fn usual_rules(groups: &[MacAddress]) -> ReceiveRules {
    ReceiveRules {
        promiscuous: false,
        all_multicast: false,
        all_unicast: false,
        no_multicast: false,
        no_unicast: false,
        no_broadcast: false,
        unicast: Some(Vec::new()),
        multicast: Some(groups.to_vec()),
        vlans: None,
        strict_vlans: false,
    }
}

/// Waits until the device's filter is so.
fn expect_rules(world: &World, rules: &ReceiveRules) -> Result<()> {
    let control = world.adapter().control().clone();
    let wanted = rules.clone();
    let became = world.wait_for("the device's filter", SECOND_NS, move || {
        control.receive_rules() == wanted
    });
    became.map_err(|error| {
        let is = world.adapter().control().receive_rules();
        error.context(format!("it is {is:?}, not {rules:?}"))
    })
}

fn change_filter(world: &World, filter: u32) -> Result<()> {
    let set = api::set_packet_filter(binding(world)?, filter);
    set.map_err(|status| anyhow!("the packet filter is refused: {status:#x}"))
}

fn change_groups(world: &World, groups: &[MacAddress]) -> Result<()> {
    let set = api::oid_set(
        binding(world)?,
        OID_802_3_MULTICAST_LIST,
        groups.as_flattened(),
    );
    set.map_err(|status| anyhow!("the multicast list is refused: {status:#x}"))
}

fn binding(world: &World) -> Result<ndis_host::ndis::native::BindingHandle> {
    let binding = world.tcpip.binding();
    binding.ok_or_else(|| anyhow!("TCP/IP is not bound"))
}

/// Has the device ask, waits until it knows that it was heard, and says how many frames have left
/// by virtio and by the VF meanwhile.
fn ask_for_announcement(world: &World) -> Result<[u64; 2]> {
    let sent = || {
        let by_virtio = world.adapter().control().counters().tx.frames;
        [by_virtio, world.primary().map_or(0, |vf| vf.frames())]
    };
    let before = sent();
    let control: VirtioNetControl = world.adapter().control().clone();
    ensure!(control.announce(), "the driver took no GUEST_ANNOUNCE");
    world.wait_for("the acknowledgement", SECOND_NS, move || {
        !control.state().announcing
    })?;
    sched::sleep(10 * MILLISECOND_NS);
    let after = sent();
    Ok([after[0] - before[0], after[1] - before[1]])
}

fn start_alone(world: &mut World, options: AdapterOptions) -> Result<()> {
    world.add_adapter(&options)?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)
}
