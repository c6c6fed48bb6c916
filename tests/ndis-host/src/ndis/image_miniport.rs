//! The miniport trait for driver images: the registered handlers, called as Windows calls them.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use ndis_sys::{
    BOOLEAN, FALSE, NDIS_HALT_ACTION, NDIS_MINIPORT_DRIVER_CHARACTERISTICS,
    NDIS_MINIPORT_INIT_PARAMETERS, NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS, NDIS_SHUTDOWN_ACTION, NDIS_STATUS, NDIS_STATUS_FAILURE,
    NDIS_STATUS_HARD_ERRORS, NDIS_STATUS_NOT_SUPPORTED, NET_BUFFER_LIST, NET_DEVICE_PNP_EVENT,
};

use crate::ndis::adapter::Adapter;
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::handles;
use crate::ndis::native::{AdapterHandle, Miniport, OidRequestRef};
use crate::sched;

/// One adapter of an image's miniport driver.
pub(crate) struct ImageMiniport {
    driver: &'static MiniportDriver,
    adapter: AtomicU64,
}

impl ImageMiniport {
    pub(crate) fn new(driver: &'static MiniportDriver) -> Self {
        Self {
            driver,
            adapter: AtomicU64::new(0),
        }
    }

    fn handlers(&self) -> Option<&'static NDIS_MINIPORT_DRIVER_CHARACTERISTICS> {
        self.driver
            .handlers
            .as_ref()
            .map(|handlers| &handlers.characteristics)
    }

    /// MiniportAdapterContext, as the registration attributes gave it.
    fn context(&self) -> *mut c_void {
        let adapter = handles::lookup::<Adapter>(self.adapter.load(Ordering::Relaxed));
        let context = adapter.map_or(0, |adapter| adapter.state.with(|state| state.context));
        std::ptr::with_exposed_provenance_mut(context)
    }
}

// In all methods: the handlers run as driver code does (`sched::in_driver`); they were checked at registration, their context is the driver's own,
// and the other arguments are what the handler's page asks for.
impl Miniport for ImageMiniport {
    fn initialize(
        &self,
        adapter: AdapterHandle,
        parameters: &NDIS_MINIPORT_INIT_PARAMETERS,
    ) -> NDIS_STATUS {
        self.adapter.store(adapter.0, Ordering::Relaxed);
        let context = self
            .driver
            .handlers
            .as_ref()
            .map_or(0, |handlers| handlers.context);
        let Some(initialize) = self.handlers().and_then(|h| h.InitializeHandlerEx) else {
            return NDIS_STATUS_FAILURE;
        };
        let context = std::ptr::with_exposed_provenance_mut(context);
        let parameters = (&raw const *parameters).cast_mut();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { initialize(handles::raw(adapter.0), context, parameters) })
    }

    fn halt(&self, action: NDIS_HALT_ACTION) {
        if let Some(halt) = self.handlers().and_then(|h| h.HaltHandlerEx) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe { halt(context, action) })
        }
    }

    fn pause(&self, parameters: &NDIS_MINIPORT_PAUSE_PARAMETERS) -> NDIS_STATUS {
        let Some(pause) = self.handlers().and_then(|h| h.PauseHandler) else {
            return NDIS_STATUS_FAILURE;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { pause(context, (&raw const *parameters).cast_mut()) })
    }

    fn restart(&self, parameters: &NDIS_MINIPORT_RESTART_PARAMETERS) -> NDIS_STATUS {
        let Some(restart) = self.handlers().and_then(|h| h.RestartHandler) else {
            return NDIS_STATUS_FAILURE;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { restart(context, (&raw const *parameters).cast_mut()) })
    }

    fn send(&self, nbls: *mut NET_BUFFER_LIST, port: u32, flags: u32) {
        if let Some(send) = self.handlers().and_then(|h| h.SendNetBufferListsHandler) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe { send(context, nbls, port, flags) })
        }
    }

    fn return_nbls(&self, nbls: *mut NET_BUFFER_LIST, flags: u32) {
        if let Some(return_nbls) = self.handlers().and_then(|h| h.ReturnNetBufferListsHandler) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe { return_nbls(context, nbls, flags) })
        }
    }

    fn cancel_send(&self, cancel_id: usize) {
        if let Some(cancel) = self.handlers().and_then(|h| h.CancelSendHandler) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe {
                cancel(context, std::ptr::without_provenance_mut(cancel_id))
            })
        }
    }

    fn oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        let Some(oid_request) = self.handlers().and_then(|h| h.OidRequestHandler) else {
            return NDIS_STATUS_NOT_SUPPORTED;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { oid_request(context, request.0) })
    }

    fn cancel_oid(&self, request_id: usize) {
        if let Some(cancel) = self.handlers().and_then(|h| h.CancelOidRequestHandler) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe {
                cancel(context, std::ptr::without_provenance_mut(request_id))
            })
        }
    }

    fn has_direct_oids(&self) -> bool {
        self.handlers()
            .is_some_and(|h| h.DirectOidRequestHandler.is_some())
    }

    fn direct_oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        let Some(oid_request) = self.handlers().and_then(|h| h.DirectOidRequestHandler) else {
            return NDIS_STATUS_NOT_SUPPORTED;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { oid_request(context, request.0) })
    }

    fn cancel_direct_oid(&self, request_id: usize) {
        if let Some(cancel) = self
            .handlers()
            .and_then(|h| h.CancelDirectOidRequestHandler)
        {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe {
                cancel(context, std::ptr::without_provenance_mut(request_id))
            })
        }
    }

    fn has_synchronous_oids(&self) -> bool {
        self.handlers()
            .is_some_and(|h| h.SynchronousOidRequestHandler.is_some())
    }

    fn synchronous_oid_request(&self, request: OidRequestRef) -> NDIS_STATUS {
        let Some(oid_request) = self.handlers().and_then(|h| h.SynchronousOidRequestHandler) else {
            return NDIS_STATUS_NOT_SUPPORTED;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { oid_request(context, request.0) })
    }

    fn pnp_event(&self, event: &NET_DEVICE_PNP_EVENT) {
        if let Some(notify) = self.handlers().and_then(|h| h.DevicePnPEventNotifyHandler) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe { notify(context, (&raw const *event).cast_mut()) })
        }
    }

    fn shutdown(&self, action: NDIS_SHUTDOWN_ACTION) {
        if let Some(shutdown) = self.handlers().and_then(|h| h.ShutdownHandlerEx) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe { shutdown(context, action) })
        }
    }

    fn checks_for_hang(&self) -> bool {
        self.handlers()
            .is_some_and(|h| h.CheckForHangHandlerEx.is_some())
    }

    fn check_for_hang(&self) -> bool {
        let Some(check) = self.handlers().and_then(|h| h.CheckForHangHandlerEx) else {
            return false;
        };
        let context = self.context();
        // SAFETY: see above.
        let hangs = sched::in_driver(|| unsafe { check(context) });
        hangs != FALSE
    }

    fn reset(&self, addressing: &mut BOOLEAN) -> NDIS_STATUS {
        let Some(reset) = self.handlers().and_then(|h| h.ResetHandlerEx) else {
            return NDIS_STATUS_HARD_ERRORS;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { reset(context, addressing) })
    }

    fn can_idle(&self) -> bool {
        self.driver.idle_handlers().is_some()
    }

    fn idle_notification(&self, force: bool) -> NDIS_STATUS {
        let handlers = self.driver.idle_handlers();
        let Some(notify) = handlers.and_then(|handlers| handlers.IdleNotificationHandler) else {
            return NDIS_STATUS_FAILURE;
        };
        let context = self.context();
        // SAFETY: see above.
        sched::in_driver(|| unsafe { notify(context, BOOLEAN::from(force)) })
    }

    fn cancel_idle_notification(&self) {
        let handlers = self.driver.idle_handlers();
        if let Some(cancel) = handlers.and_then(|h| h.CancelIdleNotificationHandler) {
            let context = self.context();
            // SAFETY: see above.
            sched::in_driver(|| unsafe { cancel(context) })
        }
    }
}
