//! What threads wait for, and what keeps them apart: events, mutexes, semaphores, fast mutexes,
//! resources, rundown protection, critical regions.
//!
//! The state of an object is in the driver's structure, where inlined code may look at it.

mod critical_region;
mod delay;
mod dispatcher;
mod event;
mod fast_mutex;
mod mutex;
mod resource;
mod rundown;
mod semaphore;
mod wait;

use super::Table;

pub(super) use dispatcher::{Kind, initialize, read_state, require, set_state, write_state};
pub(super) use event::set as set_event;

/// The routines of this area.
pub(super) fn exports() -> Table {
    let parts = [
        critical_region::exports(),
        delay::exports(),
        event::exports(),
        fast_mutex::exports(),
        mutex::exports(),
        resource::exports(),
        rundown::exports(),
        semaphore::exports(),
        wait::exports(),
    ];
    parts.concat()
}

/// Reports what a thread that ends still owns: a fatal breach of rule 215.
pub(super) fn check_end_of_thread() {
    mutex::check_end_of_thread();
    critical_region::check_end_of_thread();
}
