//! Setup information files: what Windows' setup reads, and what it writes into the registry.
//!
//! [`Inf::parse`] reads the text, [`Inf::install`] does for one device or network component what
//! the device installer, or the network setup engine, would do: it finds the models section for
//! the system, the entry for the identifier, and writes the service key and the component's own
//! keys. Files are not copied. What this reader does not know is an error, not ignored: a driver
//! must not rely on something that the tests leave out.

mod add_reg;
mod error;
mod install;
mod lines;
mod models;
mod strings;

use std::collections::BTreeMap;

pub use error::{InfError, InfErrorKind};
pub use install::Installed;
pub use models::Target;

use crate::registry::Registry;
use lines::{Entry, Field};

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Inf {
    /// Entries by the name of their section, in upper case.
    sections: BTreeMap<String, Section>,
    /// Texts by the name of their token, in upper case.
    strings: BTreeMap<String, String>,
}

/// A section; the parts of one that is opened several times are joined.
#[derive(Clone, Debug, Default)]
struct Section {
    /// Line of its header.
    line: usize,
    entries: Vec<Entry>,
}

/// Parses `text` and installs `id` for the oldest supported Windows. See [`Inf::install`].
///
/// # Errors
///
/// As [`Inf::parse`] and [`Inf::install`].
pub fn install(text: &str, id: &str, registry: &mut Registry) -> Result<Installed, InfError> {
    Inf::parse(text)?.install(id, &Target::default(), registry)
}

impl Inf {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// When it is not of the form of such a file, or has no usable `[Version]` section.
    pub fn parse(text: &str) -> Result<Self, InfError> {
        let sections = lines::sections(text)?;
        let strings = strings::table(sections.get("STRINGS"))?;
        let inf = Self { sections, strings };
        inf.check_version()?;
        Ok(inf)
    }

    fn check_version(&self) -> Result<(), InfError> {
        let signature = self.version("Signature")?;
        if !matches!(
            signature.to_ascii_uppercase().as_str(),
            "$WINDOWS NT$" | "$CHICAGO$"
        ) {
            let line = self.section("Version").map_or(0, |section| section.line);
            return Err(InfErrorKind::Signature(signature).at(line));
        }
        self.version("Class")?;
        self.version("ClassGuid")?;
        Ok(())
    }

    /// Name of its device setup class, for example `Net`.
    pub fn class(&self) -> String {
        self.version("Class").expect("checked when it was parsed")
    }

    /// A value of the `[Version]` section.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn version(&self, key: &str) -> Result<String, InfError> {
        let section = self.required("Version", 0)?;
        let entry = self.entry(section, key)?;
        let entry = entry.ok_or_else(|| InfErrorKind::Missing(key.to_owned()).at(section.line))?;
        self.text_at(entry, 0)
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections.get(&name.to_uppercase())
    }

    /// A section that another one, at `line`, refers to.
    fn required(&self, name: &str, line: usize) -> Result<&Section, InfError> {
        self.section(name)
            .ok_or_else(|| InfErrorKind::NoSection(name.to_owned()).at(line))
    }

    /// The entry of a section with a key.
    fn entry<'s>(&self, section: &'s Section, key: &str) -> Result<Option<&'s Entry>, InfError> {
        for entry in &section.entries {
            if self
                .key_of(entry)?
                .is_some_and(|name| name.eq_ignore_ascii_case(key))
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The key of an entry, its tokens replaced.
    fn key_of(&self, entry: &Entry) -> Result<Option<String>, InfError> {
        entry
            .key
            .as_ref()
            .map(|key| self.expand(key, entry.line))
            .transpose()
    }

    /// A field of an entry, its tokens replaced; empty when it is not there.
    fn text_at(&self, entry: &Entry, index: usize) -> Result<String, InfError> {
        entry
            .fields
            .get(index)
            .map_or(Ok(String::new()), |field| self.expand(field, entry.line))
    }

    fn expand(&self, field: &Field, line: usize) -> Result<String, InfError> {
        strings::expand(&field.0, &|token| self.token(token)).map_err(|kind| kind.at(line))
    }

    /// What a token stands for: a text of `[Strings]`, or a directory.
    fn token(&self, token: &str) -> Option<String> {
        let text = self.strings.get(&token.to_uppercase()).cloned();
        text.or_else(|| strings::directory(token, &self.store_folder()))
    }

    /// Name of the folder of the driver store that the package would lie in. The store names it
    /// after the file, the processor and a hash; here the catalog tells the name of the file.
    fn store_folder(&self) -> String {
        let catalog = self
            .version_without_tokens("CatalogFile")
            .unwrap_or_default();
        let stem = catalog
            .rsplit_once('.')
            .map_or(catalog.as_str(), |(stem, _)| stem);
        format!(
            "{}.inf_amd64_0123456789abcdef",
            if stem.is_empty() { "oem0" } else { stem }
        )
    }

    fn version_without_tokens(&self, key: &str) -> Option<String> {
        let entries = &self.section("Version")?.entries;
        let has_key = |entry: &&Entry| {
            entry
                .key
                .as_ref()
                .is_some_and(|name| name.0.eq_ignore_ascii_case(key))
        };
        Some(entries.iter().find(has_key)?.fields.first()?.0.clone())
    }
}

#[cfg(test)]
mod tests;
