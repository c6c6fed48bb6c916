//! OID requests: those that NDIS makes of us, and those that we make of a miniport below.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;

use ndis_sys as sys;
use sys::{NDIS_OID_REQUEST, NDIS_STATUS};

/// What NDIS asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// QueryInformation or QueryStatistics.
    Query,
    /// SetInformation.
    Set,
}

/// A query or set that NDIS passed to MiniportOidRequest.
pub struct Request<'a> {
    request: NonNull<NDIS_OID_REQUEST>,
    kind: Kind,
    callback: PhantomData<&'a mut NDIS_OID_REQUEST>,
}

impl Request<'_> {
    /// Looks at a request; `None` when it is neither a query nor a set.
    ///
    /// # Safety
    ///
    /// NDIS passed `request`, and it is not completed while the value lives.
    pub unsafe fn from_raw(request: NonNull<NDIS_OID_REQUEST>) -> Option<Self> {
        // SAFETY: live, by contract.
        let kind = match unsafe { request.as_ref() }.RequestType {
            sys::NdisRequestQueryInformation | sys::NdisRequestQueryStatistics => Kind::Query,
            sys::NdisRequestSetInformation => Kind::Set,
            _ => return None,
        };
        Some(Self {
            request,
            kind,
            callback: PhantomData,
        })
    }

    /// Whether it is a query or a set.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The request itself, for completing it later.
    #[must_use]
    pub fn as_ptr(&self) -> NonNull<NDIS_OID_REQUEST> {
        self.request
    }

    /// The object asked about.
    #[must_use]
    pub fn oid(&self) -> u32 {
        self.information().Oid
    }

    /// Queries and sets have the same layout up to their byte counts: OID, buffer, length, bytes
    /// written (or read), bytes needed.
    fn information(&self) -> &sys::NDIS_OID_REQUEST_QUERY {
        // SAFETY: the request is live, and is a query or a set.
        unsafe { &self.request.as_ref().DATA.QUERY_INFORMATION }
    }

    fn information_mut(&mut self) -> &mut sys::NDIS_OID_REQUEST_QUERY {
        // SAFETY: as above, and borrowed alone.
        unsafe { &mut self.request.as_mut().DATA.QUERY_INFORMATION }
    }

    /// The bytes of a set; empty for a query.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        let information = self.information();
        let bytes = information.InformationBuffer.cast_const().cast::<u8>();
        if self.kind == Kind::Query || bytes.is_null() {
            return &[];
        }
        // SAFETY: NDIS gives a buffer of that length, alive until the request is completed.
        unsafe { core::slice::from_raw_parts(bytes, information.InformationBufferLength as usize) }
    }

    /// The first `N` bytes of a set.
    ///
    /// # Errors
    ///
    /// NDIS_STATUS_INVALID_LENGTH when there are fewer; BytesNeeded is `N` then.
    pub fn read<const N: usize>(&mut self) -> Result<[u8; N], NDIS_STATUS> {
        match self.input().first_chunk::<N>() {
            Some(bytes) => Ok(*bytes),
            None => Err(self.wrong_length(N)),
        }
    }

    /// Refuses a set whose length is wrong, and says which one is right.
    pub fn wrong_length(&mut self, right: usize) -> NDIS_STATUS {
        self.information_mut().BytesNeeded = u32::try_from(right).unwrap_or(u32::MAX);
        sys::NDIS_STATUS_INVALID_LENGTH
    }

    /// Says how many bytes of a set were used.
    pub fn consumed(&mut self, bytes: usize) {
        self.information_mut().BytesWritten = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.information_mut().BytesNeeded = 0;
    }

    /// Answers a query with `answer`, or says how much room that takes.
    pub fn reply(&mut self, answer: &[u8]) -> NDIS_STATUS {
        let needed = u32::try_from(answer.len()).unwrap_or(u32::MAX);
        if self.information().InformationBufferLength < needed {
            let information = self.information_mut();
            information.BytesWritten = 0;
            information.BytesNeeded = needed;
            return sys::NDIS_STATUS_INVALID_LENGTH;
        }
        self.write(answer);
        self.information_mut().BytesNeeded = 0;
        sys::NDIS_STATUS_SUCCESS
    }

    /// Answers a query for a counter. A buffer of four bytes gets the low half, and is told that
    /// there are eight (Microsoft Learn, "General Statistics OIDs").
    pub fn reply_counter(&mut self, counter: u64) -> NDIS_STATUS {
        let bytes = counter.to_ne_bytes();
        if self.information().InformationBufferLength < 4 {
            return self.reply(&bytes);
        }
        let room = (self.information().InformationBufferLength as usize).min(8);
        self.write(
            bytes
                .get(..if room < 8 { 4 } else { 8 })
                .unwrap_or_default(),
        );
        self.information_mut().BytesNeeded = 8;
        sys::NDIS_STATUS_SUCCESS
    }

    /// Copies `answer`, which fits, to the buffer.
    fn write(&mut self, answer: &[u8]) {
        let information = self.information_mut();
        let buffer = information.InformationBuffer.cast::<u8>();
        if !buffer.is_null() {
            // SAFETY: the buffer has InformationBufferLength bytes, which callers compared.
            unsafe { buffer.copy_from(answer.as_ptr(), answer.len()) };
        }
        information.BytesWritten = u32::try_from(answer.len()).unwrap_or(u32::MAX);
    }
}

/// Fills `request` in as a set of `oid` to the `len` bytes at `buffer`.
///
/// The buffer must be nonpaged and stay until the request is completed.
pub fn fill_set(
    request: &mut NDIS_OID_REQUEST,
    oid: u32,
    buffer: *mut c_void,
    len: u32,
    id: *mut c_void,
) {
    *request = sys::zeroed();
    request.Header = crate::header(
        sys::NDIS_OBJECT_TYPE_OID_REQUEST,
        sys::NDIS_OID_REQUEST_REVISION_1,
        sys::NDIS_SIZEOF_OID_REQUEST_REVISION_1,
    );
    request.RequestType = sys::NdisRequestSetInformation;
    request.RequestId = id;
    request.DATA.SET_INFORMATION = sys::NDIS_OID_REQUEST_SET {
        Oid: oid,
        InformationBuffer: buffer,
        InformationBufferLength: len,
        BytesRead: 0,
        BytesNeeded: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(buffer: &mut [u8]) -> NDIS_OID_REQUEST {
        let mut request: NDIS_OID_REQUEST = sys::zeroed();
        request.RequestType = sys::NdisRequestQueryInformation;
        request.DATA.QUERY_INFORMATION = sys::NDIS_OID_REQUEST_QUERY {
            Oid: 0x0002_0101,
            InformationBuffer: buffer.as_mut_ptr().cast(),
            InformationBufferLength: buffer.len() as u32,
            BytesWritten: 99,
            BytesNeeded: 99,
        };
        request
    }

    fn answered(
        buffer: &mut [u8],
        answer: impl FnOnce(&mut Request<'_>) -> i32,
    ) -> (i32, u32, u32) {
        let mut raw = query(buffer);
        // SAFETY: `raw` outlives the value.
        let mut request = unsafe { Request::from_raw(NonNull::from(&mut raw)) }.unwrap();
        let status = answer(&mut request);
        let told = request.information();
        (status, told.BytesWritten, told.BytesNeeded)
    }

    #[test]
    fn counters_follow_the_buffer_length() {
        let counter = 0x1_2345_6789;
        let mut none = [];
        let mut four = [0u8; 4];
        let mut eight = [0u8; 8];
        let short = sys::NDIS_STATUS_INVALID_LENGTH;
        assert_eq!(
            answered(&mut none, |r| r.reply_counter(counter)),
            (short, 0, 8)
        );
        assert_eq!(answered(&mut four, |r| r.reply_counter(counter)), (0, 4, 8));
        assert_eq!(
            answered(&mut eight, |r| r.reply_counter(counter)),
            (0, 8, 8)
        );
        assert_eq!(four, 0x2345_6789u32.to_ne_bytes());
        assert_eq!(eight, counter.to_ne_bytes());
    }

    #[test]
    fn a_short_buffer_is_told_what_it_takes() {
        let mut short = [7u8; 2];
        let status = answered(&mut short, |r| r.reply(b"long"));
        assert_eq!(status, (sys::NDIS_STATUS_INVALID_LENGTH, 0, 4));
        assert_eq!(short, [7, 7]);
    }

    #[test]
    fn a_method_is_neither_query_nor_set() {
        let mut raw = query(&mut []);
        raw.RequestType = sys::NdisRequestMethod;
        // SAFETY: `raw` outlives the value.
        assert!(unsafe { Request::from_raw(NonNull::from(&mut raw)) }.is_none());
    }
}
