//! Tables of commands, in the layout of this netsh.

use std::cell::Cell;
use std::slice;

use windows::Win32::NetworkManagement::NetShell::{
    CMD_ENTRY, CMD_GROUP_ENTRY, NS_CONTEXT_ATTRIBUTES, PFN_HANDLE_CMD, PNS_OSVERSIONCHECK,
};
use windows::core::PCWSTR;

thread_local! {
    /// Older versions of Windows have no `pfnCustomHelpFn` in their tables.
    static IS_OLD: Cell<bool> = const { Cell::new(false) };
}

/// CMD_ENTRY of older versions of Windows.
#[repr(C)]
#[derive(Clone, Copy)]
struct OldEntry {
    token: PCWSTR,
    handler: PFN_HANDLE_CMD,
    short_help: u32,
    help: u32,
    flags: u32,
    version_check: PNS_OSVERSIONCHECK,
}

const _: () = assert!(size_of::<OldEntry>() == 40 && size_of::<CMD_ENTRY>() == 48);

/// Makes this netsh one of an older version of Windows.
pub(super) fn be_old() {
    IS_OLD.set(true);
}

/// Reads a table.
///
/// # Safety
///
/// `first` points to `count` entries of 48 bytes, or of 40 in an old netsh; a table of the other layout
/// has at least the bytes that are read.
pub(super) unsafe fn read(first: *const CMD_ENTRY, count: u32) -> Vec<CMD_ENTRY> {
    let count = count as usize;
    if !IS_OLD.get() {
        // SAFETY: our contract.
        return unsafe { slice::from_raw_parts(first, count) }.to_vec();
    }
    // SAFETY: our contract.
    let entries = unsafe { slice::from_raw_parts(first.cast::<OldEntry>(), count) };
    let renew = |entry: &OldEntry| CMD_ENTRY {
        pwszCmdToken: entry.token,
        pfnCmdHandler: entry.handler,
        dwShortCmdHelpToken: entry.short_help,
        dwCmdHlpToken: entry.help,
        dwFlags: entry.flags,
        pOsVersionCheck: entry.version_check,
        ..CMD_ENTRY::default()
    };
    entries.iter().map(renew).collect()
}

/// Tells whether each command of a context has a name, a handler and a help.
///
/// # Safety
///
/// As for [`read`], for each table of the context.
pub(super) unsafe fn is_sound(context: &NS_CONTEXT_ATTRIBUTES) -> bool {
    // SAFETY: our contract.
    let groups: &[CMD_GROUP_ENTRY] =
        unsafe { slice::from_raw_parts(context.pCmdGroups, context.ulNumGroups as usize) };
    let tables = groups
        .iter()
        .map(|group| (group.pCmdGroup, group.ulCmdGroupSize))
        .chain([(context.pTopCmds, context.ulNumTopCmds)]);
    let is_whole = |entry: &CMD_ENTRY| {
        !entry.pwszCmdToken.is_null() && entry.pfnCmdHandler.is_some() && entry.dwCmdHlpToken != 0
    };
    // SAFETY: our contract.
    tables
        .into_iter()
        .all(|(first, count)| unsafe { read(first, count) }.iter().all(is_whole))
}
