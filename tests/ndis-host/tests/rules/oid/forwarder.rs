//! Passing requests on: rule 181.

use ndis_host::ndis::api::{self, OidRequest};
use ndis_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_PENDING,
    NDIS_STATUS_SUCCESS, OID_GEN_VENDOR_ID,
};

use crate::desk::{Desk, Hooks};
use crate::native::linked::import;
use crate::native::{breaks, holds};

const TAG: u32 = u32::from_le_bytes(*b"test");

fn handle(desk: &Desk) -> NDIS_HANDLE {
    std::ptr::without_provenance_mut(desk.binding().0 as usize)
}

fn clone(source: NDIS_HANDLE, request: &mut OidRequest) -> Result<*mut NDIS_OID_REQUEST, i32> {
    let allocate = import!(NdisAllocateCloneOidRequest: fn(
        NDIS_HANDLE, *mut NDIS_OID_REQUEST, u32, *mut *mut NDIS_OID_REQUEST) -> NDIS_STATUS);
    let mut clone = std::ptr::null_mut();
    // SAFETY: the pointers are valid.
    match unsafe { allocate(source, request.as_ref().0, TAG, &raw mut clone) } {
        NDIS_STATUS_SUCCESS => Ok(clone),
        status => Err(status),
    }
}

fn free(source: NDIS_HANDLE, clone: *mut NDIS_OID_REQUEST) {
    let free = import!(NdisFreeCloneOidRequest: fn(NDIS_HANDLE, *mut NDIS_OID_REQUEST));
    // SAFETY: the routine checks its arguments.
    unsafe { free(source, clone) }
}

#[test]
fn r181_holds_when_a_clone_is_passed_on_and_freed() {
    holds!(|| {
        let desk = Desk::start(Hooks::GOOD).desk;
        let mut original = OidRequest::query(OID_GEN_VENDOR_ID, 4);
        let clone = clone(handle(desk), &mut original).expect("there is memory");
        // SAFETY: the clone is ours until it is freed.
        let copied = unsafe { (*clone).DATA.QUERY_INFORMATION.Oid };
        assert_eq!(copied, OID_GEN_VENDOR_ID);
        let request = ndis_host::ndis::OidRequestRef(clone);
        if api::oid_request_async(desk.binding(), request) == NDIS_STATUS_PENDING {
            let done = || desk.with(|log| log.completions.len() == 1);
            ndis_host::sched::wait("the clone", done, None);
        }
        free(handle(desk), clone);
    });
}

#[test]
fn r181_breaks_when_a_clone_is_freed_twice() {
    breaks!(181, || {
        let desk = Desk::start(Hooks::GOOD).desk;
        let mut original = OidRequest::query(OID_GEN_VENDOR_ID, 4);
        let clone = clone(handle(desk), &mut original).expect("there is memory");
        free(handle(desk), clone);
        free(handle(desk), clone);
    });
}

#[test]
fn a_clone_needs_a_handle() {
    holds!(|| {
        let mut original = OidRequest::query(OID_GEN_VENDOR_ID, 4);
        assert_eq!(
            clone(std::ptr::null_mut(), &mut original),
            Err(NDIS_STATUS_INVALID_PARAMETER)
        );
    });
}
