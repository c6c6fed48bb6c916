//! Custody: the chain of hands that an NBL is in.
//!
//! An NBL that TCP/IP sends and that a driver with an edge on both sides sends on to another
//! miniport has been handed over twice, and comes back twice. So custody is a stack: a hand-over
//! pushes, its undoing pops, and only the latest hand-over can be undone.

use std::fmt;

use ndis_sys::NET_BUFFER_LIST;

use super::seal::Seal;
use crate::ndis::offload::transmit::Wishes;

/// One hand-over that has not been undone.
pub(crate) enum Custody {
    /// Sent on a binding, to the miniport that completes it.
    Sent {
        binding: u64,
        adapter: u64,
        since_ns: u64,
        /// Offloads that the sender asked for.
        wishes: Wishes,
        seal: Box<Seal>,
    },
    /// Indicated by a miniport, to the bindings that have to return it.
    Indicated {
        adapter: u64,
        resources: bool,
        holder: Option<u64>,
        seal: Box<Seal>,
    },
}

impl Custody {
    /// The same hand-over, of an NBL that stands in for the one handed over.
    pub(crate) fn of_stand_in(&self, seal: Seal) -> Self {
        let seal = Box::new(seal);
        match self {
            Self::Sent {
                binding,
                adapter,
                since_ns,
                wishes,
                ..
            } => Self::Sent {
                binding: *binding,
                adapter: *adapter,
                since_ns: *since_ns,
                wishes: *wishes,
                seal,
            },
            Self::Indicated {
                adapter,
                resources,
                holder,
                ..
            } => Self::Indicated {
                adapter: *adapter,
                resources: *resources,
                holder: *holder,
                seal,
            },
        }
    }
}

impl fmt::Display for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent {
                binding,
                adapter,
                since_ns,
                ..
            } => {
                let since = since_ns / 1000;
                write!(
                    f,
                    "sent on binding {binding:#x} to adapter {adapter:#x} at {since} us"
                )
            }
            Self::Indicated {
                adapter, holder, ..
            } => match holder {
                Some(binding) => {
                    write!(
                        f,
                        "indicated by adapter {adapter:#x}, held by binding {binding:#x}"
                    )
                }
                None => write!(f, "indicated by adapter {adapter:#x}, held by NDIS"),
            },
        }
    }
}

/// Sets the binding that has to return an indicated NBL.
pub(crate) fn set_holder(nbl: *mut NET_BUFFER_LIST, binding: Option<u64>) {
    super::shadow::try_with(nbl, |record| {
        if let Some(Custody::Indicated { holder, .. }) = record.custody.last_mut() {
            *holder = binding;
        }
    });
}
