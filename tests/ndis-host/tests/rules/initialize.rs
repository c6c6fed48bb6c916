//! 1.C: MiniportInitializeEx, its order and what it must declare.
