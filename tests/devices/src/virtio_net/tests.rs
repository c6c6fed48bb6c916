//! The device against a small driver of its own.

mod driver;
mod faults;
mod negotiation;
mod traffic;
