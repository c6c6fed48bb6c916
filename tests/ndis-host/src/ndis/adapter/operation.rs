//! Who may change the stack of an adapter: one thread at a time.
//!
//! NDIS serialises bind, unbind, pause, restart and halt per adapter (rule 296). The thread that
//! does one of them owns the stack of the adapter; the others wait.

use super::Adapter;
use crate::sched;
use crate::verifier;

/// The right to change the stack of an adapter, until dropped.
pub(crate) struct StackGuard {
    adapter: &'static Adapter,
    nested: bool,
}

impl Adapter {
    /// Takes the stack, waiting for its owner. IRQL = PASSIVE_LEVEL.
    ///
    /// The owner may take it again: a driver that deregisters inside of a callback, say.
    pub(crate) fn own_stack(&'static self) -> StackGuard {
        let me = sched::current_thread();
        if self.state.with(|state| state.stack_owner == Some(me)) {
            return StackGuard {
                adapter: self,
                nested: true,
            };
        }
        let taken = sched::wait(
            "the stack of an adapter",
            move || {
                self.state.with(|state| {
                    let free = state.stack_owner.is_none();
                    if free {
                        state.stack_owner = Some(me);
                    }
                    free
                })
            },
            None,
        );
        verifier::insist(296, taken, || {
            format!("the stack of {} never got free", self.name)
        });
        StackGuard {
            adapter: self,
            nested: false,
        }
    }
}

impl Drop for StackGuard {
    fn drop(&mut self) {
        if !self.nested {
            self.adapter.state.with(|state| state.stack_owner = None);
        }
    }
}
