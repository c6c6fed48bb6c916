//! Functions of `ndis.sys` for the protocol.

use core::ffi::c_void;

use crate::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_OPEN_PARAMETERS, NDIS_PORT_NUMBER,
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_STATUS, NET_BUFFER_LIST, NET_PNP_EVENT_NOTIFICATION,
};

#[cfg_attr(
    windows,
    link(name = "ndis.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Registers a protocol driver; bindings may come before it returns. At `PASSIVE_LEVEL`.
    pub fn NdisRegisterProtocolDriver(
        protocol_driver_context: NDIS_HANDLE,
        protocol_characteristics: *mut NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
        ndis_protocol_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Unbinds all adapters, then deregisters the protocol driver. At `PASSIVE_LEVEL`.
    pub fn NdisDeregisterProtocolDriver(ndis_protocol_handle: NDIS_HANDLE);

    /// Opens the adapter of a bind call. At `PASSIVE_LEVEL`; `NDIS_STATUS_PENDING` is followed by
    /// the completion handler.
    pub fn NdisOpenAdapterEx(
        ndis_protocol_handle: NDIS_HANDLE,
        protocol_binding_context: NDIS_HANDLE,
        open_parameters: *mut NDIS_OPEN_PARAMETERS,
        bind_context: NDIS_HANDLE,
        ndis_binding_handle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;

    /// Closes a binding on which nothing is out. At `PASSIVE_LEVEL`; `NDIS_STATUS_PENDING` is
    /// followed by the completion handler.
    pub fn NdisCloseAdapterEx(ndis_binding_handle: NDIS_HANDLE) -> NDIS_STATUS;

    /// Sends an OID request down. Up to `DISPATCH_LEVEL`; the request is NDIS's until it is done.
    pub fn NdisOidRequest(
        ndis_binding_handle: NDIS_HANDLE,
        oid_request: *mut NDIS_OID_REQUEST,
    ) -> NDIS_STATUS;

    /// Asks to end an OID request soon; it completes in any case. Up to `DISPATCH_LEVEL`.
    pub fn NdisCancelOidRequest(ndis_binding_handle: NDIS_HANDLE, request_id: *mut c_void);

    /// Sends frames; they come back by the completion handler. Up to `DISPATCH_LEVEL`.
    pub fn NdisSendNetBufferLists(
        ndis_binding_handle: NDIS_HANDLE,
        net_buffer_lists: *mut NET_BUFFER_LIST,
        port_number: NDIS_PORT_NUMBER,
        send_flags: u32,
    );

    /// Gives received lists back. Up to `DISPATCH_LEVEL`.
    pub fn NdisReturnNetBufferLists(
        ndis_binding_handle: NDIS_HANDLE,
        net_buffer_lists: *mut NET_BUFFER_LIST,
        return_flags: u32,
    );

    /// Asks to complete waiting sends with this cancel identifier soon. Up to `DISPATCH_LEVEL`.
    pub fn NdisCancelSendNetBufferLists(ndis_binding_handle: NDIS_HANDLE, cancel_id: *mut c_void);

    /// Completes a bind that was pending. Up to `DISPATCH_LEVEL`.
    pub fn NdisCompleteBindAdapterEx(bind_adapter_context: NDIS_HANDLE, status: NDIS_STATUS);

    /// Completes an unbind that was pending. Up to `DISPATCH_LEVEL`.
    pub fn NdisCompleteUnbindAdapterEx(unbind_context: NDIS_HANDLE);

    /// Completes an event that was pending. At `PASSIVE_LEVEL`.
    pub fn NdisCompleteNetPnPEvent(
        ndis_binding_handle: NDIS_HANDLE,
        net_pn_p_event_notification: *mut NET_PNP_EVENT_NOTIFICATION,
        status: NDIS_STATUS,
    );

    /// Offers the protocol all adapters again that it is not bound to. At `PASSIVE_LEVEL`.
    pub fn NdisReEnumerateProtocolBindings(ndis_protocol_handle: NDIS_HANDLE);

    /// Asks NDIS to unbind an adapter. Up to `DISPATCH_LEVEL`.
    pub fn NdisUnbindAdapter(ndis_binding_handle: NDIS_HANDLE) -> NDIS_STATUS;
}
