//! Whether the administrator has installed VIOPROT.
//!
//! The registry decides: VIOPROT is installed while its service exists and is not being deleted
//! (`docs/protocol-installation.md`). NDIS's events only hasten the look.

use core::sync::atomic::{AtomicBool, Ordering};

use ndis::irql::Passive;

/// The service of the protocol component, as `vioprot.inf` names it.
const SERVICE: &str = "vioprot";
/// SERVICE_DISABLED: DeleteService sets it before the key goes.
const DISABLED: u32 = 4;

/// The last known answer.
pub(crate) struct Installed {
    known: AtomicBool,
    /// NDIS has said that the protocol goes, and the key still exists.
    going: AtomicBool,
}

impl Installed {
    pub(crate) const fn new() -> Self {
        Self {
            known: AtomicBool::new(false),
            going: AtomicBool::new(false),
        }
    }

    pub(crate) fn get(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    /// Looks again. Says whether the answer has changed.
    pub(crate) fn refresh(&self, at: &Passive<'_>) -> bool {
        let exists =
            ndis::registry::service_start(SERVICE, at).is_some_and(|start| start != DISABLED);
        if !exists {
            self.going.store(false, Ordering::Release);
        }
        self.set(exists && !self.going.load(Ordering::Acquire))
    }

    /// NDIS offers an adapter: an uninstallation that was announced is over.
    pub(crate) fn bind_offered(&self) {
        self.going.store(false, Ordering::Release);
    }

    /// NDIS uninstalls the protocol. Says whether that is news.
    pub(crate) fn uninstalling(&self) -> bool {
        self.going.store(true, Ordering::Release);
        self.set(false)
    }

    fn set(&self, installed: bool) -> bool {
        self.known.swap(installed, Ordering::AcqRel) != installed
    }
}
