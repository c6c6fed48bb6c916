//! The miniport's handlers.

use std::sync::{Arc, Mutex};

use devices::vf_port::{ReceiveFilter, VfEvents};
use ndis_host::ndis::api::{self, AdapterAttributes, NblPool};
use ndis_host::ndis::native::{AdapterHandle, Miniport, OidRequestRef};
use ndis_host::sched::{self, DpcId};
use ndis_sys::{
    NDIS_HALT_ACTION, NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_SHUTDOWN_ACTION, NDIS_STATUS, NDIS_STATUS_PENDING,
    NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NET_DEVICE_PNP_EVENT, NdisDevicePnPEventSurpriseRemoved,
};

use super::{Events, Phase, SPEED, Vf, oids};
use crate::nbl::lock;

/// Numbers of the DPCs that complete requests.
const REQUEST_DPC: u64 = 0x7f20_0000_0000;
/// How long a request may take, ns.
const LONGEST_REQUEST_NS: u64 = 200_000;

impl Miniport for Vf {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        _parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        let hardware = self.control.hardware();
        let attributes = AdapterAttributes {
            mtu: self.control.options().mtu,
            speed_bps: SPEED,
            max_speed_bps: SPEED,
            connected: hardware.link_up(),
            multicast_slots: oids::MULTICAST_SLOTS,
            attribute_flags: self.control.options().power.flags(),
            power: self.control.options().power.capabilities(),
            ..AdapterAttributes::ethernet(hardware.mac())
        };
        let status = api::declare(adapter, &attributes);
        if status != NDIS_STATUS_SUCCESS {
            return status;
        }
        self.control.count(|c| c.starts += 1);
        let pool = NblPool::new("VF");
        {
            let mut state = lock(&self.state);
            (state.adapter, state.pool) = (Some(adapter), Some(pool));
            state.phase = Phase::Paused;
        }
        let events: Arc<Mutex<dyn VfEvents>> = Arc::new(Mutex::new(Events(self.this.clone())));
        hardware.set_events(Some(events));
        NDIS_STATUS_SUCCESS
    }

    fn halt(&self, _action: NDIS_HALT_ACTION) {
        let hardware = self.control.hardware();
        hardware.set_events(None);
        hardware.set_filter(ReceiveFilter::default());
        lock(&self.state).phase = Phase::Halted;
        sched::remove_dpc(self.dpc);
        sched::wait("the VF's DPC", || !sched::is_dpc_active(self.dpc), None);
        let pool = {
            let mut state = lock(&self.state);
            state.adapter = None;
            state.pool.take()
        };
        if let Some(pool) = pool {
            pool.free();
        }
    }

    fn pause(&self, _parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        lock(&self.state).phase = Phase::Pausing;
        self.give_back_unsent();
        let mut state = lock(&self.state);
        if state.is_quiet() {
            state.phase = Phase::Paused;
            return NDIS_STATUS_SUCCESS;
        }
        state.pause_pends = true;
        NDIS_STATUS_PENDING
    }

    fn restart(&self, _parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        {
            let mut state = lock(&self.state);
            state.phase = Phase::Running;
            state.news.received = true;
        }
        self.ask_dpc();
        NDIS_STATUS_SUCCESS
    }

    fn send(&self, nbls: *mut NET_BUFFER_LIST, _port: u32, _flags: u32) {
        self.take_sends(nbls);
    }

    fn return_nbls(&self, nbls: *mut NET_BUFFER_LIST, _flags: u32) {
        self.take_back(nbls);
    }

    /// The hardware sends within microseconds: nothing is worth searching for.
    fn cancel_send(&self, _cancel_id: usize) {}

    /// Served at once; told at once or, by seed, later from a DPC.
    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        let status = self.serve_request(request);
        let adapter = lock(&self.state).adapter;
        let later = status != NDIS_STATUS_PENDING && sched::chance(2);
        let Some(adapter) = adapter.filter(|_| later) else {
            return status;
        };
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        let dpc = DpcId(REQUEST_DPC + request.0.addr() as u64);
        sched::after(sched::random_below(LONGEST_REQUEST_NS), move || {
            sched::queue_dpc(cpu, dpc, move || {
                api::oid_complete(adapter, request, status)
            });
        });
        NDIS_STATUS_PENDING
    }

    fn cancel_oid(&self, _request_id: usize) {}

    fn pnp_event(&self, event: &NET_DEVICE_PNP_EVENT) {
        if event.DevicePnPEvent == NdisDevicePnPEventSurpriseRemoved {
            self.control.hardware().withdraw();
            lock(&self.state).gone = true;
            self.abort_all();
            self.finish_pause();
        }
    }

    fn shutdown(&self, _action: NDIS_SHUTDOWN_ACTION) {
        self.control.hardware().set_filter(ReceiveFilter::default());
    }
}

impl Vf {
    /// A pause that pends is complete once nothing is out.
    pub(super) fn finish_pause(&self) {
        let done = {
            let mut state = lock(&self.state);
            let done = state.pause_pends && state.is_quiet();
            if done {
                state.pause_pends = false;
                state.phase = Phase::Paused;
            }
            state.adapter.filter(|_| done)
        };
        if let Some(adapter) = done {
            api::pause_complete(adapter);
        }
    }
}
