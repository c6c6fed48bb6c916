//! The VLANs that pass the filter.
//!
//! A device that filters VLANs starts with none, so unlike other settings these are known after a
//! reset.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::super::command::Command;
use super::super::outcome::Outcome;
use super::super::parameters::VlanId;
use super::tracked::MAX_TRIES;

const WORDS: usize = 4096 / 64;

/// 64 VLANs, a bit each.
#[derive(Clone, Copy, Debug)]
struct Word {
    wanted: u64,
    /// What the device has, where `known`.
    confirmed: u64,
    known: u64,
    /// Refused, or given up after too many tries.
    hopeless: u64,
}

impl Word {
    const AFTER_RESET: Self = Self {
        wanted: 0,
        confirmed: 0,
        known: u64::MAX,
        hopeless: 0,
    };

    const fn unmet(&self) -> u64 {
        (self.wanted ^ self.confirmed) | !self.known
    }
}

#[derive(Debug)]
pub(super) struct Vlans {
    words: Vec<Word>,
    sent: Option<(VlanId, bool)>,
    /// The VLAN that was tried last, and how often without a clear answer.
    tried: Option<(VlanId, u8)>,
}

impl Vlans {
    pub(super) fn new() -> Result<Self, TryReserveError> {
        let mut words = Vec::new();
        words.try_reserve_exact(WORDS)?;
        words.extend(core::iter::repeat_n(Word::AFTER_RESET, WORDS));
        Ok(Self {
            words,
            sent: None,
            tried: None,
        })
    }

    pub(super) fn want(&mut self, vlan: VlanId, passes: bool) {
        let Some((word, bit)) = at(&mut self.words, vlan) else {
            return;
        };
        if passes != (word.wanted & bit != 0) {
            word.wanted ^= bit;
            word.hopeless &= !bit;
            self.tried = self.tried.filter(|(tried, _)| *tried != vlan);
        }
    }

    pub(super) fn next(&self) -> Option<Command<'static>> {
        let (word, index) = self.words.iter().zip(0_u16..).find_map(|(word, index)| {
            let due = word.unmet() & !word.hopeless;
            (due != 0).then_some((word, index))
        })?;
        let bit = (word.unmet() & !word.hopeless).trailing_zeros();
        let vlan = VlanId::new(index.wrapping_mul(64).wrapping_add(bit as u16))?;
        Some(if word.wanted.unbounded_shr(bit) & 1 != 0 {
            Command::AddVlan(vlan)
        } else {
            Command::RemoveVlan(vlan)
        })
    }

    pub(super) fn send(&mut self, vlan: VlanId, passes: bool) {
        self.sent = Some((vlan, passes));
    }

    pub(super) fn end(&mut self, vlan: VlanId, outcome: Outcome) {
        let sent = self.sent.take().filter(|(sent, _)| *sent == vlan);
        let tries = match outcome {
            Outcome::Garbled { .. } | Outcome::TimedOut => self.tries(vlan).saturating_add(1),
            Outcome::Accepted(_) | Outcome::Refused | Outcome::Reset => 0,
        };
        self.tried = (tries > 0).then_some((vlan, tries));

        let Some((word, bit)) = at(&mut self.words, vlan) else {
            return;
        };
        word.known &= !bit;
        let is_wanted = |word: &Word, passes| passes == (word.wanted & bit != 0);
        match (outcome, sent) {
            (Outcome::Accepted(_), Some((_, passes))) => {
                word.known |= bit;
                word.confirmed = if passes {
                    word.confirmed | bit
                } else {
                    word.confirmed & !bit
                };
            }
            (Outcome::Refused, Some((_, passes))) if is_wanted(word, passes) => {
                word.hopeless |= bit;
            }
            _ if tries >= MAX_TRIES => word.hopeless |= bit,
            _ => {}
        }
    }

    /// What the device has of `vlan` may have changed; it is worth one more try.
    pub(super) fn unsettle(&mut self, vlan: VlanId) {
        self.sent = self.sent.filter(|(sent, _)| *sent != vlan);
        let Some((word, bit)) = at(&mut self.words, vlan) else {
            return;
        };
        word.known &= !bit;
        if word.hopeless & bit != 0 {
            word.hopeless &= !bit;
            self.tried = Some((vlan, MAX_TRIES.saturating_sub(1)));
        }
    }

    pub(super) fn forget(&mut self) {
        for word in &mut self.words {
            *word = Word {
                wanted: word.wanted,
                ..Word::AFTER_RESET
            };
        }
        self.sent = None;
        self.tried = None;
    }

    pub(super) fn is_met(&self) -> bool {
        self.words.iter().all(|word| word.unmet() == 0)
    }

    fn tries(&self, vlan: VlanId) -> u8 {
        match self.tried {
            Some((tried, tries)) if tried == vlan => tries,
            _ => 0,
        }
    }
}

/// The word that `vlan` is in, and its bit there.
fn at(words: &mut [Word], vlan: VlanId) -> Option<(&mut Word, u64)> {
    let word = words.get_mut(usize::from(vlan.get() >> 6))?;
    Some((word, 1_u64.unbounded_shl(u32::from(vlan.get() & 63))))
}
