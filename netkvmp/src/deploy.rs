//! Installing and removing, step by step, with the way back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, Trouble};
use crate::inf::{Package, decode};
use crate::report::Report;

type Step<T> = Result<T, Trouble>;

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
    fn packages(&self) -> Step<Vec<(String, String)>>;
    /// Takes a package into the system; the name that its INF has there.
    fn stage(&mut self, inf: &Path) -> Step<String>;
    /// Takes the package of that name out of the system.
    fn unstage(&mut self, name: &str) -> Step<()>;
    /// Opens the configuration, for writing if `lock` says how long to wait. Gives who holds the lock.
    fn open(&mut self, lock: Option<Duration>) -> Step<Option<String>>;
    /// The component of the open configuration, by the name of its service; that may be empty.
    fn component(&self) -> Step<Option<String>>;
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

/// Installs the protocol.
///
/// # Errors
///
/// As [`Failure`] says. Unless it is `Stuck`, the system is as it was.
pub(crate) fn install(system: &mut impl System, choice: &Choice) -> Result<Report, Failure> {
    require_elevation(system, choice)?;
    let package = check_package(system, &choice.inf)?;
    let before = system.packages().map_err(Failure::Unchanged)?;
    open(system, choice)?;
    let has_component = has_own_component(system)?;
    if has_component && system.has_service() {
        return compare(&before, package);
    }
    if choice.is_dry {
        return Ok(plan_installation(choice, has_component));
    }
    system.announce("adding the package to the system's drivers");
    let inf = system.stage(&choice.inf).map_err(Failure::Unchanged)?;
    let is_new = !before
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(&inf));
    let mut added = Added {
        package: is_new.then(|| inf.clone()),
        component: false,
        service: !system.has_service(),
    };
    match put_component(system, has_component, &mut added) {
        Ok(reboot) => Ok(Report::Installed {
            version: package.version,
            inf,
            reboot,
        }),
        Err(first) => Err(go_back(system, first, &added)),
    }
}

/// What a run may have added to the system, and takes out again if it fails.
struct Added {
    package: Option<String>,
    component: bool,
    service: bool,
}

/// Installs the component, in place of one that has lost its service if `has_broken`: of one that is
/// there, the engine would only count another reference. Whether Windows has to be restarted.
fn put_component(system: &mut impl System, has_broken: bool, added: &mut Added) -> Step<bool> {
    let mut reboot = false;
    if has_broken {
        reboot = remove_component(system)?.unwrap_or_default();
    }
    added.component = true;
    Ok(add_component(system)? | reboot)
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

/// Whether Windows has to be restarted.
fn add_component(system: &mut impl System) -> Step<bool> {
    system.announce("installing the component");
    let installed = system.install()?;
    system.announce("applying the network configuration");
    let applied = system.apply()?;
    let component = system.component()?;
    let is_ours = component.is_some_and(|service| service.eq_ignore_ascii_case(SERVICE));
    if is_ours && system.has_service() {
        return Ok(installed | applied);
    }
    let missing = if is_ours { "service" } else { "component" };
    Err(Trouble {
        what: "the installation is not complete".into(),
        reason: format!("Windows reports success, but the {missing} is not there"),
    })
}

/// The package is there; the component may be.
fn go_back(system: &mut impl System, first: Trouble, added: &Added) -> Failure {
    system.announce("undoing");
    // Each step is tried, whatever became of the one before; the first trouble is told.
    let cancelled = system.cancel();
    let (mut removed, mut service) = (Ok(None), Ok(()));
    if added.component {
        removed = remove_component(system);
    }
    if added.component && added.service {
        service = remove_service(system).map(drop);
    }
    system.close();
    let unstaged = added
        .package
        .as_ref()
        .map_or(Ok(()), |inf| system.unstage(inf));
    let done = cancelled.and(removed).and_then(|reboot| {
        service.and(unstaged)?;
        Ok(reboot.unwrap_or_default())
    });
    match done {
        Ok(reboot) => Failure::Undone { first, reboot },
        Err(then) => Failure::Stuck { first, then },
    }
}

/// Removes the component if it is there and ours; whether it was, and whether Windows has to be
/// restarted.
fn remove_component(system: &mut impl System) -> Step<Option<bool>> {
    if system
        .component()?
        .is_none_or(|service| is_foreign(&service))
    {
        return Ok(None);
    }
    system.announce("removing the component");
    let removed = system.deinstall()?;
    system.announce("applying the network configuration");
    let applied = system.apply()?;
    Ok(Some(removed | applied))
}

/// Removes a service entry that no component owns any more.
fn remove_service(system: &mut impl System) -> Step<bool> {
    let is_there = system.has_service();
    if is_there {
        system.delete_service()?;
    }
    Ok(is_there)
}

/// Removes the protocol and what is left of it.
///
/// # Errors
///
/// As [`Failure`] says. With `Rest`, the protocol is gone, and something else stays.
pub(crate) fn uninstall(system: &mut impl System, choice: &Choice) -> Result<Report, Failure> {
    require_elevation(system, choice)?;
    let packages = system.packages().map_err(Failure::Unchanged)?;
    open(system, choice)?;
    let has_component = has_own_component(system)?;
    if !has_component && packages.is_empty() && !system.has_service() {
        return Ok(Report::NothingInstalled);
    }
    if choice.is_dry {
        return Ok(plan_removal(system, has_component, &packages));
    }
    let mut removed = Vec::new();
    let mut reboot = false;
    match remove_component(system) {
        Ok(Some(needed)) => {
            removed.push("component VIOPROT".to_owned());
            reboot = needed;
        }
        Ok(None) => {}
        Err(first) => return Err(put_back(system, first)),
    }
    if remove_service(system).map_err(Failure::Rest)? && !has_component {
        removed.push("service vioprot".to_owned());
    }
    system.close();
    for (name, _) in packages {
        system.announce("removing the package from the system's drivers");
        system.unstage(&name).map_err(Failure::Rest)?;
        removed.push(format!("package {name}"));
    }
    Ok(Report::Removed { removed, reboot })
}

/// Removing has failed half-way: the component comes back, as its package is still there.
fn put_back(system: &mut impl System, first: Trouble) -> Failure {
    system.announce("undoing");
    let back = system.cancel().and_then(|()| {
        if system.component()?.is_some() {
            return Ok(false);
        }
        add_component(system)
    });
    match back {
        Ok(reboot) => Failure::Undone { first, reboot },
        Err(then) => Failure::Stuck { first, then },
    }
}

fn plan_installation(choice: &Choice, has_broken: bool) -> Report {
    let mut steps = vec![format!(
        "add {} to the system's drivers",
        choice.inf.display()
    )];
    if has_broken {
        steps.push("remove the component VIOPROT, whose service is missing".into());
    }
    steps.push("install the component VIOPROT".into());
    steps.push("apply the new network configuration".into());
    Report::Plan { steps }
}

fn plan_removal(
    system: &impl System,
    has_component: bool,
    packages: &[(String, String)],
) -> Report {
    let mut steps = Vec::new();
    if has_component {
        steps.push("remove the component VIOPROT".to_owned());
        steps.push("apply the new network configuration".to_owned());
    } else if system.has_service() {
        steps.push("delete the service vioprot".to_owned());
    }
    steps.extend(
        packages
            .iter()
            .map(|(name, _)| format!("remove {name} from the system's drivers")),
    );
    Report::Plan { steps }
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

/// The component is there; the version decides.
fn compare(packages: &[(String, String)], offered: Package) -> Result<Report, Failure> {
    let has_it = packages
        .iter()
        .any(|(_, version)| *version == offered.version);
    match packages.first() {
        Some((_, installed)) if !has_it => Err(Failure::OtherVersion {
            installed: installed.clone(),
            offered: offered.version,
        }),
        _ => Ok(Report::AlreadyInstalled {
            version: offered.version,
        }),
    }
}

#[cfg(test)]
mod tests;
