//! Interrupts of miniports: registration, [`service`] routines and DPCs, what drivers [`calls`],
//! and [`disturb`]ances on demand.
//!
//! A device interrupts by messages, or by a line that it shares with others: which of the two is
//! granted is the machine's business, and a driver takes either.

pub(crate) mod calls;
pub mod disturb;
mod service;

use ndis_sys::{
    IO_INTERRUPT_MESSAGE_INFO, IO_INTERRUPT_MESSAGE_INFO_ENTRY, Latched, NDIS_CONNECT_LINE_BASED,
    NDIS_CONNECT_MESSAGE_BASED, NDIS_HANDLE, NDIS_INTERRUPT_TYPE,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
    NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1, NDIS_STATUS,
    NDIS_STATUS_RESOURCE_CONFLICT, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, Zeroed,
};

use crate::ndis::adapter::{self, Adapter, attributes};
use crate::ndis::call::{self, Callback, Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::nbl::pool::Piece;
use crate::ndis::node::{LineInterrupt, Message, Resources};
use crate::ndis::{faults, header};
use crate::sched::{self, BatonCell, DIRQL};
use crate::verifier;

/// A registered interrupt: all messages of an adapter, or its line.
pub(crate) struct Interrupt {
    handle: u64,
    adapter: &'static Adapter,
    context: usize,
    handlers: NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
    source: Source,
    state: BatonCell<State>,
}

/// Where interrupts come from.
enum Source {
    Messages(Vec<Message>),
    Line(LineInterrupt),
}

impl Source {
    /// What a driver may take of what its device was granted: messages only if it can handle
    /// them, the line only if there are none.
    fn of(resources: Resources, takes_messages: bool) -> Option<Self> {
        match resources.line {
            Some(line) => Some(Self::Line(line)),
            None if takes_messages && !resources.messages.is_empty() => {
                Some(Self::Messages(resources.messages))
            }
            None => None,
        }
    }

    /// How many messages there are; a line counts as one.
    fn count(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.len(),
            Self::Line(_) => 1,
        }
    }

    /// The CPU that a message or the line interrupts.
    fn cpu(&self, message: usize) -> Option<usize> {
        match self {
            Self::Messages(messages) => messages.get(message).map(|message| message.cpu),
            Self::Line(line) => (message == 0).then_some(line.cpu),
        }
    }

    fn kind(&self) -> NDIS_INTERRUPT_TYPE {
        match self {
            Self::Messages(_) => NDIS_CONNECT_MESSAGE_BASED,
            Self::Line(_) => NDIS_CONNECT_LINE_BASED,
        }
    }
}

struct State {
    connected: bool,
    /// The interrupt lock: held by a service routine, or by a synchronized routine.
    locked: bool,
    /// Service routines and DPCs that run now.
    running: u32,
    /// The message table that the driver was given.
    table: Option<Piece>,
    line: LineState,
}

/// What is known of a line.
#[derive(Default)]
struct LineState {
    /// A call of the service routine is on its way.
    pending: bool,
    /// Calls in a row after which the line was still asserted.
    futile: u32,
}

// SAFETY: the characteristics are function pointers and numbers; the baton orders their users.
unsafe impl Send for Interrupt {}
// SAFETY: as above.
unsafe impl Sync for Interrupt {}

impl Object for Interrupt {
    const KIND: Kind = Kind::Interrupt;
}

static INTERRUPTS: BatonCell<Vec<&'static Interrupt>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisMRegisterInterruptEx function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
pub(crate) unsafe extern "efiapi" fn register(
    adapter_handle: NDIS_HANDLE,
    context: NDIS_HANDLE,
    characteristics: *mut NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
    interrupt_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMRegisterInterruptEx";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    attributes::require_registration(adapter, CALL);
    let inside = call::is_inside(Callback::Initialize, adapter.handle);
    verifier::require(44, inside, || format!("{CALL} called in {}", call::stack()));
    // SAFETY: the caller's contract.
    let handlers = unsafe { *characteristics };
    check(CALL, &handlers);
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let resources = adapter.node.resources();
    let Some(source) = Source::of(resources, handlers.MsiSupported != 0) else {
        return NDIS_STATUS_RESOURCE_CONFLICT;
    };
    let table = match &source {
        Source::Messages(messages) => match message_table(messages) {
            None => return NDIS_STATUS_RESOURCES,
            table => table,
        },
        Source::Line(_) => None,
    };
    let table_at = table.as_ref().map_or(std::ptr::null_mut(), Piece::pointer);
    let kind = source.kind();
    let interrupt = handles::create(|handle| Interrupt {
        handle,
        adapter,
        context: context.expose_provenance(),
        handlers,
        source,
        state: BatonCell::new(State {
            connected: true,
            locked: false,
            running: 0,
            table,
            line: LineState::default(),
        }),
    });
    INTERRUPTS.with(|interrupts| interrupts.push(interrupt));
    // SAFETY: the caller's contract. The driver sees the results before the first interrupt.
    unsafe {
        (*characteristics).InterruptType = kind;
        (*characteristics).MessageInfoTable = table_at.cast();
        *interrupt_handle = handles::raw(interrupt.handle);
    }
    if !interrupt.connect() {
        interrupt.disconnect(CALL);
        return NDIS_STATUS_RESOURCES;
    }
    // A device may have something to say at once, or nothing at all (rule 202).
    if sched::chance(2) {
        interrupt.disturb();
        sched::point();
    }
    NDIS_STATUS_SUCCESS
}

/// Rule 194.
fn check(call: &str, handlers: &NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS) {
    let least = NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1;
    header::check(
        call,
        handlers.Header,
        NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
        &[(1, least)],
    );
    let line = handlers.InterruptHandler.is_some() && handlers.InterruptDpcHandler.is_some();
    verifier::require(194, line, || {
        format!("{call}: handlers for a line interrupt are missing")
    });
    let message =
        handlers.MessageInterruptHandler.is_some() && handlers.MessageInterruptDpcHandler.is_some();
    verifier::require(194, handlers.MsiSupported == 0 || message, || {
        format!("{call}: handlers for message interrupts are missing")
    });
    let pair = handlers.EnableMessageInterruptHandler.is_some()
        == handlers.DisableMessageInterruptHandler.is_some();
    verifier::require(194, pair, || {
        format!("{call}: only one of enable and disable is given")
    });
}

fn message_table(messages: &[Message]) -> Option<Piece> {
    let extra = size_of::<IO_INTERRUPT_MESSAGE_INFO_ENTRY>() * (messages.len() - 1);
    let piece = Piece::allocate(
        size_of::<IO_INTERRUPT_MESSAGE_INFO>() + extra,
        "a message table",
    )?;
    let table: *mut IO_INTERRUPT_MESSAGE_INFO = piece.pointer().cast();
    let entries = std::mem::offset_of!(IO_INTERRUPT_MESSAGE_INFO, MessageInfo);
    // SAFETY: the piece is fresh and has room for the table and its entries.
    unsafe {
        (*table).UnifiedIrql = DIRQL;
        (*table).MessageCount = messages.len() as u32;
        let first: *mut IO_INTERRUPT_MESSAGE_INFO_ENTRY = piece.pointer().add(entries).cast();
        for (index, message) in messages.iter().enumerate() {
            let mut entry = IO_INTERRUPT_MESSAGE_INFO_ENTRY::zeroed();
            entry.MessageAddress = message.address as i64;
            entry.MessageData = message.data;
            entry.TargetProcessorSet = 1 << sched::number_in_group(message.cpu);
            entry.Vector = message.vector;
            entry.Irql = DIRQL;
            entry.Mode = Latched;
            first.add(index).write(entry);
        }
    }
    Some(piece)
}

impl Interrupt {
    fn connect(&'static self) -> bool {
        let node = &self.adapter.node;
        match self.source {
            Source::Messages(_) => node.connect_messages(Box::new(|message| self.arrive(message))),
            Source::Line(_) => node.connect_line(Box::new(|| self.assert())),
        }
    }

    /// Whether a service routine or DPC waits or runs.
    fn is_active(&'static self) -> bool {
        let cpus = 0..sched::cpu_count();
        let mut dpcs = cpus.flat_map(|cpu| {
            (0..self.source.count() as u32).map(move |message| self.dpc(cpu, message))
        });
        self.state.with(|state| state.running > 0) || dpcs.any(sched::is_dpc_active)
    }

    /// Stops the messages, waits for what runs, and ends the handle.
    fn disconnect(&'static self, by: &'static str) {
        let node = &self.adapter.node;
        match self.source {
            Source::Messages(_) => node.disconnect_messages(),
            Source::Line(_) => {
                let level = node.line_level();
                verifier::require(200, !level.asserted, || {
                    format!("{by}: the device still asserts its line")
                });
                node.disconnect_line();
            }
        }
        self.state.with(|state| state.connected = false);
        sched::wait("the last interrupt DPC", || !self.is_active(), None);
        if let Some(table) = self.state.with(|state| state.table.take()) {
            table.release(by);
        }
        INTERRUPTS.with(|interrupts| interrupts.retain(|other| other.handle != self.handle));
        handles::close(self.handle, by);
    }
}

/// Microsoft Learn, NdisMDeregisterInterruptEx function (ndis.h). IRQL = PASSIVE_LEVEL.
pub(crate) unsafe extern "efiapi" fn deregister(interrupt_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisMDeregisterInterruptEx";
    import(CALL, Level::Passive);
    let interrupt: &'static Interrupt = handles::resolve(interrupt_handle, CALL);
    let adapter = interrupt.adapter.handle;
    let allowed =
        call::is_inside(Callback::Initialize, adapter) || call::is_inside(Callback::Halt, adapter);
    verifier::require(200, allowed, || {
        format!(
            "{CALL} belongs into MiniportInitializeEx or MiniportHaltEx, not {}",
            call::stack()
        )
    });
    interrupt.disconnect(CALL);
}

/// Whether an adapter has registered its interrupt (rule 44).
pub(crate) fn is_registered(adapter: u64) -> bool {
    of_adapter(adapter).is_some()
}

/// The interrupt that an adapter has registered.
fn of_adapter(adapter: u64) -> Option<&'static Interrupt> {
    INTERRUPTS.with(|interrupts| {
        let mut all = interrupts.iter();
        all.find(|interrupt| interrupt.adapter.handle == adapter)
            .copied()
    })
}

/// Interrupts of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    INTERRUPTS.with(|interrupts| {
        let of_adapter = interrupts.iter().filter(|i| i.adapter.handle == adapter);
        of_adapter
            .map(|interrupt| format!("interrupt {:#x}", interrupt.handle))
            .collect()
    })
}
