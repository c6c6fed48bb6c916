//! 1.Q: Poll objects.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::Mutex;

use ndis_host::ndis::api;
use ndis_host::ntoskrnl::{self, OsVersion};
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_POLL_CHARACTERISTICS, NDIS_POLL_DATA,
    NDIS_POLL_NOTIFICATION, NDIS_RECEIVE_FLAGS_RESOURCES,
    NDIS_SIZEOF_NDIS_POLL_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_SUCCESS,
    PROCESSOR_NUMBER, Zeroed,
};

use crate::bench::{ONE_SECOND, frame};
use crate::hooked_card::{Card, Hooks, Nbl, RIGHT, harsh};
use crate::native::linked::import;
use crate::native::{breaks, holds, nic::MAC};

/// How the driver breaks the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    NoHandler,
    KeepObject,
    Reserved,
    TooMany,
    Miscount,
    Resources,
    SpoilReserved,
    IndicateTwice,
    CompleteTwice,
    NoProcessor,
}

/// The driver's state: what its hardware has, and whether its interrupt is armed.
struct Wire {
    fault: Fault,
    card: Option<&'static Card>,
    handle: usize,
    received: VecDeque<Vec<u8>>,
    sent: Vec<usize>,
    armed: bool,
    polling: bool,
}

static WIRE: Mutex<Wire> = Mutex::new(Wire {
    fault: Fault::None,
    card: None,
    handle: 0,
    received: VecDeque::new(),
    sent: Vec::new(),
    armed: false,
    polling: false,
});

fn wire<R>(body: impl FnOnce(&mut Wire) -> R) -> R {
    body(&mut WIRE.lock().expect("no panic while it is locked"))
}

fn handle() -> NDIS_HANDLE {
    std::ptr::without_provenance_mut(wire(|wire| wire.handle))
}

fn request() {
    let request = import!(NdisRequestPoll: fn(NDIS_HANDLE, *mut c_void));
    let reserved = usize::from(wire(|wire| wire.fault) == Fault::Reserved);
    // SAFETY: the handle is that of the Poll object.
    unsafe { request(handle(), std::ptr::without_provenance_mut(reserved)) }
}

unsafe extern "efiapi" fn poll(_context: *mut c_void, data: *mut NDIS_POLL_DATA) {
    let (card, fault) = wire(|wire| {
        assert!(
            !std::mem::replace(&mut wire.polling, true),
            "one round at a time"
        );
        assert!(!wire.armed, "NDIS disarms the interrupt before it polls");
        (wire.card.expect("set at initialization"), wire.fault)
    });
    // SAFETY: NDIS lends the data for the time of the call.
    unsafe {
        receive_some(card, fault, &mut *data);
        complete_some(card, fault, &mut *data);
    }
    wire(|wire| wire.polling = false);
}

fn receive_some(card: &'static Card, fault: Fault, data: &mut NDIS_POLL_DATA) {
    let most = match fault {
        Fault::TooMany => usize::MAX,
        _ => data.Receive.MaxNblsToIndicate as usize,
    };
    let frames: Vec<_> = wire(|wire| {
        let count = wire.received.len().min(most);
        wire.received.drain(..count).collect()
    });
    let nbls: Vec<Nbl> = frames
        .iter()
        .map(|frame| card.pool().frame(frame))
        .collect();
    for nbl in &nbls {
        api::set_source(*nbl, card.adapter().0);
    }
    card.lend(nbls.len());
    data.Receive.IndicatedNblChain = api::chain(&nbls);
    if fault == Fault::IndicateTwice && !nbls.is_empty() {
        let first = data.Receive.IndicatedNblChain;
        api::indicate(card.adapter(), first, 0, nbls.len() as u32, 0);
    }
    data.Receive.NumberOfIndicatedNbls = nbls.len() as u32;
    data.Receive.NumberOfRemainingNbls = wire(|wire| wire.received.len()) as u32;
    match fault {
        Fault::Miscount => data.Receive.NumberOfIndicatedNbls += 1,
        Fault::Resources => data.Receive.Flags = NDIS_RECEIVE_FLAGS_RESOURCES,
        Fault::SpoilReserved => data.Receive.Reserved2 = 1,
        _ => {}
    }
}

fn complete_some(card: &'static Card, fault: Fault, data: &mut NDIS_POLL_DATA) {
    let most = data.Transmit.MaxNblsToComplete as usize;
    let sent: Vec<_> = wire(|wire| {
        let count = wire.sent.len().min(most);
        wire.sent.drain(..count).collect()
    });
    let nbls: Vec<Nbl> = sent
        .into_iter()
        .map(std::ptr::with_exposed_provenance_mut)
        .collect();
    for nbl in &nbls {
        api::set_status(*nbl, NDIS_STATUS_SUCCESS);
    }
    data.Transmit.CompletedNblChain = api::chain(&nbls);
    data.Transmit.NumberOfCompletedNbls = nbls.len() as u32;
    data.Transmit.NumberOfRemainingNbls = wire(|wire| wire.sent.len()) as u32;
    if fault == Fault::CompleteTwice && !nbls.is_empty() {
        // The list stays what the data says, for NBLs that are the protocol's again.
        api::send_complete(card.adapter(), nbls[0], 0);
    }
}

unsafe extern "efiapi" fn notify(_context: *mut c_void, notification: *mut NDIS_POLL_NOTIFICATION) {
    // SAFETY: NDIS lends the notification for the time of the call.
    let enabled = unsafe { (*notification).Enabled } != 0;
    let work = wire(|wire| {
        wire.armed = enabled;
        enabled && !(wire.received.is_empty() && wire.sent.is_empty())
    });
    if work {
        // What came between the last round and now would wait for an interrupt that never comes.
        request();
    }
}

fn register(card: &'static Card) -> NDIS_STATUS {
    let mut characteristics = NDIS_POLL_CHARACTERISTICS::zeroed();
    characteristics.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    characteristics.Header.Revision = 1;
    characteristics.Header.Size = NDIS_SIZEOF_NDIS_POLL_CHARACTERISTICS_REVISION_1;
    characteristics.SetPollNotificationHandler = Some(notify);
    characteristics.PollHandler = Some(poll);
    if wire(|wire| wire.fault) == Fault::NoHandler {
        characteristics.PollHandler = None;
    }
    let register = import!(NdisRegisterPoll: fn(
        NDIS_HANDLE,
        *mut c_void,
        *const NDIS_POLL_CHARACTERISTICS,
        *mut NDIS_HANDLE,
    ) -> NDIS_STATUS);
    let mut handle: NDIS_HANDLE = std::ptr::null_mut();
    let adapter = std::ptr::without_provenance_mut(card.adapter().0 as usize);
    let context = std::ptr::null_mut();
    // SAFETY: the pointers are to locals.
    let status = unsafe {
        register(
            adapter,
            context,
            &raw const characteristics,
            &raw mut handle,
        )
    };
    wire(|wire| {
        wire.handle = handle.addr();
        wire.card = Some(card);
    });
    status
}

const POLLING: Hooks = Hooks {
    initialized: register,
    halting: |_| {
        if wire(|wire| wire.fault) != Fault::KeepObject {
            let deregister = import!(NdisDeregisterPoll: fn(NDIS_HANDLE));
            // SAFETY: the handle is that of the Poll object.
            unsafe { deregister(handle()) }
        }
    },
    send: |_, nbl| {
        wire(|wire| wire.sent.push(nbl.expose_provenance()));
        request();
    },
    ..RIGHT
};

/// Traffic both ways through a driver that polls; then its end.
fn run(fault: Fault) {
    ntoskrnl::start(OsVersion::NEWEST);
    wire(|wire| wire.fault = fault);
    let (card, stack, device) = harsh(POLLING);
    set_affinity(if fault == Fault::NoProcessor { 77 } else { 1 });
    for _ in 0..10 {
        stack.send(&[frame([0xff; 6]), frame([0xff; 6])]);
        wire(|wire| wire.received.extend(vec![frame(MAC); 20]));
        // Several interrupts, one poll.
        (0..3).for_each(|_| request());
        sched::sleep(100_000);
    }
    sched::sleep(ONE_SECOND);
    assert_eq!(stack.received().len(), 200);
    assert_eq!(stack.completed().len(), 20);
    assert_eq!(card.receives_out(), 0);
    assert!(wire(|wire| wire.armed), "the interrupt is armed in the end");
    pnp::remove_device(device);
}

fn set_affinity(number: u8) {
    let set = import!(NdisSetPollAffinity: fn(NDIS_HANDLE, *const PROCESSOR_NUMBER));
    let processor = PROCESSOR_NUMBER {
        Group: 0,
        Number: number,
        Reserved: 0,
    };
    // SAFETY: the handle is that of the Poll object.
    unsafe { set(handle(), &raw const processor) }
}

#[test]
fn r266_breaks_when_a_handler_is_missing() {
    breaks!(266, || {
        ntoskrnl::start(OsVersion::NEWEST);
        wire(|wire| wire.fault = Fault::NoHandler);
        let device = pnp::add_native_device("CARD", &[], || {
            std::sync::Arc::new(crate::hooked_card::alone(POLLING))
        });
        let _ = pnp::start_device(device);
    });
}

#[test]
fn r266_holds_when_a_driver_polls() {
    holds!(|| run(Fault::None));
}

#[test]
fn r266_holds_when_an_older_ndis_has_no_poll_objects() {
    holds!(|| {
        ntoskrnl::start(OsVersion::BASELINE);
        let names: Vec<_> = ndis_host::ndis::exports()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert!(!names.contains(&"NdisRegisterPoll"));
        ntoskrnl::start(OsVersion::NEWEST);
        let names: Vec<_> = ndis_host::ndis::exports()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert!(names.contains(&"NdisRegisterPoll"));
    });
}

#[test]
fn r267_breaks_when_a_poll_object_is_left() {
    breaks!(267, || run(Fault::KeepObject));
}

#[test]
fn r268_breaks_when_reserved_is_not_null() {
    breaks!(268, || run(Fault::Reserved));
}

#[test]
fn r269_breaks_when_more_is_indicated_than_allowed() {
    breaks!(269, || run(Fault::TooMany));
}

#[test]
fn r269_breaks_when_the_count_is_wrong() {
    breaks!(269, || run(Fault::Miscount));
}

#[test]
fn r269_breaks_when_a_flag_is_not_for_polling() {
    breaks!(269, || run(Fault::Resources));
}

#[test]
fn r269_breaks_when_a_reserved_field_is_written() {
    breaks!(269, || run(Fault::SpoilReserved));
}

#[test]
fn r270_breaks_when_an_nbl_is_indicated_by_a_call_as_well() {
    breaks!(270, || run(Fault::IndicateTwice));
}

#[test]
fn r270_breaks_when_an_nbl_is_completed_by_a_call_as_well() {
    breaks!(270, || run(Fault::CompleteTwice));
}

#[test]
fn r272_breaks_when_the_processor_does_not_exist() {
    breaks!(272, || run(Fault::NoProcessor));
}

#[test]
fn r273_breaks_when_a_driver_polls_that_was_told_not_to() {
    breaks!(273, || keyword("0"));
}

#[test]
fn r273_holds_when_a_driver_may_poll() {
    holds!(|| keyword("1"));
}

fn keyword(value: &str) {
    ntoskrnl::start(OsVersion::NEWEST);
    let setting = ndis_host::registry::Value::Sz(value.to_owned());
    let device = pnp::add_native_device("CARD", &[("*NdisPoll", setting)], || {
        std::sync::Arc::new(crate::hooked_card::alone(POLLING))
    });
    pnp::start_device(device).expect("the card starts");
    pnp::remove_device(device);
}
