//! Counters, per CPU, of what the adapter received and sent by either path.

use core::sync::atomic::{AtomicU64, Ordering};

use ndis::memory::OutOfMemory;
use ndis::percpu::PerCpu;
use ndis_sys as sys;

/// One direction.
#[derive(Default)]
pub(crate) struct Direction {
    frames: [AtomicU64; 3],
    bytes: [AtomicU64; 3],
    errors: AtomicU64,
    discards: AtomicU64,
}

/// What a destination address says of a frame.
#[derive(Clone, Copy)]
enum Cast {
    Uni = 0,
    Multi = 1,
    Broad = 2,
}

impl Cast {
    fn of(to: [u8; 6]) -> Self {
        let [first, ..] = to;
        match to {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Self::Broad,
            _ if first & 1 != 0 => Self::Multi,
            _ => Self::Uni,
        }
    }
}

impl Direction {
    /// Counts a frame of `bytes` bytes to the address `to`.
    pub(crate) fn frame(&self, to: [u8; 6], bytes: usize) {
        let cast = Cast::of(to) as usize;
        add(self.frames.get(cast), 1);
        add(self.bytes.get(cast), bytes as u64);
    }

    /// Counts a frame that was bad.
    pub(crate) fn error(&self) {
        add(Some(&self.errors), 1);
    }

    /// Counts good frames that were not passed on.
    pub(crate) fn discard(&self, count: u64) {
        add(Some(&self.discards), count);
    }
}

fn add(counter: Option<&AtomicU64>, amount: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// Both directions.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) received: Direction,
    pub(crate) sent: Direction,
}

/// The counters of all CPUs.
pub(crate) struct Statistics(PerCpu<Counters>);

impl Statistics {
    pub(crate) fn try_new() -> Result<Self, OutOfMemory> {
        PerCpu::try_new().map(Self)
    }

    /// Counts something on this CPU.
    pub(crate) fn count(&self, what: impl FnOnce(&Counters)) {
        if let Some(here) = self.0.here() {
            what(here);
        }
    }

    fn sum(&self, which: impl Fn(&Counters) -> Option<&AtomicU64>) -> u64 {
        self.0.iter().filter_map(which).fold(0u64, |sum, counter| {
            sum.wrapping_add(counter.load(Ordering::Relaxed))
        })
    }

    fn sum_casts(&self, which: impl Fn(&Counters) -> &[AtomicU64; 3]) -> u64 {
        self.0.iter().flat_map(which).fold(0u64, |sum, counter| {
            sum.wrapping_add(counter.load(Ordering::Relaxed))
        })
    }

    /// Frames received without error.
    pub(crate) fn frames_received(&self) -> u64 {
        self.sum_casts(|at| &at.received.frames)
    }

    /// Frames sent without error.
    pub(crate) fn frames_sent(&self) -> u64 {
        self.sum_casts(|at| &at.sent.frames)
    }

    /// Frames received with an error.
    pub(crate) fn receive_errors(&self) -> u64 {
        self.sum(|at| Some(&at.received.errors))
    }

    /// Frames not sent because of an error.
    pub(crate) fn send_errors(&self) -> u64 {
        self.sum(|at| Some(&at.sent.errors))
    }

    /// Frames received and dropped for want of somebody to take them.
    pub(crate) fn receive_discards(&self) -> u64 {
        self.sum(|at| Some(&at.received.discards))
    }

    /// OID_GEN_STATISTICS.
    pub(crate) fn info(&self) -> sys::NDIS_STATISTICS_INFO {
        let received = |cast: Cast| {
            let cast = cast as usize;
            let frames = self.sum(|at| at.received.frames.get(cast));
            (frames, self.sum(|at| at.received.bytes.get(cast)))
        };
        let sent = |cast: Cast| {
            let cast = cast as usize;
            let frames = self.sum(|at| at.sent.frames.get(cast));
            (frames, self.sum(|at| at.sent.bytes.get(cast)))
        };
        let mut info: sys::NDIS_STATISTICS_INFO = sys::zeroed();
        info.Header = ndis::header(
            sys::NDIS_OBJECT_TYPE_DEFAULT,
            sys::NDIS_STATISTICS_INFO_REVISION_1,
            sys::NDIS_SIZEOF_STATISTICS_INFO_REVISION_1,
        );
        info.SupportedStatistics = SUPPORTED_FIELDS;
        (info.ifHCInUcastPkts, info.ifHCInUcastOctets) = received(Cast::Uni);
        (info.ifHCInMulticastPkts, info.ifHCInMulticastOctets) = received(Cast::Multi);
        (info.ifHCInBroadcastPkts, info.ifHCInBroadcastOctets) = received(Cast::Broad);
        (info.ifHCOutUcastPkts, info.ifHCOutUcastOctets) = sent(Cast::Uni);
        (info.ifHCOutMulticastPkts, info.ifHCOutMulticastOctets) = sent(Cast::Multi);
        (info.ifHCOutBroadcastPkts, info.ifHCOutBroadcastOctets) = sent(Cast::Broad);
        info.ifHCInOctets = info
            .ifHCInUcastOctets
            .wrapping_add(info.ifHCInMulticastOctets)
            .wrapping_add(info.ifHCInBroadcastOctets);
        info.ifHCOutOctets = info
            .ifHCOutUcastOctets
            .wrapping_add(info.ifHCOutMulticastOctets)
            .wrapping_add(info.ifHCOutBroadcastOctets);
        info.ifInErrors = self.receive_errors();
        info.ifInDiscards = self.receive_discards();
        info.ifOutErrors = self.send_errors();
        info
    }
}

/// Which fields of [`Statistics::info`] count: all.
const SUPPORTED_FIELDS: u32 = sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS
    | sys::NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR
    | sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT
    | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT
    | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT
    | sys::NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT
    | sys::NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR
    | sys::NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS
    | sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV
    | sys::NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT
    | sys::NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT
    | sys::NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT;
