//! A stand-in for the control device of `netkvm.sys` in Wine, which has a small kernel but no NDIS.
//!
//! It has the device's names and answers device controls from a table in the registry, under the key of
//! its service. What requests and answers mean it does not know: the table's maker asks the real driver.
//!
//! | value | type | |
//! |---|---|---|
//! | `<code>:<room>:<input>` | BINARY | an exchange: control code, bytes of room for output (eight hexadecimal digits each) and input in hexadecimal; its answer is a status, four bytes in the order of the machine, and the output |
//! | `Asked` | SZ | ours: the name of the last request that the table lacks; it has failed with [`NOT_IN_THE_TABLE`] |
//!
//! | module | its job |
//! |---|---|
//! | `driver` | DriverEntry, the device, unload |
//! | `exchange` | requests |
//! | `table` | the registry |

#![cfg_attr(windows, no_std)]

mod driver;
mod exchange;
mod table;

use ndis_sys::NTSTATUS;

/// A status of no system, by the bit for customers' own (Microsoft Learn, "NTSTATUS Values").
const NOT_IN_THE_TABLE: NTSTATUS = 0xe000_0001_u32 as i32;

/// Tag of our memory: "CoSt" in a debugger.
const TAG: u32 = u32::from_le_bytes(*b"CoSt");

#[cfg(windows)]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: may be called at any level; it does not return.
    unsafe { ndis_sys::KeBugCheckEx(TAG, 0, 0, 0, 0) }
}
