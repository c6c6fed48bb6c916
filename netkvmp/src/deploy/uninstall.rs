//! Removing the protocol and what is left of it.

use super::run::Run;
use super::{Choice, Packages, Step, System, has_own_component, open, require_elevation};
use crate::failure::{Failure, Trouble};
use crate::report::Report;

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
    let withheld = system.withheld().map_err(Failure::Unchanged)?;
    let is_clean = !has_component && packages.is_empty() && !system.has_service();
    if is_clean && withheld.is_empty() {
        return Ok(Report::NothingInstalled { absent: withheld });
    }
    if choice.is_dry {
        return Ok(plan(system, has_component, &packages, &withheld));
    }
    // A run that was ended half-way may have left the other.
    system.keep_withheld(false).map_err(Failure::Unchanged)?;
    let mut run = Run::new(system);
    let mut removed = Vec::new();
    match run.remove_component() {
        Ok(true) => removed.push("component VIOPROT".to_owned()),
        Ok(false) => {}
        Err(first) => return Err(put_back(&mut run, first)),
    }
    let has_service = run.remove_service().map_err(|trouble| run.rest(trouble))?;
    if has_service && !has_component {
        removed.push("service vioprot".to_owned());
    }
    let given = give_back(&mut run).map_err(|trouble| run.rest(trouble))?;
    let told = |name| format!("record of {name} (its bindings are enabled again)");
    removed.extend(given.into_iter().map(told));
    let absent = run.system.withheld().map_err(|trouble| run.rest(trouble))?;
    run.system.close();
    for (name, _) in packages {
        let announced = "removing the package from the system's drivers";
        run.system.announce(announced);
        let gone = run.system.unstage(&name);
        gone.map_err(|trouble| run.rest(trouble))?;
        removed.push(format!("package {name}"));
    }
    if removed.is_empty() {
        return Ok(Report::NothingInstalled { absent });
    }
    Ok(Report::Removed {
        removed,
        absent,
        reboot: run.reboot(),
    })
}

/// With the component gone, nobody but us gives back what is still recorded as withheld from an adapter
/// that is there: it was absent when the notify object could have done it, or an upgrade has ended
/// half-way. The names of those adapters.
fn give_back(run: &mut Run<'_, impl System>) -> Step<Vec<String>> {
    let given = run.system.give_back()?;
    if !given.is_empty() {
        run.apply()?;
        run.system.forget(&given)?;
    }
    Ok(given)
}

/// Removing has failed half-way: the component comes back, as its package is still there.
fn put_back(run: &mut Run<'_, impl System>, first: Trouble) -> Failure {
    run.system.announce("undoing");
    let back = run.system.cancel().and_then(|()| {
        if run.system.component()?.is_some() {
            return Ok(());
        }
        run.add_component()
    });
    run.undone(first, back)
}

fn plan(
    system: &impl System,
    has_component: bool,
    packages: &Packages,
    withheld: &[String],
) -> Report {
    let mut steps = Vec::new();
    if has_component {
        steps.push("remove the component VIOPROT".to_owned());
        steps.push("apply the new network configuration".to_owned());
    } else if system.has_service() {
        steps.push("delete the service vioprot".to_owned());
    }
    // The notify object does that for a component.
    if !has_component && !withheld.is_empty() {
        steps.push("enable what is withheld from adapters that are there".to_owned());
    }
    steps.extend(
        packages
            .iter()
            .map(|(name, _)| format!("remove {name} from the system's drivers")),
    );
    Report::Plan { steps }
}
