//! The border between NDIS and drivers: entry of an import, entry of a callback.
//!
//! Every import begins with [`import`], which checks the interrupt level and lets the world move.
//! Every callback goes through [`callback`], which picks a legal level for it, remembers on a
//! stack per thread which callback is running for whom, and checks what the driver leaves behind.

use std::cell::RefCell;

use crate::ndis::{adversary, rw_locks};
use crate::ntoskrnl::KernelCallback;
use crate::sched::{self, BatonCell, DISPATCH_LEVEL, HIGH_LEVEL, Irql, PASSIVE_LEVEL};
use crate::{ntoskrnl, verifier};

/// Longest time of one DPC; Windows' watchdog is of this order.
static DPC_LIMIT_NS: BatonCell<u64> = BatonCell::new(verifier::SECOND_NS);
/// Time of a DPC that Windows recommends.
const DPC_ADVICE_NS: u64 = 100_000;

/// Interrupt levels at which an import may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Passive,
    UpToApc,
    UpToDispatch,
    Dispatch,
    Any,
}

impl Level {
    fn admits(self, irql: Irql) -> bool {
        match self {
            Self::Passive => irql == PASSIVE_LEVEL,
            Self::UpToApc => irql < DISPATCH_LEVEL,
            Self::UpToDispatch => irql <= DISPATCH_LEVEL,
            Self::Dispatch => irql == DISPATCH_LEVEL,
            Self::Any => true,
        }
    }
}

/// Begins an import: rule 79, then a scheduling point.
pub(crate) fn import(name: &str, level: Level) {
    let irql = sched::irql();
    let crashing = irql == HIGH_LEVEL && is_inside_any(Callback::Shutdown);
    let rule = if crashing { 70 } else { 79 };
    verifier::insist(rule, level.admits(irql), || {
        format!("{name} called at level {irql}; it may be called at {level:?}")
    });
    sched::point();
}

/// A routine of a driver that NDIS calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    DriverEntry,
    Unload,
    SetOptions,
    AddDevice,
    FilterRequirements,
    StartDevice,
    RemoveDevice,
    Initialize,
    Halt,
    Pause,
    Restart,
    OidRequest,
    Send,
    Return,
    CancelSend,
    CancelOid,
    DevicePnpEvent,
    Shutdown,
    Isr,
    InterruptDpc,
    ProcessSgList,
    SharedMemory,
    SynchronizeInterrupt,
    Timer,
    WorkItem,
    Bind,
    Unbind,
    OpenComplete,
    CloseComplete,
    NetPnpEvent,
    Receive,
    SendComplete,
    Status,
    OidComplete,
    DirectOidRequest,
    CancelDirectOid,
    SynchronousOidRequest,
    DirectOidComplete,
    IfQuery,
    IfSet,
    /// A routine that the kernel calls.
    Kernel(KernelCallback),
    AllocateMdl,
    FreeMdl,
    CheckForHang,
    Reset,
    IdleNotification,
    CancelIdleNotification,
    Poll,
    SetPollNotification,
}

/// Where a callback is entered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Passive,
    UpToDispatch,
    Dispatch,
    /// Whoever calls has set the level: a service routine, or shutdown in a bug check.
    AsIs,
}

impl Callback {
    /// Section 1.E of the rules: at which level Windows enters the routine.
    fn entry(self) -> Entry {
        match self {
            Self::Isr | Self::SynchronizeInterrupt | Self::Shutdown => Entry::AsIs,
            Self::InterruptDpc | Self::ProcessSgList | Self::Timer => Entry::Dispatch,
            Self::Send
            | Self::Return
            | Self::CancelSend
            | Self::CancelOid
            | Self::Receive
            | Self::SendComplete
            | Self::Status
            | Self::OidComplete
            | Self::DirectOidRequest
            | Self::CancelDirectOid
            | Self::SynchronousOidRequest
            | Self::DirectOidComplete
            | Self::AllocateMdl
            | Self::FreeMdl
            | Self::Poll
            | Self::SetPollNotification
            | Self::Reset => Entry::UpToDispatch,
            Self::Kernel(kernel) => match kernel.level() {
                Some(DISPATCH_LEVEL) => Entry::Dispatch,
                Some(_) => Entry::Passive,
                None => Entry::AsIs,
            },
            _ => Entry::Passive,
        }
    }

    /// Callbacks that interrupt whatever the thread was doing: what is below is not their caller.
    fn interrupts(self) -> bool {
        match self {
            Self::Isr | Self::InterruptDpc | Self::Timer => true,
            Self::Kernel(kernel) => kernel.interrupts(),
            _ => false,
        }
    }
}

impl Callback {
    /// The routine as its page calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DriverEntry => "DriverEntry",
            Self::Unload => "MiniportDriverUnload",
            Self::SetOptions => "SetOptions",
            Self::AddDevice => "MiniportAddDevice",
            Self::FilterRequirements => "MiniportFilterResourceRequirements",
            Self::StartDevice => "MiniportStartDevice",
            Self::RemoveDevice => "MiniportRemoveDevice",
            Self::Initialize => "MiniportInitializeEx",
            Self::Halt => "MiniportHaltEx",
            Self::Pause => "MiniportPause",
            Self::Restart => "MiniportRestart",
            Self::OidRequest => "MiniportOidRequest",
            Self::Send => "MiniportSendNetBufferLists",
            Self::Return => "MiniportReturnNetBufferLists",
            Self::CancelSend => "MiniportCancelSend",
            Self::CancelOid => "MiniportCancelOidRequest",
            Self::DevicePnpEvent => "MiniportDevicePnPEventNotify",
            Self::Shutdown => "MiniportShutdownEx",
            Self::Isr => "MiniportMessageInterrupt",
            Self::InterruptDpc => "MiniportMessageInterruptDPC",
            Self::ProcessSgList => "MiniportProcessSGList",
            Self::SharedMemory => "MiniportSharedMemoryAllocateComplete",
            Self::SynchronizeInterrupt => "MiniportSynchronizeInterrupt",
            Self::Timer => "NetTimerCallback",
            Self::WorkItem => "a work item routine",
            Self::Bind => "ProtocolBindAdapterEx",
            Self::Unbind => "ProtocolUnbindAdapterEx",
            Self::OpenComplete => "ProtocolOpenAdapterCompleteEx",
            Self::CloseComplete => "ProtocolCloseAdapterCompleteEx",
            Self::NetPnpEvent => "ProtocolNetPnPEvent",
            Self::Receive => "ProtocolReceiveNetBufferLists",
            Self::SendComplete => "ProtocolSendNetBufferListsComplete",
            Self::Status => "ProtocolStatusEx",
            Self::OidComplete => "ProtocolOidRequestComplete",
            Self::DirectOidRequest => "MiniportDirectOidRequest",
            Self::CancelDirectOid => "MiniportCancelDirectOidRequest",
            Self::SynchronousOidRequest => "MiniportSynchronousOidRequest",
            Self::DirectOidComplete => "ProtocolDirectOidRequestComplete",
            Self::IfQuery => "ProviderQueryObject",
            Self::IfSet => "ProviderSetObject",
            Self::Kernel(kernel) => kernel.name(),
            Self::AllocateMdl => "NetAllocateMdl",
            Self::FreeMdl => "NetFreeMdl",
            Self::CheckForHang => "MiniportCheckForHangEx",
            Self::Reset => "MiniportResetEx",
            Self::IdleNotification => "MiniportIdleNotification",
            Self::CancelIdleNotification => "MiniportCancelIdleNotification",
            Self::Poll => "NdisPoll",
            Self::SetPollNotification => "NdisSetPollNotification",
        }
    }
}

#[derive(Clone, Copy)]
struct Frame {
    callback: Callback,
    object: u64,
    /// Spin locks that the thread held when it came here.
    locks: usize,
    indicated: u32,
    /// NBLs that the adapter of an interrupt DPC may indicate inside it.
    limit: Option<(u64, u32)>,
}

thread_local! {
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Calls a driver: `body` enters the routine `callback` on behalf of `object` (a handle).
pub(crate) fn callback<R>(callback: Callback, object: u64, body: impl FnOnce() -> R) -> R {
    let level = entry_level(callback);
    let name = callback.name();
    let locks = locks_held();
    FRAMES.with_borrow_mut(|frames| {
        frames.push(Frame {
            callback,
            object,
            locks,
            indicated: 0,
            limit: None,
        })
    });
    let code_ns = sched::code_ns();

    let result = sched::call_at(level, name, body);

    verifier::insist(210, locks_held() == locks, || {
        format!("{name} returned with a lock held, or released one that it did not take")
    });
    FRAMES.with_borrow_mut(|frames| frames.pop());
    if callback.entry() == Entry::Dispatch {
        check_dpc_time(name, sched::code_ns() - code_ns);
    }
    if sched::irql() <= DISPATCH_LEVEL {
        sched::point();
    }
    result
}

/// Spin locks and reader/writer locks that the calling thread holds.
fn locks_held() -> usize {
    ntoskrnl::locks_held() + rw_locks::held()
}

/// Lets no DPC take longer than `limit_ns` of its own time, instead of a second.
pub fn limit_dpcs(limit_ns: u64) {
    DPC_LIMIT_NS.with(|limit| *limit = limit_ns);
}

/// The DPC watchdog (table of rule 308): the code's own time, whatever others do meanwhile.
fn check_dpc_time(name: &str, busy_ns: u64) {
    verifier::insist(308, busy_ns < DPC_LIMIT_NS.with(|limit| *limit), || {
        format!(
            "{name} took {} us at DISPATCH_LEVEL (0x133)",
            busy_ns / 1000
        )
    });
    if busy_ns > DPC_ADVICE_NS {
        verifier::advice(308, format!("{name} took {} us", busy_ns / 1000));
    }
}

/// Picks the level: where Windows allows two, the seed chooses.
fn entry_level(callback: Callback) -> Irql {
    let irql = sched::irql();
    match callback.entry() {
        Entry::Passive => {
            verifier::insist(79, irql == PASSIVE_LEVEL, || {
                format!("NDIS would call {} at level {irql}", callback.name())
            });
            PASSIVE_LEVEL
        }
        Entry::UpToDispatch if irql < DISPATCH_LEVEL && adversary::does(|a| a.raise_one_in) => {
            DISPATCH_LEVEL
        }
        Entry::UpToDispatch | Entry::AsIs => irql,
        Entry::Dispatch => DISPATCH_LEVEL,
    }
}

/// The DISPATCH_LEVEL bit of the flags that NDIS passes on: rule 82 says that it may be absent at
/// DISPATCH_LEVEL, and must be absent below.
pub(crate) fn dispatch_flag() -> u32 {
    let told = || !adversary::does(|a| a.omit_level_bit_one_in);
    u32::from(sched::irql() == DISPATCH_LEVEL && told())
}

/// Checks the DISPATCH_LEVEL bit of the flags that a driver passed (rule 82).
pub(crate) fn check_dispatch_flag(name: &str, flags: u32) {
    let irql = sched::irql();
    verifier::require(82, flags & 1 == 0 || irql == DISPATCH_LEVEL, || {
        format!("{name} was told DISPATCH_LEVEL, but the level is {irql}")
    });
}

/// Checks that a driver holds no spin lock of its own across a call that may come back to it
/// (rule 121).
pub(crate) fn check_no_lock(name: &str) {
    let before = FRAMES.with_borrow(|frames| frames.last().map_or(0, |frame| frame.locks));
    let held = locks_held().saturating_sub(before);
    verifier::should(121, held == 0, || {
        format!("{name} called with {held} spin locks held, in {}", stack())
    });
}

/// Whether the caller runs inside `callback` of `object`.
pub(crate) fn is_inside(callback: Callback, object: u64) -> bool {
    any_frame(|frame| frame.callback == callback && frame.object == object)
}

/// Whether the caller runs inside `callback` of any object.
pub(crate) fn is_inside_any(callback: Callback) -> bool {
    any_frame(|frame| frame.callback == callback)
}

/// The innermost callback that the caller runs in.
pub(crate) fn innermost() -> Option<Callback> {
    FRAMES.with_borrow(|frames| frames.last().map(|frame| frame.callback))
}

/// The callbacks that the caller runs in, for reports; the innermost first.
pub(crate) fn stack() -> String {
    FRAMES.with_borrow(|frames| {
        let names: Vec<_> = frames
            .iter()
            .rev()
            .map(|f| format!("{:?}", f.callback))
            .collect();
        if names.is_empty() {
            "no callback".to_owned()
        } else {
            names.join(" < ")
        }
    })
}

fn any_frame(matches: impl Fn(&Frame) -> bool) -> bool {
    FRAMES.with_borrow(|frames| {
        for frame in frames.iter().rev() {
            if matches(frame) {
                return true;
            }
            if frame.callback.interrupts() {
                return false;
            }
        }
        false
    })
}

/// Sets how many NBLs `adapter` may indicate in its interrupt DPC, which runs (rule 138).
pub(crate) fn limit_indications(adapter: u64, limit: u32) {
    FRAMES.with_borrow_mut(|frames| {
        let mut frames = frames.iter_mut().rev();
        if let Some(dpc) = frames.find(|f| f.callback == Callback::InterruptDpc) {
            dpc.limit = Some((adapter, limit));
        }
    });
}

/// Counts NBLs that `adapter` indicates inside its interrupt DPC: the sum so far and the limit, or
/// `None` outside of one. What a miniport above it makes of them is that one's own.
pub(crate) fn count_indicated(adapter: u64, count: u32) -> Option<(u32, u32)> {
    FRAMES.with_borrow_mut(|frames| {
        let mut frames = frames.iter_mut().rev();
        frames.find_map(|frame| {
            let (of, limit) = frame.limit?;
            (of == adapter).then(|| {
                frame.indicated += count;
                (frame.indicated, limit)
            })
        })
    })
}

/// Enters a routine at HIGH_LEVEL, as a bug check does.
pub(crate) fn at_high_level<R>(what: &str, body: impl FnOnce() -> R) -> R {
    sched::call_at(HIGH_LEVEL, what, body)
}
