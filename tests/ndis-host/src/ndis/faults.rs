//! Faults that the host injects: calls that fail although they could succeed.
//!
//! * Rule 302: every allocation site must survive failing once. A run either fails one in so many
//!   by seed, or the one with a given number, or one in so many calls of one routine.
//! * Rule 301: routines that MiniportInitializeEx needs are refused, a kind at a time, as the bits
//!   of `NdisDriverVerifyFlags` have NDIS do (Windows Hardware Lab Kit, 1c_FaultHandling).

use std::cell::Cell;

use crate::sched::{self, BatonCell};
use crate::verifier;

/// Which allocations fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Faults {
    /// None.
    #[default]
    Never,
    /// One in this many, by seed.
    OneIn(u64),
    /// The one with this number, counted from zero since the setting.
    Nth(u64),
    /// One in this many calls of this routine, by seed.
    OneInOf(u64, &'static str),
}

/// Kinds of routines that can be refused, as bits of `NdisDriverVerifyFlags`.
pub mod refuse {
    /// NdisMAllocateMapRegisters, which NDIS 6 no longer has.
    pub const MAP_REGISTERS: u32 = 0x001;
    /// NdisMRegisterInterruptEx.
    pub const INTERRUPT: u32 = 0x002;
    /// NdisMAllocateSharedMemory.
    pub const SHARED_MEMORY: u32 = 0x004;
    /// NdisMMapIoSpace.
    pub const MAP_IO_SPACE: u32 = 0x010;
    /// NdisMRegisterIoPortRange.
    pub const IO_PORT_RANGE: u32 = 0x020;
    /// NdisMGetBusData.
    pub const BUS_READ: u32 = 0x040;
    /// NdisMSetBusData.
    pub const BUS_WRITE: u32 = 0x080;
    /// NdisMRegisterScatterGatherDma.
    pub const SCATTER_GATHER: u32 = 0x100;
    /// All of them.
    pub const ALL: [u32; 8] = [
        MAP_REGISTERS,
        INTERRUPT,
        SHARED_MEMORY,
        MAP_IO_SPACE,
        IO_PORT_RANGE,
        BUS_READ,
        BUS_WRITE,
        SCATTER_GATHER,
    ];
}

/// The bit that refuses a routine.
fn refusing_bit(call: &str) -> u32 {
    match call {
        "NdisMRegisterInterruptEx" => refuse::INTERRUPT,
        "NdisMAllocateSharedMemory" | "NdisMAllocateSharedMemoryAsyncEx" => refuse::SHARED_MEMORY,
        "NdisMMapIoSpace" => refuse::MAP_IO_SPACE,
        "NdisMRegisterIoPortRange" => refuse::IO_PORT_RANGE,
        "NdisMGetBusData" => refuse::BUS_READ,
        "NdisMSetBusData" => refuse::BUS_WRITE,
        "NdisMRegisterScatterGatherDma" => refuse::SCATTER_GATHER,
        _ => 0,
    }
}

struct State {
    faults: Faults,
    /// Allocations since the setting.
    count: u64,
    refused: u32,
    /// Calls refused since the setting.
    refusals: u64,
}

static STATE: BatonCell<State> = BatonCell::new(State {
    faults: Faults::Never,
    count: 0,
    refused: 0,
    refusals: 0,
});

/// Sets which allocations fail from now on.
pub fn set(faults: Faults) {
    STATE.with(|state| {
        state.faults = faults;
        state.count = 0;
    });
}

/// How many allocations could have failed since [`set`].
pub fn sites() -> u64 {
    STATE.with(|state| state.count)
}

/// Refuses these kinds of routines from now on, and no others: bits of [`refuse`].
pub fn set_refused(bits: u32) {
    STATE.with(|state| {
        state.refused = bits;
        state.refusals = 0;
    });
}

/// How many calls were refused since [`set_refused`].
pub fn refusals() -> u64 {
    STATE.with(|state| state.refusals)
}

thread_local! {
    /// Above zero while host code allocates for itself, which has no way to fail.
    static EXEMPT: Cell<u32> = const { Cell::new(0) };
}

/// Runs host code whose own allocations do not fail.
pub(crate) fn spare<R>(body: impl FnOnce() -> R) -> R {
    EXEMPT.set(EXEMPT.get() + 1);
    let result = body();
    EXEMPT.set(EXEMPT.get() - 1);
    result
}

/// Whether the allocation in `call` fails, or the call is refused.
pub(crate) fn allocation_fails(call: &str) -> bool {
    if EXEMPT.get() > 0 {
        return false;
    }
    let (faults, number) = STATE.with(|state| {
        state.count += 1;
        (state.faults, state.count - 1)
    });
    let fails = match faults {
        Faults::Never => false,
        Faults::OneIn(one_in) => sched::chance(one_in),
        Faults::Nth(nth) => number == nth,
        Faults::OneInOf(one_in, routine) => routine == call && sched::chance(one_in),
    };
    if fails {
        verifier::note(format!("fault injected: {call} fails (site {number})"));
    }
    is_refused(call) || fails
}

/// Whether the call, which allocates nothing, is refused.
pub(crate) fn is_refused(call: &str) -> bool {
    let refused = STATE.with(|state| {
        let refused = state.refused & refusing_bit(call) != 0;
        state.refusals += u64::from(refused);
        refused
    });
    if refused {
        verifier::note(format!("fault injected: {call} is refused"));
    }
    refused
}
