//! Versions, times, sleeping, processor counts, and routines found by name.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    LARGE_INTEGER, NDIS_HYPERVISOR_INFO, NDIS_HYPERVISOR_INFO_FLAG_HYPERVISOR_PRESENT,
    NDIS_HYPERVISOR_INFO_REVISION_1, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_HYPERVISOR_INFO_REVISION_1, NDIS_STATUS, NDIS_STATUS_SUCCESS, NDIS_STRING,
    NdisHypervisorPartitionTypeUnknown, UNICODE_STRING,
};

use crate::ndis::call::{Level, import};
use crate::ndis::{header, memory_calls, text};
use crate::{ntoskrnl, sched, verifier};

/// Microsoft Learn, NdisGetVersion function (ndis.h): major version in the upper half.
/// IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn version() -> u32 {
    import("NdisGetVersion", Level::UpToDispatch);
    let os = ntoskrnl::os();
    u32::from(os.ndis_major) << 16 | u32::from(os.ndis_minor)
}

/// Microsoft Learn, NdisGetRoutineAddress function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `name` points to a valid string.
pub(crate) unsafe extern "efiapi" fn routine_address(name: *mut NDIS_STRING) -> *mut c_void {
    import("NdisGetRoutineAddress", Level::Passive);
    // SAFETY: the caller's contract.
    let name = unsafe { text::read(name) };
    let exports = super::exports();
    let found = exports
        .iter()
        .find(|(export, _)| *export == name)
        .map(|(_, address)| *address);
    found.map_or(ptr::null_mut(), |address| {
        ptr::with_exposed_provenance_mut(sched::gate(address))
    })
}

/// Microsoft Learn, NdisGetSystemUpTimeEx function (ndis.h): milliseconds. Any IRQL.
///
/// # Safety
///
/// `up_time` points to a LARGE_INTEGER.
pub(crate) unsafe extern "efiapi" fn up_time(up_time: *mut LARGE_INTEGER) {
    import("NdisGetSystemUpTimeEx", Level::Any);
    // SAFETY: the caller's contract.
    unsafe { *up_time = (sched::now() / 1_000_000) as i64 };
}

/// Longest sleep that is not advised against.
const LONG_SLEEP_US: u32 = 30_000_000;
/// Tag of the memory of strings.
const STRING_TAG: u32 = u32::from_le_bytes(*b"strN");
/// Alignment that keeps data of two processors apart: a cache line.
const SHARED_DATA_ALIGNMENT: u32 = 64;

/// Microsoft Learn, NdisMSleep function (ndis.h): at least that many microseconds.
/// IRQL < DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn sleep(microseconds: u32) {
    const CALL: &str = "NdisMSleep";
    let irql = sched::irql();
    verifier::insist(84, irql < sched::DISPATCH_LEVEL, || {
        format!("{CALL} called at level {irql}")
    });
    import(CALL, Level::UpToApc);
    if microseconds > LONG_SLEEP_US {
        verifier::advice(209, format!("{CALL}: {microseconds} us"));
    }
    sched::sleep(u64::from(microseconds) * 1000);
}

/// Microsoft Learn, NdisInitializeString function (ndis.h): a Unicode string with memory of its
/// own, which NdisFreeString (an inline for NdisFreeMemory) frees. IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `destination` points to a string, `source` to zero-terminated text of bytes.
pub(crate) unsafe extern "efiapi" fn initialize_string(
    destination: *mut NDIS_STRING,
    source: *const u8,
) {
    import("NdisInitializeString", Level::Passive);
    // SAFETY: the caller's contract.
    let text = unsafe { ntoskrnl::text::read_ansi(source.cast()) };
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let bytes = u16::try_from(units.len() * 2).unwrap_or(u16::MAX - 1);
    let memory = memory_calls::give(0, u32::from(bytes), STRING_TAG);
    let mut string = UNICODE_STRING {
        Length: 0,
        MaximumLength: 0,
        Buffer: ptr::null_mut(),
    };
    if let Some(memory) = memory {
        let buffer: *mut u16 = memory.cast();
        // SAFETY: the memory is fresh and `bytes` long.
        unsafe { buffer.copy_from_nonoverlapping(units.as_ptr(), usize::from(bytes) / 2) };
        string.Length = bytes - 2;
        string.MaximumLength = bytes;
        string.Buffer = buffer;
    }
    // SAFETY: the caller's contract.
    unsafe { destination.write(string) };
}

/// Microsoft Learn, NdisGetHypervisorInfo function (ndis.h): there is a hypervisor, as wherever
/// there is virtio, and it is not Microsoft's. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `info` points to the structure, with its header filled in.
pub(crate) unsafe extern "efiapi" fn hypervisor_info(
    info: *mut NDIS_HYPERVISOR_INFO,
) -> NDIS_STATUS {
    const CALL: &str = "NdisGetHypervisorInfo";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let info = unsafe { &mut *info };
    header::check(
        CALL,
        info.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(
            NDIS_HYPERVISOR_INFO_REVISION_1,
            NDIS_SIZEOF_HYPERVISOR_INFO_REVISION_1,
        )],
    );
    info.Flags = NDIS_HYPERVISOR_INFO_FLAG_HYPERVISOR_PRESENT;
    info.PartitionType = NdisHypervisorPartitionTypeUnknown;
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisGetSharedDataAlignment function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn shared_data_alignment() -> u32 {
    import("NdisGetSharedDataAlignment", Level::UpToDispatch);
    SHARED_DATA_ALIGNMENT
}
