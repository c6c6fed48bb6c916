//! A second protocol above the adapter: it listens to everything, and sends nothing.
//!
//! It may be bound to one adapter at a time. Frames that it is lent go back at once or from a DPC.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ndis_host::ndis::api;
use ndis_host::ndis::native::{BindContext, BindingHandle, Protocol, UnbindContext};
use ndis_host::sched::{self, DpcId};
use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_STATUS,
    NDIS_STATUS_INDICATION, NDIS_STATUS_NOT_RECOGNIZED, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_PNP_EVENT_NOTIFICATION,
};

use crate::nbl::lock;

/// Name of the protocol.
pub const SERVICE: &str = "LISTENER";
/// Numbers of the DPCs that give frames back.
const FIRST_DPC: u64 = 0x7f30_0000_0000;
const BINDING_CONTEXT: usize = 1;

static DPCS: AtomicU64 = AtomicU64::new(FIRST_DPC);

/// The protocol.
#[derive(Default)]
pub struct Listener {
    binding: Mutex<Option<BindingHandle>>,
}

impl Listener {
    /// A listener that is not bound.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn listen(&self, binding: BindingHandle) -> Result<(), NDIS_STATUS> {
        let ordinary = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST;
        let filter = if sched::chance(2) {
            ordinary | NDIS_PACKET_TYPE_PROMISCUOUS
        } else {
            ordinary
        };
        api::set_packet_filter(binding, filter)
    }
}

impl Protocol for Listener {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        if lock(&self.binding).is_some() {
            return NDIS_STATUS_NOT_RECOGNIZED;
        }
        let binding = match api::open_adapter(bind, BINDING_CONTEXT, parameters) {
            Ok(binding) => binding,
            Err(status) => return status,
        };
        *lock(&self.binding) = Some(binding);
        match self.listen(binding) {
            Ok(()) => NDIS_STATUS_SUCCESS,
            Err(status) => {
                *lock(&self.binding) = None;
                api::close_adapter(binding);
                status
            }
        }
    }

    fn unbind(&self, _unbind: UnbindContext, _binding: usize) -> NDIS_STATUS {
        let binding = *lock(&self.binding);
        if let Some(binding) = binding {
            // An adapter that is gone refuses, which is as good.
            let _ = api::set_packet_filter(binding, 0);
            api::close_adapter(binding);
            *lock(&self.binding) = None;
        }
        NDIS_STATUS_SUCCESS
    }

    fn receive(
        &self,
        _binding: usize,
        nbls: *mut NET_BUFFER_LIST,
        _port: u32,
        _count: u32,
        flags: u32,
    ) {
        if flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0 {
            return;
        }
        let binding = *lock(&self.binding);
        let Some(binding) = binding else {
            unreachable!("nothing is received without a binding");
        };
        if sched::chance(2) {
            api::return_nbls(binding, nbls, 0);
            return;
        }
        let nbls = nbls.expose_provenance();
        let dpc = DpcId(DPCS.fetch_add(1, Ordering::Relaxed));
        let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
        sched::queue_dpc(cpu, dpc, move || {
            api::return_nbls(binding, std::ptr::with_exposed_provenance_mut(nbls), 0);
        });
    }

    fn send_complete(&self, _binding: usize, _nbls: *mut NET_BUFFER_LIST, _flags: u32) {
        unreachable!("nothing is sent");
    }

    fn status(&self, _binding: usize, _indication: &NDIS_STATUS_INDICATION) {}

    fn net_pnp_event(
        &self,
        _binding: Option<usize>,
        _event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        NDIS_STATUS_SUCCESS
    }
}
