//! 1.B: object headers, revisions, versions.
