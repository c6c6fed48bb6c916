//! 1.P: power management.
