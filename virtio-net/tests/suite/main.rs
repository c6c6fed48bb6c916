//! The crate against devices: faked registers, rust-vmm's queue, hostile bytes, a second thread.

#[cfg(not(miri))]
mod against_virtio_queue;
mod bring_up;
mod capabilities;
mod config_space;
mod configuration;
mod fake;
mod hostile;
#[cfg(not(miri))]
mod hostile_random;
mod in_order;
mod memory;
mod packed_hostile;
mod packed_model;
mod packed_queue;
#[cfg(not(miri))]
mod packed_random;
#[cfg(not(miri))]
mod packed_threads;
mod queue_registers;
mod split_queue;
#[cfg(not(miri))]
mod two_threads;
