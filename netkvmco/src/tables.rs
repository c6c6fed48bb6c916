//! The table of commands, in the two layouts that netsh has known.
//!
//! Windows 10 has added `pfnCustomHelpFn` to the end of CMD_ENTRY. Nothing tells a helper which layout the
//! netsh that loads it has; it refuses a table of the other with ERROR_INVALID_PARAMETER, as its second
//! entry begins in the middle of one.

use windows::Win32::NetworkManagement::NetShell::{CMD_ENTRY, PFN_HANDLE_CMD, PNS_OSVERSIONCHECK};
use windows::core::PCWSTR;

use crate::commands::Command;

/// CMD_ENTRY of older versions of Windows.
#[repr(C)]
struct OldEntry {
    token: PCWSTR,
    handler: PFN_HANDLE_CMD,
    short_help: u32,
    help: u32,
    flags: u32,
    version_check: PNS_OSVERSIONCHECK,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<OldEntry>() == 40);
    assert!(size_of::<CMD_ENTRY>() == 48);
};

/// Which layout a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// With `pfnCustomHelpFn`.
    New,
    /// Without.
    Old,
}

/// A table that stays for ever, as netsh keeps it.
pub(crate) struct Table {
    /// The first entry; in the old layout the type is not what is there.
    pub(crate) first: *mut CMD_ENTRY,
    pub(crate) count: u32,
}

/// Makes a table of these commands.
pub(crate) fn leak(layout: Layout, commands: &[(PCWSTR, Command, PFN_HANDLE_CMD)]) -> Table {
    let count = u32::try_from(commands.len()).unwrap_or(0);
    let first = match layout {
        Layout::New => first_of(commands.iter().map(new_entry)),
        Layout::Old => first_of(commands.iter().map(new_entry).map(old_entry)).cast(),
    };
    Table { first, count }
}

fn first_of<T>(entries: impl Iterator<Item = T>) -> *mut T {
    Vec::leak(entries.collect()).as_mut_ptr()
}

fn new_entry((token, command, handler): &(PCWSTR, Command, PFN_HANDLE_CMD)) -> CMD_ENTRY {
    let short = u32::from(command.help());
    CMD_ENTRY {
        pwszCmdToken: *token,
        pfnCmdHandler: *handler,
        dwShortCmdHelpToken: short,
        dwCmdHlpToken: short.saturating_add(1),
        ..CMD_ENTRY::default()
    }
}

fn old_entry(entry: CMD_ENTRY) -> OldEntry {
    OldEntry {
        token: entry.pwszCmdToken,
        handler: entry.pfnCmdHandler,
        short_help: entry.dwShortCmdHelpToken,
        help: entry.dwCmdHlpToken,
        flags: entry.dwFlags,
        version_check: entry.pOsVersionCheck,
    }
}
