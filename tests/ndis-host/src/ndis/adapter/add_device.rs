//! A device between MiniportAddDevice and MiniportRemoveDevice: drivers that want a say in its
//! resources (NDIS_MINIPORT_PNP_CHARACTERISTICS).

use ndis_sys::{NDIS_HANDLE, NDIS_MINIPORT_PNP_CHARACTERISTICS, NDIS_STATUS, NDIS_STATUS_SUCCESS};

use super::{ADAPTERS, Adapter, State};
use crate::ndis::call::{Callback, callback};
use crate::ndis::handles;
use crate::ndis::oid::queue::OidQueue;
use crate::ndis::requirements;
use crate::ndis::send::Outstanding;
use crate::{sched, verifier};

/// What a miniport has said about a device that was added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Added {
    /// MiniportAddDevice succeeded, and MiniportRemoveDevice has not been called.
    pub(crate) is_added: bool,
    /// MiniportAddDeviceContext.
    pub(crate) context: usize,
}

impl Adapter {
    fn pnp_handlers(&'static self) -> Option<NDIS_MINIPORT_PNP_CHARACTERISTICS> {
        self.driver.pnp_handlers()
    }

    fn added(&'static self) -> Added {
        self.state.with(|state| state.added)
    }

    fn added_context(&'static self) -> NDIS_HANDLE {
        std::ptr::with_exposed_provenance_mut(self.added().context)
    }

    /// MiniportAddDevice: the device is there, and has no resources yet.
    pub(crate) fn call_add_device(&'static self) -> NDIS_STATUS {
        let handler = self
            .pnp_handlers()
            .and_then(|handlers| handlers.MiniportAddDeviceHandler);
        let Some(handler) = handler else {
            return NDIS_STATUS_SUCCESS;
        };
        let context = self.driver.handlers.as_ref().map_or(0, |h| h.context);
        let status = callback(Callback::AddDevice, self.handle, || {
            // SAFETY: the driver registered the routine with this context.
            sched::in_driver(|| unsafe {
                handler(
                    handles::raw(self.handle),
                    std::ptr::with_exposed_provenance_mut(context),
                )
            })
        });
        let added = status == NDIS_STATUS_SUCCESS;
        self.state.with(|state| state.added.is_added = added);
        verifier::require(51, !added || self.added().context != 0, || {
            "MiniportAddDevice succeeded without NdisMSetMiniportAttributes for its context"
                .to_owned()
        });
        status
    }

    /// MiniportFilterResourceRequirements: before resources are assigned.
    pub(crate) fn filter_requirements(&'static self) {
        let handler = self
            .pnp_handlers()
            .and_then(|handlers| handlers.MiniportFilterResourceRequirementsHandler);
        let Some(handler) = handler.filter(|_| self.added().is_added) else {
            return;
        };
        requirements::filter(&*self.node, |irp| {
            callback(Callback::FilterRequirements, self.handle, || {
                let context = self.added_context();
                // SAFETY: the driver registered the routine; the IRP is valid for the call.
                sched::in_driver(|| unsafe { handler(context, irp.cast()) })
            })
        });
    }

    /// MiniportStartDevice: the resources are assigned.
    pub(crate) fn call_start_device(&'static self) -> NDIS_STATUS {
        let handler = self
            .pnp_handlers()
            .and_then(|handlers| handlers.MiniportStartDeviceHandler);
        let Some(handler) = handler.filter(|_| self.added().is_added) else {
            return NDIS_STATUS_SUCCESS;
        };
        requirements::start(&*self.node, |irp| {
            callback(Callback::StartDevice, self.handle, || {
                let context = self.added_context();
                // SAFETY: as in `filter_requirements`.
                sched::in_driver(|| unsafe { handler(context, irp.cast()) })
            })
        })
    }

    /// MiniportRemoveDevice, and the end of the handle.
    pub(crate) fn call_remove_device(&'static self) {
        let handler = self
            .pnp_handlers()
            .and_then(|handlers| handlers.MiniportRemoveDeviceHandler);
        if let Some(handler) = handler.filter(|_| self.added().is_added) {
            callback(Callback::RemoveDevice, self.handle, || {
                let context = self.added_context();
                // SAFETY: the driver registered the routine with this context.
                sched::in_driver(|| unsafe { handler(context) })
            });
        }
        self.state.with(|state| state.added.is_added = false);
        handles::close(self.handle, "MiniportRemoveDevice");
    }

    /// A halted adapter of a device that is still added: it is as new, under the same handle.
    pub(super) fn retire(&'static self) {
        ADAPTERS.with(|adapters| adapters.retain(|other| other.handle != self.handle));
        self.state.with(|state| {
            let added = state.added;
            *state = State {
                added,
                ..State::default()
            };
        });
        self.oids.with(|queue| *queue = OidQueue::default());
        self.sends.with(|sends| *sends = Outstanding::default());
    }
}
