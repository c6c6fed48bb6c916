//! NDIS_OBJECT_HEADER: the type, revision and size of a structure that a driver passes.
//!
//! Microsoft Learn, "Overview of NDIS support for header versions": the type is exact, a larger
//! size than the revision needs is legal, a smaller one is not.

use ndis_sys::NDIS_OBJECT_HEADER;

use crate::verifier;

/// Checks a header against the revisions that NDIS knows, each with its least size, ascending.
///
/// Returns the revision whose members may be read: the given one, or the newest known.
/// Breaches: 19 (type: NDIS cannot trust the structure), 18 (revision, size).
pub(crate) fn check(
    call: &str,
    header: NDIS_OBJECT_HEADER,
    kind: u8,
    revisions: &[(u8, u16)],
) -> u8 {
    let NDIS_OBJECT_HEADER {
        Type,
        Revision,
        Size,
    } = header;
    verifier::insist(19, Type == kind, || {
        format!("{call}: object header of type {Type:#x}, expected {kind:#x}")
    });
    let (newest, _) = revisions.last().copied().unwrap_or((1, 0));
    verifier::require(18, Revision >= 1 && Revision <= newest, || {
        format!("{call}: revision {Revision} of object type {kind:#x}; known are 1 to {newest}")
    });
    let usable = Revision.clamp(1, newest);
    let least = revisions
        .iter()
        .find(|(revision, _)| *revision == usable)
        .map_or(0, |(_, s)| *s);
    verifier::insist(18, Size >= least, || {
        format!("{call}: size {Size} of object type {kind:#x} revision {usable}, needs {least}")
    });
    usable
}

/// A header for a structure that NDIS passes to drivers.
pub(crate) fn make(kind: u8, revision: u8, size: u16) -> NDIS_OBJECT_HEADER {
    NDIS_OBJECT_HEADER {
        Type: kind,
        Revision: revision,
        Size: size,
    }
}
