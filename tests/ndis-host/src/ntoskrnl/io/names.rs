//! Names of devices, and symbolic links to them. Case does not matter.

use std::collections::BTreeMap;

use ndis_sys::{NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING};

use crate::ntoskrnl::{enter, text};
use crate::sched::{BatonCell, PASSIVE_LEVEL};

/// STATUS_OBJECT_NAME_COLLISION.
const NAME_COLLISION: NTSTATUS = 0xC000_0035_u32 as NTSTATUS;

#[derive(Default)]
struct Names {
    devices: BTreeMap<String, usize>,
    links: BTreeMap<String, String>,
}

static NAMES: BatonCell<Names> = BatonCell::new(Names {
    devices: BTreeMap::new(),
    links: BTreeMap::new(),
});

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("IoCreateSymbolicLink", create_link as *const ()),
        ("IoDeleteSymbolicLink", delete_link as *const ()),
    ]
}

/// `\DosDevices`, `\??` and `\GLOBAL??` are one folder, and `Global` in it is that folder.
fn folded(name: &str) -> String {
    let name = name.to_uppercase();
    for prefix in [
        r"\DOSDEVICES\GLOBAL\",
        r"\DOSDEVICES\",
        r"\??\",
        r"\GLOBAL??\",
        r"\\.\",
    ] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return format!(r"\??\{rest}");
        }
    }
    name
}

/// Names a device; false when the name is taken.
pub(super) fn add_device(name: &str, device: usize) -> bool {
    NAMES.with(|names| {
        let name = folded(name);
        let is_free = !names.devices.contains_key(&name);
        if is_free {
            names.devices.insert(name, device);
        }
        is_free
    })
}

/// Forgets the name of a device.
pub(super) fn remove_device(name: &str) {
    NAMES.with(|names| names.devices.remove(&folded(name)));
}

/// Makes a link; false when the name is taken.
pub(crate) fn link(name: &str, to: &str) -> bool {
    NAMES.with(|names| {
        let name = folded(name);
        let is_free = !names.links.contains_key(&name);
        if is_free {
            names.links.insert(name, folded(to));
        }
        is_free
    })
}

/// Removes a link; false when it is not there.
pub(crate) fn unlink(name: &str) -> bool {
    NAMES.with(|names| names.links.remove(&folded(name)).is_some())
}

/// The device that a name, or a link, leads to.
pub(super) fn resolve(name: &str) -> Option<usize> {
    NAMES.with(|names| {
        let name = folded(name);
        let target = names.links.get(&name).unwrap_or(&name);
        names.devices.get(target).copied()
    })
}

/// As [`resolve`], of a name that may go on behind the device's: the device, and the rest of the name.
pub(super) fn resolve_inside(name: &str) -> Option<(usize, &str)> {
    let ends = name.char_indices().rev().filter(|(_, sign)| *sign == '\\');
    let mut ends = [name.len()].into_iter().chain(ends.map(|(at, _)| at));
    ends.find_map(|end| Some((resolve(&name[..end])?, &name[end..])))
}

/// `IoCreateSymbolicLink`. At PASSIVE.
///
/// # Safety
///
/// The names are valid.
unsafe extern "efiapi" fn create_link(
    name: *mut UNICODE_STRING,
    to: *mut UNICODE_STRING,
) -> NTSTATUS {
    enter("IoCreateSymbolicLink", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let (name, to) = unsafe { (text::read(name), text::read(to)) };
    if link(&name, &to) {
        STATUS_SUCCESS
    } else {
        NAME_COLLISION
    }
}

/// `IoDeleteSymbolicLink`. At PASSIVE.
///
/// # Safety
///
/// The name is valid.
unsafe extern "efiapi" fn delete_link(name: *mut UNICODE_STRING) -> NTSTATUS {
    enter("IoDeleteSymbolicLink", PASSIVE_LEVEL);
    // SAFETY: by contract.
    if unlink(&unsafe { text::read(name) }) {
        STATUS_SUCCESS
    } else {
        STATUS_OBJECT_NAME_NOT_FOUND
    }
}
