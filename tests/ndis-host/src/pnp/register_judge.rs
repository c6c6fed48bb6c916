//! Who uses the registers of a device when nobody may: rules 67, 76, 77 and 256.
//!
//! The host sees each access that a driver makes to a mapped BAR, and knows what the driver was
//! told about the device before.

use crate::ndis::node::Access;
use crate::sched::BatonCell;
use crate::verifier;

/// Accesses to a device that is gone which are no loop: those that were under way when the driver
/// was told.
const UNDER_WAY: u32 = 64;
/// Accesses to a device that is gone, before the driver was told, that look like an endless loop.
const ENDLESS: u32 = 100_000;

/// How the registers of a function may be used, and how they were.
pub(super) struct Registers(BatonCell<State>);

#[derive(Default)]
struct State {
    access: Access,
    /// The function was taken out.
    unplugged: bool,
    /// Accesses since `access` was set or the function was taken out.
    count: u32,
}

impl Registers {
    /// Of a function that was just plugged in.
    pub(super) fn new() -> Self {
        Self(BatonCell::new(State::default()))
    }

    /// Sets how they may be used from now on.
    pub(super) fn allow(&'static self, access: Access) {
        self.0.with(|state| {
            state.access = access;
            state.count = 0;
        });
    }

    /// The function was taken out; its driver does not know yet.
    pub(super) fn unplugged(&'static self) {
        self.0.with(|state| {
            state.unplugged = true;
            state.count = 0;
        });
    }

    /// A driver uses one.
    pub(super) fn used(&'static self, how: &str, offset: u64) {
        let (access, unplugged, count) = self.0.with(|state| {
            state.count = state.count.saturating_add(1);
            (state.access, state.unplugged, state.count)
        });
        let at = format!("a register at {offset:#x} is {how}");
        match access {
            Access::Free if unplugged && count == ENDLESS => {
                verifier::advice(77, format!("{at} again and again; the device is gone"));
            }
            Access::Leaving if count == UNDER_WAY => {
                verifier::breach(
                    76,
                    format!("{at} for the {count}th time since SurpriseRemoved"),
                );
            }
            Access::Gone if count == 1 => {
                verifier::breach(67, format!("{at} in a halt for surprise removal"));
            }
            Access::Asleep if count == 1 => {
                verifier::breach(256, format!("{at}; the device is in low power"));
            }
            _ => {}
        }
    }
}
