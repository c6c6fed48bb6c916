//! The service entry `vioprot`. The driver takes its presence as the sign that the protocol is
//! installed, so none may stay behind.

use netcfg::names::CLASS_NETTRANS;
use windows::Win32::System::Services::{
    CloseServiceHandle, DeleteService, OpenSCManagerW, OpenServiceW, SC_HANDLE, SC_MANAGER_CONNECT,
};
use windows::core::{GUID, PCWSTR, Result, w};
use windows_registry::{Key, LOCAL_MACHINE};

const KEY: &str = r"SYSTEM\CurrentControlSet\Services\vioprot";
const NETWORK: &str = r"SYSTEM\CurrentControlSet\Control\Network";
/// Start type of a service that is marked for deletion.
const DISABLED: u32 = 4;
/// The right to delete.
const DELETE: u32 = 0x0001_0000;

/// An open handle of the service control manager.
struct Handle(SC_HANDLE);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and not used again. Nothing could be done about a failure.
        let _ = unsafe { CloseServiceHandle(self.0) };
    }
}

/// Tells whether the entry is there, by the driver's own rule.
pub(super) fn exists() -> bool {
    let start = LOCAL_MACHINE.open(KEY).and_then(|key| key.get_u32("Start"));
    start.is_ok_and(|start| start != DISABLED)
}

/// The service of the protocol whose component has that instance identifier, or nothing.
pub(super) fn of_protocol(instance: &GUID) -> String {
    let service = component(instance).and_then(|key| key.open("Ndi")?.get_string("Service"));
    service.unwrap_or_default()
}

/// The name of the INF that it was installed from, if Windows has noted that.
pub(super) fn origin_of_protocol(instance: &GUID) -> Option<String> {
    let path = component(instance).and_then(|key| key.get_string("InfPath"));
    let path = path.ok()?;
    let name = path.rsplit(['\\', '/']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

/// The key of the protocol's component.
fn component(instance: &GUID) -> Result<Key> {
    LOCAL_MACHINE.open(format!(r"{NETWORK}\{CLASS_NETTRANS}\{{{instance:?}}}"))
}

/// Deletes the entry.
///
/// # Errors
///
/// It is not there, or rights are missing.
pub(super) fn delete() -> Result<()> {
    // SAFETY: local machine and default database are named by null.
    let manager = unsafe { OpenSCManagerW(PCWSTR::null(), PCWSTR::null(), SC_MANAGER_CONNECT) };
    let manager = Handle(manager?);
    // SAFETY: the handle is open, the name a literal.
    let service = Handle(unsafe { OpenServiceW(manager.0, w!("vioprot"), DELETE) }?);
    // SAFETY: the handle is open with the right to delete.
    unsafe { DeleteService(service.0) }
}
