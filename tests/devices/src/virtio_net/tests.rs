//! The device against a small driver of its own.

mod commands;
mod commands_refused;
mod driver;
mod faults;
mod legacy;
mod negotiation;
mod packed;
mod packed_driver;
mod packed_faults;
mod pairs;
mod property;
mod queues;
mod traffic;
