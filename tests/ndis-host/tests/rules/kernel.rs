//! 1.M: timers, work items, events, locks, memory.
