//! Structures of the kernel (WDM) that an NDIS driver meets.
//!
//! What waits or is queued lives in nonpaged memory and does not move.

use core::ffi::c_void;

use crate::{HANDLE, KAFFINITY, KIRQL, KPRIORITY, KPROCESSOR_MODE, impl_zeroed};

/// Counted UTF-16 string, not necessarily terminated (Microsoft Learn, UNICODE_STRING).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct UNICODE_STRING {
    /// Bytes of text in `Buffer`, without a terminator.
    pub Length: u16,
    /// Bytes that `Buffer` can hold.
    pub MaximumLength: u16,
    /// The text.
    pub Buffer: *mut u16,
}

/// Link of a doubly linked, circular list; an empty list's head points to itself.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LIST_ENTRY {
    /// The next entry, or the first one of a list head.
    pub Flink: *mut LIST_ENTRY,
    /// The entry before, or the last one of a list head.
    pub Blink: *mut LIST_ENTRY,
}

/// Link of a singly linked list.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SINGLE_LIST_ENTRY {
    /// The next entry, null at the end.
    pub Next: *mut SINGLE_LIST_ENTRY,
}

/// Globally unique identifier.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GUID {
    /// First group of 8 hexadecimal digits.
    pub Data1: u32,
    /// Second group, 4 digits.
    pub Data2: u16,
    /// Third group, 4 digits.
    pub Data3: u16,
    /// The last two groups, 16 digits.
    pub Data4: [u8; 8],
}

/// Beginning of every object that a thread can wait for. Drivers do not touch it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DISPATCHER_HEADER {
    /// Kind of object; for events the [`EVENT_TYPE`].
    pub Type: u8,
    /// Internal to the kernel.
    pub Signalling: u8,
    /// Size of the object in units of 4 bytes.
    pub Size: u8,
    /// Internal to the kernel.
    pub Reserved1: u8,
    /// Above 0 when signaled.
    pub SignalState: i32,
    /// The waits for this object.
    pub WaitListHead: LIST_ENTRY,
}

/// Event object (Microsoft Learn, KeInitializeEvent). Lives in nonpaged memory.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KEVENT {
    /// What makes it waitable.
    pub Header: DISPATCHER_HEADER,
}

/// Deferred procedure call. Lives in nonpaged memory until it has run.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KDPC {
    /// Kind of object; internal to the kernel.
    pub Type: u8,
    /// Where in the processor's queue it goes.
    pub Importance: u8,
    /// Target processor; internal to the kernel.
    pub Number: u16,
    /// Link in the processor's queue.
    pub DpcListEntry: SINGLE_LIST_ENTRY,
    /// Processors that it ran on.
    pub ProcessorHistory: KAFFINITY,
    /// The routine to call.
    pub DeferredRoutine: Option<KDEFERRED_ROUTINE>,
    /// First argument after the DPC itself.
    pub DeferredContext: *mut c_void,
    /// Second argument.
    pub SystemArgument1: *mut c_void,
    /// Third argument.
    pub SystemArgument2: *mut c_void,
    /// Queue that it is in, null when it is in none.
    pub DpcData: *mut c_void,
}

/// Memory descriptor list: describes a buffer and, behind this header, its page frame numbers
/// (Microsoft Learn, Using MDLs). Network data is a chain of them.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MDL {
    /// The next MDL of the chain, null at the end.
    pub Next: *mut MDL,
    /// Bytes of this header with its page frame numbers.
    pub Size: i16,
    /// `MDL_` flags.
    pub MdlFlags: i16,
    /// Process that owns the pages; null for system memory.
    pub Process: *mut c_void,
    /// System address of the data, valid with `MDL_MAPPED_TO_SYSTEM_VA` or
    /// `MDL_SOURCE_IS_NONPAGED_POOL`.
    pub MappedSystemVa: *mut c_void,
    /// Address of the first page.
    pub StartVa: *mut c_void,
    /// Length of the buffer in bytes.
    pub ByteCount: u32,
    /// Offset of the buffer in its first page.
    pub ByteOffset: u32,
}

/// Names an object to open (Microsoft Learn, InitializeObjectAttributes).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct OBJECT_ATTRIBUTES {
    /// Size of this structure in bytes.
    pub Length: u32,
    /// Handle that `ObjectName` is relative to, or null for an absolute name.
    pub RootDirectory: HANDLE,
    /// Name of the object.
    pub ObjectName: *mut UNICODE_STRING,
    /// `OBJ_` flags.
    pub Attributes: u32,
    /// Security of a new object; null for the default.
    pub SecurityDescriptor: *mut c_void,
    /// Null.
    pub SecurityQualityOfService: *mut c_void,
}

/// A processor by group and number within the group.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PROCESSOR_NUMBER {
    /// Processor group.
    pub Group: u16,
    /// Number within the group.
    pub Number: u8,
    /// Reserved.
    pub Reserved: u8,
}

/// A set of processors of one group.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GROUP_AFFINITY {
    /// The processors, one bit each.
    pub Mask: KAFFINITY,
    /// Processor group.
    pub Group: u16,
    /// Reserved.
    pub Reserved: [u16; 3],
}

/// DPC routine. Called at `DISPATCH_LEVEL` (Microsoft Learn, KDEFERRED_ROUTINE).
pub type KDEFERRED_ROUTINE = unsafe extern "efiapi" fn(
    dpc: *mut KDPC,
    deferred_context: *mut c_void,
    system_argument1: *mut c_void,
    system_argument2: *mut c_void,
);

/// Whether an event releases all waiters or one.
pub type EVENT_TYPE = i32;

/// Stays signaled until reset and releases all waiters.
pub const NotificationEvent: EVENT_TYPE = 0;

/// Releases one waiter and resets itself.
pub const SynchronizationEvent: EVENT_TYPE = 1;

/// Kind of kernel memory.
pub type POOL_TYPE = i32;

/// Never paged out; executable, so not for new code.
pub const NonPagedPool: POOL_TYPE = 0;

/// May be paged out; only below `DISPATCH_LEVEL`.
pub const PagedPool: POOL_TYPE = 1;

/// Never paged out, not executable.
pub const NonPagedPoolNx: POOL_TYPE = 512;

/// As `NonPagedPoolNx`, aligned to cache lines.
pub const NonPagedPoolNxCacheAligned: POOL_TYPE = 516;

/// Why a thread waits, for debuggers.
pub type KWAIT_REASON = i32;

/// A driver waits for its own work.
pub const Executive: KWAIT_REASON = 0;

/// The thread sleeps.
pub const DelayExecution: KWAIT_REASON = 4;

/// The wait is on behalf of a user's thread.
pub const UserRequest: KWAIT_REASON = 6;

/// How the processor caches a mapping.
pub type MEMORY_CACHING_TYPE = i32;

/// Not cached; for device registers.
pub const MmNonCached: MEMORY_CACHING_TYPE = 0;

/// Cached.
pub const MmCached: MEMORY_CACHING_TYPE = 1;

/// Writes may be collected; for frame buffers.
pub const MmWriteCombined: MEMORY_CACHING_TYPE = 2;

/// Cached, kept coherent by hardware.
pub const MmHardwareCoherentCached: MEMORY_CACHING_TYPE = 3;

/// Not cached, not ordered.
pub const MmNonCachedUnordered: MEMORY_CACHING_TYPE = 4;

/// Internal to the kernel.
pub const MmUSWCCached: MEMORY_CACHING_TYPE = 5;

/// Upper bound of the caching types.
pub const MmMaximumCacheType: MEMORY_CACHING_TYPE = 6;

/// No mapping exists.
pub const MmNotMapped: MEMORY_CACHING_TYPE = -1;

/// How hard the memory manager tries to find system mappings.
pub type MM_PAGE_PRIORITY = i32;

/// May fail when mappings get scarce.
pub const LowPagePriority: MM_PAGE_PRIORITY = 0;

/// May fail when mappings are very scarce.
pub const NormalPagePriority: MM_PAGE_PRIORITY = 16;

/// Fails only when there is nothing left.
pub const HighPagePriority: MM_PAGE_PRIORITY = 32;

/// How hard the kernel tries to find memory.
pub type EX_POOL_PRIORITY = i32;
/// May fail when memory gets scarce.
pub const LowPoolPriority: EX_POOL_PRIORITY = 0;
/// May fail when memory is very scarce.
pub const NormalPoolPriority: EX_POOL_PRIORITY = 16;
/// Fails only when there is nothing left.
pub const HighPoolPriority: EX_POOL_PRIORITY = 32;

/// The caller is the kernel: parameters are trusted.
pub const KernelMode: KPROCESSOR_MODE = 0;
/// The caller is a user's program.
pub const UserMode: KPROCESSOR_MODE = 1;

/// Object names are compared without regard to case.
pub const OBJ_CASE_INSENSITIVE: u32 = 0x40;
/// The handle is valid in any process, for the kernel only.
pub const OBJ_KERNEL_HANDLE: u32 = 0x200;
/// Debugger component of network drivers.
pub const DPFLTR_IHVNETWORK_ID: u32 = 78;
/// Debugger level: errors.
pub const DPFLTR_ERROR_LEVEL: u32 = 0;
/// Debugger level: warnings.
pub const DPFLTR_WARNING_LEVEL: u32 = 1;
/// Debugger level: trace.
pub const DPFLTR_TRACE_LEVEL: u32 = 2;
/// Debugger level: information.
pub const DPFLTR_INFO_LEVEL: u32 = 3;
/// Added to an [`MM_PAGE_PRIORITY`]: the mapping is not executable.
pub const MdlMappingNoExecute: u32 = 0x4000_0000;
/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// All groups, where a function takes one group's number.
pub const ALL_PROCESSOR_GROUPS: u16 = 0xffff;

/// Threads run, waiting is allowed.
pub const PASSIVE_LEVEL: KIRQL = 0;

/// Page faults are allowed, asynchronous procedure calls are held back.
pub const APC_LEVEL: KIRQL = 1;

/// The scheduler and DPCs are held back; no waiting, no paged memory.
pub const DISPATCH_LEVEL: KIRQL = 2;

/// Level of the clock interrupt.
pub const CLOCK_LEVEL: KIRQL = 0xd;

/// Everything is held back.
pub const HIGH_LEVEL: KIRQL = 0xf;

/// No priority boost for the waiter.
pub const IO_NO_INCREMENT: KPRIORITY = 0;

/// Priority boost that network drivers give.
pub const IO_NETWORK_INCREMENT: KPRIORITY = 2;

/// The pages are mapped; `MappedSystemVa` is valid.
pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 1;

/// The pages are locked in memory.
pub const MDL_PAGES_LOCKED: i16 = 2;

/// The buffer is nonpaged pool; `MappedSystemVa` is valid.
pub const MDL_SOURCE_IS_NONPAGED_POOL: i16 = 4;

/// The MDL itself came from a lookaside list.
pub const MDL_ALLOCATED_FIXED_SIZE: i16 = 8;

/// The MDL describes a part of another MDL's buffer.
pub const MDL_PARTIAL: i16 = 0x10;

/// A partial MDL that was mapped by itself.
pub const MDL_PARTIAL_HAS_BEEN_MAPPED: i16 = 0x20;

/// The buffer is being read from a page file.
pub const MDL_IO_PAGE_READ: i16 = 0x40;

/// The pages were locked for writing.
pub const MDL_WRITE_OPERATION: i16 = 0x80;

/// The buffer is device memory.
pub const MDL_IO_SPACE: i16 = 0x800;

/// The buffer holds a header that a network driver put in front.
pub const MDL_NETWORK_HEADER: i16 = 0x1000;

/// Mapping may fail instead of stopping the system.
pub const MDL_MAPPING_CAN_FAIL: i16 = 0x2000;

impl_zeroed! {
    UNICODE_STRING,
    LIST_ENTRY,
    SINGLE_LIST_ENTRY,
    GUID,
    DISPATCHER_HEADER,
    KEVENT,
    KDPC,
    MDL,
    OBJECT_ATTRIBUTES,
    PROCESSOR_NUMBER,
    GROUP_AFFINITY,
}
