//! `query`: what there is.

use netcfg::driver;
use windows::core::{Error, HRESULT};

use super::{Windows, adapters, service, trouble, words};
use crate::deploy::{self, System};
use crate::failure::Trouble;
use crate::report::{Report, Status};
use crate::{pairs, told};

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
    let told = driver::ask();
    let is_installed = has_component && has_service;
    Ok(Report::Status(Status {
        protocol,
        packages,
        driver: told::of_itself(&told, |code| words(&Error::from_hresult(HRESULT(code)))),
        adapters: pairs::pair(&adapters, is_installed, told.as_ref().ok()),
    }))
}
