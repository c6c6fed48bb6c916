//! Objects of the kernel for waiting, locking, timing and lists.
//!
//! All of them live in nonpaged memory, at one place for as long as they are in use.

use core::ffi::c_void;

use crate::{
    DISPATCHER_HEADER, KDPC, KEVENT, KIRQL, KSPIN_LOCK, LIST_ENTRY, POOL_TYPE, impl_zeroed,
};

/// Timer object (Microsoft Learn, KeInitializeTimerEx).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KTIMER {
    /// What makes it waitable.
    pub Header: DISPATCHER_HEADER,
    /// When it expires.
    pub DueTime: u64,
    /// Link in the kernel's list.
    pub TimerListEntry: LIST_ENTRY,
    /// What is queued when it expires, or null.
    pub Dpc: *mut KDPC,
    /// Processor that the expiry is handled on.
    pub Processor: u32,
    /// Milliseconds between expiries; 0 for one expiry.
    pub Period: u32,
}

/// Mutex object (Microsoft Learn, KeInitializeMutex).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KMUTANT {
    /// What makes it waitable.
    pub Header: DISPATCHER_HEADER,
    /// Link in the owner's list.
    pub MutantListEntry: LIST_ENTRY,
    /// The thread that owns it.
    pub OwnerThread: *mut c_void,
    /// Whether its owner ended without releasing it.
    pub Abandoned: u8,
    /// Whether owning it disables asynchronous procedure calls.
    pub ApcDisable: u8,
}

/// Semaphore object (Microsoft Learn, KeInitializeSemaphore).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KSEMAPHORE {
    /// What makes it waitable; the signal state is the count.
    pub Header: DISPATCHER_HEADER,
    /// Highest count.
    pub Limit: i32,
}

/// Fast mutex (Microsoft Learn, ExInitializeFastMutex, which is an inline of the header).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FAST_MUTEX {
    /// 1 when free.
    pub Count: i32,
    /// The thread that owns it.
    pub Owner: *mut c_void,
    /// How often somebody had to wait.
    pub Contention: u32,
    /// What waiters wait for.
    pub Event: KEVENT,
    /// Level of the owner before it took the mutex.
    pub OldIrql: u32,
}

/// Rundown protection (Microsoft Learn, Run-Down Protection).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EX_RUNDOWN_REF {
    /// Internal to the kernel.
    pub Count: usize,
}

/// Place of a processor in the queue for a spin lock.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KSPIN_LOCK_QUEUE {
    /// The next processor in the queue.
    pub Next: *mut KSPIN_LOCK_QUEUE,
    /// The lock.
    pub Lock: *mut KSPIN_LOCK,
}

/// One acquisition of an in-stack queued spin lock (Microsoft Learn, Queued Spin Locks).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KLOCK_QUEUE_HANDLE {
    /// Place in the queue.
    pub LockQueue: KSPIN_LOCK_QUEUE,
    /// Level before the lock was taken.
    pub OldIrql: KIRQL,
}

/// Head of an interlocked list. Aligned to 16 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct SLIST_HEADER {
    /// Depth in the lowest 16 bits, above it a count of the changes.
    pub Alignment: u64,
    /// Address of the first entry; its lowest four bits are not part of it.
    pub Region: u64,
}

/// A lookaside list (Microsoft Learn, Using Lookaside Lists). Inlines of the headers read and write
/// its fields up to `FreeEx`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct GENERAL_LOOKASIDE {
    /// Entries that wait for their next use.
    pub ListHead: SLIST_HEADER,
    /// How many may wait.
    pub Depth: u16,
    /// Upper bound of the depth.
    pub MaximumDepth: u16,
    /// How often an entry was asked for.
    pub TotalAllocates: u32,
    /// How often none waited.
    pub AllocateMisses: u32,
    /// How often an entry was given back.
    pub TotalFrees: u32,
    /// How often enough waited already.
    pub FreeMisses: u32,
    /// Kind of memory of the entries.
    pub Type: POOL_TYPE,
    /// Tag of the entries.
    pub Tag: u32,
    /// Bytes of an entry.
    pub Size: u32,
    /// Makes an entry: [`ALLOCATE_FUNCTION`] or [`ALLOCATE_FUNCTION_EX`].
    pub Allocate: *const c_void,
    /// Frees an entry: [`FREE_FUNCTION`] or [`FREE_FUNCTION_EX`].
    pub Free: *const c_void,
    /// Link of all lists.
    pub ListEntry: LIST_ENTRY,
    /// Statistics of the kernel.
    pub LastTotalAllocates: u32,
    /// Statistics of the kernel.
    pub LastAllocateMisses: u32,
    /// Reserved.
    pub Future: [u32; 2],
}

/// Lookaside list of `ExInitializeNPagedLookasideList` and `ExInitializePagedLookasideList`, which
/// fills cache lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct NPAGED_LOOKASIDE_LIST {
    /// The list.
    pub L: GENERAL_LOOKASIDE,
}

/// Spin lock with the level before it was taken.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_SPIN_LOCK {
    /// The kernel's lock.
    pub SpinLock: KSPIN_LOCK,
    /// Level before it was taken.
    pub OldIrql: KIRQL,
}

/// How `ExDeleteTimer` tells that a timer is gone.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EXT_DELETE_PARAMETERS {
    /// 0.
    pub Version: u32,
    /// Reserved.
    pub Reserved: u32,
    /// Called when the timer is gone, or null.
    pub DeleteCallback: Option<EXT_DELETE_CALLBACK>,
    /// Its context.
    pub DeleteContext: *mut c_void,
}

/// Makes an entry of a lookaside list (Microsoft Learn, ALLOCATE_FUNCTION).
pub type ALLOCATE_FUNCTION =
    unsafe extern "efiapi" fn(kind: POOL_TYPE, bytes: usize, tag: u32) -> *mut c_void;

/// Frees an entry of a lookaside list (Microsoft Learn, FREE_FUNCTION).
pub type FREE_FUNCTION = unsafe extern "efiapi" fn(buffer: *mut c_void);

/// Makes an entry of a `LOOKASIDE_LIST_EX` (Microsoft Learn, ALLOCATE_FUNCTION_EX).
pub type ALLOCATE_FUNCTION_EX = unsafe extern "efiapi" fn(
    kind: POOL_TYPE,
    bytes: usize,
    tag: u32,
    lookaside: *mut GENERAL_LOOKASIDE,
) -> *mut c_void;

/// Frees an entry of a `LOOKASIDE_LIST_EX` (Microsoft Learn, FREE_FUNCTION_EX).
pub type FREE_FUNCTION_EX =
    unsafe extern "efiapi" fn(buffer: *mut c_void, lookaside: *mut GENERAL_LOOKASIDE);

/// Called at `DISPATCH_LEVEL` when a timer of `ExAllocateTimer` expires.
pub type EXT_CALLBACK = unsafe extern "efiapi" fn(timer: *mut c_void, context: *mut c_void);

/// Called when a timer of `ExAllocateTimer` is gone.
pub type EXT_DELETE_CALLBACK = unsafe extern "efiapi" fn(context: *mut c_void);

/// Called at the level of an interrupt, under its spin lock (Microsoft Learn,
/// KeSynchronizeExecution).
pub type KSYNCHRONIZE_ROUTINE = unsafe extern "efiapi" fn(context: *mut c_void) -> u8;

/// Called on every processor at `IPI_LEVEL` (Microsoft Learn, KeIpiGenericCall).
pub type KIPI_BROADCAST_WORKER = unsafe extern "efiapi" fn(argument: usize) -> usize;

/// Body of a system thread (Microsoft Learn, PsCreateSystemThread). Called at `PASSIVE_LEVEL`.
pub type KSTART_ROUTINE = unsafe extern "efiapi" fn(context: *mut c_void);

/// Whether a timer stays signaled or releases one waiter.
pub type TIMER_TYPE = i32;

/// Stays signaled and releases all waiters.
pub const NotificationTimer: TIMER_TYPE = 0;

/// Releases one waiter and resets itself.
pub const SynchronizationTimer: TIMER_TYPE = 1;

impl_zeroed! {
    KTIMER,
    KMUTANT,
    KSEMAPHORE,
    FAST_MUTEX,
    EX_RUNDOWN_REF,
    KSPIN_LOCK_QUEUE,
    KLOCK_QUEUE_HANDLE,
    SLIST_HEADER,
    GENERAL_LOOKASIDE,
    NPAGED_LOOKASIDE_LIST,
    NDIS_SPIN_LOCK,
    EXT_DELETE_PARAMETERS,
}

const _: () = {
    assert!(size_of::<KMUTANT>() == 56);
    assert!(size_of::<KSEMAPHORE>() == 32);
    assert!(size_of::<FAST_MUTEX>() == 56);
    assert!(size_of::<KLOCK_QUEUE_HANDLE>() == 24);
    assert!(size_of::<GENERAL_LOOKASIDE>() == 96);
    assert!(size_of::<NPAGED_LOOKASIDE_LIST>() == 128);
    assert!(size_of::<EXT_DELETE_PARAMETERS>() == 24);
};
