//! The miniport of an adapter, which is another one after each halt for low power.

use std::ops::Deref;
use std::sync::Arc;

use crate::ndis::native::Miniport;
use crate::sched::BatonCell;

/// The driver's side of an adapter.
pub(crate) struct MiniportSlot(&'static BatonCell<&'static dyn Miniport>);

impl MiniportSlot {
    /// With the miniport of the first start.
    pub(crate) fn new(miniport: Arc<dyn Miniport>) -> Self {
        Self(Box::leak(Box::new(BatonCell::new(forever(miniport)))))
    }

    /// Puts the miniport of the next start in place; that of the last one is halted.
    pub(crate) fn replace(&self, miniport: Arc<dyn Miniport>) {
        self.0.with(|current| *current = forever(miniport));
    }
}

/// Miniports live as long as the process, like the adapters that they belong to.
fn forever(miniport: Arc<dyn Miniport>) -> &'static dyn Miniport {
    let leaked: &'static Arc<dyn Miniport> = Box::leak(Box::new(miniport));
    leaked.as_ref()
}

impl Deref for MiniportSlot {
    type Target = dyn Miniport;

    fn deref(&self) -> &Self::Target {
        self.0.with(|miniport| *miniport)
    }
}
