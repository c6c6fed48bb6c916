//! NdisMCreateLog and its family: a circular log that an application of the driver's reads.

use std::ffi::c_void;

use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use crate::ndis::adapter;
use crate::ndis::call::{Level, import};
use crate::ndis::faults;
use crate::ndis::handles::{self, Kind, Object};
use crate::sched::BatonCell;

/// Largest log that there is memory for.
const MOST_BYTES: u32 = 1 << 20;

/// A log.
struct Log {
    handle: u64,
    adapter: u64,
    size: usize,
    data: BatonCell<Vec<u8>>,
}

impl Object for Log {
    const KIND: Kind = Kind::Log;
}

static LOGS: BatonCell<Vec<&'static Log>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisMCreateLog function (ndis.h): one log for an adapter.
/// IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `log_handle` points to a handle.
pub(crate) unsafe extern "efiapi" fn create(
    adapter_handle: NDIS_HANDLE,
    size: u32,
    log_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMCreateLog";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    if LOGS.with(|logs| logs.iter().any(|log| log.adapter == adapter.handle)) {
        return NDIS_STATUS_FAILURE;
    }
    if size == 0 || size > MOST_BYTES || faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let log = handles::create(|handle| Log {
        handle,
        adapter: adapter.handle,
        size: size as usize,
        data: BatonCell::new(Vec::new()),
    });
    LOGS.with(|logs| logs.push(log));
    // SAFETY: the caller's contract.
    unsafe { *log_handle = handles::raw(log.handle) };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisMWriteLogData function (ndis.h): the oldest bytes make room.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `data` holds `length` bytes.
pub(crate) unsafe extern "efiapi" fn write(
    log: NDIS_HANDLE,
    data: *mut c_void,
    length: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMWriteLogData";
    import(CALL, Level::UpToDispatch);
    let log: &'static Log = handles::resolve(log, CALL);
    if length as usize > log.size {
        return NDIS_STATUS_FAILURE;
    }
    // SAFETY: the caller's contract.
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length as usize) };
    log.data.with(|kept| {
        kept.extend_from_slice(data);
        let beyond = kept.len().saturating_sub(log.size);
        kept.drain(..beyond);
    });
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisMFlushLog function (ndis.h): empties the log. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn flush(log: NDIS_HANDLE) {
    const CALL: &str = "NdisMFlushLog";
    import(CALL, Level::UpToDispatch);
    let log: &'static Log = handles::resolve(log, CALL);
    log.data.with(Vec::clear);
}

/// Microsoft Learn, NdisMCloseLog function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn close(log: NDIS_HANDLE) {
    const CALL: &str = "NdisMCloseLog";
    import(CALL, Level::Passive);
    let log: &'static Log = handles::resolve(log, CALL);
    LOGS.with(|logs| logs.retain(|other| other.handle != log.handle));
    handles::close(log.handle, CALL);
}

/// What an adapter has logged: what IOCTL_NDIS_GET_LOG_DATA would return.
pub fn miniport_log(adapter: super::native::AdapterHandle) -> Option<Vec<u8>> {
    let log = LOGS.with(|logs| logs.iter().find(|log| log.adapter == adapter.0).copied())?;
    Some(log.data.with(|data| data.clone()))
}

/// The log of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    LOGS.with(|logs| {
        let of_adapter = logs.iter().filter(|log| log.adapter == adapter);
        of_adapter.map(|_| "its log".to_owned()).collect()
    })
}
