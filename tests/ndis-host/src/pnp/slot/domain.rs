//! What a function may reach of memory: behind an IOMMU what was mapped for it, else all of it.

use devices::pci::{DmaFault, DmaMap, DmaMemory, direct_memory, translated_memory};
use vm_memory::Permissions;

use crate::memory::{self, PAGE_SIZE};
use crate::ndis::node::DmaAccess;
use crate::sched::BatonCell;
use crate::verifier;

/// The first logical address. Neither memory nor a device is there.
const FIRST_ADDRESS: u64 = 0x20_0000_0000;

/// The DMA of one function.
pub(in crate::pnp) struct Domain {
    memory: DmaMemory,
    /// The next logical address. None is used twice: what a device keeps too long is found out.
    next: BatonCell<u64>,
}

impl Domain {
    pub(super) fn new() -> Self {
        let guest = memory::guest();
        let memory = if memory::has_iommu() {
            translated_memory(guest, DmaMap::new(report))
        } else {
            direct_memory(guest)
        };
        Self {
            memory,
            next: BatonCell::new(FIRST_ADDRESS),
        }
    }

    /// Memory as the function sees it.
    pub(super) fn memory(&self) -> DmaMemory {
        self.memory.clone()
    }

    /// Maps physical memory to the byte and returns the address that the function is told. Behind
    /// an IOMMU the place inside of a page stays, and the page before and after are not mapped.
    pub(in crate::pnp) fn map(&'static self, physical: u64, len: usize, access: DmaAccess) -> u64 {
        if !memory::has_iommu() {
            return physical;
        }
        let page = PAGE_SIZE as u64;
        let within = physical % page;
        let logical = self.next.with(|next| {
            let here = *next + within;
            *next = (here + len as u64).next_multiple_of(page) + page;
            here
        });
        let permissions = match access {
            DmaAccess::FromMemory => Permissions::Read,
            DmaAccess::ToMemory | DmaAccess::Both => Permissions::ReadWrite,
        };
        self.memory.iommu().map(logical, physical, len, permissions);
        logical
    }

    /// Takes back what [`Domain::map`] gave.
    pub(in crate::pnp) fn unmap(&self, logical: u64, len: usize) {
        if memory::has_iommu() {
            self.memory.iommu().unmap(logical, len);
        }
    }
}

/// Rule 149: a device that leaves its mappings. Windows stops with bug check 0xE6.
fn report(fault: DmaFault) {
    let DmaFault {
        address,
        len,
        is_write,
    } = fault;
    let what = if is_write { "writes" } else { "reads" };
    let hint = if memory::at_physical(address).is_some() {
        ", which is a physical address"
    } else if address >= FIRST_ADDRESS {
        ", where its mappings are, but not that one (any more)"
    } else {
        ""
    };
    verifier::breach(
        149,
        format!("a device {what} {len} bytes at {address:#x}{hint}"),
    );
}
