//! Installing: anew, in place of what is broken, or in place of an older version.

use super::run::Run;
use super::{
    Choice, Packages, Step, System, check_package, has_own_component, open, require_elevation,
};
use crate::failure::{Failure, Trouble};
use crate::report::Report;
use crate::version::Version;

/// What the new component takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    /// Nothing is there.
    Nothing,
    /// A component that has lost its service: the engine would only count another reference of it, and not
    /// run the INF.
    Broken,
    /// A component of an older version.
    Version(Version),
}

/// What a run may have changed, and takes back if it fails.
struct Changes {
    /// The package that was added, by the name of its INF in the system.
    package: Option<String>,
    /// The component may be a new one.
    component: bool,
    /// There was no service entry before.
    service: bool,
    /// There was a component that worked.
    replaces: bool,
}

/// Installs the protocol, or a newer version of it.
///
/// # Errors
///
/// As [`Failure`] says. Unless it is `Stuck`, the system is as it was.
pub(crate) fn install(system: &mut impl System, choice: &Choice) -> Result<Report, Failure> {
    require_elevation(system, choice)?;
    let package = check_package(system, &choice.inf)?;
    let before = system.packages().map_err(Failure::Unchanged)?;
    open(system, choice)?;
    if !choice.is_dry {
        // A run that was ended half-way may have left the other.
        system.keep_withheld(false).map_err(Failure::Unchanged)?;
    }
    let old = match (has_own_component(system)?, system.has_service()) {
        (false, _) => Old::Nothing,
        (true, false) => Old::Broken,
        (true, true) => match in_force(system, &before) {
            Some(installed) if installed < package.version => Old::Version(installed),
            Some(installed) if installed > package.version => {
                return Err(Failure::Older {
                    installed,
                    offered: package.version,
                });
            }
            _ => {
                return Ok(Report::AlreadyInstalled {
                    version: package.version,
                });
            }
        },
    };
    if choice.is_dry {
        return Ok(plan(choice, old));
    }
    system.announce("adding the package to the system's drivers");
    let inf = system.stage(&choice.inf).map_err(Failure::Unchanged)?;
    let was_there = |(name, _): &(String, Version)| name.eq_ignore_ascii_case(&inf);
    let mut changes = Changes {
        package: (!before.iter().any(was_there)).then(|| inf.clone()),
        component: false,
        service: !system.has_service(),
        replaces: matches!(old, Old::Version(_)),
    };
    let mut run = Run::new(system);
    let put = put_component(&mut run, old, &mut changes);
    if let Err(first) = put.and_then(|()| check_origin(&mut run, &before, &inf, &changes)) {
        return Err(go_back(&mut run, first, &changes, choice));
    }
    let reboot = run.reboot();
    let Old::Version(from) = old else {
        return Ok(Report::Installed {
            version: package.version,
            inf,
            reboot,
        });
    };
    Ok(Report::Upgraded {
        from,
        version: package.version,
        inf,
        left: tidy_up(system, &before, package.version),
        reboot,
    })
}

/// The version of the component: that of the package that it came from; where Windows does not tell which
/// that is, the newest, as Windows takes that one.
fn in_force(system: &impl System, packages: &Packages) -> Option<Version> {
    let origin = system.origin();
    let of_origin = packages.iter().find(|(name, _)| {
        let is_it = |origin: &String| origin.eq_ignore_ascii_case(name);
        origin.as_ref().is_some_and(is_it)
    });
    let newest = || packages.iter().map(|(_, version)| *version).max();
    of_origin.map(|(_, version)| *version).or_else(newest)
}

/// Installs the component, in place of `old`.
fn put_component(run: &mut Run<'_, impl System>, old: Old, changes: &mut Changes) -> Step<()> {
    if changes.replaces {
        run.system.keep_withheld(true)?;
    }
    if old != Old::Nothing {
        run.remove_component()?;
    }
    changes.component = true;
    run.add_component()
}

/// Makes sure that a component that replaces another came from the package `inf`, as far as Windows tells,
/// and not once more from one of `before`; with that, the upgrade is over.
fn check_origin(
    run: &mut Run<'_, impl System>,
    before: &Packages,
    inf: &str,
    changes: &Changes,
) -> Step<()> {
    if !changes.replaces {
        return Ok(());
    }
    let origin = run.system.origin().unwrap_or_default();
    let is_it = |name: &str| name.eq_ignore_ascii_case(&origin);
    if !is_it(inf) && before.iter().any(|(name, _)| is_it(name)) {
        return Err(Trouble {
            what: "installing the component failed".into(),
            reason: format!("Windows has taken the package {origin} for it, and not {inf}"),
        });
    }
    run.system.keep_withheld(false)
}

/// Takes back what was changed. Each step is tried, whatever became of the one before; the first trouble
/// is told.
fn go_back(
    run: &mut Run<'_, impl System>,
    first: Trouble,
    changes: &Changes,
    choice: &Choice,
) -> Failure {
    run.system.announce("undoing");
    let cancelled = run.system.cancel();
    let (mut removed, mut service) = (Ok(()), Ok(()));
    if changes.component {
        removed = run.remove_component().map(drop);
    }
    if changes.component && changes.service {
        service = run.remove_service().map(drop);
    }
    run.system.close();
    // Before the old component comes back: Windows would install the newer package again.
    let unstaged = match &changes.package {
        Some(inf) => run.system.unstage(inf),
        None => Ok(()),
    };
    let restored = if changes.replaces {
        restore(run, choice)
    } else {
        Ok(())
    };
    let way_back = cancelled
        .and(removed)
        .and(service)
        .and(unstaged)
        .and(restored);
    run.undone(first, way_back)
}

/// Brings the component of the old package back, if it is not there any more.
fn restore(run: &mut Run<'_, impl System>, choice: &Choice) -> Step<()> {
    let lost = |reason: String| Trouble {
        what: "bringing the old version back failed".into(),
        reason,
    };
    if let Some(holder) = run.system.open(choice.lock())? {
        return Err(lost(Failure::Locked(holder).to_string()));
    }
    if run.system.component()?.is_none() {
        run.add_component()?;
    }
    run.system.keep_withheld(false)
}

/// Takes out the packages that the new one has replaced; what could not be, if anything. That is no
/// failure of the upgrade: Windows prefers the newer package.
fn tidy_up(system: &mut impl System, before: &Packages, version: Version) -> Option<String> {
    system.close();
    let older = before.iter().filter(|(_, other)| *other < version);
    let mut left = None;
    for (name, _) in older {
        system.announce("removing the old package from the system's drivers");
        if let Err(trouble) = system.unstage(name) {
            left.get_or_insert(trouble.to_string());
        }
    }
    left
}

fn plan(choice: &Choice, old: Old) -> Report {
    let mut steps = vec![format!(
        "add {} to the system's drivers",
        choice.inf.display()
    )];
    match old {
        Old::Nothing => {}
        Old::Broken => steps.push("remove the component VIOPROT, whose service is missing".into()),
        Old::Version(version) => steps.push(format!("remove the component VIOPROT {version}")),
    }
    steps.push("install the component VIOPROT".into());
    steps.push("apply the new network configuration".into());
    if matches!(old, Old::Version(_)) {
        steps.push("remove the old package from the system's drivers".into());
    }
    Report::Plan { steps }
}
