//! Miniports and protocols as the host's own code writes them.
//!
//! NDIS knows drivers only through these two traits. For a driver image they are implemented by
//! calling the handlers that it registered; a native neighbour implements them in Rust. Both are
//! judged alike.
//!
//! Implementors keep their state behind `&self`; no lock may be held across a call of
//! [`crate::ndis::api`], because the baton may move there. Levels are those that Windows
//! documents for the routine; where it allows two, the seed chooses.

use ndis_sys::{
    BOOLEAN, NDIS_BIND_PARAMETERS, NDIS_HALT_ACTION, NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_MINIPORT_PAUSE_PARAMETERS, NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_SHUTDOWN_ACTION,
    NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_HARD_ERRORS, NDIS_STATUS_INDICATION,
    NDIS_STATUS_NOT_SUPPORTED, NET_BUFFER_LIST, NET_DEVICE_PNP_EVENT, NET_PNP_EVENT_NOTIFICATION,
};

pub use super::oid::request_ref::OidRequestRef;

/// MiniportAdapterHandle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdapterHandle(pub u64);

/// NdisProtocolHandle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolHandle(pub u64);

/// NdisBindingHandle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingHandle(pub u64);

/// NDIS's handle of one ProtocolBindAdapterEx call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindContext(pub u64);

/// NDIS's handle of one ProtocolUnbindAdapterEx call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnbindContext(pub u64);

/// One adapter of a miniport driver, below NDIS.
pub trait Miniport: Send + Sync {
    /// MiniportInitializeEx, at PASSIVE. Declares the attributes; SUCCESS leads to Paused.
    fn initialize(
        &self,
        adapter: AdapterHandle,
        parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS;

    /// MiniportHaltEx, at PASSIVE.
    fn halt(&self, action: NDIS_HALT_ACTION);

    /// MiniportPause, at PASSIVE: SUCCESS, or PENDING and NdisMPauseComplete later.
    fn pause(&self, parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS;

    /// MiniportRestart, at PASSIVE: SUCCESS, PENDING, RESOURCES or FAILURE.
    fn restart(&self, parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS;

    /// MiniportSendNetBufferLists, at or below DISPATCH.
    fn send(&self, nbls: *mut NET_BUFFER_LIST, port: u32, flags: u32);

    /// MiniportReturnNetBufferLists, at or below DISPATCH.
    fn return_nbls(&self, nbls: *mut NET_BUFFER_LIST, flags: u32);

    /// MiniportCancelSend, at or below DISPATCH.
    fn cancel_send(&self, cancel_id: usize);

    /// MiniportOidRequest, at PASSIVE, one at a time.
    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS;

    /// MiniportCancelOidRequest, at or below DISPATCH.
    fn cancel_oid(&self, request_id: usize);

    /// Whether the two handlers of direct OID requests are registered.
    fn has_direct_oids(&self) -> bool {
        false
    }

    /// MiniportDirectOidRequest, at or below DISPATCH, several at a time.
    fn direct_oid_request(&self, _request: OidRequestRef) -> NDIS_STATUS {
        NDIS_STATUS_NOT_SUPPORTED
    }

    /// MiniportCancelDirectOidRequest, at or below DISPATCH.
    fn cancel_direct_oid(&self, _request_id: usize) {}

    /// Whether the handler of synchronous OID requests is registered.
    fn has_synchronous_oids(&self) -> bool {
        false
    }

    /// MiniportSynchronousOidRequest, at or below DISPATCH, several at a time.
    fn synchronous_oid_request(&self, _request: OidRequestRef) -> NDIS_STATUS {
        NDIS_STATUS_NOT_SUPPORTED
    }

    /// MiniportDevicePnPEventNotify, at PASSIVE.
    fn pnp_event(&self, event: &NET_DEVICE_PNP_EVENT);

    /// MiniportShutdownEx, at PASSIVE, or at HIGH in a bug check.
    fn shutdown(&self, action: NDIS_SHUTDOWN_ACTION);

    /// Whether there is a MiniportCheckForHangEx, and so a MiniportResetEx.
    fn checks_for_hang(&self) -> bool {
        false
    }

    /// MiniportCheckForHangEx, at PASSIVE; true leads to a reset.
    fn check_for_hang(&self) -> bool {
        false
    }

    /// MiniportResetEx, at or below DISPATCH: a final status, or PENDING and NdisMResetComplete
    /// later. A nonzero `addressing` has NDIS set filter and multicast list again.
    fn reset(&self, _addressing: &mut BOOLEAN) -> NDIS_STATUS {
        NDIS_STATUS_HARD_ERRORS
    }

    /// Whether there are handlers for selective suspend.
    fn can_idle(&self) -> bool {
        false
    }

    /// MiniportIdleNotification, at PASSIVE: PENDING, FAILURE, or BUSY unless `force`.
    fn idle_notification(&self, _force: bool) -> NDIS_STATUS {
        NDIS_STATUS_FAILURE
    }

    /// MiniportCancelIdleNotification, at PASSIVE.
    fn cancel_idle_notification(&self) {}
}

/// One protocol driver, above NDIS. `binding` is its ProtocolBindingContext.
pub trait Protocol: Send + Sync {
    /// ProtocolBindAdapterEx, at PASSIVE.
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS;

    /// ProtocolUnbindAdapterEx, at PASSIVE: SUCCESS or PENDING.
    fn unbind(&self, unbind: UnbindContext, binding: usize) -> NDIS_STATUS;

    /// ProtocolReceiveNetBufferLists, at or below DISPATCH.
    fn receive(
        &self,
        binding: usize,
        nbls: *mut NET_BUFFER_LIST,
        port: u32,
        count: u32,
        flags: u32,
    );

    /// ProtocolSendNetBufferListsComplete, at or below DISPATCH.
    fn send_complete(&self, binding: usize, nbls: *mut NET_BUFFER_LIST, flags: u32);

    /// ProtocolStatusEx, at or below DISPATCH.
    fn status(&self, binding: usize, indication: &NDIS_STATUS_INDICATION);

    /// ProtocolNetPnPEvent, at PASSIVE; `None` for a global event.
    fn net_pnp_event(
        &self,
        binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS;

    /// ProtocolOidRequestComplete, at or below DISPATCH.
    fn oid_complete(&self, _binding: usize, _request: OidRequestRef, _status: NDIS_STATUS) {}

    /// Whether ProtocolDirectOidRequestComplete is registered.
    fn has_direct_oids(&self) -> bool {
        true
    }

    /// ProtocolDirectOidRequestComplete, at or below DISPATCH.
    fn direct_oid_complete(&self, _binding: usize, _request: OidRequestRef, _status: NDIS_STATUS) {}

    /// ProtocolOpenAdapterCompleteEx, at PASSIVE.
    fn open_complete(&self, _binding: usize, _status: NDIS_STATUS) {}

    /// ProtocolCloseAdapterCompleteEx, at PASSIVE.
    fn close_complete(&self, _binding: usize) {}

    /// ProtocolUninstall, at PASSIVE.
    fn uninstall(&self) {}
}
