//! The protocol driver's callbacks.

use ndis_host::ndis::api;
use ndis_host::ndis::native::{BindContext, BindingHandle, Protocol, UnbindContext};
use ndis_host::sched::{self, Mode};
use ndis_sys::{
    MediaConnectStateConnected, NDIS_BIND_PARAMETERS, NDIS_STATUS, NDIS_STATUS_INDICATION,
    NDIS_STATUS_NOT_RECOGNIZED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_DEVICE_POWER_STATE, NET_PNP_EVENT_NOTIFICATION, NetDeviceStateD0, NetEventPause,
    NetEventRestart, NetEventSetPower,
};

use super::{BINDING_CONTEXT, TcpIp, settings};
use crate::nbl::lock;

/// A notification that is answered later. NDIS keeps it until then.
struct Unanswered(*const NET_PNP_EVENT_NOTIFICATION);

// SAFETY: the address may travel; NDIS keeps the notification until it is answered.
unsafe impl Send for Unanswered {}

impl Protocol for TcpIp {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        if parameters.CurrentMacAddress[..6] != self.config.mac || self.is_bound() {
            return NDIS_STATUS_NOT_RECOGNIZED;
        }
        match self.open(bind, parameters) {
            Ok(()) => NDIS_STATUS_SUCCESS,
            Err(status) => status,
        }
    }

    fn unbind(&self, _unbind: UnbindContext, _binding: usize) -> NDIS_STATUS {
        self.rest(true);
        sched::wait(
            "TCP/IP's sends and receives",
            || lock(&self.edge).is_quiet(),
            None,
        );
        let binding = lock(&self.edge).binding;
        if let Some(binding) = binding {
            settings::undo(binding);
            self.close(binding);
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
        self.receives_came(nbls, flags);
    }

    fn send_complete(&self, _binding: usize, nbls: *mut NET_BUFFER_LIST, _flags: u32) {
        self.sends_came_back(nbls);
    }

    fn status(&self, _binding: usize, indication: &NDIS_STATUS_INDICATION) {
        self.heard(indication);
    }

    fn net_pnp_event(
        &self,
        binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        match (binding, event.NetPnPEvent.NetEvent) {
            (Some(_), NetEventPause) => self.pause(event),
            (Some(_), NetEventSetPower) => self.set_power(event),
            (Some(_), NetEventRestart) => {
                self.resume();
                NDIS_STATUS_SUCCESS
            }
            _ => NDIS_STATUS_SUCCESS,
        }
    }
}

impl TcpIp {
    fn open(
        &self,
        bind: BindContext,
        parameters: &NDIS_BIND_PARAMETERS,
    ) -> Result<(), NDIS_STATUS> {
        // What NDIS tells as soon as the adapter is open is newer than the parameters.
        self.link_is(parameters.MediaConnectState == MediaConnectStateConnected);
        let opened = api::open_adapter(bind, BINDING_CONTEXT, parameters);
        let binding = opened.inspect_err(|_| lock(&self.edge).link_up = false)?;
        lock(&self.edge).binding = Some(binding);
        if sched::mode() == Mode::FreeRunning {
            self.ask_for_link(binding);
        }
        settings::apply(binding, self.config.address).inspect_err(|_| {
            settings::undo(binding);
            self.close(binding);
        })
    }

    fn close(&self, binding: BindingHandle) {
        api::close_adapter(binding);
        let mut edge = lock(&self.edge);
        edge.binding = None;
        edge.link_up = false;
    }

    /// NetEventPause: sends have to be back before it is answered. NDIS doesn't ask for receives
    /// here, so by seed they take the time that they would have taken anyway.
    fn pause(&self, event: &NET_PNP_EVENT_NOTIFICATION) -> NDIS_STATUS {
        self.rest(sched::chance(2));
        self.answer_when_idle(event)
    }

    /// NetEventSetPower: in low power nothing is sent, and sends have to be back before it is
    /// answered.
    fn set_power(&self, event: &NET_PNP_EVENT_NOTIFICATION) -> NDIS_STATUS {
        let power = event.NetPnPEvent.Buffer.cast::<NET_DEVICE_POWER_STATE>();
        // SAFETY: the event's buffer is a power state.
        let on = unsafe { power.read() } == NetDeviceStateD0;
        lock(&self.edge).asleep = !on;
        if on {
            self.wake_worker();
            return NDIS_STATUS_SUCCESS;
        }
        self.answer_when_idle(event)
    }

    /// At once or, by seed, later.
    fn answer_when_idle(&self, event: &NET_PNP_EVENT_NOTIFICATION) -> NDIS_STATUS {
        if sched::chance(2) {
            self.wait_for_sends();
            return NDIS_STATUS_SUCCESS;
        }
        let binding = lock(&self.edge).binding;
        let Some(binding) = binding else {
            return NDIS_STATUS_SUCCESS;
        };
        let (tcpip, event) = (self.shared(), Unanswered(event));
        sched::spawn("TCP/IP's sends end", move || {
            let event = event;
            tcpip.wait_for_sends();
            // SAFETY: NDIS keeps the notification until it is answered, which is here.
            let event = unsafe { &*event.0 };
            api::complete_pnp_event(binding, event, NDIS_STATUS_SUCCESS);
        });
        NDIS_STATUS_PENDING
    }

    /// No new sends from now on.
    fn rest(&self, hurry: bool) {
        {
            let mut edge = lock(&self.edge);
            edge.running = false;
            edge.hurry = hurry;
        }
        self.wake_worker();
    }

    fn wait_for_sends(&self) {
        sched::wait("TCP/IP's sends", || lock(&self.edge).in_flight == 0, None);
    }

    fn resume(&self) {
        {
            let mut edge = lock(&self.edge);
            edge.running = true;
            edge.hurry = false;
            edge.counters.restarts += 1;
        }
        self.wake_worker();
    }
}
