//! A view of an NDIS_OID_REQUEST.

use ndis_sys::{NDIS_OID_REQUEST, NDIS_REQUEST_TYPE, NdisRequestMethod, NdisRequestSetInformation};

/// An OID request, by address. Whoever holds one holds the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OidRequestRef(pub *mut NDIS_OID_REQUEST);

// SAFETY: the address may travel; the baton orders the uses of what is behind it.
unsafe impl Send for OidRequestRef {}
// SAFETY: as above.
unsafe impl Sync for OidRequestRef {}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OidKind {
    /// NdisRequestQueryInformation or NdisRequestQueryStatistics.
    Query,
    /// NdisRequestSetInformation.
    Set,
    /// NdisRequestMethod.
    Method,
}

// In all methods: a request ref points to a live request with truthful buffers; that is the
// contract of whoever makes one. The union's members begin alike, and the type says which one is
// meant.
impl OidRequestRef {
    /// The RequestType field.
    pub fn request_type(self) -> NDIS_REQUEST_TYPE {
        // SAFETY: see above.
        unsafe { (*self.0).RequestType }
    }

    /// What is asked for.
    pub fn kind(self) -> OidKind {
        match self.request_type() {
            NdisRequestSetInformation => OidKind::Set,
            NdisRequestMethod => OidKind::Method,
            _ => OidKind::Query,
        }
    }

    /// The object identifier.
    pub fn oid(self) -> u32 {
        // SAFETY: see above; the field is at the same place in all members.
        unsafe { (*self.0).DATA.QUERY_INFORMATION.Oid }
    }

    /// The bytes that came with a set or method request.
    pub fn input(self) -> &'static [u8] {
        // SAFETY: see above.
        let (start, length) = unsafe {
            match self.kind() {
                OidKind::Query => return &[],
                OidKind::Set => {
                    let set = (*self.0).DATA.SET_INFORMATION;
                    (set.InformationBuffer, set.InformationBufferLength)
                }
                OidKind::Method => {
                    let method = (*self.0).DATA.METHOD_INFORMATION;
                    (method.InformationBuffer, method.InputBufferLength)
                }
            }
        };
        if start.is_null() {
            return &[];
        }
        // SAFETY: see above.
        unsafe { std::slice::from_raw_parts(start.cast(), length as usize) }
    }

    /// The InformationBuffer field.
    pub fn information_buffer(self) -> *mut u8 {
        // SAFETY: see above; the field is at the same place in all members.
        unsafe { (*self.0).DATA.QUERY_INFORMATION.InformationBuffer }.cast()
    }

    /// Bytes that come with the request.
    pub(crate) fn input_length(self) -> usize {
        self.input().len()
    }

    /// Address and length of the room for an answer.
    pub(crate) fn output_room(self) -> (*mut u8, usize) {
        // SAFETY: see above.
        let (start, length) = unsafe {
            match self.kind() {
                OidKind::Set => return (std::ptr::null_mut(), 0),
                OidKind::Query => {
                    let query = (*self.0).DATA.QUERY_INFORMATION;
                    (query.InformationBuffer, query.InformationBufferLength)
                }
                OidKind::Method => {
                    let method = (*self.0).DATA.METHOD_INFORMATION;
                    (method.InformationBuffer, method.OutputBufferLength)
                }
            }
        };
        if start.is_null() {
            (start.cast(), 0)
        } else {
            (start.cast(), length as usize)
        }
    }

    /// Answers a query or method request; false (and nothing but BytesNeeded written) when
    /// `data` does not fit.
    pub fn write(self, data: &[u8]) -> bool {
        let (start, room) = self.output_room();
        let length = data.len() as u32;
        if data.len() > room {
            self.set_written(0);
            self.set_needed(length);
            return false;
        }
        // SAFETY: see above; `data` fits.
        unsafe { start.copy_from_nonoverlapping(data.as_ptr(), data.len()) };
        self.set_written(length);
        true
    }

    /// Answers a query for a counter in one of the forms of "General Statistics OIDs" (Microsoft
    /// Learn): eight bytes, the low four of them, or none; false when none fit.
    pub fn write_counter(self, counter: u64) -> bool {
        const WHOLE: u32 = size_of::<u64>() as u32;
        let bytes = counter.to_le_bytes();
        let fits = match self.output_room().1 {
            0..4 => self.write(&bytes),
            4..8 => self.write(&bytes[..4]),
            _ => self.write(&bytes),
        };
        self.set_needed(WHOLE);
        fits
    }

    /// Sets BytesWritten of a query or method request.
    pub fn set_written(self, bytes: u32) {
        // SAFETY: see above.
        unsafe {
            match self.kind() {
                OidKind::Query => (*self.0).DATA.QUERY_INFORMATION.BytesWritten = bytes,
                OidKind::Method => (*self.0).DATA.METHOD_INFORMATION.BytesWritten = bytes,
                OidKind::Set => {}
            }
        }
    }

    /// Sets BytesRead of a set or method request.
    pub fn set_read(self, bytes: u32) {
        // SAFETY: see above.
        unsafe {
            match self.kind() {
                OidKind::Set => (*self.0).DATA.SET_INFORMATION.BytesRead = bytes,
                OidKind::Method => (*self.0).DATA.METHOD_INFORMATION.BytesRead = bytes,
                OidKind::Query => {}
            }
        }
    }

    /// Sets BytesNeeded.
    pub fn set_needed(self, bytes: u32) {
        // SAFETY: see above.
        unsafe {
            match self.kind() {
                OidKind::Query => (*self.0).DATA.QUERY_INFORMATION.BytesNeeded = bytes,
                OidKind::Set => (*self.0).DATA.SET_INFORMATION.BytesNeeded = bytes,
                OidKind::Method => (*self.0).DATA.METHOD_INFORMATION.BytesNeeded = bytes,
            }
        }
    }

    /// BytesWritten (or BytesRead of a set) and BytesNeeded.
    pub fn counts(self) -> (u32, u32) {
        // SAFETY: see above.
        unsafe {
            let data = &(*self.0).DATA;
            match self.kind() {
                OidKind::Query => (
                    data.QUERY_INFORMATION.BytesWritten,
                    data.QUERY_INFORMATION.BytesNeeded,
                ),
                OidKind::Set => (
                    data.SET_INFORMATION.BytesRead,
                    data.SET_INFORMATION.BytesNeeded,
                ),
                OidKind::Method => (
                    data.METHOD_INFORMATION.BytesWritten,
                    data.METHOD_INFORMATION.BytesNeeded,
                ),
            }
        }
    }

    /// BytesRead of a method request; 0 of others.
    pub(crate) fn bytes_read(self) -> u32 {
        if self.kind() != OidKind::Method {
            return 0;
        }
        // SAFETY: see above.
        unsafe { (*self.0).DATA.METHOD_INFORMATION.BytesRead }
    }

    /// What a successful query or method request has written, as far as there is room.
    pub(crate) fn answer(self) -> &'static [u8] {
        let (start, room) = self.output_room();
        if start.is_null() {
            return &[];
        }
        let length = (self.counts().0 as usize).min(room);
        // SAFETY: see above; the buffer has that many bytes.
        unsafe { std::slice::from_raw_parts(start, length) }
    }

    /// The RequestId field.
    pub fn request_id(self) -> usize {
        // SAFETY: see above.
        unsafe { (*self.0).RequestId.addr() }
    }
}
