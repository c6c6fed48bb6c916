//! The PCI function: routes accesses to the core and delivers what the core wants done outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::core::Core;
use super::outbox::{EventQueue, EventSink, Outbox};
use super::{Fault, VirtioNetConfig, VirtioNetControl, device_status, layout};
use crate::pci::{Bar, DmaMemory, PciFunction, PciHost};
use crate::wire::PortHandle;

/// A virtio-net PCI function.
pub struct VirtioNet {
    shared: Arc<Shared>,
}

/// What the function and its control share.
pub(super) struct Shared {
    core: Mutex<Core>,
    host: Arc<dyn PciHost>,
    pub(super) port: Mutex<Option<PortHandle>>,
    events: EventQueue,
}

impl VirtioNet {
    /// Makes a function for a slot of `host`, and the control that goes with it. `events` is
    /// called from within the access that causes an event, so within the driver's own access.
    ///
    /// # Panics
    ///
    /// If the queue size is not a power of two of at most 32768, or the vectors do not fit.
    pub fn new(
        config: VirtioNetConfig,
        host: Arc<dyn PciHost>,
        events: EventSink,
    ) -> (Self, VirtioNetControl) {
        let shared = Arc::new(Shared {
            core: Mutex::new(Core::new(config)),
            host,
            port: Mutex::new(None),
            events: EventQueue::new(events),
        });
        let control = VirtioNetControl::new(Arc::clone(&shared));
        (Self { shared }, control)
    }
}

impl Shared {
    /// Lets `body` at the core, and afterwards delivers what it left in the outbox.
    pub(super) fn with<R>(&self, body: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = lock(&self.core);
        let result = body(&mut core);
        core.update_line();
        let outbox = std::mem::take(&mut core.outbox);
        drop(core);

        self.deliver(outbox);
        result
    }

    fn deliver(&self, outbox: Outbox) {
        if !outbox.frames.is_empty() {
            self.send_frames(outbox.frames);
        }
        for message in outbox.messages {
            self.host.message(message.address, message.data);
        }
        if let Some(asserted) = outbox.line {
            self.host.set_line(asserted);
        }
        if outbox.wake {
            self.host.wake();
        }
        self.events.deliver(outbox.events);
    }

    fn send_frames(&self, frames: Vec<crate::wire::Frame>) {
        let unplugged = {
            let port = lock(&self.port);
            match port.as_ref() {
                Some(port) => {
                    frames.into_iter().for_each(|frame| port.send(frame));
                    0
                }
                None => frames.len() as u64,
            }
        };
        if unplugged > 0 {
            lock(&self.core).counters.tx_dropped += unplugged;
        }
    }

    fn memory(&self) -> DmaMemory {
        self.host.memory()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PciFunction for VirtioNet {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.shared.with(|core| core.read_config(offset, data));
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        let memory = self.shared.memory();
        self.shared
            .with(|core| core.write_config(offset, data, &memory));
    }

    fn bars(&self) -> Vec<Bar> {
        self.shared.with(|core| core.space.bars().to_vec())
    }

    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        self.shared.with(|core| core.read_bar(bar, offset, data));
    }

    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        let memory = self.shared.memory();
        self.shared
            .with(|core| core.write_bar(bar, offset, data, &memory));
    }

    fn lose_power(&mut self) {
        self.shared.with(Core::power_cycle);
    }

    fn process(&mut self) {
        let memory = self.shared.memory();
        self.shared.with(|core| core.process(&memory));
    }
}

impl Core {
    fn read_config(&mut self, offset: u16, data: &mut [u8]) {
        if self.faults.has(Fault::AllOnes) {
            data.fill(0xFF);
        } else if let Some((bar, at)) = self.window(offset, data.len()) {
            self.read_bar(bar, at, data);
        } else {
            self.space.read(offset, data);
        }
    }

    fn write_config(&mut self, offset: u16, data: &[u8], memory: &DmaMemory) {
        if self.faults.has(Fault::AllOnes) {
            return;
        }
        if let Some((bar, at)) = self.window(offset, data.len()) {
            return self.write_bar(bar, at, data, memory);
        }
        self.space.write(offset, data);

        let control = self.space.read_u16(self.msix.control_offset());
        let released = self.msix.control_changed(control);
        self.send_messages(released);
        if !self.space.is_bus_master() {
            // QEMU takes this for the driver's end.
            self.status &= !device_status::DRIVER_OK;
        }
    }

    /// The register that an access to the configuration window means (virtio 1.2, 4.1.4.9).
    fn window(&self, offset: u16, width: usize) -> Option<(u8, u64)> {
        let capability = usize::from(layout::PCI_CFG_CAPABILITY);
        let length = self.space.read_u32(capability + 12) as usize;
        if offset != layout::PCI_CFG_DATA || width != length {
            return None;
        }
        let bar = self.space.read_u16(capability + 4) as u8;
        Some((bar, self.space.read_u32(capability + 8).into()))
    }

    fn read_bar(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        if self.faults.has(Fault::AllOnes) || !self.space.decodes_memory() {
            data.fill(0xFF);
        } else if bar == layout::MSIX_BAR.index {
            self.msix.read(offset, data);
        } else if bar == layout::REGISTER_BAR.index {
            // A host bridge hands wide accesses on in pieces.
            for (piece, at) in data.chunks_mut(4).zip((offset..).step_by(4)) {
                self.read_registers(at, piece);
            }
        } else {
            data.fill(0xFF);
        }
    }

    fn write_bar(&mut self, bar: u8, offset: u64, data: &[u8], memory: &DmaMemory) {
        if self.faults.has(Fault::AllOnes) || !self.space.decodes_memory() {
            return;
        }
        if bar == layout::MSIX_BAR.index {
            let released = self.msix.write(offset, data);
            self.send_messages(released);
        } else if bar == layout::REGISTER_BAR.index {
            for (piece, at) in data.chunks(4).zip((offset..).step_by(4)) {
                self.write_registers(at, piece, memory);
            }
        }
    }

    fn process(&mut self, memory: &DmaMemory) {
        if !self.is_running() {
            return;
        }
        let done = self.transmit(memory).and_then(|()| self.receive(memory));
        if let Err(reason) = done {
            self.break_down(reason);
        }
    }
}
