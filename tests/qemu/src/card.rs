//! A card in a machine: what is known of it, and its two sides in the host.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use devices::pci::{Bar, BarKind, PciHost};
use devices::wire::{PortHandle, Sink};
use qapi::qmp::{self, Event};
use scenarios::world::backend::{Device, FrameCounter, Outside, Unplugged};

use crate::bars::PlacedBar;
use crate::bus::{self, Port};
use crate::function::{CardAccess, Function, HostSide};
use crate::interrupts::Messages;
use crate::machine::Machine;
use crate::monitor::Monitor;
use crate::qtest::{Qtest, Width};
use crate::seen::{self, Reach};
use crate::virtio::Layout;

/// Queues that have frames.
const PAIR: u16 = 2;

/// What the driver asked of a card, since it was plugged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Doorbells, by queue: 0 receives, 1 sends.
    pub doorbells: BTreeMap<u64, u64>,
    /// The queue of commands, if the device has one. A driver rings its doorbell once a command.
    pub control_queue: Option<u64>,
    /// Messages, by vector.
    pub messages: Vec<u64>,
    /// How often the interrupt pin was asserted.
    pub pin_asserted: u64,
    /// Frames to the guest.
    pub frames_to_guest: u64,
    /// Frames from the guest.
    pub frames_from_guest: u64,
    /// Frames to the guest that the wire had no room for.
    pub frames_dropped: u64,
    /// Register reads, each of which waits for QEMU.
    pub register_reads: u64,
    /// Register writes, doorbells and MSI-X table apart.
    pub register_writes: u64,
    /// Accesses to I/O ports, doorbells among them.
    pub port_accesses: u64,
    /// Vectors that were masked or unmasked.
    pub mask_changes: u64,
    /// Commands of the qtest protocol, of all cards.
    pub qtest_commands: u64,
}

impl Cost {
    /// Doorbells of a queue.
    #[must_use]
    pub fn doorbells_of(&self, queue: u64) -> u64 {
        self.doorbells.get(&queue).copied().unwrap_or_default()
    }

    /// Doorbells of the queue of commands.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.control_queue
            .map_or(0, |queue| self.doorbells_of(queue))
    }

    /// Messages of all vectors.
    #[must_use]
    pub fn all_messages(&self) -> u64 {
        self.messages.iter().sum()
    }
}

/// What is known of a card.
pub struct CardSide {
    /// What it is to the host where that differs from QEMU's.
    pub host_side: HostSide,
    /// Its messages.
    pub messages: Messages,
    /// Where its registers are.
    pub layout: Layout,
    /// What it cost.
    pub cost: Cost,
}

impl CardSide {
    /// Enumerates the card behind a port.
    ///
    /// # Errors
    ///
    /// There is none, or it is not as it has to be.
    pub fn find(qtest: &mut Qtest, port: Port) -> Result<Self> {
        let bars = bus::find_bars(qtest, port)?;
        let capabilities = port.function().capabilities(qtest)?;
        let layout = Layout::read(qtest, port, &capabilities, &bars)?;
        let messages = Messages::find(qtest, port, &capabilities)?;
        let cost = Cost {
            control_queue: control_queue(qtest, port, &layout, &bars)?,
            ..Cost::default()
        };
        Ok(Self {
            host_side: HostSide::new(bars, &capabilities),
            messages,
            layout,
            cost,
        })
    }
}

/// The last queue is that of commands, if it is not one of a pair.
fn control_queue(
    qtest: &mut Qtest,
    port: Port,
    layout: &Layout,
    bars: &[PlacedBar],
) -> Result<Option<u64>> {
    let mut all = bars.iter();
    let bar = all.find(|bar| bar.index == layout.registers_bar());
    let bar = bar.context("no BAR for the registers")?;
    let queues = bus::decoding(qtest, port, |qtest| layout.queues(qtest, bar))?;
    Ok((queues % 2 == 1).then(|| queues - 1))
}

/// A card in its port. Clones are the same card.
#[derive(Clone)]
pub struct Card {
    machine: Machine,
    port: Port,
    id: String,
    frames: Arc<Frames>,
}

/// Frames that had crossed the cable of its port when a card came, and when it went.
struct Frames {
    before: u64,
    until: OnceLock<u64>,
}

impl Card {
    /// The card `id`, which is in the port `port` of a machine.
    ///
    /// # Errors
    ///
    /// It is not, or is not as it has to be.
    pub fn find(machine: &Machine, port: Port, id: &str) -> Result<Self> {
        machine.try_with(|core| {
            let side = CardSide::find(&mut core.qtest, port)?;
            core.place_at(port)?.card = Some(side);
            Ok(())
        })?;
        Ok(Self {
            machine: machine.clone(),
            port,
            id: id.to_owned(),
            frames: Arc::new(Frames {
                before: machine.frames(port),
                until: OnceLock::new(),
            }),
        })
    }

    /// For a slot of the host.
    #[must_use]
    pub fn unplugged(self) -> Unplugged {
        Box::new(move |host: Arc<dyn PciHost>| {
            self.machine.with(|core| {
                core.place_at(self.port)?.host = Some(host);
                Ok(())
            });
            Device {
                function: Box::new(Function(self.clone())),
                outside: Box::new(self),
            }
        })
    }

    /// The machine that it is in.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Its name in QEMU.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Lets `body` at the card, if it is there; an error in it is remembered.
    pub(crate) fn with(&self, body: impl FnOnce(CardAccess<'_>) -> Result<()>) {
        self.machine.with(|core| {
            let (qtest, place) = core.split(self.port)?;
            match &mut place.card {
                None => Ok(()),
                Some(side) => body(CardAccess {
                    qtest,
                    port: self.port,
                    side,
                }),
            }
        });
    }

    /// Its BARs, for the host.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let mut bars = Vec::new();
        self.with(|access| {
            bars = access.side.host_side.list();
            Ok(())
        });
        bars
    }

    /// Whether the driver has taken a feature, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn has_taken(&self, feature: &str) -> Result<bool> {
        let of = |it: &mut Monitor| seen::has_taken(it, &self.id, feature);
        self.machine.monitor(of)
    }

    /// Pulls the cable out of the card, or puts it in.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn set_link(&self, up: bool) -> Result<()> {
        let name = self.id.clone();
        let set = qmp::set_link { name, up };
        self.machine.monitor(|it| it.execute(&set)).map(drop)
    }

    /// How the card is reached.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn reach(&self) -> Result<Reach> {
        self.machine.try_with(|core| {
            let card = &core.place_at(self.port)?.card;
            let side = card.as_ref().context("the card is gone")?;
            let bars = side.host_side.list();
            let ports = bars.iter().filter(|bar| bar.kind == BarKind::Ports);
            Ok(Reach {
                port_bars: ports.map(|bar| bar.index).collect(),
                doorbell_distance: side.layout.doorbell_distance(),
                is_express: side.host_side.is_express(),
            })
        })
    }

    /// As [`Machine::poll`].
    pub(crate) fn poll(&self) {
        self.machine.poll();
    }

    /// What the driver asked of it so far; nothing once it is gone.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.machine.cost(self.port)
    }

    /// Whether the driver has taken packed rings, as QEMU sees it.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn has_packed_rings(&self) -> Result<bool> {
        self.machine.monitor(|it| it.has_packed_rings(&self.id))
    }

    /// What QEMU thinks of a queue, and what is in the memory of its two sides: the event suppression
    /// structures, where the rings are packed.
    fn describe_queue(&self, queue: u16) -> Result<String> {
        let status = self.machine.monitor(|it| it.queue(&self.id, queue))?;
        let (mut driver, mut device) = (0, 0);
        self.machine.try_with(|core| {
            driver = core.qtest.read(status.vring_avail, Width::Long)?;
            device = core.qtest.read(status.vring_used, Width::Long)?;
            Ok(())
        })?;
        Ok(format!(
            "{status:?}, driver area {driver:#010x}, device area {device:#010x}"
        ))
    }
}

impl Outside for Card {
    fn wire_sink(&self) -> Sink {
        // The port owns this, and the machine the port.
        let (machine, port) = (self.machine.downgrade(), self.port);
        Box::new(move |frame| {
            if let Some(machine) = machine.upgrade() {
                machine.with(|core| core.place_at(port)?.wire.send(frame));
            }
        })
    }

    fn connect(&self, handle: PortHandle) {
        self.machine.with(|core| {
            core.place_at(self.port)?.switch = Some(handle);
            Ok(())
        });
    }

    fn counter(&self) -> FrameCounter {
        let (machine, port) = (self.machine.clone(), self.port);
        let frames = Arc::clone(&self.frames);
        Arc::new(move || {
            let until = frames.until.get().copied();
            until.unwrap_or_else(|| machine.frames(port)) - frames.before
        })
    }

    fn has_negotiated_failover(&self) -> bool {
        self.machine
            .has_told(|event| matches!(event, Event::FAILOVER_NEGOTIATED { .. }))
    }

    fn eject(&self) {
        let mut switch = None;
        self.machine.with(|core| {
            let slots = core.slots.clone();
            let (qtest, place) = core.split(self.port)?;
            switch = place.switch.take();
            place.card = None;
            place.host = None;
            place.wire.cut()?;
            slots.eject(qtest, self.port)
        });
        // What is on its way to the card goes with the port. Not with the core locked: a frame may
        // just come.
        drop(switch);
        // A card goes once.
        let _ = self.frames.until.set(self.machine.frames(self.port));
    }

    fn misuses(&self) -> Vec<String> {
        self.machine.complaints()
    }

    fn describe(&self) -> String {
        let version = self.machine.version();
        let mut text = format!("QEMU {version}, {:?}", self.cost());
        // Nobody knows whether it still answers.
        for queue in 0..PAIR {
            match self.describe_queue(queue) {
                Ok(queue) => text.push_str(&format!("\n  {queue}")),
                Err(error) => text.push_str(&format!("\n  queue {queue}: {error:#}")),
            }
        }
        text
    }
}
