//! NdisWriteErrorLogEntry: what drivers write into the system's event log.

use ndis_sys::NDIS_HANDLE;

use crate::ndis::call::{Level, import};
use crate::ndis::handles;
use crate::sched::{self, BatonCell};
use crate::verifier;

/// Most values that an entry has here.
const MOST_VALUES: usize = 8;

/// An entry of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Virtual time.
    pub time_ns: u64,
    /// Handle of the adapter that wrote it.
    pub adapter: u64,
    /// NDIS_ERROR_CODE.
    pub code: u32,
    /// The values that came with it.
    pub values: Vec<u32>,
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
    };
    verifier::note(format!("event log: {code:#x} {values:x?}"));
    ENTRIES.with(|entries| entries.push(entry));
}
