//! The exports of ntoskrnl.exe that a network driver uses.
//!
//! Each routine behaves as its page on Microsoft Learn says, checks the interrupt level that the
//! page states, and is a scheduling point at its entry. Calling one at a wrong level is a breach
//! of the rule that covers it, or of rule 79 where none is more specific.
//!
//! A routine never unwinds into a driver: a panic ends the process.

/// A part of the export table: `exports! { "KeSetEvent" => ke_set_event }`.
macro_rules! exports {
    ($($name:literal => $routine:path),+ $(,)?) => {
        vec![$(($name, $routine as *const ())),+]
    };
}

mod callbacks;
mod crt;
mod debug;
pub(crate) mod etw;
mod format;
mod handle;
mod interrupt;
pub mod io;
mod irql;
pub(crate) mod locks;
mod memory;
mod mm;
pub(crate) mod objects;
mod processor;
mod reg;
mod routines;
mod rtl;
mod sync;
pub mod text;
mod thread;
pub(crate) mod timing;

pub(crate) use callbacks::KernelCallback;
pub use debug::debug_output;
pub use handle::open_handles;
pub(crate) use locks::forget as forget_locks;
pub use locks::{locks_held, locks_in};
pub(crate) use memory::plain_routines;
use mm::pool;
pub use mm::pool::caller_of;
pub(crate) use processor::{count_of, number_of};
pub use routines::{exports, publish_routines, routine_address};
pub use timing::time;

use crate::sched::{self, BatonCell, Irql};
use crate::verifier;

/// Routines that ndis.sys forwards to, where other headers make that a macro.
pub(crate) mod compat {
    pub(crate) use super::locks::interlocked::{
        add_large_integer, add_ulong, insert_head, insert_tail, pop_entry, push_entry, remove_head,
    };
    pub(crate) use super::locks::spin_lock::{
        ke_acquire_spin_lock_at_dpc_level as acquire_at_dpc_level,
        ke_acquire_spin_lock_raise_to_dpc as acquire_raising,
        ke_initialize_spin_lock as initialize_spin_lock, ke_release_spin_lock as release_lowering,
        ke_release_spin_lock_from_dpc_level as release_from_dpc_level,
    };
    pub(crate) use super::text::rtl_init_unicode_string as init_unicode_string;
    pub(crate) use super::timing::time::ke_stall_execution_processor as stall;
}

/// What Windows this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OsVersion {
    /// Build number.
    pub build: u32,
    /// Major version of NDIS.
    pub ndis_major: u8,
    /// Minor version of NDIS.
    pub ndis_minor: u8,
}

impl OsVersion {
    /// Windows 10 1809 and Server 2019, the oldest that the driver supports.
    pub const BASELINE: Self = Self {
        build: 17763,
        ndis_major: 6,
        ndis_minor: 82,
    };
    /// Windows 11 24H2 and Server 2025.
    pub const NEWEST: Self = Self {
        build: 26100,
        ndis_major: 6,
        ndis_minor: 89,
    };
}

impl Default for OsVersion {
    fn default() -> Self {
        Self::BASELINE
    }
}

static OS: BatonCell<OsVersion> = BatonCell::new(OsVersion::BASELINE);

/// Sets which Windows this is, before any driver is loaded.
pub fn start(os: OsVersion) {
    OS.with(|current| *current = os);
}

/// Which Windows this is.
pub fn os() -> OsVersion {
    OS.with(|os| *os)
}

/// Entry of a routine that may be called at `highest` or below.
fn enter(routine: &str, highest: Irql) {
    sched::point();
    require_at_most(routine, highest, 79);
}

/// Breach of `rule` when the level is above `highest`.
fn require_at_most(routine: &str, highest: Irql, rule: u16) {
    let irql = sched::irql();
    if irql > highest {
        verifier::breach(
            rule,
            format!("{routine} called at level {irql}, {highest} at most"),
        );
    }
}

/// Name and address of each routine.
type Table = Vec<(&'static str, *const ())>;

/// Reports what a driver that is about to be unmapped leaves to the kernel: a breach of rule 14.
/// The kernel would go on to use objects in its image: a fatal breach of rule 215.
pub(crate) fn report_leaks(owner: &str, base: usize, len: usize) {
    let parts = [
        mm::leaks_of(owner),
        thread::leaks_of(owner),
        timing::leaks_of(owner),
    ];
    for left in parts.concat() {
        verifier::breach(14, format!("{owner} leaves {left} (0xC4/62)"));
    }
    objects::require_none(base, len, || format!("{owner} unmapped"));
}

/// Sets an event of the kernel's, as KeSetEvent does.
///
/// # Safety
///
/// `event` is an initialised event.
unsafe fn set_event(event: *mut ndis_sys::KEVENT) {
    // SAFETY: by contract.
    unsafe { sync::set_event(event) };
}
