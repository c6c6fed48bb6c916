//! The characteristics that drivers register with: rules 3 to 7, 18 to 20 and 226.

use ndis_sys::{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS, NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
    NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1,
    NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2,
    NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3,
    NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1,
    NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2,
};

use crate::ndis::header;
use crate::verifier;

/// Revisions of the miniport driver characteristics, with their sizes.
const MINIPORT_REVISIONS: [(u8, u16); 3] = [
    (1, NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_1),
    (2, NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_2),
    (3, NDIS_SIZEOF_MINIPORT_DRIVER_CHARACTERISTICS_REVISION_3),
];
/// Revisions of the protocol driver characteristics, with their sizes.
const PROTOCOL_REVISIONS: [(u8, u16); 2] = [
    (1, NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1),
    (2, NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2),
];

/// Copies a structure of which only the first `size` bytes need exist; the rest is zero.
///
/// # Safety
///
/// `from` points to `size` readable bytes, and zero is valid for what is beyond them.
unsafe fn read_prefix<T: ndis_sys::Zeroed>(from: *const T, size: u16) -> T {
    let mut value = T::zeroed();
    let length = usize::from(size).min(size_of::<T>());
    let to: *mut u8 = (&raw mut value).cast();
    // SAFETY: the caller's contract; `value` is at least `length` bytes long.
    unsafe { to.copy_from_nonoverlapping(from.cast(), length) };
    value
}

/// Reads the characteristics of a miniport driver; members of later revisions are null.
///
/// # Safety
///
/// `given` points to characteristics with a truthful header.
pub(crate) unsafe fn read_miniport(
    call: &str,
    given: *const NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
) -> NDIS_MINIPORT_DRIVER_CHARACTERISTICS {
    // SAFETY: the caller's contract.
    let object = unsafe { (*given).Header };
    let kind = NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS;
    let revision = header::check(call, object, kind, &MINIPORT_REVISIONS);
    // SAFETY: the header says that so many bytes exist.
    unsafe { read_prefix(given, size_of_revision(&MINIPORT_REVISIONS, revision)) }
}

/// Reads the characteristics of a protocol driver; members of later revisions are null.
///
/// # Safety
///
/// `given` points to characteristics with a truthful header.
pub(crate) unsafe fn read_protocol(
    call: &str,
    given: *const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
) -> NDIS_PROTOCOL_DRIVER_CHARACTERISTICS {
    // SAFETY: the caller's contract.
    let object = unsafe { (*given).Header };
    let kind = NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS;
    let revision = header::check(call, object, kind, &PROTOCOL_REVISIONS);
    // SAFETY: the header says that so many bytes exist.
    unsafe { read_prefix(given, size_of_revision(&PROTOCOL_REVISIONS, revision)) }
}

fn size_of_revision(revisions: &[(u8, u16)], revision: u8) -> u16 {
    revisions
        .iter()
        .find(|(known, _)| *known == revision)
        .map_or(0, |(_, size)| *size)
}

/// Checks the handlers and the revision of a miniport driver; false: registration fails.
pub(crate) fn check_miniport(call: &str, given: &NDIS_MINIPORT_DRIVER_CHARACTERISTICS) -> bool {
    let mandatory = [
        ("InitializeHandlerEx", given.InitializeHandlerEx.is_some()),
        ("HaltHandlerEx", given.HaltHandlerEx.is_some()),
        ("UnloadHandler", given.UnloadHandler.is_some()),
        ("PauseHandler", given.PauseHandler.is_some()),
        ("RestartHandler", given.RestartHandler.is_some()),
        ("OidRequestHandler", given.OidRequestHandler.is_some()),
        (
            "SendNetBufferListsHandler",
            given.SendNetBufferListsHandler.is_some(),
        ),
        (
            "ReturnNetBufferListsHandler",
            given.ReturnNetBufferListsHandler.is_some(),
        ),
        ("CancelSendHandler", given.CancelSendHandler.is_some()),
        (
            "DevicePnPEventNotifyHandler",
            given.DevicePnPEventNotifyHandler.is_some(),
        ),
        ("ShutdownHandlerEx", given.ShutdownHandlerEx.is_some()),
        (
            "CancelOidRequestHandler",
            given.CancelOidRequestHandler.is_some(),
        ),
    ];
    let complete = all_present(3, call, &mandatory);
    let reset = given.CheckForHangHandlerEx.is_none() || given.ResetHandlerEx.is_some();
    verifier::require(4, reset, || {
        format!("{call}: CheckForHangHandlerEx without ResetHandlerEx")
    });
    let direct = given.DirectOidRequestHandler.is_some();
    let cancel_direct = given.CancelDirectOidRequestHandler.is_some();
    verifier::require(5, direct == cancel_direct, || {
        format!("{call}: of the two direct OID handlers only one is given")
    });
    let version = (given.MajorNdisVersion, given.MinorNdisVersion);
    let due = match version {
        (6, 0) => 1,
        (6, minor) if minor < 80 => 2,
        _ => 3,
    };
    verifier::require(20, given.Header.Revision == due, || {
        let (major, minor) = version;
        format!(
            "{call}: characteristics of revision {} with NDIS {major}.{minor}, which has {due}",
            given.Header.Revision
        )
    });
    complete && reset && direct == cancel_direct
}

/// Checks the handlers and the revision of a protocol driver; false: registration fails.
pub(crate) fn check_protocol(call: &str, given: &NDIS_PROTOCOL_DRIVER_CHARACTERISTICS) -> bool {
    let mandatory = [
        ("BindAdapterHandlerEx", given.BindAdapterHandlerEx.is_some()),
        (
            "UnbindAdapterHandlerEx",
            given.UnbindAdapterHandlerEx.is_some(),
        ),
        (
            "OpenAdapterCompleteHandlerEx",
            given.OpenAdapterCompleteHandlerEx.is_some(),
        ),
        (
            "CloseAdapterCompleteHandlerEx",
            given.CloseAdapterCompleteHandlerEx.is_some(),
        ),
        ("NetPnPEventHandler", given.NetPnPEventHandler.is_some()),
        (
            "ReceiveNetBufferListsHandler",
            given.ReceiveNetBufferListsHandler.is_some(),
        ),
        (
            "SendNetBufferListsCompleteHandler",
            given.SendNetBufferListsCompleteHandler.is_some(),
        ),
        (
            "OidRequestCompleteHandler",
            given.OidRequestCompleteHandler.is_some(),
        ),
        ("StatusHandlerEx", given.StatusHandlerEx.is_some()),
    ];
    let due = if (given.MajorNdisVersion, given.MinorNdisVersion) == (6, 0) {
        1
    } else {
        2
    };
    verifier::require(225, given.Header.Revision == due, || {
        format!(
            "{call}: characteristics of revision {}, not {due}",
            given.Header.Revision
        )
    });
    all_present(226, call, &mandatory)
}

fn all_present(rule: u16, call: &str, handlers: &[(&str, bool)]) -> bool {
    handlers.iter().fold(true, |complete, (name, present)| {
        verifier::require(rule, *present, || format!("{call}: {name} is missing")) && complete
    })
}
