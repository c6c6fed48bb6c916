//! Two pairs in one machine: two adapters of the driver, each with its TCP/IP and its wire.

use anyhow::{Context, Result, ensure};
use devices::wire::MacAddress;
use ndis_host::registry::Value;
use qapi::qmp::MigrationStatus;
use scenarios::world::{AdapterOptions, GUEST_MAC, MILLISECOND_NS, World};

use super::LIMIT_NS;
use super::events::{count, expect_none, expect_order};
use super::flow::Flow;
use super::migrate::Halves;
use super::rack::Slot;
use super::stage::{Path, Stage, expect_carrier};
use super::verdict::{Allowed, NOTHING, Outcome, expect_account, expect_sends_back};
use crate::bus::Port;
use crate::card::Card;
use crate::process::{CardOptions, Failover};

/// The cards of the second pair, and their ports.
const STANDBY: &str = "standby1";
const PRIMARY: &str = "primary1";
const STANDBY_PORT: usize = 2;
const PRIMARY_PORT: usize = 3;
/// For how long a migration is watched that waits for the second primary.
const WATCH_NS: u64 = 400 * MILLISECOND_NS;

/// A second pair on a stage.
struct Second {
    world: World,
    flow: Flow,
    standby: CardOptions,
    primary: CardOptions,
}

/// Both primaries are asked for, and QEMU waits for both. While one pair switches the other carries as ever.
pub(super) fn out(stage: &mut Stage) -> Outcome {
    let mut second = Second::start(stage)?;
    let halves = second.migrate(stage)?;
    for primary in ["primary0", "primary1"] {
        let event = format!("UNPLUG_PRIMARY {primary}");
        let asked = count(&halves.source, &event);
        ensure!(asked == 1, "{event} {asked} times");
    }
    expect_order(
        &halves.source,
        &[
            "MIGRATION wait-unplug",
            "MIGRATION active",
            "STOP",
            "MIGRATION completed",
        ],
    )?;
    second.end(stage)
}

/// The destination shows both primaries, and both pairs switch back.
pub(super) fn arrive(stage: &mut Stage) -> Outcome {
    let mut second = Second::start(stage)?;
    let halves = second.migrate(stage)?;
    expect_order(
        &halves.destination,
        &[
            "MIGRATION setup",
            "FAILOVER_NEGOTIATED standby0",
            "FAILOVER_NEGOTIATED standby1",
            "RESUME",
        ],
    )?;
    stage.expect_visible(&[
        (&stage.standby(), true),
        (&stage.primary(), true),
        (&second.standby, true),
        (&second.primary, true),
    ])?;
    stage.plug_primary()?;
    second.plug(stage)?;
    stage.expect_vf()?;
    second.world.wait_for_vf()?;
    expect_carrier(&second.world, Path::Vf)?;
    second.end(stage)
}

impl Second {
    /// From the power-up of one pair to two pairs whose VFs carry: the second is added.
    fn start(stage: &mut Stage) -> Result<Self> {
        let cards = vec![Some(stage.standby()), Some(stage.primary()), None, None];
        stage.rack.start(cards)?;
        stage.start_driver()?;
        stage.start_flow();
        stage.plug_primary()?;
        stage.expect_vf()?;

        let mac = mac();
        let standby = stage.rack.card(STANDBY, mac, Failover::Standby);
        let of_pair = Failover::PrimaryOf(STANDBY.to_owned());
        let primary = stage.rack.card(PRIMARY, mac, of_pair);
        stage.rack.add(Port::at(STANDBY_PORT), standby.clone())?;
        stage.await_card(STANDBY_PORT)?;
        let slot = Slot {
            rack: stage.rack.clone(),
            port: Port::at(STANDBY_PORT),
            id: STANDBY,
        };
        let mut world = stage.world.beside(std::sync::Arc::new(slot), mac)?;
        let short = Value::Sz("1".to_owned());
        let options = AdapterOptions::standby().with("StandbyGraceMs", short);
        world.add_adapter(&options)?;
        world.start_adapter()?;
        world.wait_for_link(LIMIT_NS)?;
        expect_order(&stage.told()?, &["FAILOVER_NEGOTIATED standby1"])?;
        let flow = Flow::start(&world);
        expect_carrier(&world, Path::Virtio)?;

        stage.rack.add(Port::at(PRIMARY_PORT), primary.clone())?;
        stage.expect_visible(&[(&primary, true)])?;
        let mut second = Self {
            world,
            flow,
            standby,
            primary,
        };
        second.plug(stage)?;
        second.world.wait_for_vf()?;
        expect_carrier(&second.world, Path::Vf)?;
        stage.expect_carrier(Path::Vf)?;
        Ok(second)
    }

    fn plug(&mut self, stage: &Stage) -> Result<()> {
        stage.await_card(PRIMARY_PORT)?;
        let card = Card::find(&stage.machine()?, Port::at(PRIMARY_PORT), PRIMARY)?;
        self.world.plug_other_vf(card.unplugged())
    }

    /// To another machine: the first pair gives its VF back first.
    fn migrate(&mut self, stage: &mut Stage) -> Result<Halves> {
        let from = stage.told()?.len();
        let departure = stage.depart()?;
        stage.await_request()?;
        stage.await_request_at(PRIMARY_PORT)?;
        stage.becomes(MigrationStatus::wait_unplug, LIMIT_NS)?;
        stage.world.withdraw_vf()?;
        stage.expect_carrier(Path::Virtio)?;
        expect_carrier(&self.world, Path::Vf)?;
        stage.stays(MigrationStatus::wait_unplug, WATCH_NS)?;
        let told = stage.told()?;
        expect_none(
            told.get(from..).unwrap_or_default(),
            &["MIGRATION active", "STOP"],
        )?;
        self.world.withdraw_vf()?;
        departure.wait_until_active(LIMIT_NS)?;
        expect_carrier(&self.world, Path::Virtio)?;
        let halves = stage.cross(departure)?;
        stage.expect_carrier(Path::Virtio)?;
        expect_carrier(&self.world, Path::Virtio)?;
        Ok(halves.since(from))
    }

    /// Nothing was lost here either, and nobody above has heard of a switch.
    fn end(self, stage: &Stage) -> Outcome {
        let Self { world, flow, .. } = self;
        let report = flow.finish(&world)?;
        let allowed = Allowed::default();
        let cut = stage.cut(&[STANDBY_PORT, PRIMARY_PORT])?;
        expect_account(&world, &report, cut, allowed).context("the second pair")?;
        expect_sends_back(&world, allowed)?;
        let downs = world.adapter().link_downs();
        ensure!(downs == 0, "the second link went down {downs} times");
        let ending = world.finish();
        ensure!(ending.is_clean(), "{ending}");
        NOTHING
    }
}

/// Address of the second pair.
fn mac() -> MacAddress {
    let mut mac = GUEST_MAC;
    mac[5] = 0x77;
    mac
}
