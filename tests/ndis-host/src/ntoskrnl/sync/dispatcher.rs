//! The header that every object begins with that threads can wait for.

use ndis_sys::{
    DISPATCHER_HEADER, KEVENT, KMUTANT, KSEMAPHORE, KTIMER, LIST_ENTRY, NotificationEvent,
    SynchronizationEvent,
};

use crate::memory::pool;
use crate::ntoskrnl::memory::describe;
use crate::sched::{self, ThreadId};
use crate::verifier;

/// Kind of an object, numbered as in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::ntoskrnl) enum Kind {
    /// Event that stays signalled.
    NotificationEvent = NotificationEvent as u8,
    /// Event that lets one thread through.
    SynchronizationEvent = SynchronizationEvent as u8,
    /// Mutex.
    Mutant = 2,
    /// Semaphore.
    Semaphore = 5,
    /// Thread: signalled when it has ended.
    Thread = 6,
    /// Timer that stays signalled.
    NotificationTimer = 8,
    /// Timer that lets one thread through.
    SynchronizationTimer = 9,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::NotificationEvent,
        Self::SynchronizationEvent,
        Self::Mutant,
        Self::Semaphore,
        Self::Thread,
        Self::NotificationTimer,
        Self::SynchronizationTimer,
    ];

    /// Size of such an object, bytes.
    pub(in crate::ntoskrnl) fn size(self) -> usize {
        match self {
            Self::NotificationEvent | Self::SynchronizationEvent => size_of::<KEVENT>(),
            Self::Mutant => size_of::<KMUTANT>(),
            Self::Semaphore => size_of::<KSEMAPHORE>(),
            Self::Thread => size_of::<DISPATCHER_HEADER>(),
            Self::NotificationTimer | Self::SynchronizationTimer => size_of::<KTIMER>(),
        }
    }

    /// Size in the header: 32-bit words.
    fn words(self) -> u8 {
        (self.size() / 4) as u8
    }

    /// What the judge calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotificationEvent | Self::SynchronizationEvent => "a KEVENT",
            Self::Mutant => "a KMUTEX",
            Self::Semaphore => "a KSEMAPHORE",
            Self::Thread => "the end of a thread",
            Self::NotificationTimer | Self::SynchronizationTimer => "a KTIMER",
        }
    }
}

/// Fills in the header of an object that begins its life.
///
/// # Safety
///
/// `header` must be writable.
pub(in crate::ntoskrnl) unsafe fn initialize(
    header: *mut DISPATCHER_HEADER,
    kind: Kind,
    state: i32,
) {
    let block = pool::block_at(header.cast());
    if let Some(block) = block.filter(|block| block.request.kind == pool::Kind::Paged) {
        verifier::fatal(
            83,
            format!("{} in paged memory: {block} (0xC4/CB)", kind.name()),
        );
    }
    // SAFETY: as the caller promises.
    let list: *mut LIST_ENTRY = unsafe { &raw mut (*header).WaitListHead };
    let value = DISPATCHER_HEADER {
        Type: kind as u8,
        Signalling: 0,
        Size: kind.words(),
        Reserved1: 0,
        SignalState: state,
        WaitListHead: LIST_ENTRY {
            Flink: list,
            Blink: list,
        },
    };
    // SAFETY: as the caller promises.
    unsafe { header.write(value) };
}

/// The kind of the object at an address. A fatal breach of rule 215 when there is none that was
/// initialised.
///
/// # Safety
///
/// `header` must be readable.
pub(in crate::ntoskrnl) unsafe fn kind_of(header: *mut DISPATCHER_HEADER, routine: &str) -> Kind {
    // SAFETY: as the caller promises.
    let (kind, size) = unsafe { ((*header).Type, (*header).Size) };
    let known = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
    known
        .filter(|known| known.words() == size)
        .unwrap_or_else(|| {
            let place = describe(header.addr());
            verifier::fatal(215, format!("{routine}: no initialised object at {place}"))
        })
}

/// Fatal breach of rule 215 unless there is an object of one of these kinds.
///
/// # Safety
///
/// `header` must be readable.
pub(in crate::ntoskrnl) unsafe fn require(
    header: *mut DISPATCHER_HEADER,
    routine: &str,
    kinds: &[Kind],
) {
    // SAFETY: as the caller promises.
    let (kind, size) = unsafe { ((*header).Type, (*header).Size) };
    let matches = kinds
        .iter()
        .any(|wanted| *wanted as u8 == kind && wanted.words() == size);
    if !matches {
        let place = describe(header.addr());
        let what = kinds.first().map_or("", |kind| kind.noun());
        verifier::fatal(215, format!("{routine}: no initialised {what} at {place}"));
    }
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Self::NotificationEvent | Self::SynchronizationEvent => "event",
            Self::Mutant => "mutex",
            Self::Semaphore => "semaphore",
            Self::Thread => "thread",
            Self::NotificationTimer | Self::SynchronizationTimer => "timer",
        }
    }
}

/// The signal state of an object.
///
/// # Safety
///
/// `header` must be readable.
pub(in crate::ntoskrnl) unsafe fn read_state(header: *mut DISPATCHER_HEADER) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { (&raw mut (*header).SignalState).read_volatile() }
}

/// Sets the signal state of an object, between two steps of the machine: nobody can take the signal
/// back before the waits are looked at.
///
/// # Safety
///
/// `header` must be writable.
pub(in crate::ntoskrnl) unsafe fn write_state(header: *mut DISPATCHER_HEADER, state: i32) {
    // SAFETY: as the caller promises.
    unsafe { (&raw mut (*header).SignalState).write_volatile(state) };
}

/// Sets the signal state of an object; returns the old one. Threads that the new state lets
/// through have their waits ended before this returns, as on Windows: a signal that is taken back
/// at once is not lost.
///
/// # Safety
///
/// `header` must point to an object.
pub(in crate::ntoskrnl) unsafe fn set_state(header: *mut DISPATCHER_HEADER, new: i32) -> i32 {
    // SAFETY: as the caller promises.
    let state = unsafe { &raw mut (*header).SignalState };
    // SAFETY: as the caller promises.
    let old = unsafe { state.read_volatile() };
    // SAFETY: as the caller promises.
    unsafe { state.write_volatile(new) };
    if new > old {
        sched::wake_waiters();
    }
    old
}

/// Whether a wait of `thread` for an object would end now.
///
/// # Safety
///
/// `header` must point to an object of this kind.
pub(super) unsafe fn admits(header: *mut DISPATCHER_HEADER, kind: Kind, thread: ThreadId) -> bool {
    // SAFETY: as the caller promises.
    let is_signalled = unsafe { read_state(header) } > 0;
    is_signalled || (kind == Kind::Mutant && super::mutex::is_owned_by(header.addr(), thread))
}

/// Ends a wait of `thread`: takes what an object gives to one thread.
///
/// # Safety
///
/// `header` must point to an object of this kind, which admits the thread.
pub(super) unsafe fn consume(header: *mut DISPATCHER_HEADER, kind: Kind, thread: ThreadId) {
    // SAFETY: as the caller promises.
    let state = unsafe { &raw mut (*header).SignalState };
    match kind {
        Kind::SynchronizationEvent | Kind::SynchronizationTimer => {
            // SAFETY: as the caller promises.
            unsafe { state.write_volatile(0) };
        }
        Kind::Semaphore | Kind::Mutant => {
            // SAFETY: as the caller promises.
            let old = unsafe { state.read_volatile() };
            // SAFETY: as the caller promises.
            unsafe { state.write_volatile(old - 1) };
            if kind == Kind::Mutant {
                super::mutex::own(header.addr(), thread);
            }
        }
        Kind::NotificationEvent | Kind::NotificationTimer | Kind::Thread => {}
    }
}
