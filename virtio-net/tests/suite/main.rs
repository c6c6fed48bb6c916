//! The crate against devices: faked registers, rust-vmm's queue, hostile bytes, a second thread.

#[cfg(not(miri))]
mod against_virtio_queue;
mod bring_up;
mod capabilities;
mod config_space;
mod configuration;
#[cfg(not(miri))]
mod control_against_virtio_queue;
mod control_bed;
mod control_commands;
mod control_filter;
#[cfg(not(miri))]
mod control_random;
mod control_slots;
#[cfg(not(miri))]
mod control_steps;
mod control_wishes;
mod fake;
mod hostile;
#[cfg(not(miri))]
mod hostile_random;
mod memory;
mod queue_registers;
mod split_queue;
#[cfg(not(miri))]
mod two_threads;
