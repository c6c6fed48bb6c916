//! Poll objects, since NDIS 6.85: NDIS decides when a miniport works, and how much.
//!
//! ```text
//!   NdisRequestPoll --> (a moment) --> disarm --> NdisPoll --+--> nothing left --> arm
//!                                                  ^         |
//!                                                  +- progress
//! ```
//!
//! Microsoft Learn, "NDIS Poll Mode". Rounds are at PASSIVE or DISPATCH by seed, on the CPU of the
//! affinity or any; requests that come before a round begins become one.

mod round;

use std::ffi::c_void;

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_POLL_CHARACTERISTICS,
    NDIS_POLL_CHARACTERISTICS_REVISION_1, NDIS_SIZEOF_NDIS_POLL_CHARACTERISTICS_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
    PROCESSOR_NUMBER,
};

use crate::ndis::adapter::{self, Adapter};
use crate::ndis::call::{self, Callback, Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::{config, dpc, faults, header};
use crate::sched::{self, BatonCell};
use crate::{ntoskrnl, verifier};

/// The first NDIS with Poll objects.
const SINCE: (u8, u8) = (6, 85);
/// A round comes within this time, ns.
const LONGEST_DELAY_NS: u64 = 30_000;

/// Exports that are there since NDIS 6.85.
pub(crate) fn exports() -> Vec<(&'static str, usize)> {
    let os = ntoskrnl::os();
    if (os.ndis_major, os.ndis_minor) < SINCE {
        return Vec::new();
    }
    vec![
        ("NdisRegisterPoll", register as *const () as usize),
        ("NdisDeregisterPoll", deregister as *const () as usize),
        ("NdisSetPollAffinity", set_affinity as *const () as usize),
        ("NdisRequestPoll", request as *const () as usize),
    ]
}

/// A Poll object.
pub(crate) struct Poll {
    handle: u64,
    adapter: &'static Adapter,
    context: usize,
    handlers: NDIS_POLL_CHARACTERISTICS,
    state: BatonCell<State>,
}

#[derive(Default)]
struct State {
    /// Somebody asked, and no round has begun since.
    requested: bool,
    /// Rounds are being made, or will be in a moment.
    active: bool,
    /// A round is being made.
    running: bool,
    /// The interrupt is armed.
    armed: bool,
    closed: bool,
    cpu: Option<usize>,
}

// SAFETY: the characteristics are function pointers and numbers; the baton orders their users.
unsafe impl Send for Poll {}
// SAFETY: as above.
unsafe impl Sync for Poll {}

impl Object for Poll {
    const KIND: Kind = Kind::Poll;
}

static POLLS: BatonCell<Vec<&'static Poll>> = BatonCell::new(Vec::new());

/// Microsoft Learn, NdisRegisterPoll function (poll.h). IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// The pointers are valid.
unsafe extern "efiapi" fn register(
    adapter_handle: NDIS_HANDLE,
    context: *mut c_void,
    characteristics: *const NDIS_POLL_CHARACTERISTICS,
    poll_handle: *mut NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisRegisterPoll";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let inside = call::is_inside(Callback::Initialize, adapter.handle);
    verifier::require(266, inside, || {
        format!(
            "{CALL} belongs into MiniportInitializeEx, not {}",
            call::stack()
        )
    });
    // SAFETY: the caller's contract.
    let handlers = unsafe { *characteristics };
    header::check(
        CALL,
        handlers.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(
            NDIS_POLL_CHARACTERISTICS_REVISION_1,
            NDIS_SIZEOF_NDIS_POLL_CHARACTERISTICS_REVISION_1,
        )],
    );
    let complete = handlers.PollHandler.is_some() && handlers.SetPollNotificationHandler.is_some();
    if !verifier::require(266, complete, || format!("{CALL}: a handler is missing")) {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    let keyword = config::integer(&adapter.node.driver_key(), "*NdisPoll");
    verifier::require(273, keyword != Some(0), || {
        format!("{CALL} by {}, whose keyword *NdisPoll is 0", adapter.name)
    });
    if faults::allocation_fails(CALL) {
        return NDIS_STATUS_RESOURCES;
    }
    let poll = handles::create(|handle| Poll {
        handle,
        adapter,
        context: context.expose_provenance(),
        handlers,
        state: BatonCell::new(State::default()),
    });
    POLLS.with(|polls| polls.push(poll));
    // SAFETY: as above.
    unsafe { *poll_handle = handles::raw(poll.handle) };
    NDIS_STATUS_SUCCESS
}

/// Microsoft Learn, NdisDeregisterPoll function (poll.h): waits for the round that runs.
/// IRQL = PASSIVE_LEVEL.
unsafe extern "efiapi" fn deregister(poll_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisDeregisterPoll";
    import(CALL, Level::Passive);
    let poll: &'static Poll = handles::resolve(poll_handle, CALL);
    let adapter = poll.adapter.handle;
    let allowed =
        call::is_inside(Callback::Initialize, adapter) || call::is_inside(Callback::Halt, adapter);
    verifier::require(267, allowed, || {
        format!(
            "{CALL} belongs into MiniportInitializeEx or MiniportHaltEx, not {}",
            call::stack()
        )
    });
    poll.state.with(|state| state.closed = true);
    let ended = || poll.state.with(|state| !state.running);
    sched::wait("the last round of a Poll object", ended, None);
    POLLS.with(|polls| polls.retain(|other| other.handle != poll.handle));
    handles::close(poll.handle, CALL);
}

/// Microsoft Learn, NdisSetPollAffinity function (poll.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `number` points to a processor number.
unsafe extern "efiapi" fn set_affinity(poll_handle: NDIS_HANDLE, number: *const PROCESSOR_NUMBER) {
    const CALL: &str = "NdisSetPollAffinity";
    import(CALL, Level::UpToDispatch);
    let poll: &'static Poll = handles::resolve(poll_handle, CALL);
    // SAFETY: the caller's contract.
    let number = unsafe { *number };
    let index = usize::from(number.Number);
    let cpu = (number.Group == 0 && index < sched::cpu_count()).then_some(index);
    verifier::require(272, cpu.is_some(), || {
        format!(
            "{CALL}: there is no processor {} in group {}",
            number.Number, number.Group
        )
    });
    poll.state.with(|state| state.cpu = cpu);
}

/// Microsoft Learn, NdisRequestPoll function (poll.h). Any IRQL.
unsafe extern "efiapi" fn request(poll_handle: NDIS_HANDLE, reserved: *mut c_void) {
    const CALL: &str = "NdisRequestPoll";
    import(CALL, Level::Any);
    let poll: &'static Poll = handles::resolve(poll_handle, CALL);
    verifier::require(268, reserved.is_null(), || {
        format!("{CALL}: Reserved is {reserved:p}")
    });
    let closed = poll.state.with(|state| state.closed);
    verifier::require(267, !closed, || {
        format!("{CALL}: the Poll object is being deregistered")
    });
    let first = poll.state.with(|state| {
        state.requested = true;
        !std::mem::replace(&mut state.active, true)
    });
    if first {
        poll.begin_later();
    }
}

impl Poll {
    /// Makes rounds in a moment: in a DPC, or in a thread at PASSIVE.
    fn begin_later(&'static self) {
        let delay = sched::random_below(LONGEST_DELAY_NS);
        sched::after(delay, move || {
            if sched::chance(2) {
                sched::spawn("a Poll object", move || self.make_rounds());
                return;
            }
            let any = || sched::random_below(sched::cpu_count() as u64) as usize;
            let cpu = self.state.with(|state| state.cpu).unwrap_or_else(any);
            sched::queue_dpc(cpu, dpc::fresh(), move || self.make_rounds());
        });
    }
}

/// Poll objects of an adapter, in words.
pub(crate) fn leaks_of(adapter: u64) -> Vec<String> {
    POLLS.with(|polls| {
        let of_adapter = polls.iter().filter(|poll| poll.adapter.handle == adapter);
        of_adapter
            .map(|poll| format!("Poll object {:#x}", poll.handle))
            .collect()
    })
}
