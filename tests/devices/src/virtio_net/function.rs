//! The PCI function: routes accesses to the core and delivers what the core wants done outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::core::Core;
use super::outbox::{EventQueue, EventSink, Outbox, Timer};
use super::{Fault, VirtioNetConfig, VirtioNetControl, device_status, layout};
use crate::pci::{Bar, DmaMemory, PciFunction, PciHost};
use crate::wire::{Clock, PortHandle};

/// A virtio-net PCI function.
pub struct VirtioNet {
    shared: Arc<Shared>,
}

/// What the function and its control share.
pub(super) struct Shared {
    core: Mutex<Core>,
    host: Arc<dyn PciHost>,
    pub(super) port: Mutex<Option<PortHandle>>,
    pub(super) clock: Mutex<Option<Arc<dyn Clock>>>,
    events: EventQueue,
    /// For timers, which may outlive the device.
    me: Weak<Self>,
}

impl VirtioNet {
    /// Makes a function for a slot of `host`, and the control that goes with it. `events` is
    /// called from within the access that causes an event, so within the driver's own access.
    ///
    /// # Panics
    ///
    /// If a queue size is not a power of two of at most 32768, there is no pair of queues, or the
    /// vectors do not fit.
    pub fn new(
        config: VirtioNetConfig,
        host: Arc<dyn PciHost>,
        events: EventSink,
    ) -> (Self, VirtioNetControl) {
        config.check();
        let shared = Arc::new_cyclic(|me| Shared {
            core: Mutex::new(Core::new(config)),
            host,
            port: Mutex::new(None),
            clock: Mutex::new(None),
            events: EventQueue::new(events),
            me: me.clone(),
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
        for (delay, timer) in outbox.timers {
            self.start_timer(delay, timer);
        }
        if outbox.wake {
            self.host.wake();
        }
        self.events.deliver(outbox.events);
    }

    /// Without a clock a timer never ends.
    fn start_timer(&self, delay_ns: u64, timer: Timer) {
        let Some(clock) = lock(&self.clock).clone() else {
            return;
        };
        let shared = Weak::clone(&self.me);
        let ended = move || {
            if let Some(shared) = shared.upgrade() {
                shared.with(|core| core.timer_ended(timer));
            }
        };
        clock.at(clock.now_ns().saturating_add(delay_ns), Box::new(ended));
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
        if !layout::has_capabilities(self.config.interface) {
            return None;
        }
        let capability = usize::from(layout::PCI_CFG_CAPABILITY);
        let length = self.space.read_u32(capability + 12) as usize;
        if offset != layout::PCI_CFG_DATA || width != length {
            return None;
        }
        let bar = self.space.read_u16(capability + 4) as u8;
        Some((bar, self.space.read_u32(capability + 8).into()))
    }

    fn read_bar(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        if !self.answers(bar) {
            data.fill(0xFF);
        } else if self.is_legacy_bar(bar) {
            self.read_legacy(offset, data);
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
        if !self.answers(bar) {
            return;
        }
        if self.is_legacy_bar(bar) {
            self.write_legacy(offset, data, memory);
        } else if bar == layout::MSIX_BAR.index {
            let released = self.msix.write(offset, data);
            self.send_messages(released);
        } else if bar == layout::REGISTER_BAR.index {
            for (piece, at) in data.chunks(4).zip((offset..).step_by(4)) {
                self.write_registers(at, piece, memory);
            }
        }
    }

    /// Whether the function decodes accesses to a BAR.
    fn answers(&self, bar: u8) -> bool {
        let decodes = if self.is_legacy_bar(bar) {
            self.space.decodes_ports()
        } else {
            self.space.decodes_memory()
        };
        let there = self.space.bars().iter().any(|there| there.index == bar);
        there && decodes && !self.faults.has(Fault::AllOnes)
    }

    fn is_legacy_bar(&self, bar: u8) -> bool {
        layout::has_ports(self.config.interface) && bar == layout::LEGACY_BAR.index
    }

    fn process(&mut self, memory: &DmaMemory) {
        if !self.is_running() {
            return;
        }
        if let Err(reason) = self.serve(memory) {
            self.break_down(reason);
        }
    }

    fn serve(&mut self, memory: &DmaMemory) -> Result<(), String> {
        self.serve_control(memory)?;
        for pair in 0..self.queues.pairs {
            self.transmit(memory, pair)?;
        }
        for pair in 0..self.queues.pairs {
            self.receive(memory, pair)?;
        }
        self.interrupt_after_wait(memory)
    }
}
