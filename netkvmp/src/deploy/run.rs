//! The steps that both commands take, and whether Windows has asked for a restart on the way.

use super::{SERVICE, Step, System, is_foreign};
use crate::failure::{Failure, Trouble};

/// A run of a command over the system.
pub(super) struct Run<'a, S> {
    pub(super) system: &'a mut S,
    /// A change that was made takes effect with the next start only. That stays so whatever becomes of the
    /// run: what is undone is then undone at the next start, too.
    reboot: bool,
}

impl<'a, S: System> Run<'a, S> {
    pub(super) fn new(system: &'a mut S) -> Self {
        Self {
            system,
            reboot: false,
        }
    }

    /// Whether Windows has to be restarted.
    pub(super) fn reboot(&self) -> bool {
        self.reboot
    }

    fn note(&mut self, reboot: bool) {
        self.reboot |= reboot;
    }

    pub(super) fn apply(&mut self) -> Step<()> {
        self.system.announce("applying the network configuration");
        let reboot = self.system.apply()?;
        self.note(reboot);
        Ok(())
    }

    /// Installs the component, of which there is none, and sees that it is there.
    pub(super) fn add_component(&mut self) -> Step<()> {
        self.system.announce("installing the component");
        let reboot = self.system.install()?;
        self.note(reboot);
        self.apply()?;
        let component = self.system.component()?;
        let is_ours = component.is_some_and(|service| service.eq_ignore_ascii_case(SERVICE));
        if is_ours && self.system.has_service() {
            return Ok(());
        }
        let missing = if is_ours { "service" } else { "component" };
        Err(Trouble {
            what: "the installation is not complete".into(),
            reason: format!("Windows reports success, but the {missing} is not there"),
        })
    }

    /// Removes the component if it is there and ours; whether it was.
    pub(super) fn remove_component(&mut self) -> Step<bool> {
        let component = self.system.component()?;
        if component.is_none_or(|service| is_foreign(&service)) {
            return Ok(false);
        }
        self.system.announce("removing the component");
        let reboot = self.system.deinstall()?;
        self.note(reboot);
        self.apply()?;
        Ok(true)
    }

    /// Removes a service entry that no component owns any more; whether there was one.
    pub(super) fn remove_service(&mut self) -> Step<bool> {
        let is_there = self.system.has_service();
        if is_there {
            self.system.delete_service()?;
        }
        Ok(is_there)
    }

    /// The failure of a run that has been undone, or that could not be.
    pub(super) fn undone(&self, first: Trouble, way_back: Step<()>) -> Failure {
        let reboot = self.reboot;
        match way_back {
            Ok(()) => Failure::Undone { first, reboot },
            Err(then) => Failure::Stuck {
                first,
                then,
                reboot,
            },
        }
    }

    /// The failure of a removal that has left something behind.
    pub(super) fn rest(&self, trouble: Trouble) -> Failure {
        Failure::Rest {
            trouble,
            reboot: self.reboot,
        }
    }
}
