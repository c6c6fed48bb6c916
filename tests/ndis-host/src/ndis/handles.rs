//! NDIS handles: tagged numbers that no driver can dereference.
//!
//! A handle is a non-canonical address, so a driver that looks behind it faults at once. Its
//! number is never used again: a handle that was closed stays recognisable for ever, and its use
//! is reported with what it was and what closed it.

use std::any::Any;

use ndis_sys::NDIS_HANDLE;

use crate::sched::BatonCell;
use crate::verifier;

/// Tag in the upper 16 bits; no canonical address begins like this.
const TAG: u64 = 0x4e44 << 48;
const KIND_SHIFT: u32 = 40;
const INDEX_SHIFT: u32 = 4;

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    MiniportDriver = 1,
    Adapter,
    ProtocolDriver,
    Binding,
    BindContext,
    UnbindContext,
    Configuration,
    NblPool,
    NbPool,
    RwLock,
    Dma,
    Interrupt,
    Timer,
    WorkItem,
    ControlDevice,
    File,
    SharedMemory,
    Log,
    InterfaceProvider,
    Poll,
}

impl Kind {
    /// The rule that forbids the use of a dead or foreign handle of this kind.
    fn rule(self) -> u16 {
        match self {
            Self::MiniportDriver => 12,
            Self::Adapter => 68,
            Self::ProtocolDriver => 228,
            Self::Binding => 239,
            Self::BindContext => 229,
            Self::UnbindContext => 240,
            Self::Configuration => 219,
            Self::NblPool | Self::NbPool => 92,
            Self::RwLock => 212,
            Self::Dma => 145,
            Self::Interrupt => 199,
            Self::Timer => 206,
            Self::WorkItem => 207,
            Self::ControlDevice => 15,
            Self::File => 219,
            Self::SharedMemory => 154,
            Self::Log => 63,
            Self::InterfaceProvider => 14,
            Self::Poll => 267,
        }
    }
}

/// An object behind a handle. Objects live as long as the process.
pub(crate) trait Object: Send + Sync + 'static {
    /// The kind of its handle.
    const KIND: Kind;
}

struct Entry {
    kind: Kind,
    object: &'static (dyn Any + Send + Sync),
    closed: Option<&'static str>,
}

static OBJECTS: BatonCell<Vec<Entry>> = BatonCell::new(Vec::new());

/// Makes an object and its handle; `make` is given the handle.
pub(crate) fn create<T: Object>(make: impl FnOnce(u64) -> T) -> &'static T {
    let index = OBJECTS.with(|objects| objects.len()) as u64;
    let handle = TAG | (T::KIND as u64) << KIND_SHIFT | (index + 1) << INDEX_SHIFT;
    let object: &'static T = Box::leak(Box::new(make(handle)));
    OBJECTS.with(|objects| {
        objects.push(Entry {
            kind: T::KIND,
            object,
            closed: None,
        })
    });
    object
}

/// The handle as drivers see it.
pub(crate) fn raw(handle: u64) -> NDIS_HANDLE {
    std::ptr::without_provenance_mut(handle as usize)
}

/// The number of a handle that a driver passed.
pub(crate) fn number(handle: NDIS_HANDLE) -> u64 {
    handle.addr() as u64
}

/// The live object behind `handle`; anything else ends the run with the kind's rule.
pub(crate) fn resolve<T: Object>(handle: NDIS_HANDLE, call: &str) -> &'static T {
    find(number(handle)).unwrap_or_else(|why| {
        verifier::fatal(
            T::KIND.rule(),
            format!("{call}: {:?} handle {handle:p} {why}", T::KIND),
        )
    })
}

/// As [`resolve`], with the rule of the call instead of the kind's.
pub(crate) fn resolve_for<T: Object>(rule: u16, handle: NDIS_HANDLE, call: &str) -> &'static T {
    find(number(handle)).unwrap_or_else(|why| {
        verifier::fatal(
            rule,
            format!("{call}: {:?} handle {handle:p} {why}", T::KIND),
        )
    })
}

/// The live object behind `handle`, if it is one of this kind.
pub(crate) fn lookup<T: Object>(handle: u64) -> Option<&'static T> {
    find(handle).ok()
}

fn find<T: Object>(handle: u64) -> Result<&'static T, String> {
    let Some(index) = index_of(handle) else {
        return Err("is none that NDIS gave out".into());
    };
    OBJECTS.with(|objects| {
        let entry = objects
            .get(index)
            .ok_or_else(|| "is none that NDIS gave out".to_owned())?;
        if let Some(closed) = entry.closed {
            return Err(format!("({:?}) is used after {closed}", entry.kind));
        }
        entry
            .object
            .downcast_ref()
            .ok_or_else(|| format!("is a {:?}", entry.kind))
    })
}

/// The kind of a live handle.
pub(crate) fn kind_of(handle: u64) -> Option<Kind> {
    let index = index_of(handle)?;
    OBJECTS.with(|objects| {
        objects
            .get(index)
            .filter(|e| e.closed.is_none())
            .map(|e| e.kind)
    })
}

fn index_of(handle: u64) -> Option<usize> {
    let kind = (handle >> KIND_SHIFT) & 0xff;
    let index = (handle & ((1 << KIND_SHIFT) - 1)) >> INDEX_SHIFT;
    let genuine = handle == TAG | kind << KIND_SHIFT | index << INDEX_SHIFT && index > 0;
    genuine.then(|| index as usize - 1)
}

/// Ends the life of a handle; `by` names the call that did.
pub(crate) fn close(handle: u64, by: &'static str) {
    if let Some(index) = index_of(handle) {
        OBJECTS.with(|objects| objects[index].closed = Some(by));
    }
}
