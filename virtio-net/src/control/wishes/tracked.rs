//! One setting of the device: what is wanted, what was sent, and what the device confirmed.

use super::super::outcome::Outcome;

/// How often a setting is sent without a clear answer before it is given up.
pub(super) const MAX_TRIES: u8 = 3;

/// A setting with values `V`; a large one goes by the number of its version.
///
/// There is one state and no queue: a wish that comes while an older one is under way replaces it,
/// and of any number of such wishes only the newest is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracked<V> {
    /// `None`: the driver does not care.
    wanted: Option<V>,
    /// What is under way.
    sent: Option<V>,
    /// What the device has; `None`: that is not known.
    confirmed: Option<V>,
    /// Sent without a clear answer, since the last clear one or the last new wish.
    tries: u8,
    /// Whether the device has refused what is wanted.
    refused: bool,
}

impl<V: Copy + Eq> Tracked<V> {
    /// Nothing wanted, nothing known.
    pub(super) const fn new() -> Self {
        Self {
            wanted: None,
            sent: None,
            confirmed: None,
            tries: 0,
            refused: false,
        }
    }

    pub(super) fn want(&mut self, value: V) {
        if self.wanted != Some(value) {
            self.wanted = Some(value);
            self.tries = 0;
            self.refused = false;
        }
    }

    pub(super) const fn wanted(&self) -> Option<V> {
        self.wanted
    }

    /// The device has what is wanted, if anything is.
    pub(super) fn is_met(&self) -> bool {
        self.wanted.is_none() || self.wanted == self.confirmed
    }

    /// The device does not do it, or does not answer.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.refused || self.tries >= MAX_TRIES
    }

    /// What has to be sent next, if anything.
    pub(super) fn due(&self) -> Option<V> {
        if self.is_met() || self.is_hopeless() {
            return None;
        }
        self.wanted
    }

    /// What is [due](Self::due) was sent.
    pub(super) fn send(&mut self) {
        self.sent = self.wanted;
    }

    /// What was sent has ended.
    pub(super) fn end(&mut self, outcome: Outcome) {
        let sent = self.sent.take();
        self.confirmed = None;
        match outcome {
            Outcome::Accepted(_) => {
                // Nothing, if it was unsettled meanwhile: then it is sent once more.
                self.confirmed = sent;
                self.tries = 0;
            }
            // What the device has after a refusal is as before or is not: it is not relied on.
            Outcome::Refused => self.refused |= sent.is_some() && sent == self.wanted,
            Outcome::Garbled { .. } | Outcome::TimedOut => {
                self.tries = self.tries.saturating_add(1)
            }
            Outcome::Reset => {}
        }
    }

    /// Something else may have changed the setting: an overdue command that was used after all, or
    /// another command with such an effect. It is worth one more try, whatever came of the last.
    pub(super) fn unsettle(&mut self) {
        self.sent = None;
        self.confirmed = None;
        self.tries = self.tries.min(MAX_TRIES.saturating_sub(1));
    }

    /// The device was reset and knows nothing.
    pub(super) fn forget(&mut self) {
        *self = Self {
            wanted: self.wanted,
            ..Self::new()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::outcome::Answer;
    use super::*;

    const ACCEPTED: Outcome = Outcome::Accepted(Answer::None);

    fn wanting(value: u8) -> Tracked<u8> {
        let mut tracked = Tracked::new();
        tracked.want(value);
        tracked
    }

    #[test]
    fn what_is_not_wanted_is_not_sent() {
        let tracked = Tracked::<u8>::new();
        assert!(tracked.is_met());
        assert_eq!(tracked.due(), None);
    }

    #[test]
    fn a_confirmed_wish_is_not_sent_again() {
        let mut tracked = wanting(1);
        assert_eq!(tracked.due(), Some(1));
        tracked.send();
        tracked.end(ACCEPTED);
        assert_eq!(tracked.due(), None);
        tracked.want(1);
        assert_eq!(tracked.due(), None);
    }

    #[test]
    fn only_the_newest_wish_follows() {
        let mut tracked = wanting(1);
        tracked.send();
        tracked.want(2);
        tracked.want(3);
        tracked.end(ACCEPTED);
        assert_eq!(tracked.due(), Some(3));
    }

    #[test]
    fn a_wish_that_went_back_is_not_sent_if_what_is_under_way_was_it() {
        let mut tracked = wanting(1);
        tracked.send();
        tracked.want(2);
        tracked.want(1);
        tracked.end(ACCEPTED);
        assert!(tracked.is_met());
    }

    #[test]
    fn tries_are_bounded_and_a_new_wish_begins_anew() {
        let mut tracked = wanting(1);
        for _ in 0..MAX_TRIES {
            assert_eq!(tracked.due(), Some(1));
            tracked.send();
            tracked.end(Outcome::TimedOut);
        }
        assert_eq!(tracked.due(), None);
        assert!(tracked.is_hopeless());
        tracked.want(2);
        assert_eq!(tracked.due(), Some(2));
    }

    #[test]
    fn a_refusal_is_for_the_value_that_was_sent() {
        let mut tracked = wanting(1);
        tracked.send();
        tracked.want(2);
        tracked.end(Outcome::Refused);
        assert_eq!(tracked.due(), Some(2));
        tracked.send();
        tracked.end(Outcome::Refused);
        assert_eq!(tracked.due(), None);
        assert!(!tracked.is_met());
    }

    #[test]
    fn an_acceptance_that_may_have_been_overtaken_confirms_nothing() {
        let mut tracked = wanting(1);
        tracked.send();
        tracked.unsettle();
        tracked.end(ACCEPTED);
        assert_eq!(tracked.due(), Some(1));
    }

    #[test]
    fn what_was_before_an_unclear_answer_is_not_relied_on() {
        let garbled = Outcome::Garbled { written: 1, ack: 9 };
        for unclear in [garbled, Outcome::TimedOut, Outcome::Refused] {
            let mut tracked = wanting(1);
            tracked.send();
            tracked.end(ACCEPTED);
            tracked.want(2);
            tracked.send();
            tracked.end(unclear);
            tracked.want(1);
            assert_eq!(tracked.due(), Some(1));
        }
    }

    #[test]
    fn a_late_answer_is_worth_one_more_try() {
        let mut tracked = wanting(1);
        for _ in 0..MAX_TRIES {
            tracked.send();
            tracked.end(Outcome::TimedOut);
        }
        tracked.unsettle();
        assert_eq!(tracked.due(), Some(1));
        tracked.send();
        tracked.end(Outcome::TimedOut);
        assert_eq!(tracked.due(), None);
    }

    #[test]
    fn after_a_reset_the_wish_alone_is_left() {
        let mut tracked = wanting(1);
        tracked.send();
        tracked.end(Outcome::Refused);
        tracked.forget();
        assert_eq!(tracked.due(), Some(1));
    }
}
