//! Requests of NDIS itself, and those that it makes for user mode.

use ndis_sys::{
    NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_2, NDIS_REQUEST_TYPE,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NdisRequestMethod, NdisRequestQueryStatistics,
    NdisRequestSetInformation, Zeroed,
};

use super::request_ref::OidRequestRef;
use super::{answer, miniport};
use crate::ndis::adapter::Adapter;
use crate::ndis::header;

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: NDIS_STATUS,
    /// BytesWritten, or BytesRead of a set.
    pub(crate) done: u32,
    pub(crate) needed: u32,
    /// What was written.
    pub(crate) data: Vec<u8>,
}

/// A query as IOCTL_NDIS_QUERY_GLOBAL_STATS makes it. IRQL = PASSIVE_LEVEL.
pub(crate) fn query(adapter: &'static Adapter, oid: u32, room: usize) -> Outcome {
    run(
        adapter,
        NdisRequestQueryStatistics,
        oid,
        &mut vec![0; room],
        0,
    )
}

/// A set request. IRQL = PASSIVE_LEVEL.
pub(crate) fn set(adapter: &'static Adapter, oid: u32, data: &[u8]) -> Outcome {
    run(
        adapter,
        NdisRequestSetInformation,
        oid,
        &mut data.to_vec(),
        data.len(),
    )
}

/// A request of any type; the first `input` bytes of `buffer` go in. IRQL = PASSIVE_LEVEL.
pub(crate) fn run(
    adapter: &'static Adapter,
    kind: NDIS_REQUEST_TYPE,
    oid: u32,
    buffer: &mut [u8],
    input: usize,
) -> Outcome {
    let mut value = NDIS_OID_REQUEST::zeroed();
    value.Header = header::make(
        NDIS_OBJECT_TYPE_OID_REQUEST,
        NDIS_OID_REQUEST_REVISION_2,
        NDIS_SIZEOF_OID_REQUEST_REVISION_2,
    );
    value.RequestType = kind;
    let at = buffer.as_mut_ptr().cast();
    if kind == NdisRequestMethod {
        value.DATA.METHOD_INFORMATION = ndis_sys::NDIS_OID_REQUEST_METHOD {
            Oid: oid,
            InformationBuffer: at,
            InputBufferLength: input as u32,
            OutputBufferLength: buffer.len() as u32,
            ..Zeroed::zeroed()
        };
    } else {
        value.DATA.QUERY_INFORMATION = ndis_sys::NDIS_OID_REQUEST_QUERY {
            Oid: oid,
            InformationBuffer: at,
            InformationBufferLength: buffer.len() as u32,
            ..Zeroed::zeroed()
        };
    }
    let request = OidRequestRef(&raw mut value);
    let status = match answer::of_ndis(adapter, None, request) {
        Some(status) => status,
        None => {
            let turn = adapter.take_oid_turn();
            miniport::request(adapter, &turn, request)
        }
    };
    let (done, needed) = request.counts();
    Outcome {
        status,
        done,
        needed,
        data: request.answer().to_vec(),
    }
}

/// Whether NDIS answers queries of an OID itself.
pub(crate) fn is_of_ndis(adapter: &'static Adapter, oid: u32) -> bool {
    let mut value = NDIS_OID_REQUEST::zeroed();
    value.RequestType = NdisRequestQueryStatistics;
    value.DATA.QUERY_INFORMATION.Oid = oid;
    answer::of_ndis(adapter, None, OidRequestRef(&raw mut value)).is_some()
}
