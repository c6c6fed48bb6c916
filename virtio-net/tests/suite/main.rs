//! The crate against devices: faked registers, rust-vmm's queue, hostile bytes, a second thread.

#[cfg(not(miri))]
mod against_virtio_queue;
mod bring_up;
mod capabilities;
mod config_space;
mod configuration;
mod fake;
#[cfg(not(miri))]
mod garbage;
mod hostile;
#[cfg(not(miri))]
mod hostile_random;
mod legacy;
mod legacy_ports;
mod memory;
mod queue_registers;
mod queue_reset;
mod split_queue;
#[cfg(not(miri))]
mod two_threads;
mod window;
