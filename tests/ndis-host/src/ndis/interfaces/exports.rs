//! The NdisIf* part of the export table.

use super::{index_from_luid, luid_from_index, luids, of_binding, providers};

/// Names and addresses.
pub(crate) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        (
            "NdisIfAllocateNetLuidIndex",
            luids::allocate as *const () as usize,
        ),
        ("NdisIfFreeNetLuidIndex", luids::free as *const () as usize),
        (
            "NdisIfGetInterfaceIndexFromNetLuid",
            index_from_luid as *const () as usize,
        ),
        (
            "NdisIfGetNetLuidFromInterfaceIndex",
            luid_from_index as *const () as usize,
        ),
        (
            "NdisIfQueryBindingIfIndex",
            of_binding as *const () as usize,
        ),
        (
            "NdisIfRegisterProvider",
            providers::register as *const () as usize,
        ),
        (
            "NdisIfDeregisterProvider",
            providers::deregister as *const () as usize,
        ),
        (
            "NdisIfRegisterInterface",
            providers::register_interface as *const () as usize,
        ),
        (
            "NdisIfDeregisterInterface",
            providers::deregister_interface as *const () as usize,
        ),
        (
            "NdisIfAddIfStackEntry",
            providers::add_stack_entry as *const () as usize,
        ),
        (
            "NdisIfDeleteIfStackEntry",
            providers::delete_stack_entry as *const () as usize,
        ),
    ]
}
