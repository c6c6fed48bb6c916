//! The machine of a scenario: the cards that it has, those that it gets later, and those that the
//! machine has to have that it migrates to.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use devices::wire::MacAddress;
use ndis_host::memory;
use qapi::qmp;
use scenarios::world::backend::{Backend, DeviceOrder, Unplugged};
use serde_json::Value;

use super::deaf;
use crate::backend::{LOW_MEMORY, MEMORY, Ring, STANDBY, shared};
use crate::bus::Port;
use crate::card::Card;
use crate::hotplug::Style;
use crate::machine::{Machine, lock};
use crate::process::{self, CardOptions, Failover, MachineOptions};

/// What QEMU is, and what its cards are like.
#[derive(Clone, Debug)]
pub struct RackOptions {
    /// The program.
    pub qemu: PathBuf,
    /// How cards come and go.
    pub hotplug: Style,
    /// Layout of the rings that they offer.
    pub ring: Ring,
}

/// A machine with cards in some of its slots. As a [`Backend`] it has the standby behind port 0.
pub struct Rack {
    options: RackOptions,
    state: Mutex<State>,
    is_deaf: Arc<AtomicBool>,
}

#[derive(Default)]
struct State {
    machine: Option<Machine>,
    cards: Vec<Option<CardOptions>>,
}

impl Rack {
    /// A rack whose machine is not started yet.
    #[must_use]
    pub fn new(options: RackOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            state: Mutex::default(),
            is_deaf: Arc::new(AtomicBool::new(false)),
        })
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &RackOptions {
        &self.options
    }

    /// A card of this rack.
    #[must_use]
    pub fn card(&self, id: &str, mac: MacAddress, failover: Failover) -> CardOptions {
        CardOptions {
            id: id.to_owned(),
            mac,
            packed: self.options.ring == Ring::Packed,
            failover,
            properties: Vec::new(),
        }
    }

    /// Keeps from the driver that the adapter's card offers STANDBY, or no longer; from its next start on.
    pub fn hide_standby(&self, hidden: bool) {
        self.is_deaf.store(hidden, Ordering::Release);
    }

    /// Starts the machine with these cards behind its ports. The host's machine runs.
    ///
    /// # Errors
    ///
    /// QEMU can't be started.
    pub fn start(&self, cards: Vec<Option<CardOptions>>) -> Result<Machine> {
        let file = memory::file().context("guest memory has no file")?;
        let options = self.machine_options(cards.clone(), false);
        let machine = Machine::start(shared(&file), &options)?;
        *lock(&self.state) = State {
            machine: Some(machine.clone()),
            cards,
        };
        Ok(machine)
    }

    /// The machine.
    ///
    /// # Errors
    ///
    /// It was not started.
    pub fn machine(&self) -> Result<Machine> {
        let machine = lock(&self.state).machine.clone();
        machine.context("the machine was not started")
    }

    /// Plugs a card behind a port, as an administrator does.
    ///
    /// # Errors
    ///
    /// QEMU refuses: why.
    pub fn add(&self, port: Port, card: CardOptions) -> Result<()> {
        let bus = format!("port{}", port.number());
        self.add_on(&bus, port, &card)?;
        if let Some(slot) = lock(&self.state).cards.get_mut(port.number()) {
            *slot = Some(card);
        }
        Ok(())
    }

    /// As [`Rack::add`], on a bus of that name.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn add_on(&self, bus: &str, port: Port, card: &CardOptions) -> Result<()> {
        let command = device_add(bus, port, card);
        self.machine()?.monitor(|it| it.execute(&command).map(drop))
    }

    /// These cards are there now.
    pub fn replace(&self, cards: Vec<Option<CardOptions>>) {
        lock(&self.state).cards = cards;
    }

    /// The card behind a port has gone for good.
    pub fn forget(&self, port: Port) {
        if let Some(slot) = lock(&self.state).cards.get_mut(port.number()) {
            *slot = None;
        }
    }

    /// The machine to migrate to: it has the same cards.
    #[must_use]
    pub fn destination(&self) -> MachineOptions {
        let cards = lock(&self.state).cards.clone();
        self.machine_options(cards, true)
    }

    fn machine_options(&self, cards: Vec<Option<CardOptions>>, incoming: bool) -> MachineOptions {
        MachineOptions {
            qemu: self.options.qemu.clone(),
            hotplug: self.options.hotplug,
            cards,
            tap: None,
            incoming,
        }
    }
}

impl Backend for Rack {
    fn low_memory(&self) -> usize {
        LOW_MEMORY
    }

    fn memory(&self) -> usize {
        MEMORY
    }

    fn messages(&self) -> Option<usize> {
        None
    }

    fn make(&self, _order: DeviceOrder) -> Result<Unplugged> {
        let card = Card::find(&self.machine()?, Port::at(0), STANDBY)?;
        deaf::behind(card, Arc::clone(&self.is_deaf))
    }
}

/// Another slot of a rack, whose card is a standby, too.
pub struct Slot {
    /// The rack.
    pub rack: Arc<Rack>,
    /// The slot.
    pub port: Port,
    /// The card's name.
    pub id: &'static str,
}

impl Backend for Slot {
    fn low_memory(&self) -> usize {
        self.rack.low_memory()
    }

    fn memory(&self) -> usize {
        self.rack.memory()
    }

    fn messages(&self) -> Option<usize> {
        self.rack.messages()
    }

    fn make(&self, _order: DeviceOrder) -> Result<Unplugged> {
        let card = Card::find(&self.rack.machine()?, self.port, self.id)?;
        Ok(card.unplugged())
    }
}

/// The command that plugs a card. Without an identifier there is none in it.
fn device_add(bus: &str, port: Port, card: &CardOptions) -> qmp::device_add {
    let text = |value: &str| Value::String(value.to_owned());
    let mac = process::address(card.mac);
    let mut arguments = qapi::Dictionary::from_iter([
        ("netdev".to_owned(), text(&format!("wire{}", port.number()))),
        ("mac".to_owned(), text(&mac)),
        ("disable-legacy".to_owned(), text("on")),
        ("romfile".to_owned(), text("")),
        ("packed".to_owned(), Value::Bool(card.packed)),
    ]);
    match &card.failover {
        Failover::None => {}
        Failover::Standby => {
            arguments.insert("failover".to_owned(), Value::Bool(true));
        }
        Failover::PrimaryOf(standby) => {
            arguments.insert("failover_pair_id".to_owned(), text(standby));
        }
    }
    let properties = card.properties.iter().filter_map(|it| it.split_once('='));
    arguments.extend(properties.map(|(name, value)| (name.to_owned(), text(value))));
    qmp::device_add {
        driver: "virtio-net-pci".to_owned(),
        bus: Some(bus.to_owned()),
        id: Some(card.id.clone()).filter(|id| !id.is_empty()),
        arguments,
    }
}
