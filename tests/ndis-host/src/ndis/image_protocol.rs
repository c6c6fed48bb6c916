//! The protocol trait for driver images: the registered handlers, called as Windows calls them.

use ndis_sys::{
    NDIS_BIND_PARAMETERS, NDIS_HANDLE, NDIS_PROTOCOL_DRIVER_CHARACTERISTICS, NDIS_STATUS,
    NDIS_STATUS_FAILURE, NDIS_STATUS_INDICATION, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_PNP_EVENT_NOTIFICATION,
};

use crate::ndis::handles;
use crate::ndis::native::{BindContext, OidRequestRef, Protocol, UnbindContext};
use crate::sched;

/// The protocol driver of an image.
pub(crate) struct ImageProtocol {
    handlers: NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
    context: usize,
}

// SAFETY: the characteristics are function pointers and a name that is not read again; the baton
// orders their users.
unsafe impl Send for ImageProtocol {}
// SAFETY: as above.
unsafe impl Sync for ImageProtocol {}

impl ImageProtocol {
    pub(crate) fn new(
        handlers: NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
        context: NDIS_HANDLE,
    ) -> Self {
        Self {
            handlers,
            context: context.expose_provenance(),
        }
    }
}

/// A context as the driver gave it.
fn raw(context: usize) -> NDIS_HANDLE {
    std::ptr::with_exposed_provenance_mut(context)
}

// In all methods: the handlers run as driver code does (`sched::in_driver`); they were checked at registration, the context is the driver's own, and
// the other arguments are what the handler's page asks for.
impl Protocol for ImageProtocol {
    fn bind(&self, bind: BindContext, parameters: &NDIS_BIND_PARAMETERS) -> NDIS_STATUS {
        let Some(handler) = self.handlers.BindAdapterHandlerEx else {
            return NDIS_STATUS_FAILURE;
        };
        let parameters = (&raw const *parameters).cast_mut();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { handler(raw(self.context), handles::raw(bind.0), parameters) })
    }

    fn unbind(&self, unbind: UnbindContext, binding: usize) -> NDIS_STATUS {
        let Some(handler) = self.handlers.UnbindAdapterHandlerEx else {
            return NDIS_STATUS_FAILURE;
        };
        // SAFETY: see above.
        sched::in_driver(|| unsafe { handler(handles::raw(unbind.0), raw(binding)) })
    }

    fn receive(
        &self,
        binding: usize,
        nbls: *mut NET_BUFFER_LIST,
        port: u32,
        count: u32,
        flags: u32,
    ) {
        if let Some(handler) = self.handlers.ReceiveNetBufferListsHandler {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler(raw(binding), nbls, port, count, flags) })
        }
    }

    fn send_complete(&self, binding: usize, nbls: *mut NET_BUFFER_LIST, flags: u32) {
        if let Some(handler) = self.handlers.SendNetBufferListsCompleteHandler {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler(raw(binding), nbls, flags) })
        }
    }

    fn status(&self, binding: usize, indication: &NDIS_STATUS_INDICATION) {
        if let Some(handler) = self.handlers.StatusHandlerEx {
            // SAFETY: see above.
            sched::in_driver(|| unsafe {
                handler(raw(binding), (&raw const *indication).cast_mut())
            })
        }
    }

    fn net_pnp_event(
        &self,
        binding: Option<usize>,
        event: &NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS {
        let Some(handler) = self.handlers.NetPnPEventHandler else {
            return NDIS_STATUS_SUCCESS;
        };
        // SAFETY: see above; a global event has no binding context.
        sched::in_driver(|| unsafe {
            handler(raw(binding.unwrap_or(0)), (&raw const *event).cast_mut())
        })
    }

    fn oid_complete(&self, binding: usize, request: OidRequestRef, status: NDIS_STATUS) {
        if let Some(handler) = self.handlers.OidRequestCompleteHandler {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler(raw(binding), request.0, status) })
        }
    }

    fn has_direct_oids(&self) -> bool {
        self.handlers.DirectOidRequestCompleteHandler.is_some()
    }

    fn direct_oid_complete(&self, binding: usize, request: OidRequestRef, status: NDIS_STATUS) {
        if let Some(handler) = self.handlers.DirectOidRequestCompleteHandler {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler(raw(binding), request.0, status) })
        }
    }

    fn open_complete(&self, binding: usize, status: NDIS_STATUS) {
        if let Some(handler) = self.handlers.OpenAdapterCompleteHandlerEx {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler(raw(binding), status) })
        }
    }

    fn close_complete(&self, binding: usize) {
        if let Some(handler) = self.handlers.CloseAdapterCompleteHandlerEx {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler(raw(binding)) })
        }
    }

    fn uninstall(&self) {
        if let Some(handler) = self.handlers.UninstallHandler {
            // SAFETY: see above.
            sched::in_driver(|| unsafe { handler() })
        }
    }
}
