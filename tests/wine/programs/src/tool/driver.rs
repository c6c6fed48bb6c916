//! The stand-in for the driver's control device: its service, and the table under the service's key.

use windows::Win32::Foundation::{ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_EXISTS};
use windows::Win32::System::Services::{
    CreateServiceW, OpenSCManagerW, OpenServiceW, SC_HANDLE, SC_MANAGER_CREATE_SERVICE,
    SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, SERVICE_KERNEL_DRIVER, SERVICE_START,
    StartServiceW,
};
use windows::core::{HSTRING, PCWSTR, Result, w};
use windows_registry::{Key, LOCAL_MACHINE, Type};

use super::failure;

const NAME: PCWSTR = w!("control");
const KEY: &str = r"SYSTEM\CurrentControlSet\Services\control";
const ASKED: &str = "Asked";

/// Loads the driver unless it is loaded, and empties its table.
pub(super) fn load(image: &str) -> Result<()> {
    // SAFETY: this machine, its services; handles are closed when the program ends, which is soon.
    let manager = unsafe { OpenSCManagerW(None, None, SC_MANAGER_CREATE_SERVICE) }?;
    let service = service(manager, image)?;
    // SAFETY: the service is open for this; it takes no arguments.
    let started = unsafe { StartServiceW(service, None) };
    if let Err(error) = started
        && error.code() != ERROR_SERVICE_ALREADY_RUNNING.to_hresult()
    {
        return Err(error);
    }
    let key = table()?;
    for (name, _) in key.values()?.collect::<Vec<_>>() {
        if name.contains(':') || name == ASKED {
            key.remove_value(name)?;
        }
    }
    Ok(())
}

fn service(manager: SC_HANDLE, image: &str) -> Result<SC_HANDLE> {
    let image = HSTRING::from(image);
    // SAFETY: the manager is open for this, and the names outlive the call.
    let created = unsafe {
        CreateServiceW(
            manager,
            NAME,
            NAME,
            SERVICE_START,
            SERVICE_KERNEL_DRIVER,
            SERVICE_DEMAND_START,
            SERVICE_ERROR_NORMAL,
            &image,
            None,
            None,
            None,
            None,
            None,
        )
    };
    match created {
        Err(error) if error.code() == ERROR_SERVICE_EXISTS.to_hresult() => {
            // SAFETY: the manager is open, and the name is a literal.
            unsafe { OpenServiceW(manager, NAME, SERVICE_START) }
        }
        created => created,
    }
}

fn table() -> Result<Key> {
    LOCAL_MACHINE.create(KEY)
}

/// Prints the name of the last request that the table lacked, and forgets it; nothing if there was none.
pub(super) fn print_asked() -> Result<()> {
    let key = table()?;
    if let Ok(name) = key.get_string(ASKED) {
        println!("{name}");
        key.remove_value(ASKED)?;
    }
    Ok(())
}

/// Puts an answer into the table: a status of four bytes and the output, in hexadecimal.
pub(super) fn answer(name: &str, bytes: &str) -> Result<()> {
    let pairs = bytes.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    let bytes = bytes.ok_or_else(|| failure("not hexadecimal"))?;
    table()?.set_bytes(name, Type::Bytes, &bytes)
}
