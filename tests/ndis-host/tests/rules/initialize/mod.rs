//! 1.C: MiniportInitializeEx, its order and what it has to declare.

mod add_device;
mod declared;
mod order;
