//! The interface table of the system: what NDIS knows of the adapters that run.

/// A MAC address, in the order of transmission.
pub type Mac = [u8; 6];

/// An adapter that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// NET_LUID, by which drivers know it. It stays the same over restarts.
    pub luid: u64,
    /// The current address, if it is an Ethernet one.
    pub mac: Option<Mac>,
}

#[cfg(windows)]
pub use table::by_instance;

#[cfg(windows)]
mod table {
    use std::collections::HashMap;
    use std::{ptr, slice};

    use windows::Win32::NetworkManagement::IpHelper::{
        FreeMibTable, GetIfTable2, MIB_IF_ROW2, MIB_IF_TABLE2,
    };
    use windows::core::GUID;

    use super::{Interface, Mac};

    /// Interfaces by instance identifier of the adapter; none if the table can't be read.
    ///
    /// An adapter that has not started is not in the table yet. Filters and the like that stand on an
    /// adapter have rows of their own, under their own identifiers.
    #[must_use]
    pub fn by_instance() -> HashMap<GUID, Interface> {
        let mut table: *mut MIB_IF_TABLE2 = ptr::null_mut();
        // SAFETY: `table` is a place for one pointer, which is ours to free on success.
        let status = unsafe { GetIfTable2(&raw mut table) };
        if status.is_err() || table.is_null() {
            return HashMap::new();
        }
        // SAFETY:
        // 1. On success `table` points to a table with `NumEntries` rows behind its head.
        // 2. The rows are only reached through a raw pointer to the first, so that the array length of
        //    one in the declaration does not matter.
        let rows = unsafe {
            let count = usize::try_from((*table).NumEntries).unwrap_or(0);
            slice::from_raw_parts((&raw const (*table).Table).cast::<MIB_IF_ROW2>(), count)
        };
        let interface = |row: &MIB_IF_ROW2| {
            // SAFETY: all views of the union are one number.
            let luid = unsafe { row.InterfaceLuid.Value };
            let mac = mac(row);
            (row.InterfaceGuid, Interface { luid, mac })
        };
        let interfaces = rows.iter().map(interface).collect();
        // SAFETY: the table is ours, and `rows` is not used any more.
        unsafe { FreeMibTable(table.cast()) };
        interfaces
    }

    fn mac(row: &MIB_IF_ROW2) -> Option<Mac> {
        let length = usize::try_from(row.PhysicalAddressLength).ok()?;
        row.PhysicalAddress.get(..length)?.try_into().ok()
    }
}
