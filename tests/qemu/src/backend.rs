//! What makes QEMU's devices for a world.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use devices::pci::PciHost;
use ndis_host::memory::{self, PHYSICAL_BASE};
use scenarios::world::backend::{Backend, Device, DeviceOrder, Unplugged};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::function::Function;
use crate::machine::{self, Machine};
use crate::process::{DeviceOptions, Memory};

/// Memory at address 0 of QEMU's machine, which the host does not use. What is behind it in the file is
/// at 4 GiB, as in the host.
const LOW_MEMORY: usize = 16 << 20;

/// Layout of the rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ring {
    /// Split virtqueues (virtio 1.2, 2.7).
    Split,
    /// Packed virtqueues (virtio 1.2, 2.8).
    Packed,
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
    /// More properties of the device, as on QEMU's command line.
    pub properties: Vec<String>,
}

/// Makes QEMU's devices.
pub struct Qemu {
    options: QemuOptions,
    made: Arc<Mutex<Vec<Machine>>>,
}

impl Qemu {
    /// A maker of devices of this kind.
    #[must_use]
    pub fn new(options: QemuOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            made: Arc::default(),
        })
    }

    /// Layout of the rings that the devices offer.
    #[must_use]
    pub fn ring(&self) -> Ring {
        self.options.ring
    }

    /// The device that was made last.
    ///
    /// # Errors
    ///
    /// None was.
    pub fn machine(&self) -> Result<Machine> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.last().cloned().context("no device was made")
    }
}

impl Backend for Qemu {
    fn low_memory(&self) -> usize {
        LOW_MEMORY
    }

    fn messages(&self) -> Option<usize> {
        self.options.messages
    }

    fn make(&self, order: DeviceOrder) -> Result<Unplugged> {
        let guest = memory::guest();
        let region = guest
            .find_region(GuestAddress(PHYSICAL_BASE))
            .context("no guest memory")?;
        let file = region.file_offset().context("guest memory has no file")?;
        let shared = Memory {
            file: file.file(),
            low: file.start(),
            whole: file.start() + region.len(),
        };
        let options = DeviceOptions {
            qemu: self.options.qemu.clone(),
            mac: order.mac,
            packed: self.options.ring == Ring::Packed,
            standby: order.standby,
            properties: self.options.properties.clone(),
        };
        let assembled = machine::assemble(shared, &options)?;
        let made = Arc::clone(&self.made);
        Ok(Box::new(move |host: Arc<dyn PciHost>| {
            let machine = assembled.plug(host);
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            made.push(machine.clone());
            Device {
                function: Box::new(Function(machine.clone())),
                outside: Box::new(machine),
            }
        }))
    }
}
