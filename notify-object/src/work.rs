//! Takes the bindings of virtual functions away, and gives them back.

use netcfg::{Component, Path, class};
use windows::Win32::NetworkManagement::NetManagement::INetCfg;
use windows::core::{GUID, Result};

use crate::macs;
use crate::policy::{Facts, Kind, Policy, Verdict, is_vioprot, judge};
use crate::withheld::Withheld;

/// The adapters of the configuration, as far as the engine tells about them.
pub(crate) struct Adapters(Vec<(Component, String, Facts)>);

impl Adapters {
    /// Asks the engine and the interface table. Adapters that can't be read are left out.
    ///
    /// # Errors
    ///
    /// The engine does not list its adapters.
    pub(crate) fn read(engine: &INetCfg) -> Result<Self> {
        let macs = macs::by_instance();
        let describe = |adapter: Component| {
            let instance = adapter.instance().ok()?;
            let facts = Facts {
                pnp_id: adapter.pnp_id().ok()?,
                mac: macs.get(&instance).copied(),
            };
            Some((adapter, name(&instance), facts))
        };
        let all = Component::all(engine, &class::NET)?;
        Ok(Self(all.into_iter().filter_map(describe).collect()))
    }

    /// What `adapter` is. One that the engine does not list, as it is just coming, is judged beside those
    /// that it lists.
    ///
    /// # Errors
    ///
    /// The adapter can't be read.
    fn kind(&self, policy: &Policy, adapter: &Component) -> Result<Kind> {
        let instance = adapter.instance()?;
        let facts = Facts {
            pnp_id: adapter.pnp_id()?,
            mac: macs::by_instance().get(&instance).copied(),
        };
        let all: Vec<Facts> = self.0.iter().map(|(_, _, facts)| facts.clone()).collect();
        Ok(policy.kind(&facts, &all))
    }

    /// Judges a path. `None`: it does not end at an adapter.
    ///
    /// # Errors
    ///
    /// The path can't be read.
    pub(crate) fn judge(&self, policy: &Policy, path: &Path) -> Result<Option<Judged>> {
        let bottom = path.bottom()?;
        if bottom.class()? != class::NET {
            return Ok(None);
        }
        let owner = path.owner()?.id()?;
        let verdict = judge(&owner, self.kind(policy, &bottom)?);
        let adapter = name(&bottom.instance()?);
        Ok(Some(Judged {
            verdict,
            adapter,
            owner,
        }))
    }

    /// Takes everything but VIOPROT from each virtual function; one that is new to us gets VIOPROT.
    ///
    /// # Errors
    ///
    /// The first failure; the other adapters are served all the same.
    pub(crate) fn seize(&self, policy: &Policy, withheld: &mut Withheld) -> Result<()> {
        let all: Vec<Facts> = self.0.iter().map(|(_, _, facts)| facts.clone()).collect();
        let functions = self
            .0
            .iter()
            .filter(|(_, _, facts)| policy.kind(facts, &all) == Kind::Vf);
        first_failure(functions.map(|(adapter, name, _)| {
            let is_new = !withheld.knows(name);
            withheld.claim(name);
            let paths = adapter.paths_above()?;
            first_failure(paths.iter().map(|path| {
                let owner = path.owner()?.id()?;
                let is_enabled = path.is_enabled()?;
                match judge(&owner, Kind::Vf) {
                    Verdict::Refuse if is_enabled => {
                        path.enable(false)?;
                        withheld.add(name, &owner);
                    }
                    Verdict::Keep if is_new && !is_enabled => path.enable(true)?,
                    Verdict::Keep | Verdict::Refuse => {}
                }
                Ok(())
            }))
        }))
    }

    /// Gives back what was withheld. A function that has lost everything, and of which nothing is
    /// recorded, gets all: better than a dead adapter.
    ///
    /// # Errors
    ///
    /// The first failure; the other adapters are served all the same.
    pub(crate) fn release(&self, policy: &Policy, withheld: &Withheld) -> Result<()> {
        let all: Vec<Facts> = self.0.iter().map(|(_, _, facts)| facts.clone()).collect();
        first_failure(self.0.iter().map(|(adapter, name, facts)| {
            let is_function = policy.kind(facts, &all) == Kind::Vf;
            if !withheld.knows(name) && !is_function {
                return Ok(());
            }
            let mut others = Vec::new();
            for path in adapter.paths_above()? {
                let owner = path.owner()?.id()?;
                if !is_vioprot(&owner) {
                    others.push((path, owner));
                }
            }
            let mut is_dead = !withheld.knows(name);
            for (path, _) in &others {
                is_dead &= !path.is_enabled()?;
            }
            let due = others
                .iter()
                .filter(|(_, owner)| is_dead || withheld.has(name, owner));
            first_failure(due.map(|(path, _)| path.enable(true)))
        }))
    }
}

/// A path that ends at an adapter, judged.
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The adapter's instance identifier.
    pub(crate) adapter: String,
    /// The component at the top.
    pub(crate) owner: String,
}

/// The registry's spelling of an instance identifier.
pub(crate) fn name(instance: &GUID) -> String {
    format!("{{{instance:?}}}")
}

/// Does all, and returns the first error.
fn first_failure(steps: impl Iterator<Item = Result<()>>) -> Result<()> {
    steps.fold(Ok(()), Result::and)
}
