//! 1.L: interrupts and their DPCs.
