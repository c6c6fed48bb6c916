//! 1.K: status indications.
