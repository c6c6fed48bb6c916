//! A native protocol: sends frames, and keeps the frames that it receives.

use std::sync::Mutex;

use ndis_host::ndis::api::{self, NblPool};
use ndis_host::ndis::native::{BindContext, BindingHandle, Protocol, UnbindContext};
use ndis_host::sched;
use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_STATUS, NDIS_STATUS_INDICATION, NDIS_STATUS_LINK_STATE,
    NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NET_PNP_EVENT_NOTIFICATION, NetEventPause,
    NetEventRestart,
};

/// How the protocol breaks the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Returns every NBL twice.
    ReturnTwice,
    /// Closes with its packet filter set.
    KeepFilter,
    /// Never returns what it receives.
    KeepNbls,
    /// Leaves the adapter open at unbind.
    KeepOpen,
}

/// What the protocol does to a received NBL before it returns it.
static MEDDLE: Mutex<Option<fn(*mut NET_BUFFER_LIST)>> = Mutex::new(None);

/// Has the protocol do something to every NBL that it is lent, before it returns it.
pub(crate) fn meddle_with_receives(meddle: fn(*mut NET_BUFFER_LIST)) {
    *MEDDLE.lock().expect("no panic while it is locked") = Some(meddle);
}

#[derive(Default)]
struct State {
    binding: Option<BindingHandle>,
    running: bool,
    received: Vec<Vec<u8>>,
    completed: Vec<NDIS_STATUS>,
    links: u32,
    kept: Vec<usize>,
}

/// The protocol.
pub(crate) struct Stack {
    fault: Fault,
    pool: NblPool,
    state: Mutex<State>,
}

impl Stack {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            pool: NblPool::new("the test protocol"),
            state: Mutex::default(),
        }
    }

    fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> R {
        body(&mut self.state.lock().expect("no panic while it is locked"))
    }

    /// What it was lent and has kept, in the order of arrival.
    pub(crate) fn take_kept(&self) -> Vec<*mut NET_BUFFER_LIST> {
        let kept = self.with(|state| std::mem::take(&mut state.kept));
        let nbls = kept.into_iter().map(std::ptr::with_exposed_provenance_mut);
        nbls.collect()
    }

    pub(crate) fn binding(&self) -> BindingHandle {
        self.with(|state| state.binding)
            .expect("the protocol is bound")
    }

    pub(crate) fn is_bound(&self) -> bool {
        self.with(|state| state.binding.is_some())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.with(|state| state.running)
    }

    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.with(|state| state.received.clone())
    }

    pub(crate) fn completed(&self) -> Vec<NDIS_STATUS> {
        self.with(|state| state.completed.clone())
    }

    pub(crate) fn links(&self) -> u32 {
        self.with(|state| state.links)
    }

    /// Sends frames, each an NBL. At or below DISPATCH.
    pub(crate) fn send(&self, frames: &[Vec<u8>]) {
        let nbls: Vec<_> = frames.iter().map(|frame| self.pool.frame(frame)).collect();
        api::send(self.binding(), api::chain(&nbls), 0);
    }

    /// Sends frames as one NBL with a NET_BUFFER each.
    pub(crate) fn send_together(&self, frames: &[Vec<u8>]) {
        api::send(self.binding(), self.pool.frames(frames), 0);
    }
}

impl Protocol for &'static Stack {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        let binding = match api::open_adapter(bind, 1, parameters) {
            Ok(binding) => binding,
            Err(status) => return status,
        };
        self.with(|state| state.binding = Some(binding));
        let filter = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_BROADCAST;
        match api::set_packet_filter(binding, filter) {
            Ok(()) => NDIS_STATUS_SUCCESS,
            Err(status) => {
                self.with(|state| state.binding = None);
                api::close_adapter(binding);
                status
            }
        }
    }

    fn unbind(&self, _unbind: UnbindContext, _binding: usize) -> NDIS_STATUS {
        if self.fault == Fault::KeepOpen {
            return NDIS_STATUS_SUCCESS;
        }
        let binding = self.binding();
        if self.fault != Fault::KeepFilter {
            api::set_packet_filter(binding, 0).expect("a filter of 0 is accepted");
        }
        self.with(|state| state.binding = None);
        api::close_adapter(binding);
        NDIS_STATUS_SUCCESS
    }

    fn receive(
        &self,
        _binding: usize,
        nbls: *mut NET_BUFFER_LIST,
        _port: u32,
        count: u32,
        flags: u32,
    ) {
        if flags & NDIS_RECEIVE_FLAGS_RESOURCES != 0 {
            // Only to be looked at: the list stays as it is.
            let mut next = nbls;
            while !next.is_null() {
                let frames = api::read_frames(next);
                self.with(|state| state.received.extend(frames));
                // SAFETY: NDIS lends the list for the time of the call.
                next = unsafe { (*next).Next };
            }
            return;
        }
        let nbls = api::unchain(nbls);
        assert_eq!(
            nbls.len(),
            count as usize,
            "the count is the length of the list"
        );
        for nbl in &nbls {
            let frames = api::read_frames(*nbl);
            self.with(|state| state.received.extend(frames));
        }
        let meddle = *MEDDLE.lock().expect("no panic while it is locked");
        if let Some(meddle) = meddle {
            nbls.iter().for_each(|nbl| meddle(*nbl));
        }
        let (list, binding) = (api::chain(&nbls), self.binding());
        match self.fault {
            Fault::KeepNbls => {
                let kept = nbls.iter().map(|nbl| nbl.expose_provenance());
                self.with(|state| state.kept.extend(kept));
            }
            Fault::ReturnTwice => {
                let first = nbls[0];
                let rest = &nbls[1..];
                if !rest.is_empty() {
                    api::return_nbls(binding, api::chain(rest), 0);
                }
                api::chain(&[first]);
                api::return_nbls(binding, first, 0);
                api::return_nbls(binding, first, 0);
            }
            _ if sched::chance(2) => api::return_nbls(binding, list, 0),
            _ => {
                let list = list.expose_provenance();
                super::defer(move || {
                    let list = std::ptr::with_exposed_provenance_mut(list);
                    api::return_nbls(binding, list, 0);
                });
            }
        }
    }

    fn send_complete(&self, _binding: usize, nbls: *mut NET_BUFFER_LIST, _flags: u32) {
        for nbl in api::unchain(nbls) {
            let status = api::status_of(nbl);
            self.with(|state| state.completed.push(status));
            self.pool.release(nbl);
        }
    }

    fn status(&self, _binding: usize, indication: &NDIS_STATUS_INDICATION) {
        if indication.StatusCode == NDIS_STATUS_LINK_STATE {
            self.with(|state| state.links += 1);
        }
    }

    fn net_pnp_event(
        &self,
        _binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        match event.NetPnPEvent.NetEvent {
            NetEventPause => self.with(|state| state.running = false),
            NetEventRestart => self.with(|state| state.running = true),
            _ => {}
        }
        NDIS_STATUS_SUCCESS
    }
}
