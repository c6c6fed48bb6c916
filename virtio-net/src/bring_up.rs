//! Device initialisation, one type per step (virtio 1.2, 3.1.1).
//!
//! Each step consumes the type before it, so none can be left out, repeated or taken in the wrong
//! order. A step that fails tells the device (`FAILED`) and hands the transport back in
//! [`Failed`], since the way on is always the same: reset, and perhaps begin again.

use crate::config::{self, ConfigError, NetConfig};
use crate::dma::Quiesced;
use crate::features::{self, Features, Lacking};
use crate::queue::QueueSize;
use crate::registers::Registers;
use crate::transport::pci::queues::{Doorbell, QueueSetup, QueueSetupError};
use crate::transport::pci::{DeviceStatus, Health, IsrStatus, PciTransport, ResetError};

/// A step of the initialisation did not succeed.
#[derive(Debug)]
pub struct Failed<R> {
    /// The device; it has to be reset before anything else.
    pub transport: PciTransport<R>,
    /// What went wrong.
    pub why: BringUpError,
}

/// Why a device does not start.
#[derive(Debug)]
pub enum BringUpError {
    /// The device lacks a feature that the driver cannot do without.
    Features(Lacking),
    /// The device did not agree to the features, each of which it had offered.
    FeaturesRefused {
        /// What the driver had accepted.
        accepted: Features,
    },
    /// No queue was set up.
    NoQueue,
    /// The device does not confirm a reset.
    Reset(ResetError),
    /// The device met an error, or left, at the moment it was started.
    Unhealthy(Health),
}

/// A device that was reset and knows that it has a driver.
#[derive(Debug)]
pub struct Found<R>(PciTransport<R>);

/// A device whose features are settled; its queues are set up from here.
#[derive(Debug)]
pub struct Negotiated<R> {
    transport: PciTransport<R>,
    features: Features,
    queues: u16,
}

/// A running device. All methods but [`stop`](Self::stop) may be called from several CPUs at once.
#[derive(Debug)]
pub struct Live<R> {
    transport: PciTransport<R>,
    features: Features,
}

impl<R: Registers> Found<R> {
    /// Resets the device and announces the driver: steps 1 to 3.
    ///
    /// `tries` and `stall` are those of [`PciTransport::reset`].
    ///
    /// # Errors
    ///
    /// The device did not confirm the reset.
    pub fn new(
        mut transport: PciTransport<R>,
        tries: u32,
        stall: impl FnMut(),
    ) -> Result<Self, Failed<R>> {
        if let Err(error) = transport.reset(tries, stall) {
            return Err(Failed {
                transport,
                why: BringUpError::Reset(error),
            });
        }
        transport.add_status(DeviceStatus::ACKNOWLEDGE);
        transport.add_status(DeviceStatus::DRIVER);
        Ok(Self(transport))
    }

    /// Settles the features: steps 4 to 6.
    ///
    /// The driver wants what [`features::TABLE`] says; `mask` drops wishes (a bit that is not in it
    /// is not accepted unless required). [`Features::ALL`] drops none.
    ///
    /// # Errors
    ///
    /// The device lacks a required feature, or clears `FEATURES_OK`.
    pub fn negotiate(self, mask: Features) -> Result<Negotiated<R>, Failed<R>> {
        let Self(mut transport) = self;
        let offered = transport.read_offered();
        let features = match features::negotiate(offered, mask) {
            Ok(features) => features,
            Err(lacking) => return Err(fail(transport, BringUpError::Features(lacking))),
        };

        transport.write_accepted(features, offered);
        transport.add_status(DeviceStatus::FEATURES_OK);
        match transport.read_health() {
            Health::Good => {}
            health => return Err(fail(transport, BringUpError::Unhealthy(health))),
        }
        if !transport.read_status().contains(DeviceStatus::FEATURES_OK) {
            let why = BringUpError::FeaturesRefused { accepted: features };
            return Err(fail(transport, why));
        }
        Ok(Negotiated {
            transport,
            features,
            queues: 0,
        })
    }
}

impl<R: Registers> Negotiated<R> {
    /// The settled features: what the driver may use, and nothing else.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Reads the device configuration.
    ///
    /// # Errors
    ///
    /// It cannot be read, or breaks the specification.
    pub fn config(&self) -> Result<NetConfig, ConfigError> {
        config::read(&self.transport, self.features)
    }

    /// Reads the most descriptors that queue `index` may have.
    ///
    /// # Errors
    ///
    /// There is no such queue, or the number is not possible for a split queue.
    pub fn max_queue_size(&mut self, index: u16) -> Result<QueueSize, QueueSetupError> {
        self.transport.max_queue_size(index)
    }

    /// Names the MSI-X vector for configuration changes; `None` for no message.
    ///
    /// # Errors
    ///
    /// The device has no interrupt for it.
    pub fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), QueueSetupError> {
        self.transport.set_config_vector(vector)
    }

    /// Describes a queue to the device, which will use it from [`start`](Self::start) on.
    ///
    /// # Errors
    ///
    /// Says what the device refused; the queue is not enabled then.
    pub fn set_up_queue(&mut self, setup: &QueueSetup) -> Result<Doorbell, QueueSetupError> {
        let doorbell = self.transport.set_up_queue(setup)?;
        self.queues = self.queues.saturating_add(1);
        Ok(doorbell)
    }

    /// Lets the device run: step 8, `DRIVER_OK`. Doorbells may ring from here on, not before.
    ///
    /// # Errors
    ///
    /// No queue was set up, or the device is in no state to run.
    pub fn start(self) -> Result<Live<R>, Failed<R>> {
        let Self {
            mut transport,
            features,
            queues,
        } = self;
        if queues == 0 {
            return Err(fail(transport, BringUpError::NoQueue));
        }
        transport.add_status(DeviceStatus::DRIVER_OK);
        match transport.read_health() {
            Health::Good => Ok(Live {
                transport,
                features,
            }),
            health => Err(fail(transport, BringUpError::Unhealthy(health))),
        }
    }

    /// Gives up before the start; the device has to be reset.
    #[must_use]
    pub fn abandon(self) -> PciTransport<R> {
        self.transport
    }
}

impl<R: Registers> Live<R> {
    /// The settled features.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Tells the device of new buffers. Any level.
    #[inline]
    pub fn notify(&self, doorbell: Doorbell) {
        self.transport.notify(doorbell);
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
        config::read_link(&self.transport, self.features)
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

/// Tells the device that the driver gives up on it (virtio 1.2, 3.1.1, last paragraph).
fn fail<R: Registers>(mut transport: PciTransport<R>, why: BringUpError) -> Failed<R> {
    transport.add_status(DeviceStatus::FAILED);
    Failed { transport, why }
}
