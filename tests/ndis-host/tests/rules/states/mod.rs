//! 1.D: the state machine of an adapter.

mod flow;
mod removal;
mod reset;
mod shutdown;
