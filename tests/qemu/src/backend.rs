//! What makes QEMU's devices for a world.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use ndis_host::memory::{self, PHYSICAL_BASE};
use scenarios::world::GUEST_MAC;
use scenarios::world::backend::{Backend, DeviceOrder, Unplugged};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::bus::Port;
use crate::card::Card;
use crate::hotplug::Style;
use crate::machine::{Machine, lock};
use crate::process::{CardOptions, Failover, MachineOptions, Memory};
use crate::tap::Tap;

/// Memory at address 0 of QEMU's machine, which the host does not use. What is behind it in the file is
/// at 4 GiB, as in the host.
pub const LOW_MEMORY: usize = 16 << 20;
/// Guest memory: a migration takes as long as there is of it.
pub const MEMORY: usize = 32 << 20;

/// Names of the cards in QEMU.
pub const STANDBY: &str = "standby0";
/// As above.
pub const PRIMARY: &str = "primary0";

/// Layout of the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ring {
    /// Split virtqueues (virtio 1.2, 2.7).
    Split,
    /// Packed virtqueues (virtio 1.2, 2.8).
    Packed,
}

impl Ring {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Packed => "packed",
        }
    }
}

/// How QEMU is run.
#[derive(Clone, Debug)]
pub struct QemuOptions {
    /// The program.
    pub qemu: PathBuf,
    /// Layout of the rings.
    pub ring: Ring,
    /// Most messages that the host grants; 0: it uses the pin.
    pub messages: Option<usize>,
    /// More properties of the adapter's device, as on QEMU's command line.
    pub properties: Vec<String>,
    /// More properties of the adapter's device on the hosts that the guest migrates to.
    pub destination: Vec<String>,
    /// How cards come and go.
    pub hotplug: Style,
    /// There is a primary, which QEMU hides until the driver has taken STANDBY.
    pub primary: bool,
}

impl QemuOptions {
    /// The machine that has the adapter's card, and the primary's behind the next port.
    fn machine(&self, order: DeviceOrder, incoming: bool) -> MachineOptions {
        let card = |id: &str, failover, properties| CardOptions {
            id: id.to_owned(),
            mac: order.mac,
            packed: self.ring == Ring::Packed,
            failover,
            properties,
        };
        let failover = if order.standby {
            Failover::Standby
        } else {
            Failover::None
        };
        let mut properties = self.properties.clone();
        if incoming {
            properties.extend(self.destination.iter().cloned());
        }
        let mut cards = vec![Some(card(STANDBY, failover, properties))];
        if self.primary {
            let failover = Failover::PrimaryOf(STANDBY.to_owned());
            cards.push(Some(card(PRIMARY, failover, Vec::new())));
        }
        MachineOptions {
            qemu: self.qemu.clone(),
            hotplug: self.hotplug,
            cards,
            incoming,
            tap: None,
        }
    }
}

/// Makes QEMU's devices.
pub struct Qemu {
    options: QemuOptions,
    /// The adapter's cable, if it is a TAP device.
    tap: Option<Arc<Tap>>,
    adapter: Mutex<Option<Card>>,
}

impl Qemu {
    /// A maker of devices of this kind.
    #[must_use]
    pub fn new(options: QemuOptions) -> Arc<Self> {
        Self::over(options, None)
    }

    /// As `new`, with a TAP device for the adapter's cable.
    #[must_use]
    pub fn over(options: QemuOptions, tap: Option<Tap>) -> Arc<Self> {
        Arc::new(Self {
            options,
            tap: tap.map(Arc::new),
            adapter: Mutex::default(),
        })
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &QemuOptions {
        &self.options
    }

    /// The card of the adapter.
    ///
    /// # Errors
    ///
    /// There is none yet.
    pub fn adapter(&self) -> Result<Card> {
        let card = lock(&self.adapter).clone();
        card.context("no device was made")
    }

    /// The machine.
    ///
    /// # Errors
    ///
    /// There is none yet.
    pub fn machine(&self) -> Result<Machine> {
        Ok(self.adapter()?.machine().clone())
    }

    /// The machine that a guest with a standby migrates to.
    #[must_use]
    pub fn destination(&self) -> MachineOptions {
        let order = DeviceOrder {
            mac: GUEST_MAC,
            standby: true,
        };
        self.options.machine(order, true)
    }
}

impl Backend for Qemu {
    fn low_memory(&self) -> usize {
        LOW_MEMORY
    }

    fn memory(&self) -> usize {
        MEMORY
    }

    fn messages(&self) -> Option<usize> {
        self.options.messages
    }

    fn make(&self, order: DeviceOrder) -> Result<Unplugged> {
        let guest = memory::guest();
        let region = guest.find_region(GuestAddress(PHYSICAL_BASE));
        let region = region.context("no guest memory")?;
        let file = region.file_offset().context("guest memory has no file")?;
        ensure!(
            file.start() == LOW_MEMORY as u64,
            "guest memory is at {:#x} of its file",
            file.start()
        );
        let options = MachineOptions {
            tap: self.tap.clone(),
            ..self.options.machine(order, false)
        };
        let machine = Machine::start(shared(file.file()), &options)?;
        let card = Card::find(&machine, Port::at(0), STANDBY)?;
        *lock(&self.adapter) = Some(card.clone());
        Ok(card.unplugged())
    }
}

/// A file with the memory of a machine of this kind, as QEMU has it.
pub fn shared(file: &File) -> Memory<'_> {
    Memory {
        file,
        low: LOW_MEMORY as u64,
        whole: (LOW_MEMORY + MEMORY) as u64,
    }
}
