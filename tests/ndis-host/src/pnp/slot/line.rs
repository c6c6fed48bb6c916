//! The interrupt pin of a function, and the line behind it.
//!
//! A line is level triggered and shared: it interrupts for as long as some function asserts it,
//! and a service routine is also called for its neighbours' interrupts.

use super::Slot;
use crate::ndis::node::{Level, LineInterrupt, LineSink};
use crate::sched::{self, DIRQL};

/// Configuration space registers.
const INTERRUPT_LINE: u16 = 0x3c;
const INTERRUPT_PIN: u16 = 0x3d;
/// Vectors of the lines, below those of messages.
const FIRST_VECTOR: u32 = 0x30;
const LINES: u64 = 4;

/// What the machine knows of a function's pin.
#[derive(Default)]
pub(super) struct Line {
    level: Level,
    sink: Option<LineSink>,
    assigned: Option<LineInterrupt>,
}

impl Slot {
    /// The line that the function interrupts on; `None` without a pin.
    pub(in crate::pnp) fn line(&'static self) -> Option<LineInterrupt> {
        let mut pin = [0; 1];
        self.config_read(INTERRUPT_PIN, &mut pin);
        if pin[0] == 0 || pin[0] == 0xff {
            return None;
        }
        if let Some(assigned) = self.line.with(|line| line.assigned) {
            return Some(assigned);
        }
        let vector = FIRST_VECTOR + sched::random_below(LINES) as u32;
        let assigned = LineInterrupt {
            vector,
            cpu: sched::random_below(sched::cpu_count() as u64) as usize,
            level: u32::from(DIRQL),
        };
        self.line.with(|line| line.assigned = Some(assigned));
        self.config_write(INTERRUPT_LINE, &[vector as u8]);
        Some(assigned)
    }

    /// Lets the function drive its pin; `sink` is told when it begins to.
    pub(in crate::pnp) fn connect_line(&'static self, sink: LineSink) -> bool {
        if self.line().is_none() {
            return false;
        }
        self.line.with(|line| line.sink = Some(sink));
        self.set_pin_enabled(true);
        true
    }

    /// Takes the function off the line.
    pub(in crate::pnp) fn disconnect_line(&'static self) {
        self.set_pin_enabled(false);
        let sink = self.line.with(|line| line.sink.take());
        drop(sink);
    }

    pub(super) fn is_line_connected(&'static self) -> bool {
        self.line.with(|line| line.sink.is_some())
    }

    /// Whether the function drives the line, and how often it began to.
    pub(in crate::pnp) fn line_level(&'static self) -> Level {
        self.line.with(|line| line.level)
    }

    /// The function drives its pin, or lets go of it.
    pub(super) fn line_changed(&'static self, asserted: bool) {
        self.line.with(|line| {
            line.level.asserted = asserted;
            if !asserted {
                return;
            }
            line.level.count += 1;
            if let Some(sink) = &line.sink {
                sink();
            }
        });
    }
}
