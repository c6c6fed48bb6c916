//! Names of NDIS's DPCs, so that each object's DPC is queued once at a time.

use crate::sched::{BatonCell, DpcId};

/// What kind of object queues the DPC.
#[derive(Clone, Copy)]
#[repr(u64)]
pub(crate) enum Source {
    /// Expiry of a timer object.
    Timer = 1,
    /// Interrupt DPC; the object is the interrupt, message and CPU in one number.
    Interrupt,
    /// Deferred work of NDIS.
    Deferred,
    /// Work that is deferred once, and has no object.
    Once,
}

/// Bit that tells NDIS's DPCs from those of others.
const NDIS: u64 = 1 << 63;

/// The DPC of an object.
pub(crate) fn id(source: Source, object: u64) -> DpcId {
    DpcId(NDIS | (source as u64) << 56 | (object & ((1 << 56) - 1)))
}

/// A DPC that is queued once.
pub(crate) fn fresh() -> DpcId {
    static COUNT: BatonCell<u64> = BatonCell::new(0);
    let number = COUNT.with(|count| {
        *count += 1;
        *count
    });
    id(Source::Once, number)
}
