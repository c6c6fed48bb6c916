//! NDIS: the library between miniports and protocols, and the judge of both.
//!
//! Written from Microsoft's documentation, not from what some driver happens to do. Every export
//! asserts its interrupt level, is a scheduling point, does what its page says, and checks what
//! the caller did against the numbered rules; breaches go to [`crate::verifier`]. Where the pages
//! leave NDIS a choice (complete inside the call or later, one list or several, this level or
//! that), the seed chooses.
//!
//! Objects live behind [`handles`] that cannot be dereferenced. [`adapter`] is a miniport's side,
//! [`bindings`] a protocol's, [`nbl`] what travels between them; [`native`] and [`api`] let code
//! of the host take part on either side.

pub(crate) mod adapter;
pub mod adversary;
pub mod api;
pub(crate) mod bindings;
pub(crate) mod call;
pub(crate) mod characteristics;
pub(crate) mod compat;
pub(crate) mod config;
pub(crate) mod control_device;
pub(crate) mod dma;
pub(crate) mod dpc;
pub(crate) mod drivers;
mod event_log;
pub(crate) mod events;
mod export_table;
pub mod faults;
pub(crate) mod files;
pub(crate) mod filter;
pub(crate) mod generic_objects;
pub(crate) mod handles;
mod hardware_exports;
pub(crate) mod header;
pub(crate) mod held;
mod image_miniport;
mod image_protocol;
pub(crate) mod interfaces;
pub(crate) mod intermediate;
pub mod interrupts;
pub(crate) mod leaks;
mod logs;
pub(crate) mod memory_calls;
mod miniport_events;
mod miniport_ports;
mod misc;
pub(crate) mod modules;
pub mod native;
pub(crate) mod nbl;
pub(crate) mod node;
pub(crate) mod offload;
pub(crate) mod oid;
pub(crate) mod old_names;
pub mod packet;
pub(crate) mod poll;
pub(crate) mod power;
mod processors;
pub(crate) mod protocols;
pub(crate) mod receive;
mod remove;
mod report;
pub(crate) mod requirements;
pub(crate) mod reset;
pub(crate) mod resources;
pub(crate) mod rw_locks;
pub(crate) mod send;
mod services;
pub(crate) mod shared;
pub(crate) mod stack;
pub(crate) mod status;
mod status_checks;
pub mod sweeps;
pub(crate) mod text;
pub(crate) mod timers;
mod virtualization;
pub(crate) mod work_items;

pub use adapter::AdapterState;
pub use bindings::BindingState;
pub use call::limit_dpcs;
pub use event_log::{LogEntry, event_log};
pub use export_table::exports;
pub use interfaces::providers::{query as query_interface, set as set_interface};
pub use logs::miniport_log;
pub use nbl::ownership::{Ownership, set_ownership};
pub use nbl::poison::expect_stray_device;
pub use oid::faults as oid_faults;
pub use oid::request_ref::{OidKind, OidRequestRef};
pub use report::{AdapterReport, BindingReport, adapter_report, adapters};
