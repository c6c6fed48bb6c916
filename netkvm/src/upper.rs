//! What VIOPROT needs of the adapter.

use core::ptr::NonNull;

use ndis::chain::{Chain, ToComplete};
use ndis::irql::{Dispatch, raised};
use ndis_sys as sys;
use vioprot::announce::Address;
use vioprot::{Filters, Reason, Upper, UpperState};

use crate::adapter::Adapter;
use crate::interrupt;

impl Upper for Adapter {
    fn miniport(&self) -> sys::NDIS_HANDLE {
        self.handle
    }

    fn send_on_standby(&self, sends: Chain<ToComplete>) {
        self.send_on_virtio(sends);
    }

    fn standby_has_sends(&self) -> bool {
        self.transmit.is_busy()
    }

    fn announce_on_standby(&self, frame: &[u8]) {
        // SAFETY: called at IRQL <= DISPATCH_LEVEL, by the trait's contract.
        unsafe { raised(|at| self.transmit.send_own(self, frame, at)) };
    }

    fn poll_standby(&self) {
        let Some(device) = self.usable_device() else {
            return;
        };
        let poll = |at: Dispatch<'_>| {
            // All that waits now fits; what comes meanwhile needs no hurry.
            if self.receive.drain(self, self.receive.buffers, at) {
                interrupt::receive_again(self, device, at);
            }
        };
        // SAFETY: as above.
        unsafe { raised(poll) };
    }

    fn complete_sends(&self, sends: Chain<ToComplete>) {
        Self::complete_sends(self, sends);
    }

    fn wants(&self, to: [u8; 6]) -> bool {
        Self::wants(self, to)
    }

    fn admit_receives(&self, count: u32) -> bool {
        self.admit(count)
    }

    fn receives_done(&self, count: u32) {
        self.settle(count);
    }

    unsafe fn indicate(&self, lists: *mut sys::NET_BUFFER_LIST, count: u32, flags: u32) {
        // SAFETY: by the trait's contract.
        unsafe { Self::indicate(self, lists, count, flags) };
    }

    fn filters(&self) -> Filters {
        // SAFETY: IRQL <= DISPATCH_LEVEL, by the trait's contract; a leaf lock.
        *unsafe { self.filters.lock() }
    }

    fn addresses(&self, known: &mut [Address]) -> usize {
        // SAFETY: as above.
        let addresses = unsafe { self.addresses.lock() };
        let mut count = 0usize;
        for (to, from) in known
            .iter_mut()
            .zip(addresses.known.iter().take(addresses.len))
        {
            *to = *from;
            count = count.saturating_add(1);
        }
        count
    }

    fn request_done(&self, request: NonNull<sys::NDIS_OID_REQUEST>) {
        // SAFETY: the request handler returned PENDING for it, and it is completed once.
        unsafe {
            sys::NdisMOidRequestComplete(self.handle, request.as_ptr(), sys::NDIS_STATUS_SUCCESS);
        }
    }

    fn path_changed(&self) {
        self.link.evaluate(self);
    }

    fn log(&self, reason: Reason, detail: u32) {
        let code = sys::NDIS_ERROR_CODE_UNSUPPORTED_CONFIGURATION;
        // SAFETY: the adapter is initialised and not halted.
        unsafe { ndis::event_log::write(self.handle, code, reason as u32, detail) };
    }

    fn state(&self) -> UpperState {
        UpperState {
            link_up: self.link.is_told_up(),
            standby_link_up: self.link.carrier(),
            standby_carries: self.link.carries_on_virtio() && self.usable_device().is_some(),
        }
    }
}
