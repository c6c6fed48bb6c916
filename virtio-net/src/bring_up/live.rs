//! A device that runs: doorbells, interrupts, health, and the reset of a queue or of all.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::config::{self, ConfigError, LinkStatus, NetConfig};
use crate::dma::Quiesced;
use crate::features::{Features, Interface};
use crate::registers::Registers;
use crate::transport::pci::queues::{Doorbell, QueueSetup, QueueSetupError};
use crate::transport::pci::ring_reset::{QueueQuiesced, QueueResetError};
use crate::transport::pci::{Health, IsrStatus, PciTransport, ResetError};

/// A running device. All methods but [`stop`](Self::stop) may be called from several CPUs at once.
#[derive(Debug)]
pub struct Live<R> {
    transport: PciTransport<R>,
    features: Features,
    /// Whether a CPU has a queue selected.
    selecting: AtomicBool,
}

/// A queue that was reset and could not be enabled again.
#[derive(Debug)]
pub struct NotEnabled {
    /// The queue is as quiet as before.
    pub proof: QueueQuiesced,
    /// What was wrong, or `None` when another CPU is resetting or enabling a queue.
    pub why: Option<QueueSetupError>,
}

impl<R: Registers> Live<R> {
    /// A device that has `DRIVER_OK`.
    pub(super) const fn new(transport: PciTransport<R>, features: Features) -> Self {
        Self {
            transport,
            features,
            selecting: AtomicBool::new(false),
        }
    }

    /// The settled features.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Which interface the device is driven by.
    #[must_use]
    pub const fn interface(&self) -> Interface {
        self.transport.interface()
    }

    /// Tells the device of new buffers. Any level.
    ///
    /// `progress` is how far the queue was filled, which goes out only with `NOTIFICATION_DATA`
    /// (see [`PciTransport::notify`]).
    #[inline]
    pub fn notify(&self, doorbell: Doorbell, progress: u16) {
        self.transport.notify(doorbell, progress);
    }

    /// Reads and clears the interrupt status. Any level.
    pub fn read_isr(&self) -> IsrStatus {
        self.transport.read_isr()
    }

    /// Reads how the device is. Any level.
    pub fn read_health(&self) -> Health {
        self.transport.read_health()
    }

    /// Reads the device configuration again, for instance after a configuration interrupt.
    ///
    /// # Errors
    ///
    /// It cannot be read, or breaks the specification.
    pub fn config(&self) -> Result<NetConfig, ConfigError> {
        config::read(&self.transport, self.features)
    }

    /// Reads the link state alone. Any level.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    pub fn read_link(&self) -> Result<bool, ConfigError> {
        self.read_link_status().map(|status| status.up)
    }

    /// Reads the link state, and whether an announcement is asked for. Any level.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read.
    pub fn read_link_status(&self) -> Result<LinkStatus, ConfigError> {
        config::read_status(&self.transport, self.features)
    }

    /// Resets queue `index` alone, after which it may be emptied; the others go on. With
    /// `RING_RESET` only.
    ///
    /// Looks at most `tries` times (and at least once), with `stall` between two looks; one try waits
    /// for nothing, and may be made at any level.
    ///
    /// # Errors
    ///
    /// The queue is not reset, or not known to be; its buffers stay with the device.
    pub fn reset_queue(
        &self,
        index: u16,
        tries: u32,
        stall: impl FnMut(),
    ) -> Result<QueueQuiesced, QueueResetError> {
        if !self.features.contains(Features::RING_RESET) {
            return Err(QueueResetError::NotNegotiated);
        }
        let Some(_turn) = Turn::take(&self.selecting) else {
            return Err(QueueResetError::Busy);
        };
        self.transport.reset_queue(index, tries, stall)
    }

    /// Describes a queue that was reset to the device anew and enables it, with what may be another
    /// size, memory or vector; `proof` is used up.
    ///
    /// # Errors
    ///
    /// `setup` is about another queue ([`QueueSetupError::Absent`]), or what the device refused. The
    /// queue is not enabled then.
    pub fn enable_queue(
        &self,
        proof: QueueQuiesced,
        setup: &QueueSetup,
    ) -> Result<Doorbell, NotEnabled> {
        if proof.queue() != setup.index {
            let why = Some(QueueSetupError::Absent);
            return Err(NotEnabled { proof, why });
        }
        let Some(_turn) = Turn::take(&self.selecting) else {
            return Err(NotEnabled { proof, why: None });
        };
        let enabled = self.transport.set_up_queue(setup, self.features);
        enabled.map_err(|why| NotEnabled {
            proof,
            why: Some(why),
        })
    }

    /// Resets the device while others may still hold it, as when an interrupt is not deregistered
    /// yet. They may ring doorbells and read the status of a device that is reset: nothing comes
    /// of it.
    ///
    /// `tries` and `stall` are those of [`PciTransport::reset`]; one try waits for nothing, and may
    /// be made at any level.
    ///
    /// # Errors
    ///
    /// Those of [`PciTransport::reset`].
    pub fn reset(&self, tries: u32, stall: impl FnMut()) -> Result<Quiesced, ResetError> {
        self.transport.reset(tries, stall)
    }

    /// Resets the device, after which its queues may be emptied.
    ///
    /// `tries` and `stall` are those of [`PciTransport::reset`]. The transport comes back in either
    /// case: for a new [`Found`], or for another attempt.
    pub fn stop(
        self,
        tries: u32,
        stall: impl FnMut(),
    ) -> (PciTransport<R>, Result<Quiesced, ResetError>) {
        let Self { transport, .. } = self;
        let outcome = transport.reset(tries, stall);
        (transport, outcome)
    }
}

/// The right to select a queue: which one it is, is a single register of the device. Nobody waits for
/// it, since its owner may be one that was interrupted.
struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    fn take(taken: &'a AtomicBool) -> Option<Self> {
        (!taken.swap(true, Ordering::Acquire)).then(|| Self(taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
