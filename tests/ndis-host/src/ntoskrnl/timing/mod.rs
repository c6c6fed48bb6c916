//! Clocks, deferred procedure calls and timers.

pub(super) mod dpc;
mod ex_timer;
pub mod time;
mod timer;

use super::Table;

/// The routines of this area.
pub(super) fn exports() -> Table {
    let parts = [
        dpc::exports(),
        ex_timer::exports(),
        time::exports(),
        timer::exports(),
    ];
    parts.concat()
}

/// The timers of `ExAllocateTimer` that a driver has left, in words.
pub(super) fn leaks_of(owner: &str) -> Vec<String> {
    ex_timer::leaks_of(owner)
}
