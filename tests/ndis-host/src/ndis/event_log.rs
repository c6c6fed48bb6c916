//! NdisWriteErrorLogEntry and NdisWriteEventLogEntry: what drivers write into the event log.

use std::ffi::c_void;

use ndis_sys::{
    NDIS_HANDLE, NDIS_MAX_EVENT_LOG_DATA_SIZE, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT,
    NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use crate::ndis::call::{Level, import};
use crate::ndis::{faults, handles};
use crate::ntoskrnl::text;
use crate::sched::{self, BatonCell};
use crate::verifier;

/// Most values that an entry has here.
const MOST_VALUES: usize = 8;

/// An entry of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Virtual time.
    pub time_ns: u64,
    /// Handle of the adapter that wrote it; for a protocol, the address of its driver object.
    pub adapter: u64,
    /// NDIS_ERROR_CODE, or the status that a protocol gave.
    pub code: u32,
    /// The values that came with it.
    pub values: Vec<u32>,
    /// The strings that a protocol gave.
    pub strings: Vec<String>,
    /// The data that a protocol gave.
    pub data: Vec<u8>,
}

static ENTRIES: BatonCell<Vec<LogEntry>> = BatonCell::new(Vec::new());

/// What has been written so far.
pub fn event_log() -> Vec<LogEntry> {
    ENTRIES.with(|entries| entries.clone())
}

/// Microsoft Learn, NdisWriteErrorLogEntry function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The function takes `count` further arguments. Each takes a word of its own in the calling
/// convention, so as many as an entry can have are declared, and `count` of them read.
pub(crate) unsafe extern "efiapi" fn write(
    adapter: NDIS_HANDLE,
    code: u32,
    count: u32,
    v0: u32,
    v1: u32,
    v2: u32,
    v3: u32,
    v4: u32,
    v5: u32,
    v6: u32,
    v7: u32,
) {
    const CALL: &str = "NdisWriteErrorLogEntry";
    import(CALL, Level::UpToDispatch);
    let all: [u32; MOST_VALUES] = [v0, v1, v2, v3, v4, v5, v6, v7];
    let Some(values) = all.get(..count as usize) else {
        verifier::breach(
            46,
            format!("{CALL}: {count} values; at most {MOST_VALUES} are read"),
        );
        return;
    };
    let entry = LogEntry {
        time_ns: sched::now(),
        adapter: handles::number(adapter),
        code,
        values: values.to_vec(),
        strings: Vec::new(),
        data: Vec::new(),
    };
    verifier::note(format!("event log: {code:#x} {values:x?}"));
    ENTRIES.with(|entries| entries.push(entry));
}

/// Microsoft Learn, NdisWriteEventLogEntry function (ndis.h), for protocols.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `strings` is null or points to `count` pointers to zero-terminated Unicode strings; `data` is
/// null or points to `size` bytes.
pub(crate) unsafe extern "efiapi" fn write_event(
    driver: *mut c_void,
    code: NDIS_STATUS,
    unique: u32,
    count: u16,
    strings: *mut c_void,
    size: u32,
    data: *mut c_void,
) -> NDIS_STATUS {
    const CALL: &str = "NdisWriteEventLogEntry";
    import(CALL, Level::UpToDispatch);
    let fits = (!strings.is_null() || count == 0) && (!data.is_null() || size == 0);
    verifier::insist(46, fits, || {
        format!("{CALL}: {count} strings at {strings:p}, {size} bytes at {data:p}")
    });
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let list: *const *const u16 = strings.cast();
    let read = |index: u16| {
        // SAFETY: the caller's contract.
        unsafe { text::read_terminated(list.add(usize::from(index)).read()) }
    };
    let strings: Vec<String> = (0..count).map(read).collect();
    let data = if size == 0 {
        Vec::new()
    } else {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size as usize) }.to_vec()
    };
    let text_bytes: usize = strings
        .iter()
        .map(|s| 2 * (s.encode_utf16().count() + 1))
        .sum();
    if text_bytes + data.len().next_multiple_of(4) > NDIS_MAX_EVENT_LOG_DATA_SIZE as usize {
        return NDIS_STATUS_BUFFER_TOO_SHORT;
    }
    verifier::note(format!("event log: {code:#x} {strings:?} {data:02x?}"));
    let entry = LogEntry {
        time_ns: sched::now(),
        adapter: driver.addr() as u64,
        code: code as u32,
        values: vec![unique],
        strings,
        data,
    };
    ENTRIES.with(|entries| entries.push(entry));
    NDIS_STATUS_SUCCESS
}
