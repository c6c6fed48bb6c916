//! Device initialisation, one type per step (virtio 1.2, 3.1.1).
//!
//! Each step consumes the type before it, so none can be left out, repeated or taken in the wrong
//! order. A step that fails tells the device (`FAILED`) and hands the transport back in
//! [`Failed`], since the way on is always the same: reset, and perhaps begin again.

mod live;

pub use self::live::{Live, NotEnabled};
use crate::config::{self, ConfigError, NetConfig};
use crate::features::{self, Change, Features, Interface, Lacking};
use crate::queue::QueueSize;
use crate::registers::Registers;
use crate::transport::pci::queues::{Doorbell, QueueSetup, QueueSetupError};
use crate::transport::pci::{DeviceStatus, Health, PciTransport, ResetError};

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

    /// Settles the features: steps 4 to 6. A device of the legacy interface is told them and not
    /// asked (virtio 1.2, 3.1.2).
    ///
    /// The driver wants what [`features::TABLE`] says; `mask` is what it can use (a bit that is not
    /// in it is not accepted unless required). [`features::DEFAULT`] is all that the table wants by
    /// itself.
    ///
    /// # Errors
    ///
    /// The device lacks a required feature, or clears `FEATURES_OK`.
    pub fn negotiate(self, mask: Features) -> Result<Negotiated<R>, Failed<R>> {
        let Self(mut transport) = self;
        let offered = transport.read_offered();
        let chosen =
            features::negotiate_for(transport.interface(), offered & transport.usable(), mask);
        let features = match chosen {
            Ok(features) => features,
            Err(lacking) => return Err(fail(transport, BringUpError::Features(lacking))),
        };

        transport.write_accepted(features, offered);
        let asks = transport.interface() == Interface::Modern;
        if asks {
            transport.add_status(DeviceStatus::FEATURES_OK);
        }
        match transport.read_health() {
            Health::Good => {}
            health => return Err(fail(transport, BringUpError::Unhealthy(health))),
        }
        if asks && !transport.read_status().contains(DeviceStatus::FEATURES_OK) {
            let why = BringUpError::FeaturesRefused { accepted: features };
            return Err(fail(transport, why));
        }
        Ok(Negotiated {
            transport,
            features,
            queues: 0,
        })
    }

    /// Settles the features of a device that was driven before, with `before`, and was reset,
    /// resumed or moved since: no more than before is accepted, besides `more`.
    ///
    /// Also says what is different, on which the driver has to act before it goes on.
    ///
    /// # Errors
    ///
    /// Those of [`negotiate`](Self::negotiate).
    pub fn renegotiate(
        self,
        before: Features,
        more: Features,
    ) -> Result<(Negotiated<R>, Change), Failed<R>> {
        let negotiated = self.negotiate(before | more)?;
        let change = Change::between(before, negotiated.features);
        Ok((negotiated, change))
    }
}

impl<R: Registers> Negotiated<R> {
    /// The settled features: what the driver may use, and nothing else.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Which interface the device is driven by. Queues of the legacy one are laid out by
    /// [`SplitLayout::legacy`](crate::queue::split::SplitLayout::legacy), and its packet header is
    /// shorter without `MRG_RXBUF` (virtio 1.2, 5.1.6.1).
    #[must_use]
    pub const fn interface(&self) -> Interface {
        self.transport.interface()
    }

    /// Reads the device configuration.
    ///
    /// # Errors
    ///
    /// It cannot be read, or breaks the specification.
    pub fn config(&self) -> Result<NetConfig, ConfigError> {
        config::read(&self.transport, self.features)
    }

    /// Reads the most descriptors that queue `index` may have. For a split queue a number that is no
    /// power of two is rounded down. On the legacy interface it is the one possible size.
    ///
    /// # Errors
    ///
    /// There is no such queue, or the number is not possible.
    pub fn max_queue_size(&mut self, index: u16) -> Result<QueueSize, QueueSetupError> {
        self.transport.max_queue_size(index, self.features)
    }

    /// Chooses how many descriptors queue `index` is to have: at most `wish`, rounded down to what
    /// is possible; on the legacy interface what the device has.
    ///
    /// # Errors
    ///
    /// Those of [`max_queue_size`](Self::max_queue_size).
    pub fn choose_queue_size(
        &mut self,
        index: u16,
        wish: u16,
    ) -> Result<QueueSize, QueueSetupError> {
        self.transport.choose_queue_size(index, wish, self.features)
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
        let doorbell = self.transport.set_up_queue(setup, self.features)?;
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
            Health::Good => Ok(Live::new(transport, features)),
            health => Err(fail(transport, BringUpError::Unhealthy(health))),
        }
    }

    /// Gives up before the start; the device has to be reset.
    #[must_use]
    pub fn abandon(self) -> PciTransport<R> {
        self.transport
    }
}

/// Tells the device that the driver gives up on it (virtio 1.2, 3.1.1, last paragraph).
fn fail<R: Registers>(mut transport: PciTransport<R>, why: BringUpError) -> Failed<R> {
    transport.add_status(DeviceStatus::FAILED);
    Failed { transport, why }
}
