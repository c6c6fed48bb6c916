//! The guest half of a virtio network device: transport, queues, configuration, packet header.
//!
//! Nothing here knows an operating system. A caller brings three things:
//!
//! * [`Registers`](registers::Registers): how to reach the function's configuration space and BARs;
//! * [`DmaRegion`](dma::DmaRegion)s: memory that both sides see;
//! * a way to wait, as a closure, for the two places where the device is given time.
//!
//! The way through the crate is the way of the specification (virtio 1.2, 3.1.1):
//!
//! ```text
//! PciTransport::open      find the registers of the device
//! Found::new              reset, ACKNOWLEDGE, DRIVER
//! Found::negotiate        features.rs has the one table of what we want
//! Negotiated::config      MAC address, link, MTU
//! Negotiated::set_up_queue  once per SplitQueue; yields its doorbell
//! Negotiated::start       DRIVER_OK
//! Live                    doorbells, interrupt status, health
//! Live::stop              reset; yields the proof that buffers may be taken back
//! ```
//!
//! The device is not trusted. What it can write (used rings, registers, its configuration) is read
//! once, through volatile or atomic accesses, checked, and never read again; every decision rests on
//! state that only the driver can write. The worst a device can do is to lose its own traffic.
//!
//! No function here panics or allocates after construction, and none waits except by the caller's
//! closure, so that everything but bring-up may run at any interrupt level.

#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod barrier;
pub mod bring_up;
pub mod config;
pub mod control;
pub mod dma;
pub mod features;
pub mod header;
pub mod offload;
pub mod queue;
pub mod receive;
pub mod registers;
pub mod rss;
pub mod transport;
