//! What surrounds the driver in NDIS: a TCP/IP edge above, a VF miniport below.
//!
//! ```text
//!   tcpip  (smoltcp)                     protocol, bound to the driver's adapter
//!     |
//!   the driver under test
//!     |                \
//!   virtio-net          vf               miniport of the VF, bound by the driver
//!     |                  |
//!   ------- switch ------- peer
//! ```
//!
//! Both neighbours are native: NDIS in the host knows them by its traits, and judges them like a
//! driver. They do all that the contract allows: they keep receives for a while and give them back
//! in other groupings, on other CPUs and at other levels; they cut data into odd pieces; they
//! complete late. The seed decides.
//!
//! [`ledgers`] is the account of the frames between the guest's stack and its peer.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

pub mod clock;
pub mod ledgers;
pub mod listener;
mod nbl;
pub mod tcpip;
pub mod vf;
