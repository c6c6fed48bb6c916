//! What one packet costs at the ring: instructions, fences, doorbells, allocations, time.
//!
//! ```text
//!            driver side, measured                     device side, not measured
//!   netkvm | virtio-drivers | floor | dpdk   <-rings->   device::Split | device::Packed
//! ```
//!
//! Driver and device run in one thread, in lock-step: a batch of the driver, then a batch of the
//! device. [`lane::driver_side`] is the one function whose inside counts; callgrind is told its name.
//! [`count`] runs each case for the counts, [`time`] runs all drivers of a case round by round.

pub mod allocations;
pub mod case;
pub mod count;
pub mod device;
pub mod driver;
pub mod lane;
pub mod layout;
pub mod memory;
pub mod time;
