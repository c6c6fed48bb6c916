//! 1.S: a miniport with a protocol edge.
