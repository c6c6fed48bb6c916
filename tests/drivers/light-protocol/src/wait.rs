//! Calls of NDIS that may complete later: the caller, at PASSIVE_LEVEL, waits for them.

use core::ffi::c_void;

use ndis_sys::{
    NDIS_EVENT, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST,
    NDIS_OID_REQUEST_DATA, NDIS_OID_REQUEST_REVISION_1, NDIS_OID_REQUEST_SET,
    NDIS_SIZEOF_OID_REQUEST_REVISION_1, NDIS_STATUS, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
    NdisInitializeEvent, NdisOidRequest, NdisRequestSetInformation, NdisResetEvent, NdisSetEvent,
    NdisWaitEvent, Zeroed,
};

use crate::binding::{self, Binding};

/// What completes later, of which a binding has one at a time.
pub(crate) struct Completion {
    event: NDIS_EVENT,
    status: NDIS_STATUS,
}

impl Completion {
    /// Makes the event, in its place: events are not moved.
    ///
    /// # Safety
    ///
    /// `this` is a place in nonpaged memory where the completion stays.
    pub(crate) unsafe fn initialize(this: *mut Self) {
        // SAFETY: by contract.
        unsafe {
            this.write(Self {
                event: NDIS_EVENT::zeroed(),
                status: NDIS_STATUS_SUCCESS,
            });
            NdisInitializeEvent(&raw mut (*this).event);
        }
    }
}

/// Calls `begin`, and if that says PENDING waits for the end. PASSIVE_LEVEL.
///
/// # Safety
///
/// `binding` is alive, and nothing else of it is pending.
pub(crate) unsafe fn finish(
    binding: *mut Binding,
    begin: impl FnOnce() -> NDIS_STATUS,
) -> NDIS_STATUS {
    // SAFETY: by contract.
    unsafe {
        let completion = &raw mut (*binding).completion;
        NdisResetEvent(&raw mut (*completion).event);
        let status = begin();
        if status != NDIS_STATUS_PENDING {
            return status;
        }
        NdisWaitEvent(&raw mut (*completion).event, 0);
        (*completion).status
    }
}

unsafe fn end(context: NDIS_HANDLE, status: NDIS_STATUS) {
    // SAFETY: the context of a binding that waits in `finish`, and so is alive until the event is
    // set. The event is touched last.
    unsafe {
        let completion = &raw mut (*binding::of(context)).completion;
        (*completion).status = status;
        NdisSetEvent(&raw mut (*completion).event);
    }
}

/// ProtocolOpenAdapterCompleteEx.
pub(crate) unsafe extern "efiapi" fn open_complete(context: NDIS_HANDLE, status: NDIS_STATUS) {
    // SAFETY: NDIS completes the open that is pending.
    unsafe { end(context, status) }
}

/// ProtocolCloseAdapterCompleteEx.
pub(crate) unsafe extern "efiapi" fn close_complete(context: NDIS_HANDLE) {
    // SAFETY: NDIS completes the close that is pending.
    unsafe { end(context, NDIS_STATUS_SUCCESS) }
}

/// ProtocolOidRequestComplete.
pub(crate) unsafe extern "efiapi" fn oid_complete(
    context: NDIS_HANDLE,
    _request: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    // SAFETY: NDIS completes the one request that is pending.
    unsafe { end(context, status) }
}

/// Sets an OID of four bytes. PASSIVE_LEVEL.
///
/// # Safety
///
/// As for [`finish`]; the binding is open.
pub(crate) unsafe fn set_oid(binding: *mut Binding, oid: u32, value: u32) -> NDIS_STATUS {
    // SAFETY: request and value are part of the binding, which is nonpaged and outlives the
    // request.
    unsafe {
        (*binding).value = value;
        let buffer = (&raw mut (*binding).value).cast::<c_void>();
        let request = &raw mut (*binding).request;
        request.write(NDIS_OID_REQUEST::zeroed());
        (*request).Header = NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_OID_REQUEST,
            Revision: NDIS_OID_REQUEST_REVISION_1,
            Size: NDIS_SIZEOF_OID_REQUEST_REVISION_1,
        };
        (*request).RequestType = NdisRequestSetInformation;
        (*request).DATA = NDIS_OID_REQUEST_DATA {
            SET_INFORMATION: NDIS_OID_REQUEST_SET {
                Oid: oid,
                InformationBuffer: buffer,
                InformationBufferLength: size_of::<u32>() as u32,
                BytesRead: 0,
                BytesNeeded: 0,
            },
        };
        finish(binding, || NdisOidRequest((*binding).adapter, request))
    }
}
