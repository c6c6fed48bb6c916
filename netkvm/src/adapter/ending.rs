//! How an adapter's use of its device ends: broken, pulled out, shut down, or halted.

use alloc::boxed::Box;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use ndis::irql::{Passive, raised};
use ndis_sys as sys;
use vioprot::edge::EDGE;
use virtio_net::dma::Quiesced;
use virtio_net::transport::pci::ResetError;

use super::{Adapter, Broken};
use crate::hardware::disable_bus_mastering;
use crate::initialize::{RESET_STALL_US, RESET_TRIES};
use crate::query;

/// Time for doorbells that are being rung when the system powers off.
const SHUTDOWN_WAIT_MS: u32 = 10;

impl Adapter {
    /// The device broke the rules: says so once, and stops using it. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn device_broke(&self, how: Broken) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        // SAFETY: the adapter is initialised and not halted.
        unsafe {
            let code = sys::NDIS_ERROR_CODE_INVALID_VALUE_FROM_ADAPTER;
            ndis::event_log::write(self.handle, code, how as u32, 0);
        }
        if let Some(work) = self.recovery.get() {
            work.ask();
        }
    }

    /// Takes everything back from a broken device. The VF, if there is one, carries on.
    pub(crate) fn recover(&self, at: &Passive<'_>) {
        let quiesced = self.reset_device(at);
        self.give_up_device(sys::NDIS_STATUS_FAILURE, &quiesced);
        self.link.set_carrier(self, false);
    }

    fn give_up_device(&self, status: sys::NDIS_STATUS, quiesced: &Quiesced) {
        // SAFETY: called at PASSIVE_LEVEL, whose token is not used inside.
        unsafe {
            raised(|at| {
                self.transmit.kill(self, status, quiesced, at);
                self.receive.kill(quiesced, at);
                if let Some(control) = &self.control {
                    control.kill(quiesced);
                }
            });
        }
    }

    /// Resets the device, or cuts it off from memory when it doesn't answer.
    fn reset_device(&self, at: &Passive<'_>) -> Quiesced {
        self.doorbells.close_and_wait(at);
        let stall = || ndis::time::sleep_us(RESET_STALL_US, at);
        let answer = self
            .device
            .get()
            .map(|device| device.live.reset(RESET_TRIES, stall));
        match answer {
            Some(Ok(quiesced) | Err(ResetError::Gone(quiesced))) => quiesced,
            Some(Err(_)) => {
                disable_bus_mastering(self.handle);
                // SAFETY: a function without bus mastering reaches no memory (PCI 3.0, 6.2.2).
                unsafe { Quiesced::assume() }
            }
            // SAFETY: a device that was never started has had no buffer.
            None => unsafe { Quiesced::assume() },
        }
    }

    /// The device was pulled out. NDIS pauses and halts the adapter soon.
    pub(crate) fn surprise_removed(&self) {
        self.gone.store(true, Ordering::Release);
        self.dead.store(true, Ordering::Release);
        if cfg!(mutant = "ignore_removal") {
            return;
        }
        // SAFETY: a removed device reaches no memory.
        let quiesced = unsafe { Quiesced::assume() };
        self.give_up_device(sys::NDIS_STATUS_NOT_ACCEPTED, &quiesced);
        self.link.set_carrier(self, false);
    }

    /// Serves MiniportShutdownEx: the device shall do nothing more. Without a token the level may be
    /// any, up to HIGH_LEVEL, and nobody else runs: the system crashes.
    pub(crate) fn shut_down(&self, at: Option<&Passive<'_>>) {
        if !self.dead.swap(true, Ordering::AcqRel)
            && let Some(device) = self.device.get()
        {
            if let Some(at) = at {
                self.doorbells.close();
                self.doorbells.wait_at_most(SHUTDOWN_WAIT_MS, at);
            }
            // One write, and no waiting for what becomes of it.
            let _ = device.live.reset(1, || {});
        }
    }

    /// Serves MiniportHaltEx: frees everything.
    ///
    /// # Safety
    ///
    /// `adapter` was leaked by MiniportInitializeEx, is paused, and NDIS uses it no more.
    pub(crate) unsafe fn halt(
        adapter: NonNull<Self>,
        action: sys::NDIS_HALT_ACTION,
        at: &Passive<'_>,
    ) {
        // SAFETY: alive until the drop below.
        let this = unsafe { adapter.as_ref() };
        if action == sys::NdisHaltDeviceSurpriseRemoved {
            this.gone.store(true, Ordering::Release);
            this.dead.store(true, Ordering::Release);
        }
        query::adapter_goes(at);
        this.tear_down(at);
        // SAFETY: leaked as a box, and nothing points to it any more.
        drop(unsafe { Box::from_raw(adapter.as_ptr()) });
    }

    /// Undoes what makes callbacks come, and takes everything back from the device.
    pub(crate) fn tear_down(&self, at: &Passive<'_>) {
        if let Some(pair) = self.pair.get() {
            EDGE.remove(pair, at);
        }
        for timer in [&self.grace, &self.answer_due] {
            if let Some(timer) = timer.get() {
                timer.stop(at);
            }
        }
        if let Some(work) = self.recovery.get() {
            work.stop(at);
        }
        let touch = cfg!(mutant = "reset_a_removed_device");
        let quiesced = if self.gone.load(Ordering::Acquire) && !touch {
            // SAFETY: a removed device reaches no memory.
            unsafe { Quiesced::assume() }
        } else {
            self.reset_device(at)
        };
        self.dead.store(true, Ordering::Release);
        let interrupt = self.interrupt.swap(ptr::null_mut(), Ordering::AcqRel);
        if !interrupt.is_null() && !cfg!(mutant = "keep_interrupt") {
            // SAFETY: registered once; the device is silent; at PASSIVE_LEVEL with no lock.
            unsafe { sys::NdisMDeregisterInterruptEx(interrupt) };
        }
        self.give_up_device(sys::NDIS_STATUS_PAUSED, &quiesced);
        self.data_path.wait_for_givers(at);
    }
}
