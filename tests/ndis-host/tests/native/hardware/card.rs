//! A PCI card for tests: a few registers, in memory and as ports, with which a driver has it
//! interrupt and read and write memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devices::pci::{Bar, ConfigSpace, HeaderIds, MsixTable, PciFunction, PciHost};
use vm_memory::{Bytes, GuestAddress};

/// Interrupt status: what the card has to say; a read clears it.
pub(crate) const STATUS: u64 = 0x00;
/// What DMA begins with: address, bytes, the byte that is written or was read.
pub(crate) const ADDRESS: u64 = 0x08;
pub(crate) const LENGTH: u64 = 0x10;
pub(crate) const VALUE: u64 = 0x14;
/// What to do.
pub(crate) const COMMAND: u64 = 0x18;
/// Commands: fill memory, read its first byte, interrupt by a message or the line.
pub(crate) const FILL: u32 = 1;
pub(crate) const FETCH: u32 = 2;
pub(crate) const INTERRUPT: u32 = 3;

/// Messages that the card can send.
pub(crate) const VECTORS: u16 = 4;

const REGISTERS: Bar = Bar::memory(0, 4096);
const TABLE: Bar = Bar::memory(2, 4096);
const PORTS: Bar = Bar::ports(4, 32);
const MSIX_CAPABILITY: u8 = 0x60;

struct State {
    space: ConfigSpace,
    msix: MsixTable,
    status: u32,
    address: u64,
    length: u32,
    value: u32,
    /// The DMA accesses that failed.
    faults: u32,
}

/// The card; clones mean the same one.
#[derive(Clone)]
pub(crate) struct Card {
    host: Arc<dyn PciHost>,
    state: Arc<Mutex<State>>,
}

impl Card {
    pub(crate) fn new(host: Arc<dyn PciHost>) -> Self {
        let ids = HeaderIds {
            vendor: 0x1AF4,
            device: 0x10FF,
            subsystem_vendor: 0x1AF4,
            subsystem: 1,
            revision: 1,
            class: 0x02_0000,
        };
        let mut space = ConfigSpace::new(ids, 256);
        let msix = MsixTable::new(VECTORS, TABLE, MSIX_CAPABILITY);
        space.add_bar(REGISTERS, false);
        space.add_bar(TABLE, false);
        space.add_bar(PORTS, false);
        space.add_capability(&msix.capability());
        let state = State {
            space,
            msix,
            status: 0,
            address: 0,
            length: 0,
            value: 0,
            faults: 0,
        };
        Self {
            host,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts by message `vector`, or by the line.
    pub(crate) fn interrupt(&self, vector: u16) {
        let message = {
            let mut state = self.state();
            state.status = 1;
            state.msix.fire(vector)
        };
        if let Some(message) = message {
            self.host.message(message.address, message.data);
        }
        self.drive_line();
    }

    fn drive_line(&self) {
        let asserted = {
            let state = self.state();
            state.status != 0 && !state.msix.is_enabled() && state.space.drives_pin()
        };
        self.host.set_line(asserted);
    }

    /// How many DMA accesses failed.
    pub(crate) fn faults(&self) -> u32 {
        self.state().faults
    }

    fn read_register(&self, offset: u64, data: &mut [u8]) {
        let value = {
            let mut state = self.state();
            match offset {
                STATUS => u64::from(std::mem::take(&mut state.status)),
                VALUE => u64::from(state.value),
                _ => 0,
            }
        };
        for (byte, from) in data.iter_mut().zip(value.to_le_bytes()) {
            *byte = from;
        }
        self.drive_line();
    }

    fn write_register(&self, offset: u64, data: &[u8]) {
        let value = data
            .iter()
            .rev()
            .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        match offset {
            ADDRESS => self.state().address = value,
            LENGTH => self.state().length = value as u32,
            VALUE => self.state().value = value as u32,
            COMMAND => self.run(value as u32),
            _ => {}
        }
    }

    fn run(&self, command: u32) {
        let (address, length, value) = {
            let state = self.state();
            (GuestAddress(state.address), state.length, state.value)
        };
        let memory = self.host.memory();
        let mut byte = [0];
        let done = match command {
            FILL => memory
                .write_slice(&vec![value as u8; length as usize], address)
                .is_ok(),
            FETCH => memory.read_slice(&mut byte, address).is_ok(),
            INTERRUPT => {
                self.interrupt(0);
                return;
            }
            _ => return,
        };
        let mut state = self.state();
        if command == FETCH {
            state.value = if done { byte[0].into() } else { u32::MAX };
        }
        state.faults += u32::from(!done);
    }
}

impl PciFunction for Card {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        self.state().space.read(offset, data);
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        let released = {
            let mut state = self.state();
            state.space.write(offset, data);
            let control = state.space.read_u16(state.msix.control_offset());
            state.msix.control_changed(control)
        };
        for message in released {
            self.host.message(message.address, message.data);
        }
        self.drive_line();
    }

    fn bars(&self) -> Vec<Bar> {
        self.state().space.bars().to_vec()
    }

    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        match bar {
            2 => self.state().msix.read(offset, data),
            _ => self.read_register(offset, data),
        }
    }

    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        if bar != TABLE.index {
            return self.write_register(offset, data);
        }
        let released = self.state().msix.write(offset, data);
        for message in released {
            self.host.message(message.address, message.data);
        }
    }

    fn process(&mut self) {}
}
