//! What the crate declares although the tables do not have it, with the reason.
//!
//! An entry that is not needed is an error, so the lists stay short.

/// Records whose layout the tables do not carry. Their sizes are asserted beside their
/// definitions.
pub(crate) const RECORDS: &[(&str, &str)] = &[
    (
        "CM_RESOURCE_MESSAGE_INTERRUPT",
        "nested deeper than the tables go",
    ),
    (
        "CM_RESOURCE_RAW_MESSAGES",
        "nested deeper than the tables go",
    ),
    ("IO_INTERRUPT_MESSAGE_INFO", "wdm.h, but not in the tables"),
    (
        "IO_INTERRUPT_MESSAGE_INFO_ENTRY",
        "wdm.h, but not in the tables",
    ),
    (
        "KEY_VALUE_PARTIAL_INFORMATION",
        "wdm.h, but not in the tables",
    ),
    ("EXT_DELETE_PARAMETERS", "wdm.h, but not in the tables"),
    ("FAST_MUTEX", "wdm.h, but not in the tables"),
    (
        "GENERAL_LOOKASIDE",
        "wdm.h, but not in the tables; `Allocate` and `Free` are unions there",
    ),
    ("KLOCK_QUEUE_HANDLE", "wdm.h, but not in the tables"),
    ("KMUTANT", "wdm.h, but not in the tables"),
    ("KSEMAPHORE", "wdm.h, but not in the tables"),
    ("NPAGED_LOOKASIDE_LIST", "wdm.h, but not in the tables"),
];

/// Constants that the headers write in a form that the tables do not evaluate.
pub(crate) const CONSTANTS: &[(&str, &str)] = &[
    ("ALL_PROCESSOR_GROUPS", "ntdef.h"),
    ("CmResourceTypeBusNumber", "wdm.h"),
    ("CmResourceTypeDeviceSpecific", "wdm.h"),
    ("CmResourceTypeDma", "wdm.h"),
    ("CmResourceTypeInterrupt", "wdm.h"),
    ("CmResourceTypeMemory", "wdm.h"),
    ("CmResourceTypeMemoryLarge", "wdm.h"),
    ("CmResourceTypeNull", "wdm.h"),
    ("CmResourceTypePort", "wdm.h"),
    ("DPFLTR_ERROR_LEVEL", "dpfilter.h"),
    ("DPFLTR_IHVNETWORK_ID", "dpfilter.h"),
    ("DPFLTR_INFO_LEVEL", "dpfilter.h"),
    ("DPFLTR_TRACE_LEVEL", "dpfilter.h"),
    ("DPFLTR_WARNING_LEVEL", "dpfilter.h"),
    ("FALSE", "ntdef.h"),
    ("HighPoolPriority", "anonymous enum of wdm.h"),
    ("KEY_QUERY_VALUE", "winnt.h"),
    ("KEY_READ", "winnt.h"),
    ("KernelMode", "anonymous enum of wdm.h"),
    ("KeyValueBasicInformation", "enum of wdm.h"),
    ("KeyValueFullInformation", "enum of wdm.h"),
    ("KeyValuePartialInformation", "enum of wdm.h"),
    ("LowPoolPriority", "anonymous enum of wdm.h"),
    ("MdlMappingNoExecute", "wdm.h"),
    ("NDIS_ANY_NUMBER_OF_NBLS", "poll.h of NDIS 6.85"),
    (
        "NDIS_POLL_CHARACTERISTICS_REVISION_1",
        "poll.h of NDIS 6.85",
    ),
    ("NDIS_POLL_DATA_REVISION_1", "poll.h of NDIS 6.85"),
    ("NDIS_POLL_NOTIFICATION_REVISION_1", "poll.h of NDIS 6.85"),
    (
        "NDIS_SIZEOF_NDIS_POLL_CHARACTERISTICS_REVISION_1",
        "poll.h of NDIS 6.85",
    ),
    (
        "NDIS_SIZEOF_NDIS_POLL_DATA_REVISION_1",
        "poll.h of NDIS 6.85",
    ),
    (
        "NDIS_SIZEOF_NDIS_POLL_NOTIFICATION_REVISION_1",
        "poll.h of NDIS 6.85",
    ),
    ("NormalPoolPriority", "anonymous enum of wdm.h"),
    ("OBJ_CASE_INSENSITIVE", "ntdef.h"),
    ("OBJ_KERNEL_HANDLE", "ntdef.h"),
    (
        "PAGE_SIZE",
        "wdm.h, by architecture; 4096 on x64 and on ARM64",
    ),
    ("REG_BINARY", "winnt.h"),
    ("REG_DWORD", "winnt.h"),
    ("REG_MULTI_SZ", "winnt.h"),
    ("REG_SZ", "winnt.h"),
    ("RTL_REGISTRY_ABSOLUTE", "wdm.h"),
    ("RTL_REGISTRY_SERVICES", "wdm.h"),
    ("SL_INVOKE_ON_CANCEL", "wdm.h"),
    ("SL_INVOKE_ON_ERROR", "wdm.h"),
    ("SL_INVOKE_ON_SUCCESS", "wdm.h"),
    ("SL_PENDING_RETURNED", "wdm.h"),
    ("TRUE", "ntdef.h"),
    ("UserMode", "anonymous enum of wdm.h"),
];

/// Constants that the tables carry with another value.
pub(crate) const OTHER_VALUES: &[(&str, &str)] = &[(
    "NDIS_LINK_SPEED_UNKNOWN",
    "((ULONG64)(-1)) in ifdef.h; the table keeps its low 32 bits",
)];

/// Enumerators whose Rust type is not the enum's, because the header stores them elsewhere.
pub(crate) const ENUMERATOR_TYPES: &[(&str, &str)] = &[
    ("CmResourceShareDeviceExclusive", "stored in a UCHAR field"),
    ("CmResourceShareDriverExclusive", "stored in a UCHAR field"),
    ("CmResourceShareShared", "stored in a UCHAR field"),
    ("CmResourceShareUndetermined", "stored in a UCHAR field"),
];

/// Callback types that are in none of the tables.
pub(crate) const CALLBACKS: &[(&str, &str)] = &[
    ("ALLOCATE_FUNCTION", "wdm.h, but not in the tables"),
    ("FREE_FUNCTION", "wdm.h, but not in the tables"),
    ("ALLOCATE_FUNCTION_EX", "wdm.h, but not in the tables"),
    ("FREE_FUNCTION_EX", "wdm.h, but not in the tables"),
    ("EXT_CALLBACK", "wdm.h, but not in the tables"),
    ("EXT_DELETE_CALLBACK", "wdm.h, but not in the tables"),
    ("KSYNCHRONIZE_ROUTINE", "wdm.h, but not in the tables"),
    ("KIPI_BROADCAST_WORKER", "wdm.h, but not in the tables"),
    ("KSTART_ROUTINE", "wdm.h, but not in the tables"),
    ("IFP_QUERY_OBJECT", "ndis.h, but not in the tables"),
    ("IFP_SET_OBJECT", "ndis.h, but not in the tables"),
    ("NDIS_POLL", "poll.h of NDIS 6.85"),
    ("NDIS_SET_POLL_NOTIFICATION", "poll.h of NDIS 6.85"),
    ("NET_BUFFER_ALLOCATE_MDL", "ndis.h, but not in the tables"),
    ("NET_BUFFER_FREE_MDL", "ndis.h, but not in the tables"),
];

/// Imports that are in none of the tables.
pub(crate) const IMPORTS: &[(&str, &str)] = &[
    (
        "memcmp",
        "C runtime part of ntoskrnl.exe, declared by the compiler's headers",
    ),
    (
        "memcpy",
        "C runtime part of ntoskrnl.exe, declared by the compiler's headers",
    ),
    (
        "memmove",
        "C runtime part of ntoskrnl.exe, declared by the compiler's headers",
    ),
    (
        "memset",
        "C runtime part of ntoskrnl.exe, declared by the compiler's headers",
    ),
];
