//! 1.T: faults and robustness sweeps.
