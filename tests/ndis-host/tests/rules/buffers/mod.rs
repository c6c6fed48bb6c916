//! 1.F: NET_BUFFER_LISTs, NET_BUFFERs and MDLs.

pub(crate) mod calls;
mod data;
mod derived;
mod fields;
mod flags;
mod ownership;
mod pools;
