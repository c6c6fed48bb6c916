//! 1.N: configuration.
