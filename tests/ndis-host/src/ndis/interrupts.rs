//! Message interrupts: registration, service routines, DPCs and the receive throttle.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, FALSE, GROUP_AFFINITY, IO_INTERRUPT_MESSAGE_INFO, IO_INTERRUPT_MESSAGE_INFO_ENTRY,
    KAFFINITY, Latched, MINIPORT_SYNCHRONIZE_INTERRUPT, NDIS_CONNECT_MESSAGE_BASED, NDIS_HANDLE,
    NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS, NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT,
    NDIS_RECEIVE_THROTTLE_PARAMETERS, NDIS_SIZEOF_MINIPORT_INTERRUPT_CHARACTERISTICS_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_RESOURCE_CONFLICT, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, TRUE,
    Zeroed,
};

use crate::ndis::adapter::{self, Adapter, attributes};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::nbl::pool::Piece;
use crate::ndis::node::Message;
use crate::ndis::{dpc, faults, header};
use crate::sched::{self, BatonCell, DIRQL, DpcId};
use crate::verifier;

/// NDIS_INDICATE_ALL_NBLS: a DPC may indicate as much as it has.
const INDICATE_ALL: u32 = u32::MAX;
/// A DPC that takes longer holds up its CPU (table of rule 308).
const LONG_DPC_NS: u64 = 1_000_000;

/// A registered interrupt: all messages of an adapter.
pub(crate) struct Interrupt {
    handle: u64,
    adapter: &'static Adapter,
    context: usize,
    handlers: NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS,
    messages: Vec<Message>,
    state: BatonCell<State>,
}

struct State {
    connected: bool,
    /// The interrupt lock: held by a service routine, or by a synchronized routine.
    locked: bool,
    /// Service routines and DPCs that run now.
    running: u32,
    /// The message table that the driver was given.
    table: Option<Piece>,
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
    let messages = adapter.node.resources().messages;
    if handlers.MsiSupported == 0 || messages.is_empty() {
        return NDIS_STATUS_RESOURCE_CONFLICT;
    }
    let Some(table) = message_table(&messages) else {
        return NDIS_STATUS_RESOURCES;
    };
    let table_at: *mut IO_INTERRUPT_MESSAGE_INFO = table.pointer().cast();
    let interrupt = handles::create(|handle| Interrupt {
        handle,
        adapter,
        context: context.expose_provenance(),
        handlers,
        messages,
        state: BatonCell::new(State {
            connected: true,
            locked: false,
            running: 0,
            table: Some(table),
        }),
    });
    INTERRUPTS.with(|interrupts| interrupts.push(interrupt));
    // SAFETY: the caller's contract. The driver sees the results before the first interrupt.
    unsafe {
        (*characteristics).InterruptType = NDIS_CONNECT_MESSAGE_BASED;
        (*characteristics).MessageInfoTable = table_at;
        *interrupt_handle = handles::raw(interrupt.handle);
    }
    let connected = adapter
        .node
        .connect_messages(Box::new(move |message| interrupt.arrive(message)));
    if !connected {
        interrupt.disconnect(CALL);
        return NDIS_STATUS_RESOURCES;
    }
    // A device may have something to say at once, or nothing at all (rule 202).
    if sched::chance(2) {
        interrupt.arrive(sched::random_below(interrupt.messages.len() as u64) as usize);
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
    /// A message has come: interrupts its CPU.
    fn arrive(&'static self, message: usize) {
        if let Some(target) = self.messages.get(message) {
            sched::interrupt(target.cpu, DIRQL, move || self.serve(message as u32));
        }
    }

    /// The service routine of a message, at DIRQL.
    fn serve(&'static self, message: u32) {
        if !self.state.with(|state| state.connected) {
            return;
        }
        let Some(handler) = self.handlers.MessageInterruptHandler else {
            return;
        };
        self.lock();
        let (mut queue_default, mut targets): (BOOLEAN, u32) = (FALSE, 0);
        let recognized = callback(Callback::Isr, self.handle, || {
            let context = std::ptr::with_exposed_provenance_mut(self.context);
            // SAFETY: the driver registered the handler with this context.
            sched::in_driver(|| unsafe {
                handler(context, message, &raw mut queue_default, &raw mut targets)
            })
        });
        self.unlock();
        verifier::require(196, recognized != FALSE, || {
            format!("the service routine of message {message} does not recognize it")
        });
        let quiet = queue_default == FALSE && targets == 0;
        verifier::require(197, recognized != FALSE || quiet, || {
            format!("the service routine of message {message} asks for DPCs it denies")
        });
        if queue_default != FALSE {
            self.queue(sched::current_cpu(), message, 0);
        } else {
            // The flags are older than processor groups: they name processors of group 0.
            for cpu in sched::cpus_in(0, u64::from(targets)) {
                self.queue(cpu, message, 0);
            }
        }
    }

    /// Takes the interrupt lock; the level is DIRQL.
    fn lock(&'static self) {
        sched::spin("an interrupt lock", move || {
            self.state.with(|state| {
                let free = !state.locked;
                if free {
                    state.locked = true;
                    state.running += 1;
                }
                free
            })
        });
    }

    fn unlock(&'static self) {
        self.state.with(|state| {
            state.locked = false;
            state.running -= 1;
        });
    }

    fn dpc(&self, cpu: usize, message: u32) -> DpcId {
        let number = (self.handle & 0xff_ffff_ffff) >> 4;
        dpc::id(
            dpc::Source::Interrupt,
            number << 20 | u64::from(message) << 8 | cpu as u64,
        )
    }

    /// Queues the DPC of a message on a CPU; false when it is queued already.
    fn queue(&'static self, cpu: usize, message: u32, context: usize) -> bool {
        sched::queue_dpc(cpu, self.dpc(cpu, message), move || {
            self.run_dpc(cpu, message, context)
        })
    }

    fn run_dpc(&'static self, cpu: usize, message: u32, context: usize) {
        let Some(handler) = self.handlers.MessageInterruptDpcHandler else {
            return;
        };
        self.state.with(|state| state.running += 1);
        let limit = if sched::chance(4) {
            1 + sched::random_below(8) as u32
        } else {
            INDICATE_ALL
        };
        let mut throttle = NDIS_RECEIVE_THROTTLE_PARAMETERS::zeroed();
        throttle.MaxNblsToIndicate = limit;
        let before = sched::now();
        callback(Callback::InterruptDpc, self.handle, || {
            call::limit_indications(limit);
            let own = std::ptr::with_exposed_provenance_mut(self.context);
            let dpc_context: *mut c_void = std::ptr::with_exposed_provenance_mut(context);
            let throttle: *mut c_void = (&raw mut throttle).cast();
            // SAFETY: the driver registered the handler with this context.
            sched::in_driver(|| unsafe {
                handler(
                    own,
                    message,
                    dpc_context,
                    throttle.cast(),
                    std::ptr::null_mut(),
                )
            })
        });
        let took = sched::now() - before;
        if took > LONG_DPC_NS {
            verifier::advice(201, format!("the DPC of message {message} took {took} ns"));
        }
        self.state.with(|state| state.running -= 1);
        if throttle.MoreNblsPending != 0 {
            self.queue(cpu, message, context);
        }
    }

    /// Whether a service routine or DPC waits or runs.
    fn is_active(&'static self) -> bool {
        let cpus = 0..sched::cpu_count();
        let mut dpcs = cpus.flat_map(|cpu| {
            (0..self.messages.len() as u32).map(move |message| self.dpc(cpu, message))
        });
        self.state.with(|state| state.running > 0) || dpcs.any(sched::is_dpc_active)
    }

    /// Stops the messages, waits for what runs, and ends the handle.
    fn disconnect(&'static self, by: &'static str) {
        self.adapter.node.disconnect_messages();
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

/// Microsoft Learn, NdisMSynchronizeWithInterruptEx function (ndis.h). IRQL <= DIRQL.
///
/// # Safety
///
/// `function` is a routine for `context`.
pub(crate) unsafe extern "efiapi" fn synchronize(
    interrupt_handle: NDIS_HANDLE,
    message: u32,
    function: Option<MINIPORT_SYNCHRONIZE_INTERRUPT>,
    context: *mut c_void,
) -> BOOLEAN {
    const CALL: &str = "NdisMSynchronizeWithInterruptEx";
    import(CALL, Level::Any);
    let interrupt: &'static Interrupt = handles::resolve(interrupt_handle, CALL);
    check_message(CALL, interrupt, message);
    let Some(function) = function else {
        verifier::fatal(199, format!("{CALL}: no function"));
    };
    let old = sched::raise(DIRQL);
    interrupt.lock();
    let result = callback(Callback::SynchronizeInterrupt, interrupt.handle, || {
        // SAFETY: the caller's contract.
        sched::in_driver(|| unsafe { function(context) })
    });
    interrupt.unlock();
    sched::lower(old);
    if result != FALSE { TRUE } else { FALSE }
}

fn check_message(call: &str, interrupt: &Interrupt, message: u32) {
    let count = interrupt.messages.len();
    verifier::insist(199, (message as usize) < count, || {
        format!("{call}: message {message} of {count}")
    });
}

/// Microsoft Learn, NdisMQueueDpcEx function (ndis.h): the CPUs on which it was queued. Any IRQL.
///
/// # Safety
///
/// `targets` points to a group affinity.
pub(crate) unsafe extern "efiapi" fn queue_dpc(
    interrupt_handle: NDIS_HANDLE,
    message: u32,
    targets: *mut GROUP_AFFINITY,
    context: *mut c_void,
) -> KAFFINITY {
    const CALL: &str = "NdisMQueueDpcEx";
    import(CALL, Level::Any);
    let interrupt: &'static Interrupt = handles::resolve(interrupt_handle, CALL);
    check_message(CALL, interrupt, message);
    // SAFETY: the caller's contract.
    let targets = unsafe { *targets };
    let there = sched::mask_of(targets.Group);
    let mask = targets.Mask as u64;
    verifier::require(197, mask != 0 && mask & !there == 0, || {
        let group = targets.Group;
        format!("{CALL}: mask {mask:#x} of group {group}, whose processors are {there:#x}")
    });
    let context = context.expose_provenance();
    let wanted = sched::cpus_in(targets.Group, mask);
    let queued = wanted.filter(|cpu| interrupt.queue(*cpu, message, context));
    queued.fold(0, |mask, cpu| mask | 1 << sched::number_in_group(cpu))
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
