//! Drivers that break a rule, and the judge who names it; drivers that keep it, and he is silent.
//!
//! One module for each section of the rules. A test is named for its rule: `r114_breaks_when_...`
//! or `r114_holds_when_...`; `docs/verifier.md` lists them.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

#[path = "../native/mod.rs"]
mod native;
#[allow(dead_code, reason = "each test binary uses a part of this")]
#[path = "../common/pe.rs"]
mod pe;

mod bench;
mod buffers;
mod card;
mod configuration;
mod control_device;
mod desk;
mod dma;
mod edge;
mod headers;
mod hooked_card;
mod initialize;
mod intermediate;
mod interrupts;
mod irql;
mod kernel;
mod load;
mod offload;
mod oid;
mod poll;
mod power;
mod protocol;
mod receive;
mod send;
mod services;
mod states;
mod status;
mod sweeps;
mod watchdogs;
