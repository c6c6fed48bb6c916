//! 1.E: interrupt levels.
