//! Takes the bindings of virtual functions away, and gives them back.

use netcfg::{Component, Path, class};
use windows::Win32::NetworkManagement::NetManagement::INetCfg;
use windows::core::{GUID, Result};

use crate::macs::Macs;
use crate::policy::{Facts, Kind, Policy, Verdict, is_vioprot, judge};
use crate::withheld::Withheld;

/// The adapters of the configuration, as far as the engine tells about them.
pub(crate) struct Adapters(Vec<(Component, String, Facts)>);

impl Adapters {
    /// Asks the engine, the interface table and the driver. Adapters that can't be read are left out.
    ///
    /// # Errors
    ///
    /// The engine does not list its adapters.
    pub(crate) fn read(engine: &INetCfg, withheld: &Withheld) -> Result<Self> {
        let macs = Macs::read();
        let all = Component::all(engine, &class::NET)?;
        let describe = |adapter: Component| {
            let (name, facts) = describe(&adapter, &macs, withheld)?;
            Some((adapter, name, facts))
        };
        Ok(Self(all.into_iter().filter_map(describe).collect()))
    }

    fn facts(&self) -> Vec<Facts> {
        self.0.iter().map(|(_, _, facts)| facts.clone()).collect()
    }

    /// Judges a path. `None`: it does not end at an adapter, or can't be read, and is left alone. An
    /// adapter that the engine does not list, as it is just coming, is judged beside those that it lists.
    pub(crate) fn judge(
        &self,
        policy: &Policy,
        withheld: &Withheld,
        path: &Path,
    ) -> Option<Judged> {
        let bottom = path.bottom().ok()?;
        if bottom.class().ok()? != class::NET {
            return None;
        }
        let (adapter, facts) = describe(&bottom, &Macs::read(), withheld)?;
        let (owner, token) = names(path).ok()?;
        Some(Judged {
            verdict: judge(&owner, policy.kind(&facts, &self.facts())),
            adapter,
            owner,
            token,
        })
    }

    /// Takes everything but VIOPROT from each virtual function. One that is new to us gets VIOPROT, and
    /// so does one that we have refused it to; each does with `is_fresh`. Whether all that had to go went.
    ///
    /// # Errors
    ///
    /// The first failure to enable VIOPROT. What can't be read or taken away stays as it is, and the other
    /// adapters are served all the same.
    pub(crate) fn seize(
        &self,
        policy: &Policy,
        withheld: &mut Withheld,
        is_fresh: bool,
    ) -> Result<bool> {
        let all = self.facts();
        let mut is_complete = true;
        let functions = self
            .0
            .iter()
            .filter(|(_, _, facts)| policy.kind(facts, &all) == Kind::Vf);
        first_failure(functions.map(|(adapter, name, _)| {
            let is_new = is_fresh || !withheld.knows(name);
            withheld.claim(name);
            let paths = adapter.paths_above().unwrap_or_default();
            first_failure(paths.iter().map(|path| {
                is_complete &= seize_path(path, name, is_new, withheld)?;
                Ok(())
            }))
        }))?;
        Ok(is_complete)
    }

    /// Gives back what was withheld, and drops the record of each adapter that was served. A function
    /// that has lost everything, and of which nothing is recorded, gets all: better than a dead adapter.
    ///
    /// # Errors
    ///
    /// The first failure to enable a path. What can't be read stays as it is, and the other adapters are
    /// served all the same.
    pub(crate) fn release(&self, policy: &Policy, withheld: &mut Withheld) -> Result<()> {
        let all = self.facts();
        first_failure(self.0.iter().map(|(adapter, name, facts)| {
            let is_function = policy.kind(facts, &all) == Kind::Vf;
            if !withheld.knows(name) && !is_function {
                return Ok(());
            }
            let Ok(paths) = adapter.paths_above() else {
                return Ok(());
            };
            let others: Vec<(Path, String)> = paths
                .into_iter()
                .filter_map(|path| {
                    let (owner, token) = names(&path).ok()?;
                    (!is_vioprot(&owner)).then_some((path, token))
                })
                .collect();
            let mut lost = others.iter().map(|(path, _)| path.is_enabled());
            let is_dead =
                !withheld.knows(name) && lost.all(|is_enabled| is_enabled.is_ok_and(|on| !on));
            let due = others
                .iter()
                .filter(|(_, token)| is_dead || withheld.has(name, token));
            first_failure(due.map(|(path, _)| path.enable(true)))?;
            withheld.forget(name);
            Ok(())
        }))
    }
}

/// Takes a path of the function `name` away, or gives it to VIOPROT. Whether it went, if it had to; one
/// that can't be read has not.
///
/// # Errors
///
/// VIOPROT can't be enabled.
fn seize_path(path: &Path, name: &str, is_new: bool, withheld: &mut Withheld) -> Result<bool> {
    let (Ok((owner, token)), Ok(is_enabled)) = (names(path), path.is_enabled()) else {
        return Ok(true);
    };
    match judge(&owner, Kind::Vf) {
        Verdict::Refuse if is_enabled => {
            if path.enable(false).is_err() {
                return Ok(false);
            }
            withheld.add(name, &token);
        }
        Verdict::Keep if !is_enabled && (is_new || withheld.has(name, &token)) => {
            path.enable(true)?;
            withheld.remove(name, &token);
        }
        Verdict::Keep | Verdict::Refuse => {}
    }
    Ok(true)
}

/// The name and the facts of an adapter; `None` if it can't be read.
fn describe(adapter: &Component, macs: &Macs, withheld: &Withheld) -> Option<(String, Facts)> {
    let instance = adapter.instance().ok()?;
    let name = name(&instance);
    let facts = Facts {
        pnp_id: adapter.pnp_id().ok()?,
        mac: macs.mac(&instance),
        standby: macs.standby(&instance),
        is_known: withheld.knows(&name),
    };
    Some((name, facts))
}

/// The component at the top of a path, and the path's token.
fn names(path: &Path) -> Result<(String, String)> {
    Ok((path.owner()?.id()?, path.token()?))
}

/// A path that ends at an adapter, judged.
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The adapter's instance identifier.
    pub(crate) adapter: String,
    /// The component at the top.
    pub(crate) owner: String,
    /// The engine's name of the path.
    pub(crate) token: String,
}

/// The registry's spelling of an instance identifier.
pub(crate) fn name(instance: &GUID) -> String {
    format!("{{{instance:?}}}")
}

/// Does all, and returns the first error.
fn first_failure(steps: impl Iterator<Item = Result<()>>) -> Result<()> {
    steps.fold(Ok(()), Result::and)
}
