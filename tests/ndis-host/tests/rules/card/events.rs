//! The card's handlers.

use ndis_host::ndis::api;
use ndis_host::ndis::native::{AdapterHandle, Miniport, OidRequestRef};
use ndis_host::sched;
use ndis_sys::{
    BOOLEAN, NDIS_EVENT, NDIS_HALT_ACTION, NDIS_HANDLE, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS,
    NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_SHUTDOWN_ACTION,
    NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1, NDIS_STATUS, NDIS_STATUS_BUSY,
    NDIS_STATUS_FAILURE, NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_PAUSED,
    NDIS_STATUS_PENDING, NDIS_STATUS_RESET_IN_PROGRESS, NDIS_STATUS_RESET_START,
    NDIS_STATUS_SEND_ABORTED, NDIS_STATUS_SUCCESS, NDIS_TIMER_CHARACTERISTICS, NET_BUFFER_LIST,
    NET_DEVICE_PNP_EVENT, NdisDevicePnPEventSurpriseRemoved, NdisDeviceStateD0, NdisDeviceStateD3,
    NdisShutdownBugCheck, Zeroed,
};

use super::{Card, Fault};
use crate::bench::{ONE_SECOND, frame};
use crate::native::linked::import;
use crate::native::nic::MAC;

/// A status that no handler may return.
const NONSENSE: NDIS_STATUS = 0x7777;
/// A minute from now, as NdisSetTimerObject takes it.
const IN_A_MINUTE: i64 = -600_000_000;

unsafe extern "efiapi" fn expired(
    _one: *mut core::ffi::c_void,
    _context: *mut core::ffi::c_void,
    _two: *mut core::ffi::c_void,
    _three: *mut core::ffi::c_void,
) {
    // A DPC of far too many busy waits.
    let stall = import!(KeStallExecutionProcessor: fn(u32));
    for _ in 0..25_000 {
        // SAFETY: the wait is as long as is allowed.
        unsafe { stall(50) };
    }
}

impl Card {
    /// A timer of the adapter's, armed or not.
    pub(super) fn make_timer(&self, due: Option<i64>) {
        type Characteristics = NDIS_TIMER_CHARACTERISTICS;
        let allocate = import!(NdisAllocateTimerObject: fn(
            NDIS_HANDLE, *mut Characteristics, *mut NDIS_HANDLE
        ) -> NDIS_STATUS);
        let set = import!(NdisSetTimerObject: fn(
            NDIS_HANDLE, i64, i32, *mut core::ffi::c_void
        ) -> BOOLEAN);
        let mut given = NDIS_TIMER_CHARACTERISTICS::zeroed();
        given.Header.Type = NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS;
        given.Header.Revision = 1;
        given.Header.Size = NDIS_SIZEOF_TIMER_CHARACTERISTICS_REVISION_1;
        given.AllocationTag = 0x6472_6143;
        given.TimerFunction = Some(expired);
        let owner = std::ptr::without_provenance_mut(self.adapter().0 as usize);
        let mut timer: NDIS_HANDLE = std::ptr::null_mut();
        // SAFETY: the pointers are to locals, the owner is an adapter.
        let status = unsafe { allocate(owner, &raw mut given, &raw mut timer) };
        assert_eq!(status, NDIS_STATUS_SUCCESS);
        self.with(|state| state.timer = timer.addr());
        if let Some(due) = due {
            // SAFETY: the timer was made above.
            unsafe { set(timer, due, 0, std::ptr::null_mut()) };
        }
    }

    /// Takes the timer away, if there is one.
    fn free_timer(&self) {
        let timer = self.with(|state| std::mem::take(&mut state.timer));
        if timer == 0 {
            return;
        }
        let timer = std::ptr::without_provenance_mut(timer);
        let cancel = import!(NdisCancelTimerObject: fn(NDIS_HANDLE) -> BOOLEAN);
        let free = import!(NdisFreeTimerObject: fn(NDIS_HANDLE));
        // SAFETY: the timer is this card's, and used no more.
        unsafe {
            cancel(timer);
            free(timer);
        }
    }

    fn refusal(&self) -> Option<NDIS_STATUS> {
        self.with(|state| {
            if state.gone {
                let aborts = self.fault == Fault::AbortsWhenGone;
                let status = [NDIS_STATUS_NOT_ACCEPTED, NDIS_STATUS_SEND_ABORTED];
                return Some(status[usize::from(aborts)]);
            }
            if state.asleep {
                return Some(NDIS_STATUS_LOW_POWER_STATE);
            }
            (!state.running).then_some(NDIS_STATUS_PAUSED)
        })
    }
}

impl Miniport for &'static Card {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        _parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        self.with(|state| {
            state.adapter = Some(adapter);
            state.log.initialized += 1;
        });
        let status = api::declare(adapter, &self.attributes());
        match self.fault {
            Fault::HaltKeepsTimer => self.make_timer(None),
            Fault::HaltKeepsArmedTimer | Fault::KeepsTimer => self.make_timer(Some(IN_A_MINUTE)),
            Fault::LongDpc => self.make_timer(Some(-10_000)),
            _ => {}
        }
        status
    }

    fn halt(&self, action: NDIS_HALT_ACTION) {
        self.with(|state| {
            state.log.halts.push(action);
            state.slept = true;
        });
        match self.fault {
            Fault::HaltHangs => sched::sleep(100 * ONE_SECOND),
            Fault::HaltKeepsTimer | Fault::HaltKeepsArmedTimer => {}
            _ => self.free_timer(),
        }
    }

    fn pause(&self, parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        self.with(|state| {
            state.running = false;
            state.log.pauses.push(parameters.PauseReason);
        });
        match self.fault {
            Fault::PauseFails => return NDIS_STATUS_FAILURE,
            Fault::PauseForgotten => return NDIS_STATUS_PENDING,
            Fault::PauseCompletesTwice => {
                api::pause_complete(self.adapter());
                api::pause_complete(self.adapter());
                return NDIS_STATUS_PENDING;
            }
            Fault::PauseSucceedsTwice => {
                api::pause_complete(self.adapter());
                return NDIS_STATUS_SUCCESS;
            }
            _ => {}
        }
        let idle = self.with(|state| state.sending.is_empty() && state.receives_out == 0);
        if idle && sched::chance(2) {
            return NDIS_STATUS_SUCCESS;
        }
        self.with(|state| state.pausing = true);
        let card = *self;
        crate::native::defer(move || card.finish_pause());
        NDIS_STATUS_PENDING
    }

    fn restart(&self, parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        let slept = self.with(|state| {
            state.running = true;
            state.log.restarts += 1;
            state.slept
        });
        let card = *self;
        match self.fault {
            Fault::RestartStatus => return NONSENSE,
            Fault::RestartFailsAfterSleep if slept => return NDIS_STATUS_FAILURE,
            Fault::RestartForgotten => return NDIS_STATUS_PENDING,
            Fault::RestartCompletesTwice => {
                api::restart_complete(self.adapter(), NDIS_STATUS_SUCCESS);
                api::restart_complete(self.adapter(), NDIS_STATUS_SUCCESS);
                return NDIS_STATUS_PENDING;
            }
            Fault::RestartAttributesSpoiled => {
                // SAFETY: NDIS passes a list for the time of the call.
                unsafe { (*parameters.RestartAttributes).Oid = 0 };
            }
            _ => {}
        }
        // Before it returns, frames may come.
        self.receive(&frame(MAC));
        if sched::chance(2) {
            return NDIS_STATUS_SUCCESS;
        }
        crate::native::defer(move || {
            api::restart_complete(card.adapter(), NDIS_STATUS_SUCCESS);
        });
        NDIS_STATUS_PENDING
    }

    fn send(&self, nbls: *mut NET_BUFFER_LIST, _port: u32, _flags: u32) {
        for nbl in api::unchain(nbls) {
            if let Some(status) = self.refusal() {
                self.complete(nbl, status);
                continue;
            }
            let held = self.with(|state| {
                if state.hold {
                    state.sending.push(nbl.expose_provenance());
                }
                state.hold
            });
            if !held {
                self.complete(nbl, NDIS_STATUS_SUCCESS);
            }
        }
    }

    fn return_nbls(&self, nbls: *mut NET_BUFFER_LIST, _flags: u32) {
        for nbl in api::unchain(nbls) {
            self.pool().release(nbl);
            self.with(|state| {
                state.receives_out -= 1;
                state.log.returned_asleep += u32::from(state.asleep);
            });
        }
        self.finish_pause();
    }

    fn cancel_send(&self, _cancel_id: usize) {}

    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        self.answer(request)
    }

    fn cancel_oid(&self, _request_id: usize) {}

    fn pnp_event(&self, event: &NET_DEVICE_PNP_EVENT) {
        self.with(|state| state.log.events.push(event.DevicePnPEvent));
        if event.DevicePnPEvent == NdisDevicePnPEventSurpriseRemoved {
            self.with(|state| state.gone = true);
            let status = self.refusal().unwrap_or(NDIS_STATUS_NOT_ACCEPTED);
            self.complete_all(status);
        }
    }

    fn shutdown(&self, action: NDIS_SHUTDOWN_ACTION) {
        self.with(|state| {
            state.running = false;
            state.log.shutdowns.push(action);
        });
        if action != NdisShutdownBugCheck {
            return;
        }
        match self.fault {
            Fault::WaitsInCrash => {
                let sleep = import!(NdisMSleep: fn(u32));
                // SAFETY: any number will do.
                unsafe { sleep(100) };
            }
            Fault::SetsEventInCrash => {
                let set = import!(NdisSetEvent: fn(*mut NDIS_EVENT));
                let mut event = NDIS_EVENT::zeroed();
                // SAFETY: the event is a local; only its state is touched.
                unsafe { set(&raw mut event) };
            }
            _ => {
                let stall = import!(KeStallExecutionProcessor: fn(u32));
                // SAFETY: any level, 50 us at most.
                unsafe { stall(20) };
            }
        }
    }

    fn checks_for_hang(&self) -> bool {
        self.checks
    }

    fn check_for_hang(&self) -> bool {
        let now = sched::now();
        self.with(|state| {
            state.log.checks.push(now);
            state.hangs
        })
    }

    fn reset(&self, addressing: &mut BOOLEAN) -> NDIS_STATUS {
        self.with(|state| {
            state.log.resets += 1;
            state.hangs = false;
        });
        if self.fault != Fault::ResetKeepsSends {
            self.complete_all(NDIS_STATUS_RESET_IN_PROGRESS);
        }
        *addressing = 1;
        let card = *self;
        match self.fault {
            Fault::ResetStatus => return NONSENSE,
            Fault::ResetForgotten => return NDIS_STATUS_PENDING,
            Fault::TellsOfReset => {
                api::indicate_status(self.adapter(), NDIS_STATUS_RESET_START, &[]);
            }
            Fault::ResetCompletesTwice => {
                api::reset_complete(self.adapter(), NDIS_STATUS_SUCCESS, true);
                api::reset_complete(self.adapter(), NDIS_STATUS_SUCCESS, true);
                return NDIS_STATUS_PENDING;
            }
            _ => {}
        }
        if sched::chance(2) {
            return NDIS_STATUS_SUCCESS;
        }
        crate::native::defer(move || {
            api::reset_complete(card.adapter(), NDIS_STATUS_SUCCESS, true);
        });
        NDIS_STATUS_PENDING
    }

    fn can_idle(&self) -> bool {
        true
    }

    fn idle_notification(&self, force: bool) -> NDIS_STATUS {
        match self.fault {
            Fault::IdleSucceeds => return NDIS_STATUS_SUCCESS,
            Fault::IdleBusyWhenForced => return NDIS_STATUS_BUSY,
            Fault::IdleForgotten => return NDIS_STATUS_PENDING,
            _ => {}
        }
        if !force && self.with(|state| !state.sending.is_empty()) {
            return NDIS_STATUS_BUSY;
        }
        self.with(|state| state.idle = true);
        let card = *self;
        // The bus lets it idle at once, or a moment later.
        if sched::chance(2) {
            card.confirm();
        } else {
            sched::spawn("the bus of the card", move || card.confirm());
        }
        NDIS_STATUS_PENDING
    }

    fn cancel_idle_notification(&self) {
        if self.fault != Fault::NeverWakes {
            self.with(|state| state.idle = false);
            api::idle_complete(self.adapter());
        }
    }
}

impl Card {
    fn confirm(&self) {
        let power = if self.fault == Fault::ConfirmsD0 {
            NdisDeviceStateD0
        } else {
            NdisDeviceStateD3
        };
        api::idle_confirm(self.adapter(), power);
        if self.fault == Fault::ConfirmsTwice {
            api::idle_confirm(self.adapter(), power);
        }
        if self.fault == Fault::ConfirmsD0 {
            // So that the notification ends somehow.
            api::idle_complete(self.adapter());
        }
    }
}
