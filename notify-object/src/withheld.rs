//! What the virtual functions have lost to us, so that they get back just that.
//!
//! A path that was disabled before we came is not recorded, and stays disabled when we go.

use std::collections::{BTreeMap, BTreeSet};

/// For each adapter, by its instance identifier, the tokens of the binding paths that we have disabled
/// or refused; the engine's tokens stay the same when the system is restarted. Of VIOPROT's own paths
/// there are those that we have refused to an adapter that had been ours before. Names are compared
/// without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Withheld(BTreeMap<String, BTreeSet<String>>);

impl Withheld {
    /// Notes that `adapter` has lost the path of that token.
    pub(crate) fn add(&mut self, adapter: &str, token: &str) {
        let tokens = self.0.entry(adapter.to_ascii_lowercase()).or_default();
        tokens.insert(token.to_ascii_lowercase());
    }

    /// Notes that `adapter` has the path of that token again.
    pub(crate) fn remove(&mut self, adapter: &str, token: &str) {
        if let Some(tokens) = self.0.get_mut(&adapter.to_ascii_lowercase()) {
            tokens.remove(&token.to_ascii_lowercase());
        }
    }

    /// Notes that `adapter` is ours, even if it had nothing to lose.
    pub(crate) fn claim(&mut self, adapter: &str) {
        self.0.entry(adapter.to_ascii_lowercase()).or_default();
    }

    /// Tells whether `adapter` has been seen before.
    pub(crate) fn knows(&self, adapter: &str) -> bool {
        self.0.contains_key(&adapter.to_ascii_lowercase())
    }

    /// Tells whether the path of that token goes back to `adapter`.
    pub(crate) fn has(&self, adapter: &str, token: &str) -> bool {
        let tokens = self.0.get(&adapter.to_ascii_lowercase());
        tokens.is_some_and(|tokens| tokens.contains(&token.to_ascii_lowercase()))
    }

    /// Drops what is known of `adapter`: it has got everything back, or is gone for good.
    pub(crate) fn forget(&mut self, adapter: &str) {
        self.0.remove(&adapter.to_ascii_lowercase());
    }

    /// Adapters with the tokens of their paths, for the registry.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.0.iter().map(|(adapter, tokens)| {
            (
                adapter.as_str(),
                tokens.iter().map(String::as_str).collect(),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VF: &str = "{11111111-2222-3333-4444-555555555555}";

    #[test]
    fn what_was_taken_is_known_whatever_the_case() {
        let mut withheld = Withheld::default();
        withheld.add(&VF.to_ascii_uppercase(), "MS_TCPIP->{1}");
        assert!(withheld.knows(VF));
        assert!(withheld.has(VF, "ms_tcpip->{1}"));
        assert!(!withheld.has(VF, "ms_tcpip6->{1}"));
        withheld.remove(VF, "ms_tcpip->{1}");
        assert!(withheld.knows(VF));
        assert!(!withheld.has(VF, "ms_tcpip->{1}"));
    }

    #[test]
    fn a_claim_alone_gives_nothing_back() {
        let mut withheld = Withheld::default();
        withheld.claim(VF);
        assert!(withheld.knows(VF));
        assert!(!withheld.has(VF, "ms_tcpip"));
        assert_eq!(withheld.entries().collect::<Vec<_>>(), [(VF, vec![])]);
    }

    #[test]
    fn an_adapter_that_is_gone_is_forgotten() {
        let mut withheld = Withheld::default();
        withheld.add(VF, "ms_tcpip");
        withheld.forget(VF);
        assert!(!withheld.knows(VF));
        assert_eq!(withheld.entries().count(), 0);
    }
}
