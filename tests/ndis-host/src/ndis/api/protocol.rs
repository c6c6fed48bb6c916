//! The protocol side of native neighbours.

use std::sync::Arc;

use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_STATUS, NDIS_STATUS_ADAPTER_NOT_FOUND, NDIS_STATUS_FAILURE,
    NDIS_STATUS_INDICATION, NET_BUFFER_LIST, NET_PNP_EVENT_NOTIFICATION,
};

use super::requests;
use crate::ndis::bindings::{self, Binding, BindingState, bind, open};
use crate::ndis::native::{
    BindContext, BindingHandle, OidRequestRef, Protocol, ProtocolHandle, UnbindContext,
};
use crate::ndis::nbl::shadow;
use crate::ndis::protocols;
use crate::ndis::{handles, modules, receive, send as send_path, text};
use crate::{pnp, sched};

/// A native protocol; completions that [`super::oid_query`] and its like wait for stay here.
struct Waiting(Arc<dyn Protocol>);

impl Protocol for Waiting {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        self.0.bind(bind, parameters)
    }

    fn unbind(&self, unbind: UnbindContext, binding: usize) -> NDIS_STATUS {
        self.0.unbind(unbind, binding)
    }

    fn receive(
        &self,
        binding: usize,
        nbls: *mut NET_BUFFER_LIST,
        port: u32,
        count: u32,
        flags: u32,
    ) {
        self.0.receive(binding, nbls, port, count, flags);
    }

    fn send_complete(&self, binding: usize, nbls: *mut NET_BUFFER_LIST, flags: u32) {
        self.0.send_complete(binding, nbls, flags);
    }

    fn status(&self, binding: usize, indication: &NDIS_STATUS_INDICATION) {
        self.0.status(binding, indication);
    }

    fn net_pnp_event(
        &self,
        binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        self.0.net_pnp_event(binding, event)
    }

    fn oid_complete(&self, binding: usize, request: OidRequestRef, status: NDIS_STATUS) {
        if !requests::complete_waiting(request, status) {
            self.0.oid_complete(binding, request, status);
        }
    }

    fn has_direct_oids(&self) -> bool {
        self.0.has_direct_oids()
    }

    fn direct_oid_complete(&self, binding: usize, request: OidRequestRef, status: NDIS_STATUS) {
        self.0.direct_oid_complete(binding, request, status);
    }

    fn open_complete(&self, binding: usize, status: NDIS_STATUS) {
        self.0.open_complete(binding, status);
    }

    fn close_complete(&self, binding: usize) {
        self.0.close_complete(binding);
    }

    fn uninstall(&self) {
        self.0.uninstall();
    }
}

/// NdisRegisterProtocolDriver. PASSIVE. Binds may come before it returns.
///
/// # Errors
///
/// NDIS_STATUS_FAILURE when the name is taken.
pub fn register_protocol(
    name: &str,
    protocol: Arc<dyn Protocol>,
) -> Result<ProtocolHandle, NDIS_STATUS> {
    if protocols::by_name(name).is_some() {
        return Err(NDIS_STATUS_FAILURE);
    }
    let driver = protocols::add(name, modules::native(name), Arc::new(Waiting(protocol)));
    pnp::on_protocol_registered(driver);
    Ok(ProtocolHandle(driver.handle))
}

/// NdisDeregisterProtocolDriver. PASSIVE. Unbinds what is bound.
pub fn deregister_protocol(protocol: ProtocolHandle) {
    // SAFETY: the handle is checked inside.
    unsafe { protocols::deregister(handles::raw(protocol.0)) }
}

/// NdisOpenAdapterEx, and waits for its completion. PASSIVE, inside `bind`.
///
/// `context` comes back as `binding` in the callbacks of [`Protocol`].
///
/// # Errors
///
/// What NdisOpenAdapterEx fails with.
pub fn open_adapter(
    bind: BindContext,
    context: usize,
    parameters: &NDIS_BIND_PARAMETERS,
) -> Result<BindingHandle, NDIS_STATUS> {
    let operation = handles::lookup::<bind::BindOperation>(bind.0);
    let operation = operation.ok_or(NDIS_STATUS_ADAPTER_NOT_FOUND)?;
    // SAFETY: the parameters are NDIS's, and on loan.
    let name = unsafe { text::read(parameters.AdapterName) };
    open::open_and_wait(operation.protocol, context, bind, &name).map(BindingHandle)
}

/// NdisCloseAdapterEx, and waits for its completion. PASSIVE, inside `bind` or `unbind`.
pub fn close_adapter(binding: BindingHandle) {
    let object = handles::lookup::<Binding>(binding.0);
    // SAFETY: the handle is checked inside.
    unsafe { open::close(handles::raw(binding.0)) };
    if let Some(object) = object {
        sched::wait(
            "NdisCloseAdapterEx",
            || object.phase() == BindingState::Closed,
            None,
        );
    }
}

/// NdisSendNetBufferLists; sets SourceHandle. At or below DISPATCH.
pub fn send(binding: BindingHandle, nbls: *mut NET_BUFFER_LIST, flags: u32) {
    for nbl in shadow::walk(nbls, "api::send", 87) {
        super::set_source(nbl, binding.0);
    }
    // SAFETY: the shadow table knows the NBLs.
    unsafe { send_path::send(handles::raw(binding.0), nbls, 0, flags) }
}

/// NdisReturnNetBufferLists. At or below DISPATCH.
pub fn return_nbls(binding: BindingHandle, nbls: *mut NET_BUFFER_LIST, flags: u32) {
    // SAFETY: the NBLs are checked inside.
    unsafe { receive::return_nbls(handles::raw(binding.0), nbls, flags) }
}

/// NdisCancelSendNetBufferLists. At or below DISPATCH.
pub fn cancel_sends(binding: BindingHandle, cancel_id: usize) {
    let id = std::ptr::without_provenance_mut(cancel_id);
    // SAFETY: the handle is checked inside.
    unsafe { send_path::cancel(handles::raw(binding.0), id) }
}

/// NdisCompleteBindAdapterEx. At or below DISPATCH.
pub fn complete_bind(bind_context: BindContext, status: NDIS_STATUS) {
    // SAFETY: the handle is checked inside.
    unsafe { bind::complete_bind(handles::raw(bind_context.0), status) }
}

/// NdisCompleteUnbindAdapterEx. At or below DISPATCH.
pub fn complete_unbind(unbind: UnbindContext) {
    // SAFETY: the handle is checked inside.
    unsafe { bind::complete_unbind(handles::raw(unbind.0)) }
}

/// NdisCompleteNetPnPEvent. PASSIVE. `event` is the one that was delivered.
pub fn complete_pnp_event(
    binding: BindingHandle,
    event: &NET_PNP_EVENT_NOTIFICATION,
    status: NDIS_STATUS,
) {
    let event = (&raw const *event).cast_mut();
    // SAFETY: the event is checked inside.
    unsafe { bindings::events::complete(handles::raw(binding.0), event, status) }
}
