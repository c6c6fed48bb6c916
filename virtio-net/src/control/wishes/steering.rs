//! How received frames are spread over the queues, and what is hashed.
//!
//! Of the commands for it the last one counts (virtio 1.2, 5.1.6.5 "Device operation in multiqueue
//! mode"), so there is one setting, of queue pairs or of RSS, and the hash goes with queue pairs
//! only: RSS has its own.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::super::command::{Command, Kind};
use super::super::outcome::Outcome;
use super::super::parameters::{HashConfig, Invalid, Limits, RssConfig};
use super::Standing;
use super::tracked::Tracked;
use crate::features::Features;

/// What a wish for hashing says, kept.
#[derive(Debug)]
struct Hash {
    types: u32,
    key: Vec<u8>,
}

/// What a wish for RSS says, kept.
#[derive(Debug)]
struct Rss {
    hash: Hash,
    unclassified: u16,
    table: Vec<u16>,
    transmit_queues: u16,
}

/// A setting, by the version of its parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Choice {
    Pairs(u16),
    Rss(u64),
}

#[derive(Debug)]
pub(super) struct Steering {
    limits: Limits,
    rss: Rss,
    hash: Hash,
    /// Counts the changes of `rss` and `hash`.
    version: u64,
    choice: Tracked<Choice>,
    hashing: Tracked<u64>,
}

impl Steering {
    pub(super) fn new(limits: Limits) -> Result<Self, TryReserveError> {
        let mut table = Vec::new();
        table.try_reserve_exact(limits.rss_entries.into())?;
        Ok(Self {
            limits,
            rss: Rss {
                hash: Hash::new(&limits)?,
                unclassified: 0,
                table,
                transmit_queues: 0,
            },
            hash: Hash::new(&limits)?,
            version: 0,
            choice: Tracked::new(),
            hashing: Tracked::new(),
        })
    }

    pub(super) fn want_pairs(&mut self, pairs: u16) -> Result<(), Invalid> {
        self.limits.check_pairs(pairs)?;
        self.choice.want(Choice::Pairs(pairs));
        Ok(())
    }

    pub(super) fn want_rss(&mut self, rss: &RssConfig<'_>) -> Result<(), Invalid> {
        self.limits.check_rss(rss)?;
        let is_chosen = matches!(self.choice.wanted(), Some(Choice::Rss(_)));
        if !is_chosen || *rss != self.rss.config() {
            self.rss.keep(rss);
            self.version = self.version.wrapping_add(1);
            self.choice.want(Choice::Rss(self.version));
        }
        Ok(())
    }

    pub(super) fn want_hash(&mut self, hash: &HashConfig<'_>) -> Result<(), Invalid> {
        self.limits.check_hash(hash)?;
        if self.hashing.wanted().is_none() || *hash != self.hash.config() {
            self.hash.keep(hash);
            self.version = self.version.wrapping_add(1);
            self.hashing.want(self.version);
        }
        Ok(())
    }

    pub(super) fn next(&self, features: Features) -> Option<Command<'_>> {
        let choice = self.choice.due().map(|choice| match choice {
            Choice::Pairs(pairs) => Command::Pairs(pairs),
            Choice::Rss(_) => Command::Rss(self.rss.config()),
        });
        let hash = || {
            self.is_hash_due()
                .then(|| Command::Hash(self.hash.config()))
        };
        choice
            .filter(|command| features.contains(command.needs()))
            .or_else(hash)
            .filter(|command| features.contains(command.needs()))
    }

    pub(super) fn send(&mut self, kind: Kind) {
        match kind {
            Kind::Pairs | Kind::Rss => {
                self.choice.send();
                // Devices drop the hash with a new number of pairs.
                self.hashing.unsettle();
            }
            Kind::Hash => self.hashing.send(),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, kind: Kind, outcome: Outcome) {
        match kind {
            Kind::Pairs | Kind::Rss => self.choice.end(outcome),
            Kind::Hash => self.hashing.end(outcome),
            _ => {}
        }
    }

    pub(super) fn unsettle(&mut self, kind: Kind) {
        if matches!(kind, Kind::Pairs | Kind::Rss | Kind::Hash) {
            self.choice.unsettle();
            self.hashing.unsettle();
        }
    }

    pub(super) fn forget(&mut self) {
        self.choice.forget();
        self.hashing.forget();
    }

    pub(super) fn standing(&self, features: Features) -> Standing {
        let due = self.next(features).is_some();
        // One pair is what a device without the feature has.
        let can = features.contains(Features::CTRL_VQ | Features::MQ);
        let single = !can && self.choice.wanted() == Some(Choice::Pairs(1));
        let hash_met = self.has_rss() || self.hashing.is_met();
        Standing::of((self.choice.is_met() || single) && hash_met, due)
    }

    fn has_rss(&self) -> bool {
        matches!(self.choice.wanted(), Some(Choice::Rss(_)))
    }

    fn is_hash_due(&self) -> bool {
        !self.has_rss() && self.hashing.due().is_some()
    }
}

impl Hash {
    fn new(limits: &Limits) -> Result<Self, TryReserveError> {
        let mut key = Vec::new();
        key.try_reserve_exact(limits.hash_key.into())?;
        Ok(Self { types: 0, key })
    }

    /// Keeps what is within the limits, for which there is room.
    fn keep(&mut self, hash: &HashConfig<'_>) {
        self.types = hash.types;
        self.key.clear();
        self.key.extend_from_slice(hash.key);
    }

    fn config(&self) -> HashConfig<'_> {
        HashConfig {
            types: self.types,
            key: &self.key,
        }
    }
}

impl Rss {
    /// Keeps what is within the limits, for which there is room.
    fn keep(&mut self, rss: &RssConfig<'_>) {
        self.hash.keep(&rss.hash);
        self.unclassified = rss.unclassified;
        self.transmit_queues = rss.transmit_queues;
        self.table.clear();
        self.table.extend_from_slice(rss.table);
    }

    fn config(&self) -> RssConfig<'_> {
        RssConfig {
            hash: self.hash.config(),
            unclassified: self.unclassified,
            table: &self.table,
            transmit_queues: self.transmit_queues,
        }
    }
}
