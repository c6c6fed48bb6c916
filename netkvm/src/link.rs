//! What the adapter says of its link.
//!
//! | device | situation | link |
//! |---|---|---|
//! | no standby | | that of the virtio device |
//! | standby | VIOPROT not installed | down |
//! | standby | installed, no VF since start, grace not over | down |
//! | standby | the VF carries | up |
//! | standby | a VF has carried, or the grace is over | that of the virtio device |

use core::sync::atomic::{AtomicBool, Ordering};

use ndis::lock::SpinLock;
use ndis::turns::Turns;
use ndis_sys as sys;
use vioprot::edge::EDGE;

use crate::adapter::Adapter;

/// What virtio-net is said to run at when the device does not say: bits per second.
pub(crate) const SPEED: u64 = 10_000_000_000;

/// The link of an adapter.
pub(crate) struct Link {
    standby: bool,
    /// The virtio device's own link.
    carrier: AtomicBool,
    /// A standby may carry alone: a VF has carried, or the grace is over.
    released: AtomicBool,
    /// The grace timer was set.
    grace_runs: AtomicBool,
    /// What NDIS was told last.
    told: SpinLock<bool>,
    /// One CPU at a time tells NDIS: two might do it in the wrong order.
    telling: Turns,
}

impl Link {
    /// A link that NDIS is told about by the general attributes: [`Link::initial`].
    pub(crate) fn new(standby: bool, carrier: bool) -> Self {
        Self {
            standby,
            carrier: AtomicBool::new(carrier),
            released: AtomicBool::new(false),
            grace_runs: AtomicBool::new(false),
            told: SpinLock::new(!standby && carrier),
            telling: Turns::new(),
        }
    }

    /// What the general attributes say.
    pub(crate) fn initial(&self) -> bool {
        !self.standby && self.carrier.load(Ordering::Acquire)
    }

    /// What NDIS was told last. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn is_told_up(&self) -> bool {
        // SAFETY: IRQL <= DISPATCH_LEVEL, by contract; a leaf lock.
        *unsafe { self.told.lock() }
    }

    /// The virtio device's own link.
    pub(crate) fn carrier(&self) -> bool {
        self.carrier.load(Ordering::Acquire)
    }

    /// Whether sends may go out by virtio.
    pub(crate) fn carries_on_virtio(&self) -> bool {
        !self.standby || self.released.load(Ordering::Acquire)
    }

    /// The virtio device's link has changed. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn set_carrier(&self, adapter: &Adapter, up: bool) {
        self.carrier.store(up, Ordering::Release);
        self.evaluate(adapter);
    }

    /// The grace is over. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn grace_over(&self, adapter: &Adapter) {
        if EDGE.is_installed() {
            self.released.store(true, Ordering::Release);
        }
        self.grace_runs.store(false, Ordering::Release);
        self.evaluate(adapter);
    }

    /// Works out what the link is now, and tells NDIS if that is new. IRQL <= DISPATCH_LEVEL, no
    /// lock held.
    pub(crate) fn evaluate(&self, adapter: &Adapter) {
        self.telling.work(|| {
            let up = self.is_up(adapter);
            let news = {
                // SAFETY: IRQL <= DISPATCH_LEVEL, by contract; a leaf lock.
                let mut told = unsafe { self.told.lock() };
                core::mem::replace(&mut *told, up) != up
            };
            if news {
                indicate(adapter.handle(), up);
            } else if cfg!(mutant = "bounce_link") && up {
                indicate(adapter.handle(), false);
                indicate(adapter.handle(), true);
            }
            false
        });
    }

    fn is_up(&self, adapter: &Adapter) -> bool {
        if !self.standby {
            return self.carrier.load(Ordering::Acquire);
        }
        if !EDGE.is_installed() {
            self.released.store(false, Ordering::Release);
            return false;
        }
        if adapter.pair().is_on_vf() {
            self.released.store(true, Ordering::Release);
            return true;
        }
        if cfg!(mutant = "grant_no_grace") {
            self.released.store(true, Ordering::Release);
        }
        if self.released.load(Ordering::Acquire) {
            return self.carrier.load(Ordering::Acquire);
        }
        self.start_grace(adapter);
        false
    }

    fn start_grace(&self, adapter: &Adapter) {
        let milliseconds = adapter.settings.standby_grace_ms;
        if milliseconds != 0
            && let Some(timer) = adapter.grace.get()
            && !self.grace_runs.swap(true, Ordering::AcqRel)
        {
            timer.set(milliseconds);
        }
    }
}

fn indicate(miniport: sys::NDIS_HANDLE, up: bool) {
    let (state, duplex, speed) = if up {
        (
            sys::MediaConnectStateConnected,
            sys::MediaDuplexStateFull,
            SPEED,
        )
    } else {
        let unknown = sys::NDIS_LINK_SPEED_UNKNOWN;
        (
            sys::MediaConnectStateDisconnected,
            sys::MediaDuplexStateUnknown,
            unknown,
        )
    };
    let mut link: sys::NDIS_LINK_STATE = sys::zeroed();
    link.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_DEFAULT,
        sys::NDIS_LINK_STATE_REVISION_1,
        sys::NDIS_SIZEOF_LINK_STATE_REVISION_1,
    );
    (link.MediaConnectState, link.MediaDuplexState) = (state, duplex);
    (link.XmitLinkSpeed, link.RcvLinkSpeed) = (speed, speed);
    link.PauseFunctions = sys::NdisPauseFunctionsUnknown;
    let mut status: sys::NDIS_STATUS_INDICATION = sys::zeroed();
    status.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_STATUS_INDICATION,
        sys::NDIS_STATUS_INDICATION_REVISION_1,
        sys::NDIS_SIZEOF_STATUS_INDICATION_REVISION_1,
    );
    status.SourceHandle = miniport;
    status.StatusCode = sys::NDIS_STATUS_LINK_STATE;
    status.StatusBuffer = (&raw mut link).cast();
    status.StatusBufferSize = size_of::<sys::NDIS_LINK_STATE>() as u32;
    // SAFETY: the adapter is initialised and not halted; the buffers live through the call.
    unsafe { sys::NdisMIndicateStatusEx(miniport, &raw mut status) };
}
