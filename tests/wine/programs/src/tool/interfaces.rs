//! The interface table: instance identifiers and addresses.

use std::{ptr, slice};

use windows::Win32::NetworkManagement::IpHelper::{
    FreeMibTable, GetIfTable2, MIB_IF_ROW2, MIB_IF_TABLE2,
};
use windows::core::Result;

use super::{braced, failure};

/// Prints a line for each interface: identifier, address, name.
pub(super) fn print() -> Result<()> {
    let mut table: *mut MIB_IF_TABLE2 = ptr::null_mut();
    // SAFETY: `table` is a place for one pointer, which is ours to free on success.
    let status = unsafe { GetIfTable2(&raw mut table) };
    if status.is_err() || table.is_null() {
        return Err(failure("no interface table"));
    }
    // SAFETY: on success `table` points to a table with `NumEntries` rows behind its head.
    let rows = unsafe {
        let count = (*table).NumEntries as usize;
        slice::from_raw_parts((&raw const (*table).Table).cast::<MIB_IF_ROW2>(), count)
    };
    for row in rows {
        let mac = row
            .PhysicalAddress
            .get(..row.PhysicalAddressLength as usize);
        let mac: Vec<String> = mac
            .unwrap_or_default()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let end = row.Alias.iter().position(|unit| *unit == 0).unwrap_or(0);
        let name = String::from_utf16_lossy(row.Alias.get(..end).unwrap_or_default());
        println!("{} {} {name}", braced(&row.InterfaceGuid), mac.join(":"));
    }
    // SAFETY: the table is ours, and `rows` is not used any more.
    unsafe { FreeMibTable(table.cast()) };
    Ok(())
}
