//! Whether the administrator has installed VIOPROT.
//!
//! The registry decides: VIOPROT is installed while its service exists and is not being deleted
//! (`docs/protocol-installation.md`). NDIS's events only hasten the look.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ndis::irql::Passive;

/// The service of the protocol component, as `vioprot.inf` names it.
const SERVICE: &str = "vioprot";
/// SERVICE_DISABLED: DeleteService sets it before the key goes.
const DISABLED: u32 = 4;

/// How long the service may outlive the news that the protocol goes. One that is there then was installed
/// anew meanwhile, which nobody tells as long as there is no adapter to bind.
const GOING_MS: u64 = 10_000;

/// The last known answer.
pub(crate) struct Installed {
    known: AtomicBool,
    /// NDIS has said that the protocol goes, and the key still exists: until this uptime in
    /// milliseconds it does not count. 0: it does.
    going_until: AtomicU64,
}

impl Installed {
    pub(crate) const fn new() -> Self {
        Self {
            known: AtomicBool::new(false),
            going_until: AtomicU64::new(0),
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
            self.going_until.store(0, Ordering::Release);
        }
        let counts = ndis::time::uptime_ms() >= self.going_until.load(Ordering::Acquire);
        self.set(exists && counts)
    }

    /// NDIS offers an adapter: an uninstallation that was announced is over.
    pub(crate) fn bind_offered(&self) {
        self.going_until.store(0, Ordering::Release);
    }

    /// NDIS uninstalls the protocol. Says whether that is news.
    pub(crate) fn uninstalling(&self) -> bool {
        let until = ndis::time::uptime_ms().saturating_add(GOING_MS);
        self.going_until.store(until, Ordering::Release);
        self.set(false)
    }

    fn set(&self, installed: bool) -> bool {
        self.known.swap(installed, Ordering::AcqRel) != installed
    }
}
