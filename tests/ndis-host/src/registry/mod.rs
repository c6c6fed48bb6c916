//! The registry: keys and values in memory.
//!
//! Names of keys and values ignore case and keep the spelling in which they were made. The
//! machine's registry is one [`BatonCell`], opened by [`with`]; tests may have their own
//! [`Registry`].

mod value;

use std::collections::BTreeMap;

pub use value::{Value, utf16};

use crate::sched::BatonCell;

/// Where the configuration in use is.
pub const CURRENT_CONTROL_SET: &str = r"\Registry\Machine\System\CurrentControlSet";
/// Where services, that is drivers, are.
pub const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";

static MACHINE: BatonCell<Registry> = BatonCell::new(Registry { root: Key::new() });

/// Opens the machine's registry.
pub fn with<R>(body: impl FnOnce(&mut Registry) -> R) -> R {
    MACHINE.with(body)
}

/// A tree of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    root: Key,
}

/// A key: values, and keys below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    keys: BTreeMap<Name, Key>,
    values: BTreeMap<Name, Value>,
}

/// A name, compared without case.
#[derive(Clone, Debug, Eq)]
struct Name {
    spelling: String,
    folded: String,
}

impl Name {
    fn new(spelling: &str) -> Self {
        Self {
            spelling: spelling.to_owned(),
            folded: spelling.to_uppercase(),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded.cmp(&other.folded)
    }
}

/// The names of a path; empty ones, as from a leading backslash, do not count.
fn parts(path: &str) -> impl Iterator<Item = Name> {
    path.split('\\')
        .filter(|part| !part.is_empty())
        .map(Name::new)
}

impl Registry {
    /// An empty registry.
    pub const fn new() -> Self {
        Self { root: Key::new() }
    }

    /// The key at `path`, for example `\Registry\Machine\System`.
    pub fn key(&self, path: &str) -> Option<&Key> {
        self.root.key(path)
    }

    /// The key at `path`, to be changed.
    pub fn key_mut(&mut self, path: &str) -> Option<&mut Key> {
        parts(path).try_fold(&mut self.root, |key, name| key.keys.get_mut(&name))
    }

    /// The key at `path`; it, and those above it, are made when they are not there.
    pub fn create(&mut self, path: &str) -> &mut Key {
        self.root.create(path)
    }

    /// Deletes the key at `path` with everything below it; false when it is not there.
    pub fn delete(&mut self, path: &str) -> bool {
        let (parent, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let name = Name::new(name);
        self.key_mut(parent)
            .is_some_and(|parent| parent.keys.remove(&name).is_some())
    }
}

impl Key {
    /// An empty key.
    pub const fn new() -> Self {
        Self {
            keys: BTreeMap::new(),
            values: BTreeMap::new(),
        }
    }

    /// The key at `path` below this one.
    pub fn key(&self, path: &str) -> Option<&Self> {
        parts(path).try_fold(self, |key, name| key.keys.get(&name))
    }

    /// The key at `path` below this one, made when it is not there.
    pub fn create(&mut self, path: &str) -> &mut Self {
        parts(path).fold(self, |key, name| key.keys.entry(name).or_default())
    }

    /// A value.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(&Name::new(name))
    }

    /// Sets a value.
    pub fn set(&mut self, name: &str, value: Value) {
        self.values.insert(Name::new(name), value);
    }

    /// Removes a value; false when it is not there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.values.remove(&Name::new(name)).is_some()
    }

    /// The keys right below this one, by name.
    pub fn subkeys(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.keys
            .iter()
            .map(|(name, key)| (name.spelling.as_str(), key))
    }

    /// The values of this key, by name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values
            .iter()
            .map(|(name, value)| (name.spelling.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_keep_their_spelling() {
        let mut registry = Registry::new();
        registry
            .create(r"\Registry\Machine\System")
            .set("Start", Value::Dword(3));

        let key = registry.key(r"\REGISTRY\machine\SYSTEM").unwrap();
        assert_eq!(key.value("sTART"), Some(&Value::Dword(3)));
        assert_eq!(key.values().next().unwrap().0, "Start");
    }

    #[test]
    fn a_deleted_key_takes_what_is_below_it_along() {
        let mut registry = Registry::new();
        registry.create(r"\A\B\C");
        registry.create(r"\A\D");

        assert!(registry.delete(r"\a\b"));
        assert!(!registry.delete(r"\A\B"));
        assert!(registry.key(r"\A\B\C").is_none());
        assert_eq!(registry.key(r"\A").unwrap().subkeys().count(), 1);
    }
}
