//! A system in memory: what is there, what fails, what happened.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use crate::deploy::{Step, System};
use crate::failure::Trouble;
use crate::inf::Package;
use crate::version::Version;

pub(super) const INF: &str = include_str!("../../../../inf/vioprot.inf");

/// The system.
pub(super) struct Fake {
    pub(super) elevated: bool,
    pub(super) inf: Option<String>,
    pub(super) files: Vec<&'static str>,
    pub(super) packages: Vec<(String, Version)>,
    /// The name of its service.
    pub(super) component: Option<&'static str>,
    /// The package that it came from, if Windows tells.
    pub(super) origin: Option<String>,
    pub(super) service: bool,
    /// What the notify object gives back when the component goes, and is recorded until then.
    pub(super) withheld: Vec<&'static str>,
    /// Adapters that are not there, so that nothing can be given back to them.
    pub(super) absent: Vec<&'static str>,
    pub(super) is_upgrading: bool,
    /// Steps after which Windows has to be restarted.
    pub(super) reboots: Vec<&'static str>,
    /// The INF runs, and leaves no service.
    pub(super) is_serviceless: bool,
    pub(super) holder: Option<String>,
    /// Who holds the lock when the configuration is opened a second time.
    pub(super) later_holder: Option<String>,
    /// Installs the oldest package, not the newest.
    pub(super) is_stubborn: bool,
    /// Does not tell where the component came from.
    pub(super) is_secretive: bool,
    /// Calls that fail, by name.
    pub(super) fails: Vec<&'static str>,
    /// Calls that fail the first time.
    pub(super) fails_once: Vec<&'static str>,
    pub(super) log: RefCell<Vec<String>>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            elevated: true,
            inf: Some(INF.into()),
            files: vec!["netkvm.sys", "netkvmno.dll", "vioprot.cat"],
            packages: vec![],
            component: None,
            origin: None,
            service: false,
            withheld: vec![],
            absent: vec![],
            is_upgrading: false,
            reboots: vec![],
            is_serviceless: false,
            holder: None,
            later_holder: None,
            is_stubborn: false,
            is_secretive: false,
            fails: vec![],
            fails_once: vec![],
            log: RefCell::default(),
        }
    }
}

impl Fake {
    fn call(&self, name: &'static str) -> Step<()> {
        let is_first = !self.log.borrow().iter().any(|made| made == name);
        self.log.borrow_mut().push(name.into());
        if self.fails.contains(&name) || (is_first && self.fails_once.contains(&name)) {
            return Err(trouble(name));
        }
        Ok(())
    }

    pub(super) fn installed() -> Self {
        Self {
            packages: vec![("oem3.inf".into(), version("1.0.0.0"))],
            component: Some("vioprot"),
            origin: Some("oem3.inf".into()),
            service: true,
            ..Self::default()
        }
    }

    pub(super) fn state(&self) -> (bool, bool, usize) {
        (self.component.is_some(), self.service, self.packages.len())
    }
}

/// Of the date of the INF.
pub(super) fn version(number: &str) -> Version {
    Version::read("11/20/2026", number).unwrap()
}

fn trouble(name: &str) -> Trouble {
    Trouble {
        what: name.into(),
        reason: "told to".into(),
    }
}

impl System for Fake {
    fn is_elevated(&self) -> bool {
        self.elevated
    }
    fn read(&self, _: &Path) -> Step<Option<Vec<u8>>> {
        self.call("read")?;
        Ok(self.inf.clone().map(String::into_bytes))
    }
    fn exists(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| self.files.contains(&name))
    }
    fn packages(&self) -> Step<Vec<(String, Version)>> {
        self.call("packages")?;
        Ok(self.packages.clone())
    }
    fn stage(&mut self, _: &Path) -> Step<String> {
        self.call("stage")?;
        let inf = self.inf.as_deref().unwrap_or_default();
        let package = Package::read(inf).map_err(|reason| trouble(&reason))?;
        self.packages.push(("oem7.inf".into(), package.version));
        Ok("oem7.inf".into())
    }
    fn unstage(&mut self, name: &str) -> Step<()> {
        self.call("unstage")?;
        self.packages.retain(|(inf, _)| inf != name);
        Ok(())
    }
    fn open(&mut self, lock: Option<Duration>) -> Step<Option<String>> {
        let is_first = !self.log.borrow().iter().any(|made| made == "open");
        self.call("open")?;
        if !is_first {
            return Ok(self.later_holder.clone());
        }
        Ok(self.holder.clone().filter(|_| lock.is_some()))
    }
    fn component(&self) -> Step<Option<String>> {
        self.call("component")?;
        Ok(self.component.map(str::to_owned))
    }
    fn install(&mut self) -> Step<bool> {
        self.call("install")?;
        // One that is there gets another reference, and its INF does not run.
        if self.component.is_none() {
            let packages = self.packages.iter();
            let best = if self.is_stubborn {
                packages.min_by_key(|(_, version)| *version)
            } else {
                packages.max_by_key(|(_, version)| *version)
            };
            self.origin = best.map(|(name, _)| name.clone());
            self.component = Some("vioprot");
            self.service = !self.is_serviceless;
        }
        Ok(self.reboots.contains(&"install"))
    }
    fn deinstall(&mut self) -> Step<bool> {
        self.call("deinstall")?;
        self.component = None;
        self.service = false;
        if !self.is_upgrading {
            let absent = &self.absent;
            self.withheld.retain(|adapter| absent.contains(adapter));
        }
        Ok(self.reboots.contains(&"deinstall"))
    }
    fn apply(&mut self) -> Step<bool> {
        let count = self
            .log
            .borrow()
            .iter()
            .filter(|name| *name == "apply")
            .count();
        self.call(if count == 0 { "apply" } else { "apply again" })?;
        Ok(self.reboots.contains(&"apply"))
    }
    fn cancel(&mut self) -> Step<()> {
        self.call("cancel")
    }
    fn close(&mut self) {
        self.log.borrow_mut().push("close".into());
    }
    fn has_service(&self) -> bool {
        self.service
    }
    fn delete_service(&mut self) -> Step<()> {
        self.call("delete_service")?;
        self.service = false;
        Ok(())
    }
    fn origin(&self) -> Option<String> {
        self.origin.clone().filter(|_| !self.is_secretive)
    }
    fn keep_withheld(&mut self, on: bool) -> Step<()> {
        self.call("keep_withheld")?;
        self.is_upgrading = on;
        Ok(())
    }
    fn withheld(&self) -> Step<Vec<String>> {
        self.call("withheld")?;
        Ok(self.withheld.iter().map(ToString::to_string).collect())
    }
    fn give_back(&mut self) -> Step<Vec<String>> {
        self.call("give_back")?;
        let absent = |adapter: &&&str| !self.absent.contains(*adapter);
        let given = self.withheld.iter().filter(absent);
        Ok(given.map(ToString::to_string).collect())
    }
    fn forget(&mut self, adapters: &[String]) -> Step<()> {
        self.call("forget")?;
        self.withheld
            .retain(|adapter| !adapters.contains(&adapter.to_string()));
        Ok(())
    }
    fn announce(&self, _: &str) {}
}
