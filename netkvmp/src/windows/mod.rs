//! What the commands do to Windows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ::windows::Win32::NetworkManagement::NetManagement::NETCFG_E_NEED_REBOOT;
use ::windows::core::Error;
use netcfg::names::VIOPROT;
use netcfg::{Apartment, Applied, Component, Locked, Removal, Session, class};

use crate::deploy::System;
use crate::failure::Trouble;
use crate::version::Version;

mod adapters;
mod driver_store;
mod progress;
mod query;
mod rights;
mod service;
mod withheld;

pub(crate) use progress::Progress;
pub(crate) use query::query;
use withheld::Record;

/// How we introduce ourselves to those who wait for the lock.
const CLIENT: &str = "netkvmp (NetKVM failover protocol setup)";

const RECORDS: &str = "reading the records of withheld bindings";

/// The system that the program runs on.
pub(crate) struct Windows<'a> {
    apartment: &'a Apartment,
    progress: &'a Progress,
    session: Option<Session<'a>>,
}

impl<'a> Windows<'a> {
    pub(crate) fn new(apartment: &'a Apartment, progress: &'a Progress) -> Self {
        Self {
            apartment,
            progress,
            session: None,
        }
    }

    fn session(&self) -> Result<&Session<'a>, Trouble> {
        self.session.as_ref().ok_or_else(|| Trouble {
            what: "using the network configuration".into(),
            reason: "it is not open".into(),
        })
    }

    fn find(&self) -> Result<Option<Component>, Trouble> {
        let found = self.session()?.find(VIOPROT);
        found.map_err(|error| trouble("looking for the component", &error))
    }
}

/// What the system says of an error, with its number.
pub(crate) fn words(error: &Error) -> String {
    if error.code() == NETCFG_E_NEED_REBOOT {
        return "Windows has to be restarted first, as an earlier change of the network configuration \
                waits for that"
            .into();
    }
    let text = error.message();
    let text = text.trim().trim_end_matches('.');
    let number = format!("{:#010x}", error.code().0);
    if text.is_empty() {
        return format!("error {number}");
    }
    format!("{text} ({number})")
}

fn trouble(what: &str, error: &Error) -> Trouble {
    Trouble {
        what: format!("{what} failed"),
        reason: words(error),
    }
}

impl System for Windows<'_> {
    fn is_elevated(&self) -> bool {
        rights::is_elevated()
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Trouble> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) if !path.exists() => Ok(None),
            Err(error) => Err(Trouble {
                what: "reading the INF failed".into(),
                reason: error.to_string(),
            }),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn packages(&self) -> Result<Vec<(String, Version)>, Trouble> {
        driver_store::packages()
    }

    fn stage(&mut self, inf: &Path) -> Result<String, Trouble> {
        let staged = driver_store::stage(inf);
        staged.map_err(|error| trouble("adding the package", &error))
    }

    fn unstage(&mut self, name: &str) -> Result<(), Trouble> {
        let gone = driver_store::unstage(name);
        gone.map_err(|error| trouble(&format!("removing {name}"), &error))
    }

    fn open(&mut self, lock: Option<Duration>) -> Result<Option<String>, Trouble> {
        let fail = |error: Error| trouble("opening the network configuration", &error);
        let mut session = Session::open(self.apartment).map_err(fail)?;
        if let Some(patience) = lock {
            let locked = session.lock(CLIENT, patience);
            if let Locked::HeldBy(holder) =
                locked.map_err(|e| trouble("taking the write lock", &e))?
            {
                return Ok(Some(holder));
            }
        }
        session.initialize().map_err(fail)?;
        self.session = Some(session);
        Ok(None)
    }

    fn component(&self) -> Result<Option<String>, Trouble> {
        let Some(component) = self.find()? else {
            return Ok(None);
        };
        let instance = component.instance();
        let instance = instance.map_err(|e| trouble("looking at the component", &e))?;
        Ok(Some(service::of_protocol(&instance)))
    }

    fn origin(&self) -> Option<String> {
        let instance = self.find().ok()??.instance().ok()?;
        service::origin_of_protocol(&instance)
    }

    fn install(&mut self) -> Result<bool, Trouble> {
        // The notify object of a component that was removed just now would keep its file.
        self.apartment.unload_unused();
        let done = self.session()?.install(&class::NETTRANS, VIOPROT);
        let done = done.map_err(|error| trouble("installing the component", &error))?;
        Ok(done == Applied::AfterReboot)
    }

    fn deinstall(&mut self) -> Result<bool, Trouble> {
        let Some(component) = self.find()? else {
            return Ok(false);
        };
        let what = "removing the component";
        let done = self.session()?.deinstall(&class::NETTRANS, &component);
        match done.map_err(|error| trouble(what, &error))? {
            Removal::Gone(applied) => Ok(applied == Applied::AfterReboot),
            Removal::StillReferenced(by) => {
                let by = by.split_whitespace().collect::<Vec<_>>().join(" ");
                Err(Trouble {
                    what: format!("{what} failed"),
                    reason: format!("other components still need it: {by}"),
                })
            }
        }
    }

    fn apply(&mut self) -> Result<bool, Trouble> {
        let applied = self.session()?.apply();
        let applied = applied.map_err(|e| trouble("applying the network configuration", &e))?;
        Ok(applied == Applied::AfterReboot)
    }

    fn cancel(&mut self) -> Result<(), Trouble> {
        let done = self.session()?.cancel();
        done.map_err(|error| trouble("dropping the changes", &error))
    }

    fn close(&mut self) {
        self.session = None;
        self.apartment.unload_unused();
    }

    fn has_service(&self) -> bool {
        service::exists()
    }

    fn delete_service(&mut self) -> Result<(), Trouble> {
        service::delete().map_err(|error| trouble("deleting the service vioprot", &error))
    }

    fn keep_withheld(&mut self, on: bool) -> Result<(), Trouble> {
        let done = withheld::set_upgrading(on);
        done.map_err(|error| trouble("telling the notify object of the upgrade", &error))
    }

    fn withheld(&self) -> Result<Vec<String>, Trouble> {
        let records = withheld::read().map_err(|error| trouble(RECORDS, &error))?;
        Ok(records.iter().map(Record::name).collect())
    }

    fn give_back(&mut self) -> Result<Vec<String>, Trouble> {
        let records = withheld::read().map_err(|error| trouble(RECORDS, &error))?;
        let served = withheld::give_back(self.session()?, records);
        let served = served.map_err(|error| trouble("enabling bindings again", &error))?;
        Ok(served.iter().map(Record::name).collect())
    }

    fn forget(&mut self, adapters: &[String]) -> Result<(), Trouble> {
        let done = withheld::forget(adapters);
        done.map_err(|error| trouble("dropping the records of withheld bindings", &error))
    }

    fn announce(&self, step: &str) {
        self.progress.announce(step);
    }
}
