//! The legacy interface of the fake: the registers at the start of BAR 0.

use crate::config_space::{MSIX_CONTROL, MSIX_ENABLED, make_transitional};
use crate::fake::{BAR, Fake, PORTS, State, Write};

/// Bytes of BAR 0: the header with vectors, and the device configuration of a small device.
pub(crate) const PORTS_LEN: u64 = 64;
pub(crate) const LEGACY_BARS: [u64; 6] = [PORTS_LEN, 0x1000, 0, 0, 0, 0];

/// A function with the legacy interface alone, whose MSI-X is off.
pub(crate) fn legacy(change: impl FnOnce(&mut State)) -> Fake {
    Fake::with(|state| {
        make_transitional(&mut state.config);
        state.config[0x34] = 0xdc; // MSI-X, and nothing after it
        state.config[0xdd] = 0;
        change(state);
    })
}

/// Switches MSI-X as the system does.
pub(crate) fn enable_msix(state: &mut State, enabled: bool) {
    let control = &mut state.config[MSIX_CONTROL];
    *control = *control & !MSIX_ENABLED | if enabled { MSIX_ENABLED } else { 0 };
}

impl State {
    fn has_vectors(&self) -> bool {
        self.config[MSIX_CONTROL] & MSIX_ENABLED != 0
    }

    fn header_len(&self) -> u32 {
        if self.has_vectors() { 24 } else { 20 }
    }

    pub(crate) fn read_port(&mut self, offset: u32, width: u32) -> u32 {
        assert!(u64::from(offset + width) <= PORTS_LEN);
        if offset >= self.header_len() {
            return self.read_net(offset - self.header_len(), width);
        }
        let known = usize::from(self.selected) < self.queues.len();
        let (value, expected_width) = match offset {
            0 => (self.offered as u32, 4),
            8 if known => (self.queue().page, 4),
            12 if known => (self.queue().size.into(), 2),
            12 => (0, 2),
            18 => (self.read_status().into(), 1),
            19 => (std::mem::take(&mut self.isr).into(), 1),
            20 => (self.config_vector.into(), 2),
            22 => (self.queue().vector.into(), 2),
            _ => panic!("read of port {offset}"),
        };
        assert_eq!(width, expected_width, "read of port {offset}");
        value
    }

    pub(crate) fn write_port(&mut self, offset: u32, value: u32, width: u32) {
        assert!(
            offset < self.header_len(),
            "write of the device configuration"
        );
        let half = value as u16;
        let (written, expected_width) = match offset {
            4 => {
                self.accepted[0] = value;
                (Some(Write::Accepted(0, value)), 4)
            }
            8 => {
                self.queue().page = value;
                (Some(Write::Page(value)), 4)
            }
            14 => {
                self.selected = half;
                (Some(Write::Select(half)), 2)
            }
            16 => (Some(Write::LegacyDoorbell(half)), 2),
            18 => {
                self.write_status(value as u8);
                (None, 1)
            }
            20 => {
                self.config_vector = self.taken(half);
                (Some(Write::ConfigVector(half)), 2)
            }
            22 => {
                self.queue().vector = self.taken(half);
                (Some(Write::Vector(half)), 2)
            }
            _ => panic!("write of port {offset}"),
        };
        self.log.extend(written);
        assert_eq!(width, expected_width, "write of port {offset}");
    }
}

const _: () = assert!(PORTS != BAR);
