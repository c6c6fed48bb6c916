//! A NIC of hooks: it does everything right, but for what a test puts in place of it.

use std::sync::{Arc, Mutex};

use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::ndis::api::{self, AdapterAttributes, NblPool};
use ndis_host::ndis::native::{AdapterHandle, Miniport, OidRequestRef};
use ndis_host::pnp::{self, DeviceId};
use ndis_sys::{
    NDIS_HALT_ACTION, NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_SHUTDOWN_ACTION, NDIS_STATUS, NDIS_STATUS_PENDING,
    NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, NET_DEVICE_PNP_EVENT,
};

use crate::native::nic::MAC;
use crate::native::stack::{self, Stack};

pub(crate) type Nbl = *mut NET_BUFFER_LIST;

/// What a card does in its handlers.
#[derive(Clone, Copy)]
pub(crate) struct Hooks {
    pub(crate) attributes: fn() -> AdapterAttributes,
    /// At the end of MiniportInitializeEx, with the attributes declared.
    pub(crate) initialized: fn(&'static Card) -> NDIS_STATUS,
    pub(crate) halting: fn(&'static Card),
    pub(crate) send: fn(&'static Card, Nbl),
    pub(crate) cancel: fn(&'static Card, usize),
    pub(crate) oid: fn(&'static Card, OidRequestRef) -> NDIS_STATUS,
}

/// Everything right.
pub(crate) const RIGHT: Hooks = Hooks {
    attributes: || AdapterAttributes::ethernet(MAC),
    initialized: |_| NDIS_STATUS_SUCCESS,
    halting: |_| {},
    send: |card, nbl| card.complete(nbl, NDIS_STATUS_SUCCESS),
    cancel: |_, _| {},
    oid: |_, request| {
        request.set_read(request.input().len() as u32);
        NDIS_STATUS_SUCCESS
    },
};

#[derive(Default)]
struct State {
    adapter: Option<AdapterHandle>,
    pool: Option<NblPool>,
    pausing: bool,
    receives_out: usize,
    kept: Vec<usize>,
    inside: u32,
    most_inside: u32,
}

/// The NIC.
pub(crate) struct Card {
    hooks: Hooks,
    state: Mutex<State>,
}

impl Card {
    fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> R {
        body(&mut self.state.lock().expect("no panic while it is locked"))
    }

    pub(crate) fn adapter(&self) -> AdapterHandle {
        self.with(|state| state.adapter).expect("it is initialized")
    }

    pub(crate) fn pool(&self) -> NblPool {
        self.with(|state| state.pool).expect("it is initialized")
    }

    /// Completes a send.
    pub(crate) fn complete(&'static self, nbl: Nbl, status: NDIS_STATUS) {
        api::set_status(nbl, status);
        api::send_complete(self.adapter(), nbl, 0);
        self.finish_pause();
    }

    /// Keeps a send for later.
    pub(crate) fn keep(&self, nbl: Nbl) {
        self.with(|state| state.kept.push(nbl.expose_provenance()));
    }

    /// What was kept.
    pub(crate) fn take_kept(&self) -> Vec<Nbl> {
        let kept = self.with(|state| std::mem::take(&mut state.kept));
        kept.into_iter()
            .map(std::ptr::with_exposed_provenance_mut)
            .collect()
    }

    /// The most handlers of the data path that ran at a time.
    pub(crate) fn most_inside(&self) -> u32 {
        self.with(|state| state.most_inside)
    }

    pub(crate) fn receives_out(&self) -> usize {
        self.with(|state| state.receives_out)
    }

    /// Indicates NBLs of the card's pool.
    pub(crate) fn indicate(&self, nbls: &[Nbl], flags: u32) {
        let shown = flags & ndis_sys::NDIS_RECEIVE_FLAGS_RESOURCES != 0;
        if !shown {
            self.with(|state| state.receives_out += nbls.len());
        }
        let list = api::chain(nbls);
        api::indicate(self.adapter(), list, 0, nbls.len() as u32, flags);
        if shown {
            nbls.iter().for_each(|nbl| self.pool().release(*nbl));
        }
    }

    /// Counts NBLs that are indicated otherwise than by [`Card::indicate`].
    pub(crate) fn lend(&self, count: usize) {
        self.with(|state| state.receives_out += count);
    }

    fn enter(&self) {
        self.with(|state| {
            state.inside += 1;
            state.most_inside = state.most_inside.max(state.inside);
        });
    }

    fn leave(&self) {
        self.with(|state| state.inside -= 1);
    }

    fn finish_pause(&self) {
        let done = self.with(|state| {
            let done = state.pausing && state.kept.is_empty() && state.receives_out == 0;
            state.pausing &= !done;
            done
        });
        if done {
            api::pause_complete(self.adapter());
        }
    }
}

impl Miniport for &'static Card {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        _parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        let pool = NblPool::new("the card");
        self.with(|state| {
            state.adapter = Some(adapter);
            state.pool = Some(pool);
        });
        let status = api::declare(adapter, &(self.hooks.attributes)());
        if status != NDIS_STATUS_SUCCESS {
            return status;
        }
        (self.hooks.initialized)(self)
    }

    fn halt(&self, _action: NDIS_HALT_ACTION) {
        (self.hooks.halting)(self);
        self.pool().free();
    }

    fn pause(&self, _parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        self.with(|state| {
            state.pausing = !state.kept.is_empty() || state.receives_out > 0;
            if state.pausing {
                NDIS_STATUS_PENDING
            } else {
                NDIS_STATUS_SUCCESS
            }
        })
    }

    fn restart(&self, _parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        NDIS_STATUS_SUCCESS
    }

    fn send(&self, nbls: Nbl, _port: u32, _flags: u32) {
        self.enter();
        for nbl in api::unchain(nbls) {
            (self.hooks.send)(self, nbl);
        }
        self.leave();
    }

    fn return_nbls(&self, nbls: Nbl, _flags: u32) {
        self.enter();
        for nbl in api::unchain(nbls) {
            self.pool().release(nbl);
            self.with(|state| state.receives_out -= 1);
        }
        self.leave();
        self.finish_pause();
    }

    fn cancel_send(&self, cancel_id: usize) {
        (self.hooks.cancel)(self, cancel_id);
    }

    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        (self.hooks.oid)(self, request)
    }

    fn cancel_oid(&self, _request_id: usize) {}

    fn pnp_event(&self, _event: &NET_DEVICE_PNP_EVENT) {}

    fn shutdown(&self, _action: NDIS_SHUTDOWN_ACTION) {}
}

/// A card with a protocol on it; NDIS does everything plainly.
pub(crate) fn plain(hooks: Hooks) -> (&'static Card, &'static Stack, DeviceId) {
    under(Adversary::PLAIN, hooks)
}

/// A card with a protocol on it, and an NDIS that does all that is allowed.
pub(crate) fn harsh(hooks: Hooks) -> (&'static Card, &'static Stack, DeviceId) {
    under(Adversary::HARSH, hooks)
}

/// A card without anything around it.
pub(crate) fn alone(hooks: Hooks) -> &'static Card {
    Box::leak(Box::new(Card {
        hooks,
        state: Mutex::default(),
    }))
}

/// A card with a protocol on it.
pub(crate) fn under(
    adversary: Adversary,
    hooks: Hooks,
) -> (&'static Card, &'static Stack, DeviceId) {
    adversary::set(adversary);
    let card = alone(hooks);
    let stack: &'static Stack = Box::leak(Box::new(Stack::new(stack::Fault::None)));
    pnp::add_native_protocol("STACK", Arc::new(stack));
    let device = pnp::add_native_device("CARD", &[], move || Arc::new(card));
    pnp::start_device(device).expect("the card starts");
    pnp::settle();
    (card, stack, device)
}

/// An IPv4 packet with TCP in a frame to `destination`, with `length` bytes of data.
pub(crate) fn tcp(destination: [u8; 6], length: usize) -> Vec<u8> {
    let mut frame = Vec::from(destination);
    frame.extend([0x02, 0, 0, 0, 0, 1, 0x08, 0x00]);
    let mut ip = vec![0x45, 0];
    ip.extend((40 + length as u16).to_be_bytes());
    ip.extend([0, 1, 0, 0, 64, 6, 0, 0, 192, 168, 7, 9, 192, 168, 7, 1]);
    frame.extend(ip);
    frame.extend([0x0a, 0xea, 0x06, 0xe6, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18]);
    frame.extend([0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(54 + length, 0x5a);
    frame
}
