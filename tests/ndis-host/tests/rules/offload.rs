//! 1.R: offloads and RSS.
