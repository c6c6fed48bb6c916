//! A native miniport: a NIC whose wire is a list of frames.

use std::sync::{Mutex, OnceLock};

use ndis_host::ndis::OidKind;
use ndis_host::ndis::api::{self, AdapterAttributes, NblPool};
use ndis_host::ndis::native::{AdapterHandle, Miniport, OidRequestRef};
use ndis_host::sched;
use ndis_sys::{
    NDIS_HALT_ACTION, NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_SHUTDOWN_ACTION, NDIS_STATUS, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_PAUSED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_DEVICE_PNP_EVENT, OID_802_3_CURRENT_ADDRESS, OID_802_3_MULTICAST_LIST,
    OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER,
};

/// The NIC's address.
pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// How the NIC breaks the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Completes every send twice.
    CompleteTwice,
    /// Completes with NDIS_STATUS_PENDING.
    CompletePending,
    /// Says that it has paused while sends are out.
    PauseTooEarly,
    /// Leaks an NBL.
    LeakNbl,
    /// Returns PENDING for OIDs and forgets them.
    ForgetOid,
    /// Forgets sends.
    ForgetSends,
    /// Changes a slot that belongs to the sender.
    SpoilSlot,
    /// Completes an OID request twice.
    CompleteOidTwice,
}

/// What the NIC does to a sent NBL before it completes it.
static MEDDLE: Mutex<Option<fn(*mut NET_BUFFER_LIST)>> = Mutex::new(None);

/// Has the NIC do something to every sent NBL before it completes it.
pub(crate) fn meddle_with_sends(meddle: fn(*mut NET_BUFFER_LIST)) {
    *MEDDLE.lock().expect("no panic while it is locked") = Some(meddle);
}

#[derive(Default)]
struct State {
    adapter: Option<AdapterHandle>,
    running: bool,
    pausing: bool,
    /// NBLs that wait for the completion of their sending.
    sending: Vec<usize>,
    receives_out: usize,
    transmitted: Vec<Vec<u8>>,
    filter: u32,
}

/// The NIC.
pub(crate) struct Nic {
    fault: Fault,
    pool: OnceLock<NblPool>,
    state: Mutex<State>,
}

impl Nic {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            pool: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> R {
        body(&mut self.state.lock().expect("no panic while it is locked"))
    }

    pub(crate) fn adapter(&self) -> AdapterHandle {
        self.with(|state| state.adapter)
            .expect("the NIC is initialized")
    }

    /// The frames that left the NIC.
    pub(crate) fn transmitted(&self) -> Vec<Vec<u8>> {
        self.with(|state| state.transmitted.clone())
    }

    pub(crate) fn filter(&self) -> u32 {
        self.with(|state| state.filter)
    }

    pub(crate) fn receives_out(&self) -> usize {
        self.with(|state| state.receives_out)
    }

    /// Indicates frames, each an NBL. At or below DISPATCH.
    pub(crate) fn receive(&self, frames: &[Vec<u8>], resources: bool) {
        let pool = self.pool.get().expect("the NIC is initialized");
        let nbls: Vec<_> = frames.iter().map(|frame| pool.frame(frame)).collect();
        let flags = if resources {
            ndis_sys::NDIS_RECEIVE_FLAGS_RESOURCES
        } else {
            0
        };
        if !resources {
            self.with(|state| state.receives_out += nbls.len());
        }
        let list = api::chain(&nbls);
        api::indicate(self.adapter(), list, 0, nbls.len() as u32, flags);
        if resources {
            nbls.into_iter().for_each(|nbl| pool.release(nbl));
        }
    }

    /// Indicates an NBL; it comes back to the NIC, which frees it. At or below DISPATCH.
    pub(crate) fn lend(&self, nbl: *mut NET_BUFFER_LIST) {
        self.with(|state| state.receives_out += 1);
        api::indicate(self.adapter(), nbl, 0, 1, 0);
    }

    fn complete(&self, nbl: *mut NET_BUFFER_LIST) {
        let status = match self.fault {
            Fault::CompletePending => NDIS_STATUS_PENDING,
            _ => NDIS_STATUS_SUCCESS,
        };
        api::set_status(nbl, status);
        if self.fault == Fault::SpoilSlot {
            api::set_info(nbl, 13, 0x77);
        }
        let meddle = *MEDDLE.lock().expect("no panic while it is locked");
        if let Some(meddle) = meddle {
            meddle(nbl);
        }
        self.with(|state| state.sending.retain(|other| *other != nbl.addr()));
        api::send_complete(self.adapter(), nbl, 0);
        if self.fault == Fault::CompleteTwice {
            api::send_complete(self.adapter(), nbl, 0);
        }
        self.finish_pause();
    }

    /// Completes a pause that waited for the last NBL.
    fn finish_pause(&self) {
        let done = self.with(|state| {
            let idle = state.sending.is_empty() && state.receives_out == 0;
            let done = state.pausing && idle;
            state.pausing &= !done;
            done
        });
        if done {
            api::pause_complete(self.adapter());
        }
    }
}

impl Miniport for &'static Nic {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        _parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        self.with(|state| state.adapter = Some(adapter));
        self.pool.get_or_init(|| NblPool::new("the test NIC"));
        api::declare(adapter, &AdapterAttributes::ethernet(MAC))
    }

    fn halt(&self, _action: NDIS_HALT_ACTION) {
        let pool = self.pool.get().expect("the NIC is initialized");
        if self.fault == Fault::LeakNbl {
            pool.frame(&[0; 60]);
        }
        pool.free();
    }

    fn pause(&self, _parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        let busy = self.with(|state| {
            state.running = false;
            let busy = !state.sending.is_empty() || state.receives_out > 0;
            state.pausing = busy && self.fault != Fault::PauseTooEarly;
            busy
        });
        if busy && self.fault != Fault::PauseTooEarly {
            NDIS_STATUS_PENDING
        } else {
            NDIS_STATUS_SUCCESS
        }
    }

    fn restart(&self, _parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        self.with(|state| state.running = true);
        NDIS_STATUS_SUCCESS
    }

    fn send(&self, nbls: *mut NET_BUFFER_LIST, _port: u32, _flags: u32) {
        for nbl in api::unchain(nbls) {
            let running = self.with(|state| state.running);
            if !running {
                api::set_status(nbl, NDIS_STATUS_PAUSED);
                api::send_complete(self.adapter(), nbl, 0);
                continue;
            }
            let frames = api::read_frames(nbl);
            self.with(|state| {
                state.transmitted.extend(frames);
                state.sending.push(nbl.addr());
            });
            if matches!(self.fault, Fault::ForgetSends | Fault::PauseTooEarly) {
                continue;
            }
            if sched::chance(2) {
                self.complete(nbl);
                continue;
            }
            let (nic, nbl) = (*self, nbl.expose_provenance());
            super::defer(move || {
                nic.complete(std::ptr::with_exposed_provenance_mut(nbl));
            });
        }
    }

    fn return_nbls(&self, nbls: *mut NET_BUFFER_LIST, _flags: u32) {
        let pool = self.pool.get().expect("the NIC is initialized");
        for nbl in api::unchain(nbls) {
            pool.release(nbl);
            self.with(|state| state.receives_out -= 1);
        }
        self.finish_pause();
    }

    fn cancel_send(&self, _cancel_id: usize) {}

    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        if self.fault == Fault::ForgetOid {
            return NDIS_STATUS_PENDING;
        }
        let status = self.answer(request);
        let nic = *self;
        if self.fault == Fault::CompleteOidTwice {
            api::oid_complete(nic.adapter(), request, status);
            api::oid_complete(nic.adapter(), request, status);
            return NDIS_STATUS_PENDING;
        }
        if sched::chance(2) {
            return status;
        }
        sched::spawn("the NIC's OID thread", move || {
            api::oid_complete(nic.adapter(), request, status);
        });
        NDIS_STATUS_PENDING
    }

    fn cancel_oid(&self, _request_id: usize) {}

    fn pnp_event(&self, _event: &NET_DEVICE_PNP_EVENT) {}

    fn shutdown(&self, _action: NDIS_SHUTDOWN_ACTION) {}
}

impl Nic {
    fn answer(&self, request: OidRequestRef) -> NDIS_STATUS {
        match (request.oid(), request.kind()) {
            (OID_GEN_CURRENT_PACKET_FILTER, OidKind::Set) => {
                let bytes = request
                    .input()
                    .first_chunk::<4>()
                    .expect("NDIS checks the length");
                self.with(|state| state.filter = u32::from_le_bytes(*bytes));
                request.set_read(4);
                NDIS_STATUS_SUCCESS
            }
            (OID_802_3_MULTICAST_LIST | OID_GEN_CURRENT_LOOKAHEAD, OidKind::Set) => {
                request.set_read(request.input().len() as u32);
                NDIS_STATUS_SUCCESS
            }
            (OID_802_3_CURRENT_ADDRESS, OidKind::Query) => {
                if request.write(&MAC) {
                    NDIS_STATUS_SUCCESS
                } else {
                    ndis_sys::NDIS_STATUS_INVALID_LENGTH
                }
            }
            _ => NDIS_STATUS_NOT_SUPPORTED,
        }
    }
}
