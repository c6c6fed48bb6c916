//! 1.O: protocol drivers and bindings.

mod bind;
mod data;
mod events;
mod names;
pub(crate) mod register;
