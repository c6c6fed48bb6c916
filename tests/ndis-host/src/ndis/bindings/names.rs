//! What a protocol may ask about an adapter: its name for users, its interfaces, its filters.

use ndis_sys::{
    NDIS_ENUM_FILTERS, NDIS_ENUM_FILTERS_REVISION_1, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_ENUM_FILTERS_REVISION_1, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT,
    NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_STRING, Zeroed,
};

use super::Binding;
use super::bind::BindOperation;
use crate::ndis::adapter::Adapter;
use crate::ndis::call::{Level, import};
use crate::ndis::{faults, handles, header, memory_calls};
use crate::registry::{self, Value};
use crate::sched::BatonCell;

/// Microsoft Learn, NdisQueryAdapterInstanceName function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The caller frees the text with NdisFreeMemory (rule 242).
///
/// # Safety
///
/// `name` points to a string that may be overwritten.
pub(crate) unsafe extern "efiapi" fn query_adapter(
    name: *mut NDIS_STRING,
    binding_handle: NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisQueryAdapterInstanceName";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    // SAFETY: the caller's contract.
    unsafe { give(CALL, binding.adapter, binding.protocol.handle, name) }
}

/// Microsoft Learn, NdisQueryBindInstanceName function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// As for [`query_adapter`].
pub(crate) unsafe extern "efiapi" fn query_bind(
    name: *mut NDIS_STRING,
    bind_context: NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisQueryBindInstanceName";
    import(CALL, Level::UpToDispatch);
    let operation: &'static BindOperation = handles::resolve(bind_context, CALL);
    // SAFETY: the caller's contract.
    unsafe { give(CALL, operation.adapter, operation.protocol.handle, name) }
}

/// The name for users; a device without one is called by its GUID.
pub(crate) fn friendly(adapter: &'static Adapter) -> String {
    let key = adapter.node.driver_key();
    let text = registry::with(|registry| {
        registry
            .key(&key)
            .and_then(|key| key.value("DriverDesc"))
            .cloned()
    });
    match text {
        Some(Value::Sz(text)) => text,
        _ => adapter.name.clone(),
    }
}

/// Gives the name to the driver behind the handle `protocol`, which frees it with NdisFreeMemory.
///
/// # Safety
///
/// `name` points to a string that may be overwritten.
unsafe fn give(
    call: &str,
    adapter: &'static Adapter,
    protocol: u64,
    name: *mut NDIS_STRING,
) -> NDIS_STATUS {
    const TAG: u32 = u32::from_le_bytes(*b"NDnm");
    let units: Vec<u16> = friendly(adapter).encode_utf16().collect();
    let bytes = units.len() * size_of::<u16>();
    let memory = if faults::allocation_fails(call) {
        None
    } else {
        memory_calls::give(protocol, (bytes + size_of::<u16>()) as u32, TAG)
    };
    let Some(memory) = memory else {
        return NDIS_STATUS_RESOURCES;
    };
    let mut string = NDIS_STRING::zeroed();
    string.Length = u16::try_from(bytes).unwrap_or(u16::MAX);
    string.MaximumLength = string.Length.saturating_add(2);
    string.Buffer = memory.cast();
    // SAFETY: the memory holds the text and a NUL; the caller's contract for `name`.
    unsafe {
        string
            .Buffer
            .copy_from_nonoverlapping(units.as_ptr(), units.len());
        string.Buffer.add(units.len()).write(0);
        name.write(string);
    }
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisEnumerateFilterModules function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// There are no filter drivers here, so the list is empty.
///
/// # Safety
///
/// The pointers are valid, the buffer as long as it is said to be.
pub(crate) unsafe extern "efiapi" fn enumerate_filters(
    ndis_handle: NDIS_HANDLE,
    buffer: *mut NDIS_ENUM_FILTERS,
    length: u32,
    needed: *mut u32,
    written: *mut u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisEnumerateFilterModules";
    import(CALL, Level::Passive);
    let handle = handles::number(ndis_handle);
    let known = handles::lookup::<Binding>(handle).is_some()
        || handles::lookup::<Adapter>(handle).is_some();
    if !known {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    let mut list = NDIS_ENUM_FILTERS::zeroed();
    list.Header = header::make(
        NDIS_OBJECT_TYPE_DEFAULT,
        NDIS_ENUM_FILTERS_REVISION_1,
        NDIS_SIZEOF_ENUM_FILTERS_REVISION_1,
    );
    let whole = size_of::<NDIS_ENUM_FILTERS>() as u32;
    let fits = length >= whole;
    // SAFETY: the caller's contract.
    unsafe {
        *needed = whole;
        *written = if fits { whole } else { 0 };
        if fits {
            buffer.write_unaligned(list);
        }
    }
    if fits {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_BUFFER_TOO_SHORT
    }
}

/// The last value that was given out.
static PARTIAL_ID: BatonCell<u8> = BatonCell::new(0);

/// Microsoft Learn, NdisGeneratePartialCancelId function (ndis.h): the upper byte of cancel
/// identifiers that nobody else uses. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn partial_cancel_id() -> u8 {
    import("NdisGeneratePartialCancelId", Level::UpToDispatch);
    PARTIAL_ID.with(|last| {
        *last = last.wrapping_add(1).max(1);
        *last
    })
}
