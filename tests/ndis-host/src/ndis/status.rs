//! Status indications: judged, followed (link state), and passed to the bindings.

use ndis_sys::{
    MediaConnectStateConnected, MediaConnectStateDisconnected, NDIS_HANDLE,
    NDIS_LINK_SPEED_UNKNOWN, NDIS_LINK_STATE, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_STATUS_INDICATION, NDIS_SIZEOF_LINK_STATE_REVISION_1,
    NDIS_SIZEOF_STATUS_INDICATION_REVISION_1, NDIS_STATUS, NDIS_STATUS_INDICATION,
    NDIS_STATUS_LINK_STATE, NDIS_STATUS_MEDIA_CONNECT, NDIS_STATUS_MEDIA_DISCONNECT,
    NDIS_STATUS_RESET_END, NDIS_STATUS_RESET_START, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
};

use crate::ndis::adapter::lend::lend;
use crate::ndis::adapter::{self, Adapter, AdapterState, attributes};
use crate::ndis::bindings::BindingState;
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::{handles, header, oid};
use crate::sched;
use crate::verifier;

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
}

impl Link {
    /// The state in the general attributes.
    pub(crate) fn begin(&mut self, connect_state: i32, xmit_speed: u64, rcv_speed: u64) {
        *self = Self {
            connect_state,
            xmit_speed,
            rcv_speed,
            ..Self::default()
        };
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
        let is_up = self.is_up();
        if is_up != was_up {
            self.downs += u32::from(is_up == Some(false));
            self.history.push((sched::now(), is_up == Some(true)));
        }
        repeated
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
    let adapter = adapter::resolve(adapter_handle, CALL);
    // SAFETY: the caller's contract.
    let given = unsafe { *indication };
    check(CALL, adapter, &given);
    // SAFETY: as above; `check` insisted on the size that the code needs.
    unsafe { follow(CALL, adapter, &given) };
    if !given.DestinationHandle.is_null() {
        let known = oid::is_indication_awaited(adapter, given.DestinationHandle.addr() as u64);
        verifier::require(186, known, || {
            format!(
                "{CALL}: DestinationHandle {:p} is of no OID request",
                given.DestinationHandle
            )
        });
    }
    pass_on(adapter, given);
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
    verifier::require(184, source == adapter.handle, || {
        format!(
            "{call}: SourceHandle {source:#x} is not that of {}",
            adapter.name
        )
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
    let by_ndis = [NDIS_STATUS_RESET_START, NDIS_STATUS_RESET_END].contains(&code);
    verifier::require(72, !by_ndis, || {
        format!("{call}: NDIS itself indicates {code:#x}")
    });
    let old = [NDIS_STATUS_MEDIA_CONNECT, NDIS_STATUS_MEDIA_DISCONNECT].contains(&code);
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
            verifier::require(189, config.is_some(), || format!("{call}: no NDIS_OFFLOAD"));
            adapter
                .state
                .with(|state| state.declared.offload_default = config);
        }
        _ => {}
    }
}

fn change_link(call: &str, adapter: &'static Adapter, state: &NDIS_LINK_STATE) {
    let speeds = (state.XmitLinkSpeed, state.RcvLinkSpeed);
    match state.MediaConnectState {
        MediaConnectStateConnected => {
            verifier::require(188, speeds.0 > 0 && speeds.1 > 0, || {
                format!("{call}: {} connected with speeds {speeds:?}", adapter.name)
            });
        }
        MediaConnectStateDisconnected => {
            let unknown = (NDIS_LINK_SPEED_UNKNOWN, NDIS_LINK_SPEED_UNKNOWN);
            verifier::require(188, speeds == unknown, || {
                format!(
                    "{call}: {} disconnected with speeds {speeds:?}",
                    adapter.name
                )
            });
        }
        _ => {}
    }
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
        lend(copy, |place| {
            callback(Callback::Status, binding.handle, || {
                // SAFETY: `place` holds the indication for the time of the call.
                binding
                    .protocol
                    .protocol
                    .status(binding.context, unsafe { &*place });
            });
        });
        binding.state.with(|state| state.in_callback -= 1);
    }
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
