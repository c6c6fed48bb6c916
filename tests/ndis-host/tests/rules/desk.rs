//! A NIC with a protocol on it, of which a test may replace any routine.

use std::sync::{Arc, Mutex};

use ndis_host::ndis::OidKind;
use ndis_host::ndis::api::{self, AdapterAttributes};
use ndis_host::ndis::native::{
    AdapterHandle, BindContext, BindingHandle, Miniport, OidRequestRef, Protocol, ProtocolHandle,
    UnbindContext,
};
use ndis_host::pnp::{self, DeviceId, ProtocolId};
use ndis_host::sched;
use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_HALT_ACTION, NDIS_INTERRUPT_MODERATION_PARAMETERS,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_OBJECT_TYPE_DEFAULT, NDIS_SHUTDOWN_ACTION,
    NDIS_SIZEOF_STATISTICS_INFO_REVISION_1, NDIS_STATISTICS_INFO, NDIS_STATUS,
    NDIS_STATUS_INDICATION, NDIS_STATUS_INVALID_DATA, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_DEVICE_PNP_EVENT, NET_PNP_EVENT_NOTIFICATION, NdisInterruptModerationNotSupported,
    NdisRequestQueryInformation, NdisRequestQueryStatistics, NdisRequestSetInformation,
    OID_802_3_CURRENT_ADDRESS, OID_802_3_MAXIMUM_LIST_SIZE, OID_802_3_MULTICAST_LIST,
    OID_802_3_PERMANENT_ADDRESS, OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_INTERRUPT_MODERATION, OID_GEN_MAXIMUM_TOTAL_SIZE, OID_GEN_RCV_OK,
    OID_GEN_RECEIVE_BLOCK_SIZE, OID_GEN_RECEIVE_BUFFER_SPACE, OID_GEN_STATISTICS,
    OID_GEN_TRANSMIT_BLOCK_SIZE, OID_GEN_TRANSMIT_BUFFER_SPACE, OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION, OID_GEN_VENDOR_ID, OID_GEN_XMIT_OK, Zeroed,
};

use crate::native::nic::MAC;

/// The routines of the two.
#[derive(Clone, Copy)]
pub(crate) struct Hooks {
    pub(crate) attributes: fn() -> AdapterAttributes,
    pub(crate) oid: fn(&'static Desk, OidRequestRef) -> NDIS_STATUS,
    pub(crate) cancel_oid: fn(&'static Desk, usize),
    pub(crate) direct: Option<fn(&'static Desk, OidRequestRef) -> NDIS_STATUS>,
    pub(crate) synchronous: Option<fn(&'static Desk, OidRequestRef) -> NDIS_STATUS>,
    pub(crate) bind: fn(&'static Desk, BindContext, &NDIS_BIND_PARAMETERS) -> NDIS_STATUS,
    pub(crate) unbind: fn(&'static Desk, UnbindContext) -> NDIS_STATUS,
    pub(crate) event: fn(&'static Desk, Option<usize>, &NET_PNP_EVENT_NOTIFICATION) -> NDIS_STATUS,
}

impl Hooks {
    /// Routines that keep the rules.
    pub(crate) const GOOD: Self = Self {
        attributes: || AdapterAttributes::ethernet(MAC),
        oid: |_, request| serve(request),
        cancel_oid: |_, _| {},
        direct: None,
        synchronous: None,
        bind: |desk, bind, parameters| desk.open(bind, parameters),
        unbind: |desk, _| desk.close(),
        event: |_, _, _| NDIS_STATUS_SUCCESS,
    };
}

/// What has happened so far.
#[derive(Default)]
pub(crate) struct Log {
    adapter: Option<AdapterHandle>,
    binding: Option<BindingHandle>,
    protocol: Option<ProtocolId>,
    /// Requests that the NIC keeps.
    pub(crate) kept: Vec<OidRequestRef>,
    /// Requests that the NIC got: OID, and whether another was there at the time.
    pub(crate) requests: Vec<u32>,
    /// Requests that run at the NIC now.
    pub(crate) running: usize,
    /// Statuses that the protocol was told.
    pub(crate) statuses: Vec<NDIS_STATUS>,
    /// Completions that the protocol was told, by the address of the request.
    pub(crate) completions: Vec<(usize, NDIS_STATUS)>,
    /// Codes of the events that the protocol got.
    pub(crate) events: Vec<i32>,
}

/// The two.
pub(crate) struct Desk {
    hooks: Hooks,
    log: Mutex<Log>,
}

/// The desk with what PnP calls it.
pub(crate) struct Started {
    pub(crate) desk: &'static Desk,
    pub(crate) device: DeviceId,
    pub(crate) protocol: ProtocolId,
}

impl Desk {
    /// Builds the two and starts them.
    pub(crate) fn start(hooks: Hooks) -> Started {
        let desk: &'static Self = Box::leak(Box::new(Self {
            hooks,
            log: Mutex::default(),
        }));
        let protocol = pnp::add_native_protocol("DESK", Arc::new(Upper(desk)));
        desk.with(|log| log.protocol = Some(protocol));
        let device = pnp::add_native_device("DESK NIC", &[], move || Arc::new(Lower(desk)));
        pnp::start_device(device).expect("the NIC starts");
        pnp::settle();
        Started {
            desk,
            device,
            protocol,
        }
    }

    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut Log) -> R) -> R {
        body(&mut self.log.lock().expect("no panic while it is locked"))
    }

    pub(crate) fn adapter(&self) -> AdapterHandle {
        self.with(|log| log.adapter)
            .expect("the NIC is initialized")
    }

    pub(crate) fn binding(&self) -> BindingHandle {
        self.with(|log| log.binding).expect("the protocol is bound")
    }

    /// The handle of the protocol, once it is registered.
    pub(crate) fn protocol(&self) -> Option<ProtocolHandle> {
        pnp::protocol_handle(self.with(|log| log.protocol)?)
    }

    /// Opens the adapter of a bind.
    pub(crate) fn open(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        match api::open_adapter(bind, 1, parameters) {
            Ok(binding) => {
                self.with(|log| log.binding = Some(binding));
                NDIS_STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Closes what is open.
    pub(crate) fn close(&self) -> NDIS_STATUS {
        let binding = self.with(|log| log.binding.take());
        if let Some(binding) = binding {
            api::close_adapter(binding);
        }
        NDIS_STATUS_SUCCESS
    }

    /// Keeps a request; [`Desk::complete_kept`] completes it.
    pub(crate) fn keep(&self, request: OidRequestRef) -> NDIS_STATUS {
        self.with(|log| log.kept.push(request));
        NDIS_STATUS_PENDING
    }

    /// Completes a request that is kept.
    pub(crate) fn complete_kept(&self, status: NDIS_STATUS) {
        if let Some(request) = self.with(|log| log.kept.pop()) {
            api::oid_complete(self.adapter(), request, status);
        }
    }

    /// Completes a request later, in a thread.
    pub(crate) fn complete_later(&'static self, request: OidRequestRef, status: NDIS_STATUS) {
        sched::spawn("the NIC's OID thread", move || {
            sched::sleep(1 + sched::random_below(100_000));
            api::oid_complete(self.adapter(), request, status);
        });
    }
}

/// Answers a request as an Ethernet miniport does.
pub(crate) fn serve(request: OidRequestRef) -> NDIS_STATUS {
    let defined = [
        NdisRequestQueryInformation,
        NdisRequestQueryStatistics,
        NdisRequestSetInformation,
    ];
    if !defined.contains(&request.request_type()) {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    match request.kind() {
        OidKind::Query => answer(request),
        OidKind::Set => set(request),
        OidKind::Method => NDIS_STATUS_NOT_SUPPORTED,
    }
}

fn set(request: OidRequestRef) -> NDIS_STATUS {
    let input = request.input();
    let least = match request.oid() {
        OID_GEN_CURRENT_PACKET_FILTER | OID_GEN_CURRENT_LOOKAHEAD => 4,
        OID_802_3_MULTICAST_LIST if input.len().is_multiple_of(6) => 0,
        OID_802_3_MULTICAST_LIST => input.len().next_multiple_of(6),
        OID_GEN_INTERRUPT_MODERATION => return NDIS_STATUS_INVALID_DATA,
        _ => return NDIS_STATUS_NOT_SUPPORTED,
    };
    if input.len() < least {
        request.set_needed(least as u32);
        return NDIS_STATUS_INVALID_LENGTH;
    }
    request.set_read(input.len() as u32);
    NDIS_STATUS_SUCCESS
}

fn answer(request: OidRequestRef) -> NDIS_STATUS {
    const FRAME: u32 = 1514;
    let word = |value: u32| value.to_le_bytes().to_vec();
    let data = match request.oid() {
        OID_GEN_XMIT_OK | OID_GEN_RCV_OK => return fits(request.write_counter(7)),
        OID_802_3_PERMANENT_ADDRESS | OID_802_3_CURRENT_ADDRESS => MAC.to_vec(),
        OID_802_3_MAXIMUM_LIST_SIZE => word(32),
        OID_GEN_MAXIMUM_TOTAL_SIZE | OID_GEN_RECEIVE_BLOCK_SIZE | OID_GEN_TRANSMIT_BLOCK_SIZE => {
            word(FRAME)
        }
        OID_GEN_RECEIVE_BUFFER_SPACE | OID_GEN_TRANSMIT_BUFFER_SPACE => word(FRAME * 64),
        OID_GEN_VENDOR_ID => word(0x00ff_ffff),
        OID_GEN_VENDOR_DRIVER_VERSION => word(0x0001_0000),
        OID_GEN_VENDOR_DESCRIPTION => b"Desk NIC\0".to_vec(),
        OID_GEN_STATISTICS => bytes_of(&statistics(7)),
        OID_GEN_INTERRUPT_MODERATION => bytes_of(&no_moderation()),
        _ => return NDIS_STATUS_NOT_SUPPORTED,
    };
    fits(request.write(&data))
}

fn fits(fits: bool) -> NDIS_STATUS {
    if fits {
        NDIS_STATUS_SUCCESS
    } else {
        NDIS_STATUS_INVALID_LENGTH
    }
}

/// Statistics of which every counter is valid and one has a value.
pub(crate) fn statistics(received: u64) -> NDIS_STATISTICS_INFO {
    let mut info = NDIS_STATISTICS_INFO::zeroed();
    info.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    info.Header.Revision = 1;
    info.Header.Size = NDIS_SIZEOF_STATISTICS_INFO_REVISION_1;
    info.SupportedStatistics = 0x003f_87ff;
    info.ifHCInUcastPkts = received;
    info
}

/// The answer of an adapter without interrupt moderation.
pub(crate) fn no_moderation() -> NDIS_INTERRUPT_MODERATION_PARAMETERS {
    let mut moderation = NDIS_INTERRUPT_MODERATION_PARAMETERS::zeroed();
    moderation.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    moderation.Header.Revision = 1;
    moderation.Header.Size = size_of::<NDIS_INTERRUPT_MODERATION_PARAMETERS>() as u16;
    moderation.InterruptModeration = NdisInterruptModerationNotSupported;
    moderation
}

/// The bytes of a record of ndis-sys.
pub(crate) fn bytes_of<T: Zeroed>(record: &T) -> Vec<u8> {
    // SAFETY: the record was made by `zeroed`, padding included.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
        .to_vec()
}

/// The NIC.
struct Lower(&'static Desk);

impl Miniport for Lower {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        _parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        self.0.with(|log| log.adapter = Some(adapter));
        api::declare(adapter, &(self.0.hooks.attributes)())
    }

    fn halt(&self, _action: NDIS_HALT_ACTION) {}

    fn pause(&self, _parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        NDIS_STATUS_SUCCESS
    }

    fn restart(&self, _parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        NDIS_STATUS_SUCCESS
    }

    fn send(&self, nbls: *mut NET_BUFFER_LIST, _port: u32, _flags: u32) {
        for nbl in api::unchain(nbls) {
            api::set_status(nbl, NDIS_STATUS_SUCCESS);
            api::send_complete(self.0.adapter(), nbl, 0);
        }
    }

    fn return_nbls(&self, _nbls: *mut NET_BUFFER_LIST, _flags: u32) {}

    fn cancel_send(&self, _cancel_id: usize) {}

    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        self.0.with(|log| log.requests.push(request.oid()));
        (self.0.hooks.oid)(self.0, request)
    }

    fn cancel_oid(&self, request_id: usize) {
        (self.0.hooks.cancel_oid)(self.0, request_id);
    }

    fn has_direct_oids(&self) -> bool {
        self.0.hooks.direct.is_some()
    }

    fn direct_oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        let direct = self.0.hooks.direct.expect("asked only if there is one");
        direct(self.0, request)
    }

    fn cancel_direct_oid(&self, request_id: usize) {
        (self.0.hooks.cancel_oid)(self.0, request_id);
    }

    fn has_synchronous_oids(&self) -> bool {
        self.0.hooks.synchronous.is_some()
    }

    fn synchronous_oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        let synchronous = self.0.hooks.synchronous;
        synchronous.expect("asked only if there is one")(self.0, request)
    }

    fn pnp_event(&self, _event: &NET_DEVICE_PNP_EVENT) {}

    fn shutdown(&self, _action: NDIS_SHUTDOWN_ACTION) {}
}

/// The protocol.
struct Upper(&'static Desk);

impl Protocol for Upper {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        (self.0.hooks.bind)(self.0, bind, parameters)
    }

    fn unbind(&self, unbind: UnbindContext, _binding: usize) -> NDIS_STATUS {
        (self.0.hooks.unbind)(self.0, unbind)
    }

    fn receive(
        &self,
        _binding: usize,
        _nbls: *mut NET_BUFFER_LIST,
        _port: u32,
        _count: u32,
        _flags: u32,
    ) {
    }

    fn send_complete(&self, _binding: usize, _nbls: *mut NET_BUFFER_LIST, _flags: u32) {}

    fn status(&self, _binding: usize, indication: &NDIS_STATUS_INDICATION) {
        let code = indication.StatusCode;
        self.0.with(|log| log.statuses.push(code));
    }

    fn net_pnp_event(
        &self,
        binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        let code = event.NetPnPEvent.NetEvent;
        self.0.with(|log| log.events.push(code));
        (self.0.hooks.event)(self.0, binding, event)
    }

    fn oid_complete(&self, _binding: usize, request: OidRequestRef, status: NDIS_STATUS) {
        let address = request.0.addr();
        self.0.with(|log| log.completions.push((address, status)));
    }

    fn direct_oid_complete(&self, _binding: usize, request: OidRequestRef, status: NDIS_STATUS) {
        let address = request.0.addr();
        self.0.with(|log| log.completions.push((address, status)));
    }
}
