//! What programs and netkvm.sys say to each other over the driver's control device.
//!
//! There is one request, [`QUERY_ADAPTERS`]. Programs build it and read its answer with this crate,
//! and the driver reads and answers it with this crate, so both sides agree by construction.
//! Numbers are in the byte order of the machine, on which both run.
//!
//! ```text
//! request: Request
//! answer:  AnswerHeader, then `adapters` records of `record_size` bytes each
//! ```
//!
//! A version counts up when a meaning changes. What is only added goes to the end of a record, which
//! older programs skip: they step by `record_size`.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod answer;
mod record;

pub use answer::{Answer, Malformed, Written, write};
pub use record::{AdapterRecord, Flags, Path, WhyNot};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The device's name for the kernel.
pub const DEVICE: &str = r"\Device\NETKVM";
/// The link to it that programs of all sessions see.
pub const LINK: &str = r"\DosDevices\Global\NETKVM";
/// The path by which a program opens it.
pub const PATH: &str = r"\\.\NETKVM";

/// Who may open the device: the system and administrators, to read. A handle keeps the driver from
/// being unloaded, which is no business of others (Microsoft Learn, "SDDL for Device Objects").
pub const SECURITY: &str = "D:P(A;;GA;;;SY)(A;;GR;;;BA)";

/// The version of requests and answers.
pub const VERSION: u32 = 1;

/// Asks for the driver's adapters. Input: [`Request`]. Output: [`AnswerHeader`] and records.
///
/// Output that has room for the header, but not for all records, gets the header and as many whole
/// records as fit, with STATUS_BUFFER_OVERFLOW (ERROR_MORE_DATA for programs); less room is
/// STATUS_BUFFER_TOO_SMALL, input that is too short or of another version STATUS_INVALID_PARAMETER.
pub const QUERY_ADAPTERS: u32 = control_code(0x801);

/// A control code of a network device with buffered input and output, for which a handle must have
/// the right to read (Microsoft Learn, "Defining I/O Control Codes").
const fn control_code(function: u32) -> u32 {
    const FILE_DEVICE_NETWORK: u32 = 0x12;
    const FILE_READ_ACCESS: u32 = 1;
    const METHOD_BUFFERED: u32 = 0;
    FILE_DEVICE_NETWORK << 16 | FILE_READ_ACCESS << 14 | function << 2 | METHOD_BUFFERED
}

/// The input of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Request {
    /// [`VERSION`], of the program.
    pub version: u32,
}

impl Request {
    /// A request of this version.
    pub const CURRENT: Self = Self { version: VERSION };

    /// Whether `input` is a request that this version of the driver can answer.
    #[must_use]
    pub fn is_answerable(input: &[u8]) -> bool {
        Self::read_from_prefix(input).is_ok_and(|(request, _)| request.version == VERSION)
    }
}

const _: () = assert!(QUERY_ADAPTERS == 0x0012_6004);

/// What an answer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AnswerHeader {
    /// [`VERSION`], of the driver.
    pub version: u32,
    /// Bytes of a record.
    pub record_size: u32,
    /// Adapters that the driver has, of which the answer may hold fewer.
    pub adapters: u32,
    /// Not 0: the protocol VIOPROT is installed, as far as the driver knows.
    pub protocol_installed: u32,
}
