//! The end of a run: everything is taken down in order, and the judge has the last word.

use std::collections::BTreeMap;
use std::fmt;

use ndis_host::pnp;
use ndis_host::verifier::{self, Breach};

use super::World;

/// Rule that the judge names for memory that a driver leaves behind.
const LEAK_RULE: u16 = 14;

/// What there is to say when all is over.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Breaches, leaks apart.
    pub breaches: Vec<Breach>,
    /// Leaks of pool memory.
    pub leaks: Vec<Breach>,
    /// What the driver did to the device that it must not.
    pub misuses: Vec<String>,
}

impl Ending {
    /// The judge's report so far.
    #[must_use]
    pub fn so_far() -> Self {
        Self::of(verifier::breaches())
    }

    /// Sorts breaches.
    #[must_use]
    pub fn of(breaches: Vec<Breach>) -> Self {
        let (leaks, breaches) = breaches
            .into_iter()
            .partition(|breach| breach.rule == LEAK_RULE);
        Self {
            breaches,
            leaks,
            misuses: Vec::new(),
        }
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty() && self.leaks.is_empty() && self.misuses.is_empty()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules: BTreeMap<u16, usize> = BTreeMap::new();
        for breach in self.breaches.iter().chain(&self.leaks) {
            *rules.entry(breach.rule).or_default() += 1;
        }
        let rules = rules.iter().map(|(rule, count)| match count {
            1 => format!("rule {rule} breached"),
            _ => format!("rule {rule} breached {count} times"),
        });
        let misuses = self
            .misuses
            .iter()
            .map(|what| format!("device misused: {what}"));
        let all: Vec<_> = rules.chain(misuses).collect();
        f.write_str(&all.join(", "))
    }
}

impl World {
    /// What there is to say while nothing has been taken down.
    #[must_use]
    pub fn left(&self) -> Ending {
        Ending {
            misuses: self.adapter().misuses(),
            ..Ending::so_far()
        }
    }

    /// Unbinds TCP/IP, removes the devices, unloads the driver. At PASSIVE.
    #[must_use]
    pub fn finish(mut self) -> Ending {
        if let Some(tcpip) = self.tcpip_component.take() {
            pnp::remove_native_protocol(tcpip);
        }
        self.tcpip.stop();
        if let Some(primary) = self.primary.take() {
            self.withdraw(primary);
        }
        if let Some(driver) = self.vf_driver.take().filter(|_| !self.is_guest) {
            pnp::unload_driver(driver);
        }
        let mut misuses = std::mem::take(&mut self.misuses);
        if let Some(adapter) = self.adapter.take() {
            pnp::remove_device(adapter.device);
            misuses.extend(adapter.misuses());
        }
        if !self.is_guest {
            pnp::unload_driver(self.driver);
        }
        Ending {
            misuses,
            ..Ending::so_far()
        }
    }
}
