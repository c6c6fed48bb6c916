//! What a device that comes back offers no more, or anew.
//!
//! A device that was reset, resumed or moved to another host may offer less than before, and what
//! was built on the old features stands on nothing then. The driver negotiates no more than it had
//! ([`Found::renegotiate`](crate::bring_up::Found::renegotiate)) and acts on what is lost.

use super::Features;
use super::table::{Feature, Part, TABLE};

/// The difference between the features in use before and those now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// In use before, not to be had now.
    pub lost: Features,
    /// In use now, not before.
    pub gained: Features,
}

impl Change {
    /// What changed from `before` to `now`.
    #[must_use]
    pub const fn between(before: Features, now: Features) -> Self {
        Self {
            lost: before.without(now),
            gained: now.without(before),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.lost.is_empty() && self.gained.is_empty()
    }

    /// The rows of what was lost: their names, what they brought, and the part they concern.
    pub fn losses(self) -> impl Iterator<Item = &'static Feature> {
        rows(self.lost)
    }

    /// The rows of what was gained.
    pub fn gains(self) -> impl Iterator<Item = &'static Feature> {
        rows(self.gained)
    }

    /// Whether something was lost that concerns `part`, which says what to do about it.
    #[must_use]
    pub fn loses(self, part: Part) -> bool {
        self.losses().any(|row| row.part == part)
    }
}

fn rows(set: Features) -> impl Iterator<Item = &'static Feature> {
    TABLE.iter().filter(move |row| set.contains(row.bit))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn losses_are_named_with_who_has_to_act() {
        let before = Features::union_of(&[Features::CSUM, Features::MAC, Features::RING_PACKED]);
        let change = Change::between(before, Features::MAC | Features::MTU);
        let names: Vec<_> = change.losses().map(|row| row.name).collect();
        assert_eq!(names, ["RING_PACKED", "CSUM"]);
        assert!(change.loses(Part::Queues) && change.loses(Part::Sending));
        assert!(!change.loses(Part::Configuration) && !change.loses(Part::Failover));
        assert_eq!(change.gained, Features::MTU);
        assert_eq!(change.gains().map(|row| row.name).next(), Some("MTU"));
        assert!(!change.is_none());
        assert!(Change::between(before, before).is_none());
    }
}
