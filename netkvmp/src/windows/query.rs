//! `query`: what there is.

use windows::Win32::Foundation::CloseHandle;
use windows::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAGS_AND_ATTRIBUTES, FILE_GENERIC_READ, FILE_SHARE_READ, FILE_SHARE_WRITE,
    OPEN_EXISTING,
};
use windows::core::w;

use super::{Windows, adapters, service, trouble};
use crate::deploy::{self, System};
use crate::failure::Trouble;
use crate::pairs;
use crate::report::{Report, Status};

/// Looks, and changes nothing.
///
/// # Errors
///
/// The configuration can't be read.
pub(crate) fn query(system: &mut Windows<'_>) -> Result<Report, Trouble> {
    let packages = system.packages()?;
    system.open(None)?;
    let component = system.component()?;
    let has_component = component
        .as_deref()
        .is_some_and(|service| !deploy::is_foreign(service));
    let has_service = service::exists();
    let protocol = match (component, has_service, packages.is_empty()) {
        (Some(service), ..) if deploy::is_foreign(&service) => {
            format!("another's; its service is \"{service}\"")
        }
        (Some(_), true, _) => "installed".into(),
        (None, false, true) => "not installed".into(),
        _ => "incomplete; run \"netkvmp uninstall\", then \"netkvmp install\"".into(),
    };
    let adapters = adapters::all(system.session()?);
    let adapters = adapters.map_err(|error| trouble("reading the adapters", &error))?;
    Ok(Report::Status(Status {
        protocol,
        packages,
        driver: driver().into(),
        adapters: pairs::pair(&adapters, has_component && has_service),
    }))
}

/// Whether the driver can be asked which path carries traffic.
fn driver() -> &'static str {
    // SAFETY: the name is a literal; there are no attributes and no template.
    let device = unsafe {
        CreateFileW(
            w!(r"\\.\NETKVM"),
            FILE_GENERIC_READ.0,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            None,
            OPEN_EXISTING,
            FILE_FLAGS_AND_ATTRIBUTES(0),
            None,
        )
    };
    match device {
        Ok(handle) => {
            // SAFETY: the handle is ours and not used again. Nothing could be done about a failure.
            let _ = unsafe { CloseHandle(handle) };
            "it has a control device that this version of netkvmp does not know"
        }
        Err(_) => {
            "no control device: which path carries traffic is not known here; MAC and VF below are \
             what the network configuration says"
        }
    }
}
