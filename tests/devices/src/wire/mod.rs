//! The wire: what lies between network devices.
//!
//! Frames are whole Ethernet frames without the check sequence. Time is virtual: everything that
//! takes time asks a [`Clock`] to be called back.

mod flow;
pub mod ledger;
pub mod peer;
pub mod stack;
pub mod switch;
pub mod testing;

pub(crate) use flow::Flow;
pub use ledger::{FrameLedger, LedgerReport, PhaseReport, Totals};
pub use peer::Peer;
pub use stack::{FrameIo, Stack, StackConfig};
pub use switch::{PortConfig, PortCounters, PortHandle, Switch, SwitchCounters};

/// An Ethernet frame without its frame check sequence.
pub type Frame = Vec<u8>;

/// A hardware address.
pub type MacAddress = [u8; 6];

/// What becomes of frames that arrive at the far end of a port.
pub type Sink = Box<dyn FnMut(Frame) + Send>;

/// Virtual time.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the start of the run.
    fn now_ns(&self) -> u64;

    /// Calls `event` once `time_ns` is reached; a time that has passed means as soon as possible.
    ///
    /// Events of one instant run in the order in which they were asked for, and never from within
    /// this call.
    fn at(&self, time_ns: u64, event: Box<dyn FnOnce() + Send>);
}

/// Whether the destination of `frame` is a group address, broadcast included.
pub(crate) fn is_group(mac: &MacAddress) -> bool {
    mac[0] & 1 != 0
}

/// Destination address of `frame`, if it is long enough to have one.
pub(crate) fn destination(frame: &[u8]) -> Option<MacAddress> {
    frame.first_chunk().copied()
}

/// Source address of `frame`, if it is long enough to have one.
pub(crate) fn source(frame: &[u8]) -> Option<MacAddress> {
    frame.get(6..)?.first_chunk().copied()
}
