//! Memory as a bus master sees it: behind an IOMMU, or as it is.
//!
//! ```text
//!   function --- logical address ---> [ DmaMap ] --- physical address ---> guest memory
//! ```
//!
//! The map knows what the machine has mapped for the function, to the byte. An access outside of
//! it is a fault: the access fails, and whoever made the map is told.

use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use vm_memory::iommu::{Error, Iommu, IommuMemory, Iotlb, IotlbIterator, IovaRange};
use vm_memory::{GuestAddress, GuestMemoryMmap, Permissions};

/// Memory that a function reads and writes by the addresses that it was given.
pub type DmaMemory = IommuMemory<GuestMemoryMmap, DmaMap>;

/// Memory without an IOMMU: logical addresses are physical ones.
pub fn direct_memory(guest: GuestMemoryMmap) -> DmaMemory {
    IommuMemory::new(guest, DmaMap::new(|_| ()), false, ())
}

/// Memory behind an IOMMU that lets through what `map` has.
pub fn translated_memory(guest: GuestMemoryMmap, map: DmaMap) -> DmaMemory {
    IommuMemory::new(guest, map, true, ())
}

/// An access that no mapping covers, or not for that direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DmaFault {
    /// Logical address.
    pub address: u64,
    /// Bytes.
    pub len: usize,
    /// Whether the function meant to write.
    pub is_write: bool,
}

/// What is told of faults, from within the access of the function.
type FaultSink = Box<dyn Fn(DmaFault) + Send + Sync>;

/// The mappings of one function.
pub struct DmaMap {
    mappings: RwLock<Iotlb>,
    on_fault: FaultSink,
}

impl DmaMap {
    /// A map without mappings.
    pub fn new(on_fault: impl Fn(DmaFault) + Send + Sync + 'static) -> Self {
        Self {
            mappings: RwLock::new(Iotlb::new()),
            on_fault: Box::new(on_fault),
        }
    }

    /// Maps `len` bytes of physical memory to a logical address.
    ///
    /// # Panics
    ///
    /// If the range wraps around the end of the address space.
    pub fn map(&self, logical: u64, physical: u64, len: usize, access: Permissions) {
        assert!(logical.checked_add(len as u64).is_some(), "{logical:#x}");
        let mut mappings = self
            .mappings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let (from, to) = (GuestAddress(logical), GuestAddress(physical));
        mappings
            .set_mapping(from, to, len, access)
            .expect("an IOTLB takes every mapping");
    }

    /// Takes a mapping, or a part of one, out.
    pub fn unmap(&self, logical: u64, len: usize) {
        let mut mappings = self
            .mappings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        mappings.invalidate_mapping(GuestAddress(logical), len);
    }

    fn refuse(&self, address: GuestAddress, len: usize, access: Permissions) -> Error {
        (self.on_fault)(DmaFault {
            address: address.0,
            len,
            is_write: matches!(access, Permissions::Write | Permissions::ReadWrite),
        });
        Error::CannotResolve {
            iova_range: IovaRange {
                base: address,
                length: len,
            },
            reason: "it is not mapped for the function".to_owned(),
        }
    }
}

impl fmt::Debug for DmaMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DmaMap")
            .field("mappings", &self.mappings)
            .finish_non_exhaustive()
    }
}

impl Iommu for DmaMap {
    type IotlbGuard<'a> = RwLockReadGuard<'a, Iotlb>;

    fn translate(
        &self,
        iova: GuestAddress,
        length: usize,
        access: Permissions,
    ) -> Result<IotlbIterator<Self::IotlbGuard<'_>>, Error> {
        let ends = iova.0.checked_add(length as u64).is_some();
        let found = ends.then(|| {
            let mappings = self.mappings.read().unwrap_or_else(PoisonError::into_inner);
            Iotlb::lookup(mappings, iova, length, access).ok()
        });
        found
            .flatten()
            .ok_or_else(|| self.refuse(iova, length, access))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use vm_memory::{Bytes, GuestMemoryBackend};

    use super::*;

    const PHYSICAL: GuestAddress = GuestAddress(0x1000);
    const LOGICAL: u64 = 0x7_0000_0010;

    fn guest() -> GuestMemoryMmap {
        GuestMemoryMmap::from_ranges(&[(PHYSICAL, 0x1000)]).unwrap()
    }

    fn mapped(access: Permissions) -> (DmaMemory, Arc<Mutex<Vec<DmaFault>>>) {
        let faults = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&faults);
        let map = DmaMap::new(move |fault| noted.lock().unwrap().push(fault));
        map.map(LOGICAL, PHYSICAL.0 + 0x10, 0x20, access);
        (translated_memory(guest(), map), faults)
    }

    #[test]
    fn an_access_goes_where_the_mapping_says() {
        let (memory, faults) = mapped(Permissions::ReadWrite);

        memory
            .write_slice(&[1, 2, 3], GuestAddress(LOGICAL + 4))
            .unwrap();

        let mut seen = [0; 3];
        let physical = GuestAddress(PHYSICAL.0 + 0x14);
        memory
            .get_backend()
            .read_slice(&mut seen, physical)
            .unwrap();
        assert_eq!(seen, [1, 2, 3]);
        assert!(faults.lock().unwrap().is_empty());
    }

    #[test]
    fn an_access_beyond_the_mapping_is_a_fault() {
        let (memory, faults) = mapped(Permissions::ReadWrite);

        let beyond = memory.write_slice(&[0; 4], GuestAddress(LOGICAL + 0x1e));

        assert!(beyond.is_err());
        let fault = DmaFault {
            address: LOGICAL + 0x1e,
            len: 4,
            is_write: true,
        };
        assert_eq!(*faults.lock().unwrap(), [fault]);
    }

    #[test]
    fn a_physical_address_is_none_behind_an_iommu() {
        let (memory, faults) = mapped(Permissions::ReadWrite);

        assert!(memory.read_slice(&mut [0; 4], PHYSICAL).is_err());
        assert_eq!(faults.lock().unwrap().len(), 1);
        assert!(memory.get_backend().address_in_range(PHYSICAL));
    }

    #[test]
    fn what_is_mapped_for_reading_is_not_written() {
        let (memory, faults) = mapped(Permissions::Read);
        let at = GuestAddress(LOGICAL);

        assert!(memory.read_slice(&mut [0; 4], at).is_ok());
        assert!(memory.write_slice(&[0; 4], at).is_err());
        assert_eq!(faults.lock().unwrap().len(), 1);
    }

    #[test]
    fn nothing_is_left_of_a_mapping_that_was_taken_out() {
        let (memory, faults) = mapped(Permissions::ReadWrite);

        memory.iommu().unmap(LOGICAL, 0x20);

        assert!(
            memory
                .read_slice(&mut [0; 1], GuestAddress(LOGICAL))
                .is_err()
        );
        assert_eq!(faults.lock().unwrap().len(), 1);
    }

    #[test]
    fn without_an_iommu_addresses_are_physical() {
        let memory = direct_memory(guest());

        assert!(memory.write_slice(&[7], PHYSICAL).is_ok());
    }
}
