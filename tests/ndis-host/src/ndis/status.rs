//! Status indications: judged, followed (link state), and passed to the bindings.

use ndis_sys::{
    MediaConnectStateConnected, MediaConnectStateDisconnected, NDIS_HANDLE, NDIS_LINK_STATE,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_SIZEOF_LINK_STATE_REVISION_1,
    NDIS_SIZEOF_STATUS_INDICATION_REVISION_1, NDIS_STATUS, NDIS_STATUS_INDICATION,
    NDIS_STATUS_LINK_SPEED_CHANGE, NDIS_STATUS_LINK_STATE, NDIS_STATUS_MEDIA_CONNECT,
    NDIS_STATUS_MEDIA_DISCONNECT, NDIS_STATUS_RESET_END, NDIS_STATUS_RESET_START,
    NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
};

use crate::ndis::adapter::lend::lend;
use crate::ndis::adapter::{self, Adapter, AdapterState, attributes};
use crate::ndis::bindings::BindingState;
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::{handles, header, offload, oid, power, status_checks};
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Time for ProtocolStatusEx (table of rule 308).
const STATUS_LIMIT_NS: u64 = 10 * SECOND_NS;

/// How often a status that nobody knows follows one that was indicated.
const UNKNOWN_ONE_IN: u64 = 8;

/// The link as the miniport last told it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    pub(crate) connect_state: i32,
    pub(crate) xmit_speed: u64,
    pub(crate) rcv_speed: u64,
    pub(crate) duplex: i32,
    /// How often it went down.
    pub(crate) downs: u32,
    /// Changes of the connect state: virtual time, and whether it went up.
    pub(crate) history: Vec<(u64, bool)>,
    told: bool,
    /// The miniport has declared its first state.
    begun: bool,
}

impl Link {
    /// The state in the general attributes: at the first start, or after a halt for low power.
    pub(crate) fn begin(&mut self, connect_state: i32, xmit_speed: u64, rcv_speed: u64) {
        let (was_up, was_begun) = (self.is_up(), self.begun);
        *self = Self {
            connect_state,
            xmit_speed,
            rcv_speed,
            downs: self.downs,
            history: std::mem::take(&mut self.history),
            begun: true,
            ..Self::default()
        };
        if was_begun && self.is_up() != was_up {
            self.note_change();
        }
    }

    /// Whether the link is up; `None` when nobody knows.
    pub(crate) fn is_up(&self) -> Option<bool> {
        match self.connect_state {
            MediaConnectStateConnected => Some(true),
            MediaConnectStateDisconnected => Some(false),
            _ => None,
        }
    }

    /// Takes a new state; true when it is just what was told before.
    fn change(&mut self, state: &NDIS_LINK_STATE) -> bool {
        let repeated = self.told
            && self.connect_state == state.MediaConnectState
            && self.duplex == state.MediaDuplexState
            && (self.xmit_speed, self.rcv_speed) == (state.XmitLinkSpeed, state.RcvLinkSpeed);
        let was_up = self.is_up();
        self.connect_state = state.MediaConnectState;
        self.duplex = state.MediaDuplexState;
        self.xmit_speed = state.XmitLinkSpeed;
        self.rcv_speed = state.RcvLinkSpeed;
        self.told = true;
        if self.is_up() != was_up {
            self.note_change();
        }
        repeated
    }

    fn note_change(&mut self) {
        let is_up = self.is_up();
        self.downs += u32::from(is_up == Some(false));
        self.history.push((sched::now(), is_up == Some(true)));
    }
}

/// Microsoft Learn, NdisMIndicateStatusEx function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `indication` and its buffer are valid.
pub(crate) unsafe extern "efiapi" fn indicate(
    adapter_handle: NDIS_HANDLE,
    indication: *mut NDIS_STATUS_INDICATION,
) {
    const CALL: &str = "NdisMIndicateStatusEx";
    import(CALL, Level::UpToDispatch);
    call::check_no_lock(CALL);
    let adapter = adapter::resolve(adapter_handle, CALL);
    // SAFETY: the caller's contract.
    let given = unsafe { *indication };
    check(CALL, adapter, &given);
    // SAFETY: as above; `check` insisted on the size that the code needs.
    unsafe { follow(CALL, adapter, &given) };
    if !given.DestinationHandle.is_null() {
        let handle = given.DestinationHandle.addr() as u64;
        let awaited = oid::take_awaited(adapter, handle);
        verifier::require(186, awaited.is_some(), || {
            format!("{CALL}: DestinationHandle {handle:#x} is of no OID request that waits for it")
        });
        let id = given.RequestId.addr();
        verifier::require(186, awaited.is_none_or(|awaited| awaited == id), || {
            format!("{CALL}: RequestId {id:#x} is not that of the OID request")
        });
    }
    pass_on(adapter, given);
    if sched::chance(UNKNOWN_ONE_IN) {
        indicate_unknown(adapter);
    }
}

fn check(call: &str, adapter: &'static Adapter, given: &NDIS_STATUS_INDICATION) {
    header::check(
        call,
        given.Header,
        NDIS_OBJECT_TYPE_STATUS_INDICATION,
        &[(1, NDIS_SIZEOF_STATUS_INDICATION_REVISION_1)],
    );
    let code = given.StatusCode;
    attributes::require_registration(adapter, call);
    let source = given.SourceHandle.addr() as u64;
    let of_another = source != adapter.handle && handles::lookup::<Adapter>(source).is_some();
    verifier::require(293, !of_another, || {
        format!(
            "{call} by {}: the indication of another adapter is passed on as it came",
            adapter.name
        )
    });
    verifier::require(184, of_another || source == adapter.handle, || {
        format!(
            "{call}: SourceHandle {source:#x} is not that of {}",
            adapter.name
        )
    });
    verifier::require(184, given.PortNumber == 0, || {
        format!("{call}: there is no port {}", given.PortNumber)
    });
    let has_buffer = !given.StatusBuffer.is_null() || given.StatusBufferSize == 0;
    verifier::insist(185, has_buffer, || {
        format!(
            "{call}: status {code:#x} with {} bytes at NULL",
            given.StatusBufferSize
        )
    });
    let legal = !matches!(
        adapter.phase(),
        AdapterState::Halted | AdapterState::Shutdown
    );
    verifier::require(192, legal, || {
        format!(
            "{call}: status {code:#x} of {}, which is {:?}",
            adapter.name,
            adapter.phase()
        )
    });
    power::check_indication(192, call, adapter, code);
    let by_ndis = [NDIS_STATUS_RESET_START, NDIS_STATUS_RESET_END].contains(&code);
    verifier::require(72, !by_ndis, || {
        format!("{call}: NDIS itself indicates {code:#x}")
    });
    let old = [
        NDIS_STATUS_MEDIA_CONNECT,
        NDIS_STATUS_MEDIA_DISCONNECT,
        NDIS_STATUS_LINK_SPEED_CHANGE,
    ]
    .contains(&code);
    verifier::require(191, !old, || {
        format!("{call}: status {code:#x} is of NDIS 5")
    });
    if given.DestinationHandle.is_null() {
        verifier::require(186, given.RequestId.is_null(), || {
            format!(
                "{call}: RequestId {:p} without a destination",
                given.RequestId
            )
        });
    }
}

/// Follows what NDIS itself has to know.
///
/// # Safety
///
/// The buffer holds `StatusBufferSize` bytes.
unsafe fn follow(call: &str, adapter: &'static Adapter, given: &NDIS_STATUS_INDICATION) {
    match given.StatusCode {
        NDIS_STATUS_LINK_STATE => {
            let least = u32::from(NDIS_SIZEOF_LINK_STATE_REVISION_1);
            verifier::insist(185, given.StatusBufferSize >= least, || {
                format!("{call}: LINK_STATE with {} bytes", given.StatusBufferSize)
            });
            // SAFETY: the buffer is that long.
            let state = unsafe {
                given
                    .StatusBuffer
                    .cast::<NDIS_LINK_STATE>()
                    .read_unaligned()
            };
            header::check(
                call,
                state.Header,
                ndis_sys::NDIS_OBJECT_TYPE_DEFAULT,
                &[(1, NDIS_SIZEOF_LINK_STATE_REVISION_1)],
            );
            change_link(call, adapter, &state);
        }
        NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG => {
            let is_long = given.StatusBufferSize as usize >= size_of::<NDIS_OBJECT_HEADER>();
            verifier::insist(185, is_long, || {
                format!("{call}: offload status without a header")
            });
            // SAFETY: the caller's contract; the header is there.
            let config = unsafe { attributes::copy_capabilities(given.StatusBuffer.cast()) };
            status_checks::offload(call, adapter, config.as_deref());
            if let Some(config) = &config {
                offload::config::judge(call, adapter, config);
            }
            adapter.state.with(|state| {
                state.declared.offload_default = config;
                state.offload_configs += 1;
            });
        }
        // SAFETY: the caller's contract.
        _ => unsafe { status_checks::payload(call, given) },
    }
}

fn change_link(call: &str, adapter: &'static Adapter, state: &NDIS_LINK_STATE) {
    status_checks::link(call, adapter, state);
    let repeated = adapter.state.with(|inner| inner.link.change(state));
    if repeated {
        verifier::advice(
            187,
            format!("{call}: {} repeats its link state", adapter.name),
        );
    }
    verifier::note(format!(
        "link of {}: {:?}",
        adapter.name,
        adapter.state.with(|s| s.link.is_up())
    ));
}

/// Indicates a status that no protocol knows: it has to be ignored (rule 193).
/// IRQL <= DISPATCH_LEVEL.
pub(crate) fn indicate_unknown(adapter: &'static Adapter) {
    /// Informational, of a facility that nobody has.
    const UNKNOWN: NDIS_STATUS = 0x4fff_0000;
    let code = UNKNOWN | sched::random_below(0x1_0000) as NDIS_STATUS;
    let mut data = vec![0xa5; sched::random_below(64) as usize];
    pass_on(adapter, build(adapter, code, &mut data));
}

/// Passes an indication to every binding whose open has completed.
fn pass_on(adapter: &'static Adapter, given: NDIS_STATUS_INDICATION) {
    for binding in adapter.bindings() {
        let (opened, phase) = binding.state.with(|state| (state.opened, state.phase));
        if !opened || phase == BindingState::Closed {
            continue;
        }
        let mut copy = given;
        copy.SourceHandle = handles::raw(adapter.handle);
        binding.state.with(|state| state.in_callback += 1);
        let name = binding.describe();
        let watchdog = Watchdog::on(308, STATUS_LIMIT_NS, &binding.describe(), move || {
            format!("ProtocolStatusEx of {name} does not return (7C/25, 3)")
        });
        lend(copy, |place| {
            callback(Callback::Status, binding.handle, || {
                // SAFETY: `place` holds the indication for the time of the call.
                binding
                    .protocol
                    .protocol
                    .status(binding.context, unsafe { &*place });
            });
        });
        drop(watchdog);
        binding.state.with(|state| state.in_callback -= 1);
    }
}

/// An indication of NDIS's own, without data. At or below DISPATCH.
pub(crate) fn tell(adapter: &'static Adapter, code: NDIS_STATUS) {
    pass_on(adapter, build(adapter, code, &mut []));
}

/// NDIS itself tells the bindings what the link is: it knows from the general attributes. At or
/// below DISPATCH.
pub(crate) fn tell_link(adapter: &'static Adapter) {
    let mut buffer = oid::answer::link_state(adapter);
    pass_on(adapter, build(adapter, NDIS_STATUS_LINK_STATE, &mut buffer));
}

/// Builds an indication; the buffer must outlive its use.
pub(crate) fn build(
    adapter: &'static Adapter,
    code: NDIS_STATUS,
    buffer: &mut [u8],
) -> NDIS_STATUS_INDICATION {
    let mut indication: NDIS_STATUS_INDICATION = ndis_sys::zeroed();
    indication.Header = header::make(
        NDIS_OBJECT_TYPE_STATUS_INDICATION,
        1,
        NDIS_SIZEOF_STATUS_INDICATION_REVISION_1,
    );
    indication.SourceHandle = handles::raw(adapter.handle);
    indication.StatusCode = code;
    if !buffer.is_empty() {
        indication.StatusBuffer = buffer.as_mut_ptr().cast();
        indication.StatusBufferSize = buffer.len() as u32;
    }
    indication
}
