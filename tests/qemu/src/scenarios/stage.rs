//! What a scenario plays on: the world with the driver, and QEMU.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use devices::wire::MacAddress;
use ndis_host::registry::Value;
use ndis_host::sched;
use qapi::Enum;
use qapi::qmp::{self, MigrationStatus};
use scenarios::world::{AdapterOptions, GUEST_MAC, MILLISECOND_NS, SECOND_NS, World, WorldOptions};

use super::events;
use super::flow::Flow;
use super::rack::{Rack, RackOptions};
use super::{LIMIT_NS, PING_NS};
use crate::backend::{PRIMARY, STANDBY};
use crate::bus::Port;
use crate::card::Card;
use crate::hotplug::News;
use crate::machine::Machine;
use crate::migration::Departure;
use crate::process::{CardOptions, Failover};

/// The standby's port, and the primary's.
pub const STANDBY_PORT: usize = 0;
/// As above.
pub const PRIMARY_PORT: usize = 1;
/// For how long it is watched who carries.
const WATCH_NS: u64 = 40 * MILLISECOND_NS;
/// Frames in that time, at least: a ping and its answer each millisecond, both ways.
const FEWEST: u64 = 20;

/// Time for that, on a machine with other work: a frame may take half a second from end to end.
const CARRIER_LIMIT_NS: u64 = 5 * SECOND_NS;

/// Who carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// The standby.
    Virtio,
    /// The primary.
    Vf,
}

/// The world, and QEMU.
pub struct Stage {
    /// The world.
    pub world: World,
    /// The machine and its cards.
    pub rack: Arc<Rack>,
    /// Traffic, once there is any.
    flow: Option<Flow>,
}

impl Stage {
    /// A stage with nothing on it: the driver is loaded, QEMU not started.
    ///
    /// # Errors
    ///
    /// The driver can't be loaded.
    pub fn new(options: &WorldOptions, rack: RackOptions) -> Result<Self> {
        let rack = Rack::new(rack);
        let mut world = World::start(&options.clone().driving(rack.clone()))?;
        world.ping_interval_ns = PING_NS;
        Ok(Self {
            world,
            rack,
            flow: None,
        })
    }

    /// The standby's card.
    #[must_use]
    pub fn standby(&self) -> CardOptions {
        self.rack.card(STANDBY, GUEST_MAC, Failover::Standby)
    }

    /// The primary's card, with the standby's address.
    #[must_use]
    pub fn primary(&self) -> CardOptions {
        self.primary_with(GUEST_MAC)
    }

    /// The primary's card, with this address.
    #[must_use]
    pub fn primary_with(&self, mac: MacAddress) -> CardOptions {
        let failover = Failover::PrimaryOf(STANDBY.to_owned());
        self.rack.card(PRIMARY, mac, failover)
    }

    /// The machine.
    ///
    /// # Errors
    ///
    /// It was not started.
    pub fn machine(&self) -> Result<Machine> {
        self.rack.machine()
    }

    /// Starts QEMU with the two cards of a pair.
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub fn power_up(&self) -> Result<()> {
        let cards = vec![Some(self.standby()), Some(self.primary())];
        self.rack.start(cards).map(drop)
    }

    /// Adds the adapter and starts its driver, VIOPROT installed. A standby does not wait long for its VF.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_driver(&mut self) -> Result<()> {
        self.start_driver_with(AdapterOptions::standby())
    }

    /// As [`Stage::start_driver`], with these options.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn start_driver_with(&mut self, options: AdapterOptions) -> Result<()> {
        self.world.install_vioprot()?;
        let short = Value::Sz("1".to_owned());
        self.world
            .add_adapter(&options.with("StandbyGraceMs", short))?;
        self.world.start_adapter()?;
        self.world.wait_for_link(LIMIT_NS)
    }

    /// From the power-up of a pair to a VF that carries, with traffic. The link came up on virtio, and
    /// NDIS has heard no more of it.
    ///
    /// # Errors
    ///
    /// It does not get there.
    pub fn start_on_vf(&mut self) -> Result<()> {
        self.power_up()?;
        self.start_driver()?;
        self.start_flow();
        self.expect_carrier(Path::Virtio)?;
        self.plug_primary()?;
        self.expect_vf()
    }

    /// Starts the traffic.
    pub fn start_flow(&mut self) {
        self.flow = Some(Flow::start(&self.world));
    }

    /// Starts the traffic if there is none yet.
    pub fn start_flow_if_none(&mut self) {
        if self.flow.is_none() {
            self.start_flow();
        }
    }

    /// The traffic, to be ended; none once it is taken.
    pub fn take_flow(&mut self) -> Option<Flow> {
        self.flow.take()
    }

    /// The primary comes: the guest is told, finds it and starts its driver.
    ///
    /// # Errors
    ///
    /// It does not come, or does not start.
    pub fn plug_primary(&mut self) -> Result<()> {
        self.await_card(PRIMARY_PORT)?;
        self.start_primary()
    }

    /// A card comes, and gets its power.
    ///
    /// # Errors
    ///
    /// It does not come.
    pub fn await_card(&self, port: usize) -> Result<()> {
        let (machine, port) = (self.machine()?, Port::at(port));
        machine.wait_for_news(port, News::Came, LIMIT_NS)?;
        machine.power_on(port)
    }

    /// The guest finds the primary, which is there, and starts its driver.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_primary(&mut self) -> Result<()> {
        self.world.ledgers.begin_phase("with a VF again");
        let card = Card::find(&self.machine()?, Port::at(PRIMARY_PORT), PRIMARY)?;
        self.world.plug_other_vf(card.unplugged())
    }

    /// The guest is asked for the primary.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn await_request(&self) -> Result<()> {
        self.await_request_at(PRIMARY_PORT)
    }

    /// The guest is asked for a card.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn await_request_at(&self, port: usize) -> Result<()> {
        let port = Port::at(port);
        self.machine()?.wait_for_news(port, News::HasToGo, LIMIT_NS)
    }

    /// A migration begins.
    ///
    /// # Errors
    ///
    /// QEMU refuses.
    pub fn depart(&self) -> Result<Departure> {
        self.world.ledgers.begin_phase("as the guest departs");
        Departure::begin(&self.machine()?, &self.rack.destination())
    }

    /// What QEMU says of its migration.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn status(&self) -> Result<MigrationStatus> {
        let told = self
            .machine()?
            .monitor(|it| it.execute(&qmp::query_migrate {}))?;
        told.status.context("there was no migration")
    }

    /// The migration stays in a state, which is looked at often.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn stays(&self, wanted: MigrationStatus, for_ns: u64) -> Result<()> {
        let until = sched::now() + for_ns;
        while sched::now() < until {
            let status = self.status()?;
            ensure!(status == wanted, "{}, not {}", status.name(), wanted.name());
            sched::sleep(10 * MILLISECOND_NS);
        }
        Ok(())
    }

    /// The migration gets into a state.
    ///
    /// # Errors
    ///
    /// It does not within `limit_ns`.
    pub fn becomes(&self, wanted: MigrationStatus, limit_ns: u64) -> Result<()> {
        let until = sched::now() + limit_ns;
        loop {
            let status = self.status()?;
            if status == wanted {
                return Ok(());
            }
            ensure!(
                sched::now() < until,
                "{} for {} ms, not {}",
                status.name(),
                limit_ns / MILLISECOND_NS,
                wanted.name()
            );
            sched::sleep(5 * MILLISECOND_NS);
        }
    }

    /// An order for the monitor that has no answer.
    ///
    /// # Errors
    ///
    /// QEMU refuses.
    pub fn order<C: qmp::QmpCommand>(&self, command: &C) -> Result<()> {
        self.machine()?.monitor(|it| it.execute(command)).map(drop)
    }

    /// What QEMU has told so far, by name.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub fn told(&self) -> Result<Vec<String>> {
        Ok(events::names(&self.machine()?.events()?))
    }

    /// Whether a card is there, as QEMU has it: with this address, too.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn is_visible(&self, card: &CardOptions) -> Result<bool> {
        self.machine()?.monitor(|it| events::is_visible(it, card))
    }

    /// Which of these cards are there.
    ///
    /// # Errors
    ///
    /// Another set of them is.
    pub fn expect_visible(&self, cards: &[(&CardOptions, bool)]) -> Result<()> {
        for (card, wanted) in cards {
            let is = self.is_visible(card)?;
            let (id, is, wanted) = (&card.id, words(is), words(*wanted));
            ensure!(is == wanted, "{id} is {is}, not {wanted}");
        }
        Ok(())
    }

    /// The traffic goes one way.
    ///
    /// # Errors
    ///
    /// It goes the other, or stands still.
    pub fn expect_carrier(&self, path: Path) -> Result<()> {
        expect_carrier(&self.world, path)
    }

    /// The VF takes over, and nobody above hears of it.
    ///
    /// # Errors
    ///
    /// It does not, or somebody does.
    pub fn expect_vf(&mut self) -> Result<()> {
        let before = self.link_changes();
        self.world.wait_for_vf()?;
        self.world.wait_for_link(SECOND_NS)?;
        if self.flow.is_some() {
            self.expect_carrier(Path::Vf)?;
        }
        let after = self.link_changes();
        ensure!(
            before == after,
            "{} link indications with the switch to the VF",
            after.abs_diff(before)
        );
        Ok(())
    }

    /// What everything looks like, for a scenario that failed.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = self.world.describe();
        if let Ok(told) = self.told() {
            text.push_str(&format!("  QEMU told: {told:?}\n"));
        }
        text
    }

    /// How often NDIS was told of the adapter's link.
    #[must_use]
    pub fn link_changes(&self) -> usize {
        let report = self.world.adapter().report();
        report.map_or(0, |report| report.link_history.len())
    }
}

/// The traffic of a world goes one way, as soon as what was on the other is through.
///
/// # Errors
///
/// It goes the other, or stands still.
pub fn expect_carrier(world: &World, path: Path) -> Result<()> {
    let until = sched::now() + CARRIER_LIMIT_NS;
    loop {
        let carried = carried_now(world);
        let [virtio, vf] = carried;
        let (one, other) = match path {
            Path::Virtio => (virtio, vf),
            Path::Vf => (vf, virtio),
        };
        if one >= FEWEST && other * 10 <= one {
            return Ok(());
        }
        ensure!(
            sched::now() < until,
            "not {path:?}, but virtio carries {virtio} frames, the VF {vf}"
        );
    }
}

/// Frames that virtio carries in a while from now, and the VF.
fn carried_now(world: &World) -> [u64; 2] {
    let count = || {
        let vf = world.primary().map_or(0, |vf| vf.frames());
        [world.adapter().frames(), vf]
    };
    let [virtio_before, vf_before] = count();
    sched::sleep(WATCH_NS);
    let [virtio, vf] = count();
    [
        virtio.saturating_sub(virtio_before),
        vf.saturating_sub(vf_before),
    ]
}

fn words(visible: bool) -> &'static str {
    if visible { "visible" } else { "hidden" }
}
