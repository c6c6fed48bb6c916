//! OID requests of native protocols.

use std::collections::BTreeMap;

use ndis_sys::{
    NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_2, NDIS_REQUEST_TYPE,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
    NdisRequestMethod, NdisRequestQueryInformation, NdisRequestSetInformation,
    OID_802_3_MULTICAST_LIST, OID_GEN_CURRENT_PACKET_FILTER, Zeroed,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::native::{AdapterHandle, BindingHandle, OidRequestRef};
use crate::ndis::{handles, header, oid};
use crate::sched::{self, BatonCell};

/// Requests that somebody here waits for, by address, with their outcome.
static WAITING: BatonCell<BTreeMap<usize, Option<NDIS_STATUS>>> = BatonCell::new(BTreeMap::new());

/// An OID request with its buffer.
pub struct OidRequest {
    request: Box<NDIS_OID_REQUEST>,
    buffer: Vec<u8>,
}

impl OidRequest {
    /// A query with room for `room` bytes.
    pub fn query(oid: u32, room: usize) -> Self {
        Self::new(NdisRequestQueryInformation, oid, vec![0; room], 0)
    }

    /// A set request.
    pub fn set(oid: u32, data: &[u8]) -> Self {
        Self::new(NdisRequestSetInformation, oid, data.to_vec(), data.len())
    }

    /// A method request: `data` goes in, at most `room` bytes come out.
    pub fn method(oid: u32, data: &[u8], room: usize) -> Self {
        let mut buffer = data.to_vec();
        buffer.resize(room.max(data.len()), 0);
        Self::new(NdisRequestMethod, oid, buffer, data.len())
    }

    fn new(kind: NDIS_REQUEST_TYPE, oid: u32, mut buffer: Vec<u8>, input: usize) -> Self {
        let mut request = Box::new(NDIS_OID_REQUEST::zeroed());
        request.Header = header::make(
            NDIS_OBJECT_TYPE_OID_REQUEST,
            NDIS_OID_REQUEST_REVISION_2,
            NDIS_SIZEOF_OID_REQUEST_REVISION_2,
        );
        request.RequestType = kind;
        request.RequestId = (&raw mut *request).cast();
        let length = buffer.len() as u32;
        let at = buffer.as_mut_ptr().cast();
        match kind {
            NdisRequestMethod => {
                let method = ndis_sys::NDIS_OID_REQUEST_METHOD {
                    Oid: oid,
                    InformationBuffer: at,
                    InputBufferLength: input as u32,
                    OutputBufferLength: length,
                    ..Zeroed::zeroed()
                };
                request.DATA.METHOD_INFORMATION = method;
            }
            _ => {
                let query = ndis_sys::NDIS_OID_REQUEST_QUERY {
                    Oid: oid,
                    InformationBuffer: at,
                    InformationBufferLength: length,
                    ..Zeroed::zeroed()
                };
                request.DATA.QUERY_INFORMATION = query;
            }
        }
        Self { request, buffer }
    }

    /// The request, as NDIS and drivers see it. It lives as long as `self`.
    pub fn as_ref(&mut self) -> OidRequestRef {
        OidRequestRef(&raw mut *self.request)
    }

    /// What came back.
    pub fn answer(&mut self) -> &[u8] {
        let (written, _) = self.as_ref().counts();
        self.buffer.get(..written as usize).unwrap_or(&self.buffer)
    }

    /// BytesNeeded.
    pub fn needed(&mut self) -> u32 {
        self.as_ref().counts().1
    }

    /// NdisOidRequest, and waits for its completion. PASSIVE.
    pub fn run(&mut self, binding: BindingHandle) -> NDIS_STATUS {
        let request = self.as_ref();
        let address = request.0.addr();
        WAITING.with(|waiting| waiting.insert(address, None));
        let mut status = oid_request_async(binding, request);
        if status == NDIS_STATUS_PENDING {
            let outcome = || WAITING.with(|waiting| waiting.get(&address).copied().flatten());
            sched::wait("an OID request", || outcome().is_some(), None);
            status = outcome().unwrap_or(status);
        }
        WAITING.with(|waiting| waiting.remove(&address));
        status
    }
}

/// Takes note of a completion that somebody waits for; false: nobody does.
pub(super) fn complete_waiting(request: OidRequestRef, status: NDIS_STATUS) -> bool {
    WAITING.with(|waiting| match waiting.get_mut(&request.0.addr()) {
        Some(outcome) => {
            *outcome = Some(status);
            true
        }
        None => false,
    })
}

/// NdisOidRequest. At or below DISPATCH; PENDING leads to `Protocol::oid_complete`.
pub fn oid_request_async(binding: BindingHandle, request: OidRequestRef) -> NDIS_STATUS {
    // SAFETY: the request lives until it is complete, by the caller's contract.
    unsafe { oid::submit::request(handles::raw(binding.0), request.0) }
}

/// NdisCancelOidRequest. At or below DISPATCH.
pub fn cancel_oid(binding: BindingHandle, request_id: usize) {
    let id = std::ptr::without_provenance_mut(request_id);
    // SAFETY: the handle is checked inside.
    unsafe { oid::submit::cancel(handles::raw(binding.0), id) }
}

/// NdisDirectOidRequest. At or below DISPATCH; PENDING leads to `Protocol::direct_oid_complete`.
pub fn direct_oid_request(binding: BindingHandle, request: OidRequestRef) -> NDIS_STATUS {
    // SAFETY: the request lives until it is complete, by the caller's contract.
    unsafe { oid::direct::request(handles::raw(binding.0), request.0) }
}

/// NdisCancelDirectOidRequest. At or below DISPATCH.
pub fn cancel_direct_oid(binding: BindingHandle, request_id: usize) {
    let id = std::ptr::without_provenance_mut(request_id);
    // SAFETY: the handle is checked inside.
    unsafe { oid::direct::cancel(handles::raw(binding.0), id) }
}

/// NdisSynchronousOidRequest of a method request: the first `input` bytes of `buffer` go in, the
/// answer comes back there; the bytes written. At or below DISPATCH.
///
/// # Errors
///
/// The status of a request that fails.
pub fn synchronous_oid(
    binding: BindingHandle,
    oid: u32,
    buffer: &mut [u8],
    input: usize,
) -> Result<usize, NDIS_STATUS> {
    let mut request = OidRequest::method(oid, &buffer[..input], buffer.len());
    // SAFETY: the request outlives the call.
    finish(unsafe {
        oid::direct::request_synchronous(handles::raw(binding.0), request.as_ref().0)
    })?;
    let answer = request.answer();
    buffer[..answer.len()].copy_from_slice(answer);
    Ok(answer.len())
}

/// A set request that NDIS itself makes, of power say. PASSIVE.
pub fn set_by_ndis(adapter: AdapterHandle, oid: u32, data: &[u8]) -> NDIS_STATUS {
    let adapter: &'static Adapter = handles::resolve(handles::raw(adapter.0), "NDIS");
    oid::system::set(adapter, oid, data).status
}

/// A query that NDIS makes for user mode (IOCTL_NDIS_QUERY_GLOBAL_STATS): status and answer.
/// PASSIVE.
pub fn query_for_user(adapter: AdapterHandle, oid: u32, room: usize) -> (NDIS_STATUS, Vec<u8>) {
    let adapter: &'static Adapter = handles::resolve(handles::raw(adapter.0), "NDIS");
    let outcome = oid::system::query(adapter, oid, room);
    (outcome.status, outcome.data)
}

/// Queries an OID and waits; the bytes written. PASSIVE.
///
/// # Errors
///
/// The status of a request that fails.
pub fn oid_query(
    binding: BindingHandle,
    oid: u32,
    buffer: &mut [u8],
) -> Result<usize, NDIS_STATUS> {
    let mut request = OidRequest::query(oid, buffer.len());
    finish(request.run(binding))?;
    let answer = request.answer();
    buffer[..answer.len()].copy_from_slice(answer);
    Ok(answer.len())
}

/// Sets an OID and waits. PASSIVE.
///
/// # Errors
///
/// The status of a request that fails.
pub fn oid_set(binding: BindingHandle, oid: u32, data: &[u8]) -> Result<(), NDIS_STATUS> {
    finish(OidRequest::set(oid, data).run(binding))
}

/// A method request, and waits: the first `input` bytes of `buffer` go in, the answer comes back
/// there; the bytes written. PASSIVE.
///
/// # Errors
///
/// The status of a request that fails.
pub fn oid_method(
    binding: BindingHandle,
    oid: u32,
    buffer: &mut [u8],
    input: usize,
) -> Result<usize, NDIS_STATUS> {
    let mut request = OidRequest::method(oid, &buffer[..input], buffer.len());
    finish(request.run(binding))?;
    let answer = request.answer();
    buffer[..answer.len()].copy_from_slice(answer);
    Ok(answer.len())
}

/// Sets the packet filter of a binding. PASSIVE.
///
/// # Errors
///
/// The status of a request that fails.
pub fn set_packet_filter(binding: BindingHandle, filter: u32) -> Result<(), NDIS_STATUS> {
    oid_set(
        binding,
        OID_GEN_CURRENT_PACKET_FILTER,
        &filter.to_le_bytes(),
    )
}

/// Sets the multicast list of a binding. PASSIVE.
///
/// # Errors
///
/// The status of a request that fails.
pub fn set_multicast(binding: BindingHandle, list: &[[u8; 6]]) -> Result<(), NDIS_STATUS> {
    oid_set(binding, OID_802_3_MULTICAST_LIST, list.as_flattened())
}

fn finish(status: NDIS_STATUS) -> Result<(), NDIS_STATUS> {
    if status == NDIS_STATUS_SUCCESS {
        Ok(())
    } else {
        Err(status)
    }
}
