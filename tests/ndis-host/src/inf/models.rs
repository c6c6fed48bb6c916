//! Which models section, and which entry of it, a system takes.

use super::lines::Entry;
use super::{Inf, InfError, InfErrorKind};

/// The system that something is installed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Processor as decorations spell it: `amd64` or `arm64`.
    pub processor: &'static str,
    /// Major and minor version of the system, and its build.
    pub version: (u32, u32, u32),
}

impl Default for Target {
    /// Windows 10 1809 for x64.
    fn default() -> Self {
        Self {
            processor: "amd64",
            version: (10, 0, 17763),
        }
    }
}

/// A model that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Description for people.
    pub(super) description: String,
    /// Name of its install section, without decoration.
    pub(super) install: String,
    /// The identifier, in the spelling of the file.
    pub(super) id: String,
    /// Line of its entry.
    pub(super) line: usize,
}

impl Inf {
    /// Finds the model for an identifier in the sections for `target`.
    pub(super) fn model(&self, id: &str, target: &Target) -> Result<Model, InfError> {
        let manufacturers = self.required("Manufacturer", 0)?;
        for manufacturer in &manufacturers.entries {
            let Some(name) = self.models_section(manufacturer, target)? else {
                continue;
            };
            for entry in &self.required(&name, manufacturer.line)?.entries {
                if let Some(model) = self.match_model(entry, id)? {
                    return Ok(model);
                }
            }
        }
        Err(InfErrorKind::NoModel { id: id.to_owned() }.at(manufacturers.line))
    }

    /// The models section of a manufacturer that fits the system best.
    fn models_section(
        &self,
        manufacturer: &Entry,
        target: &Target,
    ) -> Result<Option<String>, InfError> {
        let base = self.text_at(manufacturer, 0)?;
        if base.is_empty() {
            let text = "a manufacturer names its models section".to_owned();
            return Err(InfErrorKind::BadEntry(text).at(manufacturer.line));
        }
        if manufacturer.fields.len() == 1 {
            return Ok(Some(base));
        }
        let mut best: Option<((u32, u32, u32), String)> = None;
        for index in 1..manufacturer.fields.len() {
            let decoration = self.text_at(manufacturer, index)?;
            let needs = needed_version(&decoration, target).map_err(|k| k.at(manufacturer.line))?;
            let Some(version) = needs.filter(|version| *version <= target.version) else {
                continue;
            };
            if best.as_ref().is_none_or(|(other, _)| *other < version) {
                best = Some((version, format!("{base}.{decoration}")));
            }
        }
        Ok(best.map(|(_, name)| name))
    }

    fn match_model(&self, entry: &Entry, id: &str) -> Result<Option<Model>, InfError> {
        let (Some(description), true) = (self.key_of(entry)?, entry.fields.len() >= 2) else {
            let text = "a model is description = install section, identifier".to_owned();
            return Err(InfErrorKind::BadEntry(text).at(entry.line));
        };
        for index in 1..entry.fields.len() {
            let known = self.text_at(entry, index)?;
            if known.eq_ignore_ascii_case(id) {
                let install = self.text_at(entry, 0)?;
                return Ok(Some(Model {
                    description,
                    install,
                    id: known,
                    line: entry.line,
                }));
            }
        }
        Ok(None)
    }

    /// The section `base` + `suffix` in the form for `target`, if there is one: with the
    /// processor, with `.NT`, or plain. Returns its name.
    pub(super) fn decorated(&self, base: &str, suffix: &str, target: &Target) -> Option<String> {
        let processor = format!("{base}.NT{}{suffix}", target.processor);
        let any = format!("{base}.NT{suffix}");
        let plain = format!("{base}{suffix}");
        [processor, any, plain]
            .into_iter()
            .find(|name| self.section(name).is_some())
    }
}

/// The version that a decoration `NT[processor][.major[.minor[.type[.suite[.build]]]]]` asks for;
/// `None` when it is for another processor.
fn needed_version(
    decoration: &str,
    target: &Target,
) -> Result<Option<(u32, u32, u32)>, InfErrorKind> {
    let bad = || InfErrorKind::Decoration(decoration.to_owned());
    let mut parts = decoration.split('.');
    let processor = parts
        .next()
        .filter(|first| first.len() >= 2)
        .ok_or_else(bad)?;
    let (nt, processor) = processor.split_at_checked(2).ok_or_else(bad)?;
    if !nt.eq_ignore_ascii_case("NT") {
        return Err(bad());
    }
    let mut number = || match parts.next() {
        None | Some("") => Ok(0),
        Some(text) => text.parse::<u32>().map_err(|_| bad()),
    };
    let (major, minor, product, suite, build) =
        (number()?, number()?, number()?, number()?, number()?);
    if product != 0 || suite != 0 || parts.next().is_some() {
        return Err(bad());
    }
    let fits = processor.is_empty() || processor.eq_ignore_ascii_case(target.processor);
    Ok(fits.then_some((major, minor, build)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decorations_state_processor_version_and_build() {
        let target = Target::default();
        let needs = |decoration| needed_version(decoration, &target);
        assert_eq!(needs("NTamd64.10.0...17763"), Ok(Some((10, 0, 17763))));
        assert_eq!(needs("NTamd64"), Ok(Some((0, 0, 0))));
        assert_eq!(needs("NT"), Ok(Some((0, 0, 0))));
        assert_eq!(needs("NTarm64.10.0"), Ok(None));
        for bad in [
            "amd64",
            "NTamd64.x",
            "N",
            "",
            "NTamd64.10.0.1",
            "NT.1.2.3.4.5.6",
        ] {
            assert_eq!(needs(bad), Err(InfErrorKind::Decoration(bad.to_owned())));
        }
    }
}
