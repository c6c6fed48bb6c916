//! Installing and removing, step by step, with the way back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, Trouble};
use crate::inf::{Package, decode};
use crate::version::Version;

pub(crate) mod install;
mod run;
pub(crate) mod uninstall;

type Step<T> = Result<T, Trouble>;

/// INFs of VIOPROT packages, by their names in the system.
type Packages = [(String, Version)];

/// The service that our component has.
const SERVICE: &str = "vioprot";

/// How long another program may hold the write lock before we give up.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the steps need of the system.
pub(crate) trait System {
    /// Tells whether the process has administrator rights.
    fn is_elevated(&self) -> bool;
    /// The content of a file; `None` if there is none.
    fn read(&self, path: &Path) -> Step<Option<Vec<u8>>>;
    /// Tells whether a file exists.
    fn exists(&self, path: &Path) -> bool;
    /// INFs of VIOPROT packages in the system, each with its version.
    fn packages(&self) -> Step<Vec<(String, Version)>>;
    /// Takes a package into the system; the name that its INF has there.
    fn stage(&mut self, inf: &Path) -> Step<String>;
    /// Takes the package of that name out of the system.
    fn unstage(&mut self, name: &str) -> Step<()>;
    /// Opens the configuration, for writing if `lock` says how long to wait. Gives who holds the lock.
    fn open(&mut self, lock: Option<Duration>) -> Step<Option<String>>;
    /// The component of the open configuration, by the name of its service; that may be empty.
    fn component(&self) -> Step<Option<String>>;
    /// The name of the INF that the component was installed from, if Windows tells.
    fn origin(&self) -> Option<String>;
    /// Installs the component; whether Windows has to be restarted.
    fn install(&mut self) -> Step<bool>;
    /// Removes the component; whether Windows has to be restarted. That others still need it is a failure.
    fn deinstall(&mut self) -> Step<bool>;
    /// Makes changes true; whether Windows has to be restarted.
    fn apply(&mut self) -> Step<bool>;
    /// Forgets changes that are not applied.
    fn cancel(&mut self) -> Step<()>;
    /// Closes the configuration, and lets go of the DLLs of the package.
    fn close(&mut self);
    /// Tells whether the service entry is there.
    fn has_service(&self) -> bool;
    /// Removes the service entry.
    fn delete_service(&mut self) -> Step<()>;
    /// Says whether functions stay as they are when the component is removed, as another comes at once.
    fn keep_withheld(&mut self, on: bool) -> Step<()>;
    /// The adapters of which it is recorded that bindings are withheld from them, as people know them.
    fn withheld(&self) -> Step<Vec<String>>;
    /// Enables what is withheld from adapters that are there; which those are. Has to be applied.
    fn give_back(&mut self) -> Step<Vec<String>>;
    /// Drops the records of these adapters.
    fn forget(&mut self, adapters: &[String]) -> Step<()>;
    /// Says what is done now.
    fn announce(&self, step: &str);
}

/// What the administrator chose.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// The INF.
    pub(crate) inf: PathBuf,
    /// Only say what would be done.
    pub(crate) is_dry: bool,
    /// Do not wait for the lock.
    pub(crate) is_hasty: bool,
}

impl Choice {
    fn lock(&self) -> Option<Duration> {
        let patience = if self.is_hasty {
            Duration::ZERO
        } else {
            PATIENCE
        };
        (!self.is_dry).then_some(patience)
    }
}

/// Tells whether our component is there.
///
/// # Errors
///
/// Another's is there under its name; or it can't be told.
fn has_own_component(system: &impl System) -> Result<bool, Failure> {
    match system.component().map_err(Failure::Unchanged)? {
        Some(service) if is_foreign(&service) => Err(Failure::Foreign(service)),
        found => Ok(found.is_some()),
    }
}

/// A component without a service is what an interrupted installation of ours leaves.
pub(crate) fn is_foreign(service: &str) -> bool {
    !service.is_empty() && !service.eq_ignore_ascii_case(SERVICE)
}

/// Who only wants to know what would be done needs no rights.
fn require_elevation(system: &impl System, choice: &Choice) -> Result<(), Failure> {
    if choice.is_dry || system.is_elevated() {
        return Ok(());
    }
    Err(Failure::NotElevated)
}

fn check_package(system: &impl System, inf: &Path) -> Result<Package, Failure> {
    let bad = |reason: String| Failure::InfBad {
        path: inf.into(),
        reason,
    };
    let bytes = system.read(inf).map_err(|trouble| bad(trouble.reason))?;
    let bytes = bytes.ok_or_else(|| Failure::InfMissing(inf.into()))?;
    let package = Package::read(&decode(&bytes)).map_err(bad)?;
    let missing = package
        .files
        .iter()
        .find(|file| !system.exists(&inf.with_file_name(file)));
    if let Some(file) = missing {
        return Err(bad(format!("it needs {file}, which is not beside it")));
    }
    Ok(package)
}

fn open(system: &mut impl System, choice: &Choice) -> Result<(), Failure> {
    system.announce("opening the network configuration");
    match system.open(choice.lock()).map_err(Failure::Unchanged)? {
        None => Ok(()),
        Some(holder) => Err(Failure::Locked(holder)),
    }
}

#[cfg(test)]
mod tests;
