//! The driver: a miniport above, a protocol below, and its faults.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ndis_host::ndis::api::{self, AdapterAttributes};
use ndis_host::ndis::native::{
    AdapterHandle, BindContext, BindingHandle, Miniport, OidRequestRef, Protocol, UnbindContext,
};
use ndis_host::sched;
use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_HALT_ACTION, NDIS_HANDLE, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_RECEIVE_FLAGS_RESOURCES,
    NDIS_SHUTDOWN_ACTION, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_INDICATION,
    NDIS_STATUS_PAUSED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_DEVICE_PNP_EVENT, NET_PNP_EVENT_NOTIFICATION, NetEventPause, NetEventRestart,
};

use crate::hooked_card::Nbl;
use crate::native::linked::import;

/// The address of the driver's own adapter.
const UPPER_MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x99];

/// How the driver breaks the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Sends on with SourceHandle as it came.
    KeepSource,
    /// Gives back a send with the lower handle in it.
    KeepLowerSource,
    /// Indicates what it was only shown as if it could be kept.
    LendShown,
    /// Indicates with SourceHandle as it came.
    KeepReceiveSource,
    /// Writes MiniportReserved of the lower miniport's NBL.
    WriteReserved,
    /// Says that it is paused while the adapter above has NBLs from below.
    PauseEarly,
    /// Indicates while it is paused.
    IndicatePaused,
    /// Sends on a binding that is paused.
    SendPaused,
    /// Passes on a status indication as it came.
    PassStatus,
    /// Cancels nothing below.
    ForgetCancel,
    /// Opens its own adapter.
    BindOwn,
}

#[derive(Default)]
struct State {
    upper: Option<AdapterHandle>,
    lower: Option<BindingHandle>,
    upper_runs: bool,
    lower_runs: bool,
    pausing: bool,
    /// SourceHandle of what was passed on, by NBL.
    sources: BTreeMap<usize, u64>,
    sends: usize,
    receives: usize,
}

/// The driver.
pub(super) struct Edge {
    fault: Fault,
    state: Mutex<State>,
}

impl Edge {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            fault,
            state: Mutex::default(),
        }
    }

    fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> R {
        body(&mut self.state.lock().expect("no panic while it is locked"))
    }

    fn upper(&self) -> AdapterHandle {
        self.with(|state| state.upper).expect("it is initialized")
    }

    /// Puts a handle into an NBL and keeps the one that was there.
    fn exchange(&self, nbl: Nbl, handle: u64) {
        // SAFETY: the driver has the NBL.
        let source = unsafe { (*nbl).SourceHandle };
        self.with(|state| state.sources.insert(nbl.addr(), source.addr() as u64));
        api::set_source(nbl, handle);
    }

    fn restore(&self, nbl: Nbl) {
        let source = self.with(|state| state.sources.remove(&nbl.addr()));
        if let Some(source) = source {
            api::set_source(nbl, source);
        }
    }

    fn finish_pause(&self) {
        let done = self.with(|state| {
            let done = state.pausing && state.sends == 0 && state.receives == 0;
            state.pausing &= !done;
            done
        });
        if done {
            api::pause_complete(self.upper());
        }
    }

    /// MiniportSendNetBufferLists: on to the lower adapter.
    fn pass_down(&self, nbl: Nbl) {
        let (lower, runs) = self.with(|state| (state.lower, state.lower_runs));
        let lower = lower.filter(|_| runs || self.fault == Fault::SendPaused);
        let Some(lower) = lower else {
            api::set_status(nbl, NDIS_STATUS_PAUSED);
            api::send_complete(self.upper(), nbl, 0);
            return;
        };
        self.exchange(nbl, lower.0);
        if self.fault == Fault::KeepSource {
            self.restore(nbl);
        }
        self.with(|state| state.sends += 1);
        let send = import!(NdisSendNetBufferLists: fn(NDIS_HANDLE, *mut NET_BUFFER_LIST, u32, u32));
        // SAFETY: the driver has the NBL.
        unsafe { send(raw(lower.0), nbl, 0, 0) }
    }

    /// ProtocolReceiveNetBufferLists: on to the adapter above.
    fn pass_up(&self, nbls: Vec<Nbl>, flags: u32) {
        let shown = flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0;
        let runs = self.with(|state| state.upper_runs);
        if !runs && self.fault != Fault::IndicatePaused {
            if shown {
                api::chain(&nbls);
            } else {
                self.give_back(&nbls);
            }
            return;
        }
        for nbl in &nbls {
            if self.fault != Fault::KeepReceiveSource {
                self.exchange(*nbl, self.upper().0);
            }
            if self.fault == Fault::WriteReserved {
                // SAFETY: the NBL is on loan; what is written is not the driver's.
                unsafe { (**nbl).MiniportReserved[0] = std::ptr::without_provenance_mut(7) };
            }
        }
        let flags = match self.fault {
            Fault::LendShown => 0,
            _ => flags & NDIS_RECEIVE_FLAGS_RESOURCES,
        };
        if !shown {
            self.with(|state| state.receives += nbls.len());
        }
        let indicate = import!(NdisMIndicateReceiveNetBufferLists: fn(
            NDIS_HANDLE, *mut NET_BUFFER_LIST, u32, u32, u32,
        ));
        let list = api::chain(&nbls);
        // SAFETY: the driver has the NBLs.
        unsafe { indicate(raw(self.upper().0), list, 0, nbls.len() as u32, flags) }
        if shown {
            nbls.iter().for_each(|nbl| self.restore(*nbl));
        }
    }

    fn give_back(&self, nbls: &[Nbl]) {
        let lower = self.with(|state| state.lower).expect("it is bound");
        api::return_nbls(lower, api::chain(nbls), 0);
    }
}

fn raw(handle: u64) -> NDIS_HANDLE {
    std::ptr::without_provenance_mut(handle as usize)
}

impl Miniport for &'static Edge {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        _parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        self.with(|state| state.upper = Some(adapter));
        api::declare(adapter, &AdapterAttributes::ethernet(UPPER_MAC))
    }

    fn halt(&self, _action: NDIS_HALT_ACTION) {}

    fn pause(&self, _parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        let early = self.fault == Fault::PauseEarly;
        self.with(|state| {
            state.upper_runs = false;
            state.pausing = !early && (state.sends > 0 || state.receives > 0);
            if state.pausing {
                NDIS_STATUS_PENDING
            } else {
                NDIS_STATUS_SUCCESS
            }
        })
    }

    fn restart(&self, _parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        self.with(|state| state.upper_runs = true);
        NDIS_STATUS_SUCCESS
    }

    fn send(&self, nbls: Nbl, _port: u32, _flags: u32) {
        for nbl in api::unchain(nbls) {
            self.pass_down(nbl);
        }
    }

    fn return_nbls(&self, nbls: Nbl, _flags: u32) {
        let nbls = api::unchain(nbls);
        nbls.iter().for_each(|nbl| self.restore(*nbl));
        self.give_back(&nbls);
        self.with(|state| state.receives -= nbls.len());
        self.finish_pause();
    }

    fn cancel_send(&self, cancel_id: usize) {
        let lower = self.with(|state| state.lower);
        if let Some(lower) = lower.filter(|_| self.fault != Fault::ForgetCancel) {
            api::cancel_sends(lower, cancel_id);
        }
    }

    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        request.set_read(request.input().len() as u32);
        NDIS_STATUS_SUCCESS
    }

    fn cancel_oid(&self, _request_id: usize) {}

    fn pnp_event(&self, _event: &NET_DEVICE_PNP_EVENT) {}

    fn shutdown(&self, _action: NDIS_SHUTDOWN_ACTION) {}
}

impl Protocol for &'static Edge {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        let own = parameters.CurrentMacAddress[..6] == UPPER_MAC;
        if own && self.fault != Fault::BindOwn {
            return NDIS_STATUS_FAILURE;
        }
        match api::open_adapter(bind, 1, parameters) {
            Ok(binding) => {
                let all = ndis_sys::NDIS_PACKET_TYPE_PROMISCUOUS;
                api::set_packet_filter(binding, all).expect("the card takes it");
                self.with(|state| state.lower = Some(binding));
                NDIS_STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    fn unbind(&self, _unbind: UnbindContext, _binding: usize) -> NDIS_STATUS {
        if let Some(lower) = self.with(|state| state.lower) {
            let _ = api::set_packet_filter(lower, 0);
            self.with(|state| state.lower = None);
            api::close_adapter(lower);
        }
        NDIS_STATUS_SUCCESS
    }

    fn receive(&self, _binding: usize, nbls: Nbl, _port: u32, _count: u32, flags: u32) {
        self.pass_up(api::unchain(nbls), flags);
    }

    fn send_complete(&self, _binding: usize, nbls: Nbl, _flags: u32) {
        for nbl in api::unchain(nbls) {
            if self.fault != Fault::KeepLowerSource {
                self.restore(nbl);
            }
            self.with(|state| state.sends -= 1);
            api::send_complete(self.upper(), nbl, 0);
        }
        self.finish_pause();
    }

    fn status(&self, _binding: usize, indication: &NDIS_STATUS_INDICATION) {
        if self.fault == Fault::PassStatus {
            let indicate = import!(NdisMIndicateStatusEx: fn(
                NDIS_HANDLE, *const NDIS_STATUS_INDICATION,
            ));
            // SAFETY: NDIS lends the indication for the time of the call.
            unsafe { indicate(raw(self.upper().0), indication) }
        }
    }

    fn net_pnp_event(
        &self,
        _binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        match event.NetPnPEvent.NetEvent {
            NetEventPause => {
                self.with(|state| state.lower_runs = false);
                sched::wait(
                    "the sends below",
                    || self.with(|state| state.sends == 0),
                    None,
                );
            }
            NetEventRestart => self.with(|state| state.lower_runs = true),
            _ => {}
        }
        NDIS_STATUS_SUCCESS
    }
}
