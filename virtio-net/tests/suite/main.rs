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
mod frames;
#[cfg(not(miri))]
mod frames_random;
#[cfg(not(miri))]
mod garbage;
mod hostile;
#[cfg(not(miri))]
mod hostile_random;
mod in_order;
mod legacy;
mod legacy_ports;
mod memory;
mod offload_parse;
#[cfg(not(miri))]
mod offload_random;
mod offload_receive;
mod offload_send;
mod packed_hostile;
mod packed_model;
mod packed_queue;
#[cfg(not(miri))]
mod packed_random;
#[cfg(not(miri))]
mod packed_threads;
mod queue_registers;
mod queue_reset;
mod receive_assembly;
mod receive_plan;
#[cfg(not(miri))]
mod receive_random;
mod rss;
mod split_queue;
#[cfg(not(miri))]
mod two_threads;
mod window;
