//! Routines of drivers that the kernel calls.

use crate::sched::{DISPATCH_LEVEL, Irql, PASSIVE_LEVEL};

/// A kind of routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KernelCallback {
    /// Of a `KDPC`.
    Dpc,
    /// Of a timer of `ExAllocateTimer`.
    ExTimer,
    /// Tells that such a timer is gone.
    TimerDeleted,
    /// Body of a system thread.
    Thread,
    /// Of `KeIpiGenericCall`, on each processor.
    Broadcast,
    /// Makes or frees an entry of a lookaside list.
    Lookaside,
}

impl KernelCallback {
    /// The routine as its page calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dpc => "CustomDpc",
            Self::ExTimer => "ExTimerCallback",
            Self::TimerDeleted => "ExTimerDeleteCallback",
            Self::Thread => "ThreadStart",
            Self::Broadcast => "IpiGenericCall",
            Self::Lookaside => "a routine of a lookaside list",
        }
    }

    /// The level at which it is entered; `None`: that of the caller.
    pub(crate) fn level(self) -> Option<Irql> {
        match self {
            Self::Dpc | Self::ExTimer => Some(DISPATCH_LEVEL),
            Self::Thread => Some(PASSIVE_LEVEL),
            Self::TimerDeleted | Self::Broadcast | Self::Lookaside => None,
        }
    }

    /// Whether it interrupts whatever the thread was doing.
    pub(crate) fn interrupts(self) -> bool {
        matches!(self, Self::Dpc | Self::ExTimer | Self::Broadcast)
    }
}
