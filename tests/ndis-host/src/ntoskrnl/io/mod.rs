//! The I/O manager: device objects, names, request packets, work items.
//!
//! | module | what it has |
//! |---|---|
//! | `devices` | device objects and the stacks that they form |
//! | `error_log` | entries of the event log |
//! | `files` | files in memory |
//! | `names` | symbolic links, and what a name leads to |
//! | `irp` | request packets |
//! | `properties` | what a driver asks about devices, process and caller |
//! | `requests` | requests on their way down and up a stack |
//! | `security` | who may open a device |
//! | `user` | what a program does: open, control, close |
//! | `work_items` | work items of a device object |
//! | `notifications` | shutdown, plug and play, power settings: registered and taken back |

pub(crate) mod devices;
pub mod error_log;
pub mod files;
mod irp;
pub(crate) mod names;
pub(crate) mod notifications;
mod properties;
mod requests;
pub mod security;
pub mod user;
mod work_items;

/// The routines of this folder: name and address.
pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    [
        devices::exports(),
        error_log::exports(),
        files::exports(),
        irp::exports(),
        names::exports(),
        notifications::exports(),
        properties::exports(),
        requests::exports(),
        work_items::exports(),
    ]
    .concat()
}

/// What a driver has left of the I/O manager's: rule 14.
pub(crate) fn leaks_of(driver_object: usize, owner: &str) -> Vec<String> {
    [
        devices::leaks_of(driver_object),
        work_items::leaks_of(driver_object),
        irp::leaks_of(owner),
        notifications::leaks_of(owner),
    ]
    .concat()
}
