//! 1.Q: NDIS polling.
